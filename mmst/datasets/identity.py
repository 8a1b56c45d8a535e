"""The identity of a problem: its id follows from the question, and its split and part from the id.

The id depends on what a question says, not on how it is typeset: case, typography and layout make no difference.
Everything that can change its meaning does, so that different questions have different ids.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from itertools import groupby

from mmst.core.records import Split

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|(?<=\d)(?:\.(?=\\(?:overline|bar|dot)\b)|;(?=-?\d))|[^\s.,;?\"]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LEADING_POINT = re.compile(r"((?:^|[^\w.)\]}%!?\"'”’…])[\"'“‘]?|\\[A-Za-z]+)\.(?=\d)")
_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"})
_RAISED = {"<super>": "^", "<sub>": "_"}
_JOINED = ("<wide>", "<narrow>", "<font>")


def normalise_question(question: str) -> str:
    """The question as tokens with single spaces; case, typography and tokenisation make no difference.

    Full stops, commas and quotes are dropped, so that the published forms of one question agree. Everything that
    can change its meaning is kept: signs, operators, brackets, raised and lowered digits, a leading decimal point.

    >>> normalise_question("Ann’s  3 cats, 1,000 mice.") == normalise_question("ann 's 3 cats 1000 mice .")
    True
    >>> normalise_question("2³ + .5"), normalise_question("1½ of 101₂")
    ('2 ^ 3 + 0.5', '1 1 ⁄ 2 of 101 _ 2')
    """
    # NFKC alone would make 23 of 2³, 11⁄2 of 1½ and 15 of ①5.
    plain = unicodedata.normalize("NFKC", question if question.isascii() else _spelled(question))
    plain = _LEADING_POINT.sub(r"\g<1>0.", plain.translate(_TYPOGRAPHY).casefold())
    return " ".join(_TOKEN.findall(_THOUSANDS.sub("", plain)))


def problem_id(question: str) -> str:
    """`p-` and 16 hex digits of the hash of the normalised question."""
    raw = normalise_question(question).encode("utf-8", "surrogatepass")
    return "p-" + hashlib.sha256(raw).hexdigest()[:16]


def split_of(problem_id: str) -> Split:
    """The permanent split of an id: 80 % train, 10 % dev, 10 % test."""
    bucket = int(problem_id.removeprefix("p-"), 16) % 10
    return Split.TRAIN if bucket < 8 else Split.DEV if bucket == 8 else Split.TEST


def percent_of(problem_id: str) -> int:
    """0 to 99, permanent: which `part` of a set a problem belongs to, whatever its split."""
    return int(hashlib.sha256(f"part/{problem_id}".encode()).hexdigest(), 16) % 100


def _spelled(text: str) -> str:
    """The text with raised, lowered and composed digits written out, separated from their neighbours."""
    parts = []
    for mark, run in groupby(text, _mark):
        if mark in ("^", "_"):
            parts.append(_raised(mark, unicodedata.normalize("NFKC", "".join(run)).replace("−", "-")))
        else:
            parts += [f" {unicodedata.normalize('NFKC', c)} " if mark else c for c in run]
    return "".join(parts)


def _raised(mark: str, what: str) -> str:
    """A raised or lowered text as one types it: `^2 `, `^-2 `, `^(n+1) `."""
    signed = re.fullmatch(r"[-+]?(\d+|[^\W\d]+)|\(.*\)", what)
    return f"{mark}{what} " if signed else f"{mark}({what}) "


def _mark(c: str) -> str:
    """`^` or `_` for a raised or lowered sign, the character itself for one that stands for several, else nothing."""
    tag, _, _ = unicodedata.decomposition(c).partition(" ")
    if not tag.startswith("<") or tag in _JOINED:
        return ""
    plain = unicodedata.normalize("NFKC", c)
    if tag in _RAISED:
        return _RAISED[tag] if len(plain) == 1 and c not in "ªº" else ""
    return c if any(d.isdigit() for d in plain) else ""
