"""What may stand behind a number: words that multiply it or turn its sign, and units, which may be left out. Pure.

A unit is known (`_KNOWN`), or a noun that the question names. Where no question is given, a noun is what looks
like a plural (`apples`, `people`), with its adjectives before it. Everything else behind a number may change it:
then it is no number with a unit.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import NamedTuple


class Behind(NamedTuple):
    """By what the words behind a number multiply it, and the words of its unit: "km", "/hour", "ft2"."""

    scale: Fraction
    unit: frozenset[str]


NO_UNIT: frozenset[str] = frozenset()
PERCENT = frozenset({"percent"})
_WORDS = 8

# --- words that multiply ---

_ORDINALS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth"
).split()
PARTS = {"half": 2, "quarter": 4} | {word: n for n, word in enumerate(_ORDINALS, 3)}
PARTS |= {f"{ten}ieth": 10 * n for n, ten in enumerate("twent thirt fort fift sixt sevent eight ninet".split(), 2)}
PARTS |= {"hundredth": 100, "thousandth": 10**3, "millionth": 10**6, "billionth": 10**9, "trillionth": 10**12}
"""A half, a third … and what they divide by; a second is a time."""
SCALES = {
    "ten": 10, "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "lakh": 10**5, "lac": 10**5, "crore": 10**7, "gross": 144,
}  # fmt: skip
_SHORT_SCALES = {
    "bn": 10**9, "bln": 10**9, "mil": 10**6, "mill": 10**6, "mio": 10**6, "mn": 10**6, "mln": 10**6, "tn": 10**12,
    "trn": 10**12, "thou": 10**3, "score": 20, "grand": 10**3, "thsd": 10**3,
}  # fmt: skip
_LETTERS = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
"""Directly behind the digits, or behind money: 3 M is a length, perhaps, and 3 K a temperature."""
_MONEY_LETTERS = _LETTERS | {"m": 10**6, "b": 10**9, "MM": 10**6, "mm": 10**6}
_NO_UNIT_LETTERS = frozenset({*"ABDEGHIJNOPQRSUVWXYZ", "MM"})
_SINGULAR_ONLY = frozenset(SCALES)

# --- units ---

_SPELLINGS = {
    "dollar": "usd buck", "euro": "eur", "pound": "gbp quid lb", "cent": "¢ penny pennie pence", "yen": "jpy",
    "rupee": "inr rs ₹", "yuan": "rmb cny", "peso": "", "aud": "", "cad": "", "nzd": "", "hkd": "", "sgd": "", "brl": "",
    "percent": "pct percentage", "point": "pt", "degree": "deg", "radian": "rad", "celsius": "centigrade",
    "fahrenheit": "", "kelvin": "", "unit": "",
    "hour": "h hr", "minute": "min", "second": "s sec", "day": "", "week": "wk", "month": "mo", "year": "yr",
    "decade": "", "century": "centurie", "millisecond": "ms", "am": "a.m", "pm": "p.m", "o'clock": "",
    "m": "meter metre", "cm": "centimeter centimetre", "km": "kilometer kilometre", "mm": "millimeter millimetre",
    "nm": "nanometer nanometre", "ft": "foot feet", "in": "inch inche", "yd": "yard", "mi": "mile", "dm": "decimeter",
    "acre": "", "hectare": "ha", "l": "liter litre", "ml": "milliliter millilitre", "cl": "centiliter centilitre",
    "dl": "deciliter decilitre", "gallon": "gal", "quart": "qt", "pint": "", "cup": "", "tablespoon": "tbsp",
    "teaspoon": "tsp", "g": "gram gramme gm", "kg": "kilogram kilo kilogramme", "mg": "milligram",
    "oz": "ounce", "ton": "tonne", "stone": "", "mph": "", "kph": "kmh kmph", "knot": "", "joule": "", "kj": "kilojoule",
    "watt": "", "kw": "kilowatt", "mw": "megawatt", "kwh": "", "volt": "", "ampere": "amp", "ohm": "", "newton": "",
    "pascal": "", "hertz": "hz", "khz": "kilohertz", "mhz": "megahertz", "mole": "mol", "calorie": "cal",
    "kcal": "kilocalorie", "byte": "", "bit": "", "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte",
    "st": "", "nd": "", "rd": "", "th": "",
}  # fmt: skip
_KNOWN = {word: word for word in _SPELLINGS}
_KNOWN |= {other: word for word, others in _SPELLINGS.items() for other in others.split()}
_COMPOUND = {"mph": frozenset({"mi", "/hour"}), "kph": frozenset({"km", "/hour"})}
_SYMBOLS = {
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
    "%": "percent",
    "°": "degree",
    "₹": "rupee",
    "¢": "cent",
}
_ATTACHED = frozenset(
    "m g s h l cm mm km nm dm kg mg ml cl dl ft in yd mi oz lb lbs hr hrs min sec mph kph kmh deg rad am pm st nd rd th "
    "usd eur gbp pct gb mb kb hz khz mhz kw mw kj kwh ms".split()
)
"""The short words that are units also without a space before them; other letters there are variables."""
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
_RAISED = {"squared": "square", "cubed": "cubic"}
_PER = frozenset({"/", "per"})
_EACH = frozenset({"a", "an", "each", "every"})
_IRREGULAR = frozenset(
    "people persons men women children feet teeth mice geese sheep fish deer cattle dice oxen cacti fungi radii salmon "
    "aircraft series species money water milk juice rice flour sugar food corn fruit bread candy cake pizza soda "
    "clothing furniture homework jewelry paint wood sand ice salt butter cheese".split()
)
_FILLERS = frozenset(
    "of in the total altogether overall only each all exactly together left remaining old tall long wide high deep "
    "away is was are were now more-or-less apiece worth".split()
)
"""Words that say nothing of the unit, behind it or alone."""
_BEHIND_INCH = frozenset({"", "/", "per", "of", "long", "tall", "wide", "high", "deep", "each", "apart"})
_ALONE = frozenset("total altogether overall only each remaining left apiece".split())
CHANGING = frozenset(
    "and or not half halves quarter quarters more less fewer than to minus plus point over under below above beyond "
    "times pi sqrt sin cos tan log ln i e mod modulo remainder squared cubed if when unless twice double triple thrice "
    "quadruple fold ago before after until till past out power factor factorial without except besides nearly almost "
    "around about approximately roughly least most between both either neither nor no none but opposite negative "
    "negatives inverse inverses reciprocal reciprocals short shy down up behind ahead off extra additional another "
    "hundred thousand million billion trillion zero one two three four five six seven eight nine ten eleven twelve "
    "dozen dozens score scores gross grosses tens ones squares cubes roots root cubes base".split()
)
"""Words that change a number, or may."""
_NUMERAL = re.compile(r".*(?:illions?|[a-z]{3}ths?|fold|uple|uples)", re.IGNORECASE)
_REAL_THS = frozenset("months month moths baths paths cloths deaths births booths depths truths youths mouths myths lengths "
                      "widths oaths mammoths".split())  # fmt: skip

_WORD = re.compile(r"[%°$€£¥₹¢/]|\(?[^\W\d_]+(?:['.\-][^\W\d_]+)*(?:\^?\{?[23]\}?)?\)?\.?")
_ZERO = re.compile(r"\b(?:below|under) 0\b")


def behind(rest: str, currency: str, value: Fraction, question: str = "") -> Behind | None:
    """What the text behind a number's digits says; None when it may be something else than a unit.

    >>> behind(" tenths", "", Fraction(3)).scale, behind(" km/h", "", Fraction(3)).unit == unit_of("kph")
    (Fraction(1, 10), True)
    >>> behind("M", "$", Fraction(3)).scale, behind(" below zero", "", Fraction(3)).scale, behind(" less", "", Fraction(3))
    (Fraction(1000000, 1), Fraction(-1, 1), None)
    """
    small = abs(value.numerator) <= value.denominator
    return _behind(rest, currency, small and value == 1, small, question)


@functools.lru_cache(maxsize=1024)
def _behind(rest: str, currency: str, one: bool, small: bool, question: str) -> Behind | None:
    if not rest and not currency:
        return Behind(Fraction(1), NO_UNIT)
    attached = bool(rest) and not rest[0].isspace()
    words = _split(_ZERO.sub("below zero", rest))
    if words is None:
        return None
    scale, words = _scaled(words, bool(currency), attached, one)
    if scale is None:
        return None
    sign, words = _signed(words)
    if scale == 1 and attached and words and words[0].isalpha() and len(words[0]) <= 3:
        if words[0].casefold() not in _ATTACHED and not words[0] == "¢":
            return None  # 7xy, 2pi
    lower = [w.casefold() for w in words]
    if len(lower) > 1 and lower[0] in ("st", "nd", "rd", "th"):
        return None  # 5th grader
    if any(
        len(w) == 1 and w.isalpha() and w not in _ATTACHED and not _letter_ok(lower, i) for i, w in enumerate(lower)
    ):
        return None  # 7 x
    unit = _unit(lower, small, question)
    if unit is None:
        return None
    return Behind(scale * sign, unit | _unit_of_currency(currency))


def _letter_ok(words: list[str], i: int) -> bool:
    """A single letter that is no variable: °C, 5 dollars a day."""
    if i and words[i - 1] in ("°", "degrees", "degree") and words[i] in "cfk":
        return True
    return words[i] in ("a",) and 0 < i < len(words) - 1


def _split(rest: str) -> list[str] | None:
    words, at = [], 0
    for found in _WORD.finditer(rest):
        if rest[at : found.start()].strip():
            return None
        at = found.end()
        word = found[0].strip("()").rstrip(".") or found[0]
        if words and word.casefold() in _RAISED and _known(words[-1].casefold()):
            words[-1:] = [_RAISED[word.casefold()], words[-1]]  # feet per second squared
        else:
            words.append(word)
    return None if rest[at:].strip(" .,") or len(words) > _WORDS else words


def _scaled(words: list[str], money: bool, attached: bool, one: bool) -> tuple[Fraction | None, list[str]]:
    """What the first words multiply by, and the words behind them; None when it cannot be said."""
    scale = Fraction(1)
    if words and not attached and not money and (words[0] in _NO_UNIT_LETTERS or words[0] in _LETTERS):
        return None, words
    while words:
        word, plural = words[0].casefold(), False
        if word.endswith("s") and word not in _SINGULAR_ONLY:
            word, plural = word.removesuffix("s"), True
        if word == "halve":
            word = "half"
        last = len(words) == 1
        letters = _MONEY_LETTERS if money else _LETTERS if attached else {}
        if word in SCALES and not (word == "ten" and not plural):
            scale *= SCALES[word]
        elif word in _SHORT_SCALES and not (word in ("score", "grand") and (plural or not last)):
            scale *= _SHORT_SCALES[word]
        elif words[0] in letters:
            scale *= letters[words[0]]
        elif word in PARTS:
            if not plural and not (one and (last or words[1] in ("of", "an", "a", "the"))):
                return None, words  # 5 fifth graders
            scale /= PARTS[word]
        else:
            return scale, words
        words, attached = words[1:], False
        if words and words[0].casefold() == "of" and len(words) > 1:
            words = words[1:]
        if words and words[0].casefold() in ("a", "an") and len(words) == 2:
            words = words[1:]
    return scale, words


def _signed(words: list[str]) -> tuple[int, list[str]]:
    """-1 for what is below zero."""
    last = [w.casefold() for w in words[-2:]]
    if len(last) == 2 and last[1] == "zero" and last[0] in ("below", "under", "above"):
        return (1 if last[0] == "above" else -1), words[:-2]
    return 1, words


def _unit(words: list[str], small: bool, question: str) -> frozenset[str] | None:
    """The canonical words of a unit; None when one of them may change the number."""
    if not words:
        return NO_UNIT
    if words[0] in _ALONE and len(words) == 1 or words[:2] in (["in", "total"], ["in", "all"]):
        words = words[2:] if len(words) > 1 else []
    if any(_may_change(words, i) for i in range(len(words))):
        return None
    known, nouns, headed = set[str](), set[str](), False
    named = _stems(question) if question else None
    power, below, unknown = "", "", list[str]()
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else ""
        if word in _PER or (word in _EACH and following and headed):
            below = "/"
        elif word in _POWERS and following:
            power = _POWERS[word]
        elif word in ("us", "u.s") and following.removesuffix("s") == "dollar":
            continue
        elif word == "and":
            headed = False
        elif (found := _known(word)) and not (word == "in" and (headed or following not in _BEHIND_INCH)):
            if unknown and named is None and not below:
                return None  # 5 fewer-like words before a unit
            if below + found[0] + power in _COMPOUND:
                known |= _COMPOUND[found[0]]
            else:
                known.add(below + found[0] + (power or found[1]))
            power, below, headed = "", "", True
        elif word in _FILLERS:
            if not headed and not unknown:
                return None
        elif below:
            known.add(below + _stem(word))
            below = ""
        else:
            unknown.append(word)
            nouns.add(_stem(word))
            if named is not None:
                if _stem(word) not in named:
                    return None
                headed = True
            else:
                headed = headed or _is_noun(word, small)
    if below or power or not (headed or not (known or nouns)) or len(unknown) > 4:
        return None
    return frozenset(known | nouns)


def _may_change(words: list[str], i: int) -> bool:
    """Whether a word, or a part of one with hyphens, is one that changes numbers; boys and girls is a unit."""
    word = words[i]
    if word == "and" and 0 < i < len(words) - 1:
        return not (_is_noun(words[i - 1], False) and _is_noun(words[i + 1], False))
    return any(w in CHANGING or (_NUMERAL.fullmatch(w) and w not in _REAL_THS) for w in word.split("-"))


def _known(word: str) -> tuple[str, str] | None:
    """The unit that a word is, in its one spelling, and its power."""
    if word in _SYMBOLS:
        return _SYMBOLS[word], ""
    power = ""
    if word[-1:] in ("2", "3") or word.endswith("}"):
        word, power = re.sub(r"\^?\{?[23]\}?$", "", word), re.findall(r"[23]", word)[0]
    if word in ("c", "f"):
        return {"c": "celsius", "f": "fahrenheit"}[word], ""
    for spelling in (word, word.removesuffix("s"), word.removesuffix("es")):
        if spelling in _KNOWN and not (spelling != word and len(spelling) == 1):
            return _KNOWN[spelling], power
    return None


def _stem(word: str) -> str:
    return word.removesuffix("s") or word


@functools.lru_cache(maxsize=64)
def _stems(question: str) -> frozenset[str]:
    return frozenset(_stem(w) for w in re.findall(r"[^\W\d_]+(?:['\-][^\W\d_]+)*", question.casefold()))


def _is_noun(word: str, small: bool) -> bool:
    """Whether a word that is not known looks like a plural; behind 1 or less, a singular is enough."""
    if word in _IRREGULAR or (len(word) >= 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))):
        return True
    return small and len(word) >= 3


def _unit_of_currency(currency: str) -> frozenset[str]:
    return frozenset({_SYMBOLS[currency]}) if currency else NO_UNIT


def unit_of(text: str) -> frozenset[str]:
    """The words of a unit, each in one spelling; whatever they are.

    >>> sorted(unit_of("km/hours")), unit_of("%") == unit_of("pct"), unit_of("square feet")
    (['/hour', 'km'], True, frozenset({'ft2'}))
    """
    found = behind(" " + text.strip(), "", Fraction(2))
    if found is not None and found.scale == 1:
        return found.unit
    return frozenset(_stem(w) for w in re.findall(r"[^\W\d_]+", text.casefold()))


def agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two units may be the same: measures as a whole, of what else is said one word; or one says nothing.

    >>> agree(unit_of("miles per hour"), unit_of("km per hour")), agree(unit_of("red apples"), unit_of("apples"))
    (False, True)
    """
    if not one or not other or one == other:
        return True
    one_measures, other_measures = ({w for w in unit if _is_measure(w)} for unit in (one, other))
    one_words, other_words = one - one_measures, other - other_measures
    if one_measures != other_measures:
        slashed = any(w[0] == "/" for w in one_measures ^ other_measures)
        if (one_measures and other_measures) or slashed:
            return False
        return bool(one_words & other_words)
    return not one_words or not other_words or bool(one_words & other_words)


def _is_measure(word: str) -> bool:
    return word[0] == "/" or word.rstrip("23") in _KNOWN
