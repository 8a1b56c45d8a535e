r"""Values as Python, sympy and numpy print them, in mathematical notation. Pure.

Fraction(3, 4) → 3/4      (3+4j) → (3+4 i)      [7] → 7       np.float64(3.5) → 3.5      {x: 3} → x = 3
array([1, 2]) → [1, 2]    [1 2] → [1, 2]        0x2a → 42     1_000 → 1000               2*I → 2*i
"""

from __future__ import annotations

import re

_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?"
_SINGLE = (
    "Decimal|mpf|mpq|Integer|Float|Rational|Fraction|float|int|float16|float32|float64|longdouble|int8|int16|int32|int64|"
    "uint8|uint32|uint64|longlong|intc|double|tensor|str_"
)
_LISTS = (
    "array|Matrix|ImmutableMatrix|ImmutableDenseMatrix|MutableDenseMatrix|tensor|matrix|deque|list|tuple|dict_values|"
    "dict_keys"
)
_ANY = re.compile(
    rf"(?:{_SINGLE}|{_LISTS}|set|Interval(?:\.\w+)?|FiniteSet|Eq|complex\d*)\(|\dj\b|^\s*['\"]?0[xbo]|"
    r"^\s*[-+]?[\[({]|\bI\b|\d_\d{3}|\bEmptySet\b|^'"
)
_MODULE = re.compile(r"\b(?:np|numpy|sympy|sp|decimal|fractions|mpmath|mp|torch|jnp|collections)\.(?=[A-Za-z]\w*\()")
_ONE = re.compile(rf"\b(?:{_SINGLE})\(\s*['\"]?({_FLOAT}|[-+]?\d+/\d+)['\"]?\s*(?:,\s*(?:precision|dtype)=[\w.]+)?\)")
_TWO = re.compile(r"\b(?:Fraction|Rational|mpq)\(\s*([-+]?\d+)\s*,\s*([-+]?\d+)\s*\)")
_LIST = re.compile(rf"\s*(?:{_LISTS})\(\s*(\[.*\]|\(.*\))\s*(?:,\s*(?:dtype|shape|device)=[^\[\]]*)?\)\s*", re.DOTALL)
_SET = re.compile(r"\s*(?:frozenset|set|FiniteSet)\(\s*[\[{(]?([^\[\]{}]*)[\]})]?\s*\)\s*")
_INTERVAL = re.compile(r"\bInterval(?:\.(open|Lopen|Ropen))?\(\s*([^(),]+)\s*,\s*([^(),]+)\s*\)")
_UNION = re.compile(r"\s*Union\(\s*(.*)\)\s*")
_EQUATION = re.compile(r"\bEq\(\s*([^(),]+)\s*,\s*([^,]+)\)\s*$")
_SPACED = re.compile(r"\s*\[[\[\]\s\d.eE+\-j]*\s[\[\]\s\d.eE+\-j]*\]\s*")
_DICT = re.compile(r"\s*\[?\s*\{([^{}]*:[^{}]*)\}\s*\]?\s*")
_DICTS = re.compile(r"\s*\[\s*\{[^{}]*:[^{}]*\}(?:\s*,\s*\{[^{}:,]*:[^{},]*\})+\s*\]\s*")
_KEY = re.compile(r"(^|[,{])\s*['\"]?([A-Za-z])(\d*)['\"]?\s*:\s*")
_ANY_KEY = re.compile(r"(?:^|,)\s*['\"]?[A-Za-z]\d*['\"]?\s*:")
_ITEM = re.compile(r"(\s*)\[\s*([^\[\],;]*\d[^\[\],;]*|'[^']*')\s*\](\s*)")
_TUPLE = re.compile(r"(\s*)\(\s*([^(),;]+)\s*,\s*\)(\s*)")
_VARIABLES = re.compile(r"(?<![A-Za-z\\])(?!(?:sqrt|pi|exp|log|sin|cos|tan|e|i|j)(?![A-Za-z]))[A-Za-z]")
_COMPLEX_ONLY = re.compile(r"[-+\d.eEj()\[\]{},\s]+")
_COMPLEX = re.compile(rf"({_FLOAT})([-+])((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)j\b")
_IMAGINARY = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)j\b")
_SYMPY_I = re.compile(r"(?:\*\s*I\b|\bI\s*\*|[-+]\s*I\b|\bI\s*[-+/])")
_SYMPY_NAMES = frozenset({"I", "E", "pi", "sqrt", "exp", "cos", "sin", "tan", "log"})
_BASED = re.compile(r"\s*['\"]?(-?)0(?:x([0-9a-fA-F]{1,200})|b([01]{1,800})|o([0-7]{1,300}))['\"]?\s*")
_UNDERSCORED = re.compile(r"\s*[-+]?[1-9]\d{0,2}(?:_\d{3})+(?:\.\d+)?\s*")
_QUOTED = re.compile(r"'([^']*)'")
_NOISE = 1e-12
_FLOAT_DIGITS = 15


def of_python(text: str) -> str:
    """The text in mathematical notation if it is a value as Python prints it, else unchanged.

    >>> of_python("[Fraction(3, 4), Fraction(1, 2)]"), of_python("(-3+4j)"), of_python("{x: 3, y: 1/2}")
    ('[(3/4), (1/2)]', '(-3+4 i)', 'x = 3, y = 1/2')
    """
    if "\\" in text or not _ANY.search(text):
        return text
    text = _MODULE.sub("", text)
    text = _TWO.sub(lambda m: _in_place(text, m, f"{m[1]}/{m[2]}"), text)
    text = _ONE.sub(lambda m: _in_place(text, m, m[1]), text)
    if (whole := _BASED.fullmatch(text)) is not None:
        digits, base = next((d, b) for d, b in ((whole[2], 16), (whole[3], 2), (whole[4], 8)) if d)
        return f"{whole[1]}{int(digits, base)}"
    if _UNDERSCORED.fullmatch(text):
        return text.replace("_", "")
    text = _collection(text)
    if "j" in text and _COMPLEX_ONLY.fullmatch(text):
        text = _IMAGINARY.sub(r"\1 i", _COMPLEX.sub(_without_noise, text))
    if "I" in text and _SYMPY_I.search(text) and set(re.findall(r"[A-Za-z]+", text)) <= _SYMPY_NAMES:
        text = re.sub(r"\bE\b", "e", re.sub(r"\bI\b", "i", text))
    return text


def _in_place(text: str, found: re.Match[str], inner: str) -> str:
    """A value, in brackets if it is one of several."""
    alone = found.start() == 0 and found.end() == len(text)
    return inner if alone or not re.search(r"[-+/eE]", inner) else f"({inner})"


def _collection(text: str) -> str:
    """Lists, arrays, sets, dictionaries and intervals."""
    if (found := _LIST.fullmatch(text)) is not None:
        text = found[1]
    if (found := _SET.fullmatch(text)) is not None:
        return rf"\{{{found[1]}\}}" if found[1].strip() else r"\emptyset"
    if text.strip() == "EmptySet":
        return r"\emptyset"
    if "Interval" in text:
        text = _INTERVAL.sub(_interval, text)
        if (found := _UNION.fullmatch(text)) is not None:
            text = re.sub(r"(?<=[\])])\s*,\s*(?=[\[({])", " ∪ ", found[1])
    if (found := _EQUATION.fullmatch(text.strip())) is not None:
        return f"{found[1]} = {found[2]}"
    if text[:1] == "[" and "." in text:
        text = re.sub(r"(?<=\d)\.(?=\s*[\s,\]])", "", text)  # numpy's 1.
    if "[" in text and "," not in text and _SPACED.fullmatch(text):
        text = re.sub(r"\]\s*\[", "], [", text)
        text = re.sub(r"(?<=[\dj])\s+(?=[-+\d.])", ", ", text)
    for dictionary in (_DICT, _DICTS):
        found = dictionary.fullmatch(text)
        if found is not None and "\\" not in text and _ANY_KEY.search(text.strip(" []{}")):
            inside = re.sub(r"\}\s*,\s*\{", ", ", text.strip().strip("[]").strip().strip("{}"))
            return _KEY.sub(lambda m: f"{m[1]}{' ' if m[1] else ''}{m[2]}{'_' + m[3] if m[3] else ''} = ", inside)
    if "'" in text and text.lstrip()[:1] in ("[", "(", "{") and "\\" not in text:
        text = _QUOTED.sub(r"\1", text)
    for single in (_ITEM, _TUPLE):
        found = single.fullmatch(text)
        if found is not None and not _VARIABLES.search(found[2]) and "\\" not in text:
            return found[2].strip(" '")
    return text


def _interval(found: re.Match[str]) -> str:
    kind, low, high = found.groups()
    opening = "(" if kind in ("open", "Lopen") or low.strip() == "-oo" else "["
    return f"{opening}{low}, {high}{')' if kind in ('open', 'Ropen') or high.strip() == 'oo' else ']'}"


def _without_noise(found: re.Match[str]) -> str:
    """A complex number, without a part that is only a rounding error of the other."""
    real, imaginary = float(found[1]), float(found[3])
    if _is_noise(found[1], real, imaginary):
        return f"{found[2]}{found[3]} i"
    if _is_noise(found[3], imaginary, real):
        return found[1]
    return f"{found[1]}{found[2]}{found[3]} i"


def _is_noise(written: str, part: float, other: float) -> bool:
    digits = re.sub(r"\D", "", re.split("[eE]", written)[0]).lstrip("0")
    return len(digits) >= _FLOAT_DIGITS and abs(part) < _NOISE * abs(other)
