r"""Which part of a sentence is a value. Pure.

"7 apples."  →  7 apples        "42 because …"  →  42        "the largest n is 34"  →  34
"""

from __future__ import annotations

import re
import unicodedata

_END = re.compile(r"\s*(?:(?<!\bi\.e)(?<!\be\.g)[.!?;](?=\s|$|\"|\\\"|[*_]{1,3}(?:\s|$))|<\|)")
_SAYS = re.compile(
    r"(?:.*[^\\\w])?(?:is|are|equals?)(?:[ \t]+(?:approximately|about|exactly|equal to))?[ \t]*:?[ \t]+(.+)"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b\.?)?|\d{1,2}\s?[ap]\.?m\b\.?"
_VALUE = re.compile(
    rf"\$[^$]+\$|\\\(.+?\\\)|(?<![\w.:])(?:{_TIME})(?![\w:])|" + r"(?<![\w.])[-+]?\$?\d(?:[\d,.]*\d)?(?:/\d+)?%?(?!\w)"
)
_NUMBER = r"[-+−]?\s?(?:[$€£]|\\\$)?\s?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?"
_HEAD = re.compile(
    rf"(?:(?:{_NUMBER}|\$[^$\n]{{1,200}}\$|\\\([^\n]{{1,200}}?\\\)|[A-Z]|\([A-E]\))"
    r"(?:[ ](?!(?:and|or)\b)[^\W\d_]+){0,3}?)"
    r"(?=[ ,(:–—-]|$)"
)
_REASON = re.compile(
    r"(?<!\bor)(?<!\band)(?:,|\s?[–—]|\s-)?(?:\s(?:and|but))?\s(?:because|since|due to|given that"
    r"|rather than|instead of|not)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"(?<!\bor)(?<!\band)(?:,|\s?[–—]|\s-)?\s(?:so that|which|meaning|hence|therefore|thus|whereas|that is|i\.e\."
    r"|(?:so|as|where|when|if|for) (?=\w))",
    re.IGNORECASE,
)
CHANGES = (
    r"(?:(?:written|expressed|given) )?(?:(?:in|to|as) )?(?:the )?(?:"
    r"(?:binary|octal|hex|hexadecimal|ternary)\b|base[ -](?!(?:10|ten)\b)(?:\$?\d+|two|three|four|five"
    r"|six|seven|eight|nine|twelve|sixteen)\b"
    r"|(?:tens|dozens?|hundreds?|thousands?|millions?|billions?|trillions?|lakhs?|crores?|tenths?|hundredths?"
    r"|thousandths?|millionths?)(?: of)?(?: (?!place\b|digit\b)[^\W\d_]+)?[ ]?(?=[),.;]|$)"
    r"|(?:half|negative|minus|squared|cubed|doubled|halved)[ ]?(?=\)))"
)
"""What changes the value before it, though a bracket or comma stands between."""
_SIDE = re.compile(
    rf"(?![\s,(–—-]+{CHANGES})(?:"
    + r"(?<!\bor)(?<!\band),\s+(?!(?:and|or|pi|sqrt|inf|infinity|sin|cos|tan|log|ln)\b|[A-Za-z]\b"
    r"|\w+\(|\w+\s?=)(?=[^\W\d_]{2})"
    r"|\s(?:-|–|—)\s+(?!(?:sqrt|sin|cos|tan|log|exp|abs|inf|infinity)\b)(?:(?=[^\W\d_]{3,}\s)|(?<=[–—]\s)(?=[^\W\d_]{3,}$))|[–—](?=[^\W\d_]{3})|\s\((?=[^\W\d_]{2,}|[^()\n]*[=+*/×])|:\s(?=\w)"
    r"|\s(?:is|are|was|were|in (?:total|all)|altogether|overall|and (?:that|this|it|we|so|the|not|then|he|she|they)"
    r"|(?:in|on|at|by|from|after|before|of|with|to|out of) (?:the|her|his|their|its|all|each|every|a|this|that))\b)",
    re.IGNORECASE,
)
_DOLLARS = re.compile(r"\$([^$]+)\$")
_ITEM = re.compile(
    r"\s*(?:(?:and|or|then)\s)?\s*(?P<label>[A-Za-z]\w?\s?=\s?)?[*_]{0,3}"
    rf"(?P<item>{_NUMBER}(?!\s?[-+*/×÷=^]|\w|:\d)|\$[^$\n]{{1,100}}\$|\\\([^\n]{{1,100}}?\\\)|(?-i:[A-Z])(?!\w)"
    r"|[(\[{][^()\[\]{}\n]{1,60}[)\]}])[*_]{0,3}"
    r"(?:\s(?!(?:is|are|was|were|has|have|had|and|or|if|when|not|would|will|can|left|remain\w*|went|got)\b)[^\W\d_]+){0,2}\s*"
)
"""One of several values between semicolons, with at most two words for its unit."""
_LONGEST_LIST = 200
_PROSE = re.compile(r"(?<![\\{a-zA-Z])[a-z]{2,} [a-z]{2,}|\w\. [A-Z]")
_LEAD = re.compile(
    r"(?:,[ ]?)?(?:(?:therefore|thus|hence|then|also|clearly|actually|now|probably|likely|most likely"
    r"|approximately|about|around|roughly|exactly|precisely|simply|just|only|indeed|equal to|≈|=),?[ ]?)+"
    r"(?=[\d$\\.−-])"
    r"|(?:,[ ]?)?(?:(?:definitely|certainly|surely|obviously|evidently|undoubtedly|clearly|of course|in fact|indeed"
    r"|therefore|thus|hence|after all|as expected|without (?:a )?doubt)(?:,[ ]?|[ ]))+"
    r"(?=[^\s,])",
    re.I,
)
_IN_WORDS = re.compile(
    r"\b(?:minus|plus|times|divided by|double|twice|triple|thrice|half|squared|cubed|of)\b", re.IGNORECASE
)
_ITS_VALUE = re.compile(
    r"(?P<sum>[^\n]{1,100}?),?\s(?:i\.e\.|that is(?: to say)?|which (?:is|makes|gives|equals)|that (?:makes|means)"
    r"|namely|so"
    r"|(?<=, )or|giving|making|is|equals)[,:]?\s(?:equal to\s)?"
    rf"(?P<value>(?:{_NUMBER}|\$[^$\n]{{1,100}}\$)(?:\s[^\W\d_]+){{0,2}})"
)
"""A calculation and what it gives: "7 minus 2, i.e. 5"."""
_NAMED = rf"{_NUMBER}(?:\s[^\W\d_]+){{0,2}}"
_CHAIN = re.compile(rf"(?:{_NAMED}\s?[-+−*/×÷·]\s?){{1,20}}{_NAMED}\s?=\s?(?P<value>{_NUMBER}(?:\s[^\W\d_]+){{1,2}})")
"""A calculation with what is counted: "3 + 4 = 7 apples"."""
_AROUND = frozenset("\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\ufeff\xad∎")


def sentence(text: str) -> str:
    """The text up to the end of its sentence; a point inside a formula does not end one."""
    formulas = _formulas(text)
    for end in _END.finditer(text):
        before = text[: end.start()]
        if end[0].strip() == ";" and (_opened(before) or _continues(text, end.start())):
            continue
        if not _inside(formulas, end.start()) and before.count(r"\(") == before.count(r"\)"):
            return before
    return text


def listed(text: str) -> bool:
    """Whether a text is several different values between semicolons.

    >>> listed("5; 6"), listed("x = 3; y = 4"), listed("5; that is all"), listed("5; 5 apples")
    (True, True, False, False)
    """
    items = [_ITEM.fullmatch(part) for part in text.split(";")]
    found = [item["item"] for item in items if item is not None]
    return len(found) == len(items) > 1 and len(set(found)) > 1


def _continues(text: str, at: int) -> bool:
    """Whether the semicolon there stands in a list of values."""
    end = re.compile(r"[.!?](?=\s|$|[*_])|[\n<;]").search(text, at + 1)
    whole = text[: end.start() if end else len(text)]
    begins = max((m.end() for m in re.finditer(r"(?:\b(?:is|are|equals?|be)|[:])\s", whole[:at])), default=0)
    return len(whole) - begins < _LONGEST_LIST and listed(whole[begins:].strip(" *_"))


def _opened(text: str) -> bool:
    """Whether a bracket is still open at the end of this text."""
    return any(text.count(a) > text.count(b) for a, b in ("()", "[]", "{}"))


def bare(text: str) -> str:
    r"""The value in a sentence, without the words around it.

    >>> bare("**42**, because 6 * 7 = 42"), bare("1, 2, and 3"), bare("the largest $n$ is 34"), bare(r"\[ 7 \]")
    ('42', '1, 2, and 3', '34', '7')
    """
    text = _undressed(text)
    text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    text = _undressed(_calculated(text) or _cut(text))
    if re.match(r"(?:[A-Za-z]{2,}|\$?[A-Za-z]\$?) ", text):
        says = _SAYS.fullmatch(text)
        prose = text.count(" ") >= 3 and not re.search(r"[=<>^\\]", _VALUE.sub("", text))
        values = _VALUE.findall(text) if prose else []
        text = says[1] if says else values[0] if len(values) == 1 else text
    return _without_ends(_undressed(text).removesuffix("\\").removeprefix('\\"').strip())


def _calculated(text: str) -> str | None:
    """The result of a calculation that comes first: "double 7, that is 14"; None if a value comes first."""
    if chain := _CHAIN.fullmatch(text):
        return chain["value"]
    found = _ITS_VALUE.fullmatch(text)
    if found is None:
        return None
    said = _undressed(found["sum"])
    calculates = _IN_WORDS.search(said) or re.fullmatch(r"[\d\s.,()+*/×÷·−-]+", said)
    is_sum = calculates and any(c.isdigit() for c in said) and not re.fullmatch(_NUMBER, said)
    return found["value"] if is_sum else None


def _without_ends(text: str) -> str:
    """A value without math delimiters and sentence ends around it, however they nest."""
    while True:
        was = text
        text = _undressed(text).strip("。．，、【】「」『』 ").rstrip("\\")
        text = text if text.endswith("..") or len(text) < 2 else text.removesuffix(".").rstrip()
        for opening, closing in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            inside = text[len(opening) : -len(closing)]
            around = len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing)
            if around and not re.search(r"(?<!\\)\$|\\[()\[\]]", inside) and not inside.endswith("\\"):
                text = inside.strip()
        if text == was:
            return text


def is_value(text: str) -> bool:
    """Whether a text is a value with at most three words for its unit, a formula, a list, or a choice.

    >>> is_value("18 apples"), is_value("$x = 3$"), is_value("B"), is_value("First we add 3"), is_value("3 + 4 = 7")
    (True, True, True, False, False)
    """
    text = _undressed(text).rstrip(".")
    if not text or len(text) > 200 or re.match(r"[\d\s+*/×·−().-]+=", text):
        return False
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\[A-Za-z]+|\\text\s?\{[^{}]*\}", "", text))
    if re.match(r"[-+−]?\s?[$€£\\]?\s?[\d.]|[$\\[({√π]", text):
        return len(words) <= 3
    return not words or text.lower() in ("yes", "no", "true", "false")


def _unmarked(text: str) -> str:
    """The text without pictures (✓, ∎, an emoji) and invisible characters around it; the last one is left."""
    while len(text) > 1 and _is_mark(text[-1]):
        text = text[:-1].rstrip()
    while len(text) > 1 and _is_mark(text[0]):
        text = text[1:].lstrip()
    return text


def _is_mark(char: str) -> bool:
    return char in _AROUND or (char >= "■" and unicodedata.category(char) in ("So", "Sk"))


def _cut(text: str) -> str:
    """The text without a clause after its value."""
    if (reason := _outside(_REASON, text)) is not None:
        text = text[: reason.start()]
    if (clause := _outside(_CLAUSE, text)) is not None:
        before = text[: clause.start()]
        if clause[0].startswith(",") or " " not in before.strip() or _HEAD.fullmatch(_undressed(before)):
            text = before
    if _HEAD.match(text) and (side := _outside(_SIDE, text)) is not None:
        before = text[: side.start()]
        listed = side[0].startswith(",") and not re.search(r"[^\W\d_]{3}", before)
        text = before if listed or _HEAD.fullmatch(_undressed(before)) else text
    return text


def _outside(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The first match that follows something outside formulas and brackets."""
    formulas = _formulas(text)
    for m in pattern.finditer(text, 1):
        before = text[: m.start()]
        if not _inside(formulas, m.start()) and all(
            before.count(a) <= before.count(b) for a, b in ("()", "{}", (r"\(", r"\)"))
        ):
            return m
    return None


def _formulas(text: str) -> list[tuple[int, int]]:
    """The positions of formulas between dollar signs; two sums of money with words between them are none."""
    found, at = [], 0
    while m := _DOLLARS.search(text, at):
        words = _PROSE.search(m[1])
        found += [] if words else [m.span()]
        at = m.end() - 1 if words else m.end()
    return found


def _inside(spans: list[tuple[int, int]], at: int) -> bool:
    return any(first < at < last for first, last in spans)


def _undressed(text: str) -> str:
    """A value without quotes, markdown and math delimiters around it."""
    text = text.strip()
    while True:
        was = text
        text = _unmarked(text).strip("*_`\"'“”").strip()
        for opening, closing in (("\\[", "\\]"), ("$$", "$$"), ("\\begin{equation}", "\\end{equation}")):
            if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
                text = text[len(opening) : -len(closing)].strip()
        text = text.removeprefix("}").strip()
        if text[-1:] in (")", "]", "}") and sum(map(text.count, "([{")) < sum(map(text.count, ")]}")):
            text = text[:-1].rstrip()  # but [0, 1) is an interval
        text = text.rstrip(",:").rstrip() if len(text) > 1 else text
        if text == was:
            return text
