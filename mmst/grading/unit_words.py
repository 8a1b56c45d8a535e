"""The words that `units` and `worded` know: multipliers, units, words that may change a number."""

from __future__ import annotations

import re

from mmst.core.number_words import LARGE

# --- words that multiply ---

SCALES = {
    "ten": 10, "dozen": 12, "hundred": 100, **LARGE, "lakh": 10**5, "lac": 10**5, "crore": 10**7, "gross": 144,
}  # fmt: skip
SHORT_SCALES = {
    "bn": 10**9, "bln": 10**9, "mil": 10**6, "mill": 10**6, "mio": 10**6, "mn": 10**6, "mln": 10**6, "tn": 10**12,
    "trn": 10**12, "thou": 10**3, "score": 20, "grand": 10**3, "thsd": 10**3,
}  # fmt: skip
LETTERS = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
"""Only directly after the digits, or after money: 3 M may be a length, and 3 K a temperature."""
MONEY_LETTERS = LETTERS | {"m": 10**6, "b": 10**9, "MM": 10**6, "mm": 10**6}
NO_UNIT_LETTERS = frozenset({*"ABDEGHIJNOPQRSUVWXYZ", "MM"})
SINGULAR_ONLY = frozenset(SCALES)

# --- units ---

SPELLINGS = {
    "dollar": "usd buck", "euro": "eur", "pound": "gbp quid lb", "cent": "¢ penny pennie pence", "yen": "jpy",
    "rupee": "inr rs ₹", "yuan": "rmb cny", "peso": "", "aud": "", "cad": "", "nzd": "", "hkd": "",
    "sgd": "", "brl": "", "percent": "pct percentage", "point": "pt", "degree": "deg", "radian": "rad",
    "celsius": "centigrade", "fahrenheit": "", "kelvin": "", "unit": "",
    "hour": "h hr", "minute": "min", "second": "s sec", "day": "", "week": "wk", "month": "mo", "year": "yr",
    "decade": "", "century": "centurie", "millisecond": "ms", "am": "a.m", "pm": "p.m", "o'clock": "",
    "m": "meter metre", "cm": "centimeter centimetre", "km": "kilometer kilometre", "mm": "millimeter millimetre",
    "nm": "nanometer nanometre", "ft": "foot feet", "in": "inch inche", "yd": "yard", "mi": "mile", "dm": "decimeter",
    "acre": "", "hectare": "ha", "l": "liter litre", "ml": "milliliter millilitre", "cl": "centiliter centilitre",
    "dl": "deciliter decilitre", "gallon": "gal", "quart": "qt", "pint": "", "cup": "", "tablespoon": "tbsp",
    "teaspoon": "tsp", "g": "gram gramme gm", "kg": "kilogram kilo kilogramme", "mg": "milligram",
    "oz": "ounce", "ton": "tonne", "stone": "", "mph": "", "kph": "kmh kmph", "knot": "", "joule": "",
    "kj": "kilojoule",
    "watt": "", "kw": "kilowatt", "mw": "megawatt", "kwh": "", "volt": "", "ampere": "amp", "ohm": "", "newton": "",
    "pascal": "", "hertz": "hz", "khz": "kilohertz", "mhz": "megahertz", "mole": "mol", "calorie": "cal",
    "kcal": "kilocalorie", "byte": "", "bit": "", "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte",
    "st": "", "nd": "", "rd": "", "th": "",
    "milliwatt": "", "millihertz": "", "megagram": "", "megameter": "megametre", "megasecond": "",
    "megaliter": "megalitre", "millivolt": "", "megavolt": "", "milliampere": "milliamp", "megaampere": "megaamp",
    "millijoule": "", "megajoule": "", "millinewton": "", "meganewton": "", "millipascal": "", "megapascal": "",
    "millielectronvolt": "", "megaelectronvolt": "", "megabit": "", "kilobit": "", "gigabit": "", "newtonmeter": "",
}  # fmt: skip
KNOWN = {word: word for word in SPELLINGS}
KNOWN |= {other: word for word, others in SPELLINGS.items() for other in others.split()}
COMPOUND = {"mph": frozenset({"mi", "/hour"}), "kph": frozenset({"km", "/hour"})}
SYMBOLS = {
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "%": "percent",
    "°": "degree",
    "₹": "rupee",
    "¢": "cent",
}
ATTACHED = frozenset(
    "m g s h l cm mm km nm dm kg mg ml cl dl ft in yd mi oz lb lbs hr hrs min sec mph kph kmh deg rad am pm st nd rd "
    "th usd eur gbp pct gb mb kb hz khz mhz kw mw kj kwh ms".split()
)
"""Short words that are units even without a space before them; other letters there are variables."""
_SI = {
    "W": "watt", "Hz": "hertz", "V": "volt", "A": "ampere", "J": "joule", "N": "newton", "Pa": "pascal",
    "eV": "electronvolt",
}  # fmt: skip
CASED = {"m" + symbol: "milli" + name for symbol, name in _SI.items()}
CASED |= {"M" + symbol: "mega" + name for symbol, name in _SI.items() if symbol not in ("W", "Hz")}
CASED |= {"Mg": "megagram", "Mm": "megameter", "Ms": "megasecond", "Ml": "megaliter", "ML": "megaliter"}
CASED |= {"Mb": "megabit", "Kb": "kilobit", "Gb": "gigabit", "Nm": "newtonmeter"}
"""Symbols that are other units than the same letters in lower case: a milligram is mg, a megagram Mg."""
POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
RAISED = {"squared": "square", "cubed": "cubic"}
PER = frozenset({"/", "per"})
EACH = frozenset({"a", "an", "each", "every"})
IRREGULAR = frozenset(
    "people persons men women children feet teeth mice geese sheep fish deer cattle dice oxen cacti fungi radii salmon "
    "aircraft series species money water milk juice rice flour sugar food corn fruit bread candy cake pizza soda "
    "clothing furniture homework jewelry paint wood sand ice salt butter cheese".split()
)
FILLERS = frozenset(
    "of in the total altogether overall each all exactly together left remaining old tall long wide high deep "
    "away is was are were now more-or-less apiece worth".split()
)
"""Words that do not change the unit, after it or alone."""
BEHIND_INCH = frozenset({"", "/", "per", "of", "long", "tall", "wide", "high", "deep", "each", "apart"})
ALONE = frozenset("total altogether overall each remaining left apiece".split())
CHANGING = frozenset(
    "and or not half halves quarter quarters more less fewer than to minus plus point over under below above beyond "
    "times pi sqrt sin cos tan log ln i e mod modulo remainder squared cubed if when unless twice double triple thrice "
    "quadruple fold ago before after until till past out power factor factorial without except besides nearly almost "
    "around about approximately roughly least most between both either neither nor no none but opposite negative "
    "negatives inverse inverses reciprocal reciprocals short shy down up behind ahead off extra additional another "
    "hundred thousand million billion trillion zero one two three four five six seven eight nine ten eleven twelve "
    "dozen dozens score scores gross grosses tens ones squares cubes roots root cubes base".split()
)
"""Words that change a number, or may change it."""
NO_NOUNS = frozenset(
    "only others perhaps always sometimes afterwards towards backwards forwards upwards downwards nowadays "
    "besides thanks please sorry yes ok okay was has does says means equals makes gives gets goes needs seems looks "
    "leaves comes becomes remains works happens wins loses starts ends stops its his hers ours yours theirs "
    "maybe again already approx approximate possibly probably likely surely certainly also too else instead alone "
    "combined wrong right correct incorrect true false this that these those there here thus just yet still very quite "
    "rather even ever never often soon later once why how what which who whose ish something anything somewhere "
    "guess unknown unsure invalid impossible undefined wait actually really simply exact rounded".split()
)
"""Words that are not units, though some end like plurals."""
NUMERAL = re.compile(r".*(?:illions?|[a-z]{3}ths?|fold|uple|uples)", re.IGNORECASE)
REAL_THS = frozenset(
    "months month moths baths paths cloths deaths births booths depths truths youths mouths myths lengths widths oaths "
    "mammoths".split()
)
