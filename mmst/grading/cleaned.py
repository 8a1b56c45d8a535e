r"""Clean an answer before it is read: spellings that mean the same as a simpler one. Pure.

approximately 3.14 → 3.14      US$1,000 → $1,000     the year 1990 → 1990      negative 5 → -5
0.1\overline{6} → 1/6          {1 \over 2} → \frac   2A_{16} → 42              5 \\ → 5
{1, 2} → \{1, 2\}
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from mmst.grading.plain import LONGEST
from mmst.grading.printed import of_python
from mmst.grading.worded import begins_number

_SOMETHING = re.compile(r"[\\_(\[{…'\"\u0305]|\.\.|\dj|0[xbo]|^\s*[\s$*]*[A-Za-z]|\bI\b")
_IN_BRACES = re.compile(
    r"(?P<before>\s*(?:[A-Za-z]\s*(?:=|\\in(?![A-Za-z])|∈)\s*)?)\{(?P<inside>[^=:]*)\}(?P<behind>[\s.]*)"
)
_LINE_END = re.compile(r"(?:\s*\\\\)+\s*(\$?)\s*$")
_STYLE = r"(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*)?"
_LEAD = re.compile(
    rf"""(?P<label>\s*\$?\s*(?:[A-Za-z]\s*=\s*)?){_STYLE}
    (?:approximately|approx(?:\.|imate(?:ly)?)?|about|around|roughly|circa|ca\.|exactly|precisely|an?\ total\ of|
       a\ value\ of|the\ number|
       (?P<year>(?:in\ )?(?:the\ )?year(?:\ of)?|in(?=\ [12]\d{{3}}\.?$))|
       (?P<sign>minus|negative))
    (?:\s*\}}\s*|\s+) (?=(?P<next>\S+))""",
    re.VERBOSE | re.IGNORECASE,
)
_MAY_LEAD = re.compile(r"[\s$]*(?:[A-Za-z]|\\(?:text|mathrm|mbox))")
_DIGITS = re.compile(r"[-+]?[$€£₹]?\(?[-+]?\\?[$]?\.?\d|\\(?:[dt]?frac|sqrt|pi|left)|[-+~≈$]")
_UNSIGNED = re.compile(r"\\?[$€£₹]?\.?\d|\\(?:[dt]?frac|sqrt|pi|left)|\(")
_YEAR = re.compile(r"\$?\d{1,4}(?!\d)")
_US = re.compile(r"\s*(?:US|U\.S\.)\s*(?=\\?\$\s*\d)")
_CODE = re.compile(
    r"\s*(?P<code>USD|EUR|GBP|INR|JPY|CNY|Rs|(?:AU|A|CA|C|NZ|HK|S|R)(?=\\?\$))\.?\s*(?:\\?\$)?\s*(?P<amount>[\d.,]*\d)\s*$"
)
_DOLLARS = {"AU": "aud", "A": "aud", "CA": "cad", "C": "cad", "NZ": "nzd", "HK": "hkd", "S": "sgd", "R": "brl"}
_GROUP = r"[^{}]*(?:\{[^{}]*\}[^{}]*)*"
_OVER = re.compile(rf"\{{({_GROUP}?)\\over(?![A-Za-z])({_GROUP})\}}")
_CHOOSE = re.compile(rf"\{{({_GROUP}?)\\choose(?![A-Za-z])({_GROUP})\}}")
_BARE_OVER = re.compile(r"(\s*\$?\s*[-+]?)([^{}$=,+-]+)\\over(?![A-Za-z])([^{}$=,+-]+)(\$?\s*)")
_LINE = r"\\(?:overline|bar|dot)\s*"
_BAR = re.compile(rf"(\d*)\.(\d*)\s*(?:\{{\s*{_LINE}\{{\s*(\d+)\s*\}}\s*\}}|{_LINE}\{{\s*(\d+)\s*\}}|{_LINE}(\d))")
_DOTS = re.compile(r"(\d*)\.(\d*)\s*\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?")
_BRACKET = re.compile(r"(\s*\$?\s*[-+]?)(\d{1,99})\.(\d{0,99})\((\d{1,99})\)(\$?[\s.]*)")
_LINED = re.compile(r"(\d*)\.(\d*?)((?:\d\u0305)+)")
_GOES_ON = re.compile(
    r"(?<![\d.])(\d{0,99})\.(\d{0,12}?)(?:(\d)\3{2,40}|(\d{2,8})\4{1,9})\s*(?:\.{2,}|…|\\(?:l|c)?dots)\s*(\$?)\s*$"
)
_BASE = re.compile(
    r"(?<![\w\\}])(?P<open>\\text\{|\()?(?P<digits>[0-9A-Z]{2,40})(?(open)[})])"
    r"_(?:\{\\text\{)?\{?\(?(?P<base>1[1-9]|2\d|3[0-6])\)?(?:\}\}?|(?!\d))"
)


def cleaned(text: str) -> str:
    r"""The text without parts that carry no meaning; Python's output in mathematical notation.

    >>> cleaned("approximately $3.14"), cleaned(r"0.1\overline{6}"), cleaned("Fraction(3, 4)"), cleaned("2A_{16}")
    ('$3.14', '\\frac{1}{6}', '3/4', '42')
    """
    if len(text) > LONGEST or not _SOMETHING.search(text):
        return text
    return _cleaned(text)


@functools.lru_cache(maxsize=64)  # one comparison asks several times
def _cleaned(text: str) -> str:
    before = ""
    while text != before and len(text) <= LONGEST:
        before = text
        text = _once(text)
    return text


def _once(text: str) -> str:
    if "\\\\" in text and not text.count("\\begin"):
        text = _LINE_END.sub(r"\1", text)
    if "\\over" in text:
        text = _OVER.sub(r"\\frac{\1}{\2}", text)
        bare = _BARE_OVER.fullmatch(text)
        text = text if bare is None else rf"{bare[1]}\frac{{{bare[2].strip()}}}{{{bare[3].strip()}}}{bare[4]}"
    if "\\choose" in text:
        text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    if "." in text or "…" in text:
        text = _repeating(text)
    if "_" in text:
        text = _BASE.sub(_in_base, text)
    if text[:1].isalpha() or (text[:1] in "\\ $" and _MAY_LEAD.match(text)):
        text = _led(text)
    text = of_python(text)
    if "{" in text and (found := _IN_BRACES.fullmatch(text)) is not None and _is_set(found["inside"]):
        text = rf"{found['before']}\{{{found['inside']}\}}{found['behind']}"
    return text


def _is_set(inside: str) -> bool:
    """Whether bare braces hold several items: {1, 2} is a set; between dollars, braces group in TeX."""
    depth, commas = 0, 0
    for i, sign in enumerate(inside):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return False
        commas += sign == "," and depth == 0 and inside[i - 1 : i] != "\\"
    return depth == 0 and commas > 0


def _led(text: str) -> str:
    """The text without words before a number that do not change it."""
    text = _US.sub("", text, count=1) if _US.match(text) else text
    code = _CODE.fullmatch(text)
    if code is not None:
        return f"{code['amount']} {_DOLLARS.get(code['code'], code['code'])}"
    found = _LEAD.match(text)
    if found is None:
        return text
    rest, following = text[found.end() :], found["next"]
    if found["year"]:
        return found["label"] + rest if _YEAR.match(following) else text
    if found["sign"]:
        return f"{found['label']}-{rest}" if _UNSIGNED.match(following) else text
    return found["label"] + rest if _DIGITS.match(following) or begins_number(following) else text


def _repeating(text: str) -> str:
    if "\\dot{" in text or "\\dot " in text:
        text = _DOTS.sub(lambda m: _fraction(m[1], m[2], m[3] + m[4] + m[5]), text)
    if "\\overline" in text or "\\bar" in text or "\\dot" in text:
        text = _BAR.sub(lambda m: _fraction(m[1], m[2], m[3] or m[4] or m[5]), text)
    if "\u0305" in text:
        text = _LINED.sub(lambda m: _fraction(m[1], m[2], m[3].replace("\u0305", "")), text)
    if ".." in text or "…" in text or "dots" in text:
        text = _GOES_ON.sub(lambda m: _fraction(m[1], m[2], m[3] or m[4]) + m[5], text)
    found = _BRACKET.fullmatch(text) if "(" in text else None
    return text if found is None else found[1] + _fraction(found[2], found[3], found[4]) + found[5]


def _fraction(whole: str, fixed: str, period: str) -> str:
    value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed))
    value += Fraction(int(period), 10 ** len(fixed) * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _in_base(found: re.Match[str]) -> str:
    """A number with letters as digits; `AB_{12}` is a name instead."""
    digits, base = found["digits"], int(found["base"])
    if digits.isdigit() or (digits.isalpha() and base != 16):
        return found[0]
    if digits[0].isalpha() and base != 16 and sum(c.isalpha() for c in digits) == 1:
        return found[0]  # A1_{12}
    try:
        return str(int(digits, base))
    except ValueError:
        return found[0]
