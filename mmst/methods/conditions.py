r"""Whether an answer holds only in one case, and a text gives another for the other case. Pure.

5 if x > 0, otherwise 7                →  open: which case holds is not said
5, if Tom lied. He did not, so it is 6 →  open
5 or, if she kept one, 6               →  open
5 if he sells all of them              →  5: the condition only restates the question
5, because otherwise it would be 7     →  5: the other case is only imagined
"""

from __future__ import annotations

import re

from mmst.core.number_words import DECADES, SMALL

_NUMBERS = {word: str(n) for word, n in (SMALL | DECADES).items() if word != "one"}
_VALUE = (
    r"(?P<value>\\boxed\s?\{[^{}\n]{1,60}\}|\$[^$\n]{1,60}\$|\\\([^\n]{1,60}?\\\)"
    r"|[-+−]?(?:\\?[$€£][ ]?)?\d+(?:[.,]\d+)*(?:/\d+)?(?:\\?%)?"
    rf"|(?:{'|'.join(_NUMBERS)}|yes|no|none)\b|\([A-E]\)|(?-i:[A-HJ-Z]|[-+−]?[b-z])(?!\w))"
)
_IF = (
    r"(?:(?:only )?if|when(?:ever)?|unless|assuming|supposing|provid(?:ed|ing)|given that|in (?:the )?case|as long as"
    r"|except)\b"
)
_FOR = (
    r"for[ \t](?:even|odd|positive|negative|large|small|other|the (?:first|second|other)\b"
    r"|(?:all |any )?\$?(?-i:[b-z])\b"
    r"|(?-i:[A-Z][a-z]))"
)
_OTHERWISE = r"(?:otherwise|(?:or )?else|if not|failing that|in (?:the|any|all) other cases?)"
_IT_IS = (
    r"(?:(?:then|so),?[ \t]+)?(?:(?:it|that|this|(?:the|our)[ \t](?:\w+[ \t])?(?:answer|result|value|total|number))"
    r"(?:['’]s|[ \t]+(?:is|are|equals|becomes|makes|gives|must be))[ \t]*:?[ \t]+|\$?[a-z]\s?=\s?)?[*_]{0,3}"
)
_UNIT = r"(?:[ \t]+(?!(?:is|are|was|were|has|have|had|would|will|can|if|when|unless|otherwise|else)\b)[a-z]{1,15}){0,2}"
_CLOSES = rf"[*_$)}}\]\\\"']{{0,4}}{_UNIT}[*_]{{0,3}}[ \t]*(?=[.,](?!\d)|[;!)<\n]|$)"
_FLAGS = re.IGNORECASE
_CONDITION = re.compile(rf"(?<!\w)(?:{_IF}|{_FOR})", _FLAGS)
_ELSE = re.compile(rf"(?<![\w’'-]){_OTHERWISE}[,:]?[ \t]+{_IT_IS}{_VALUE}{_CLOSES}", _FLAGS)
_BEFORE_ELSE = re.compile(
    rf"(?:[,;(]|\band|\bor|\bbut|\n)[ \t*•-]*(?:(?:and|or|but)[ \t]+)?{_IT_IS}{_VALUE}{_UNIT}[*_$)]{{0,4}},?[ \t]+\(?"
    rf"{_OTHERWISE}\b",
    _FLAGS,
)
_SECOND = re.compile(
    rf"(?:[,;(.]|\band|\bor|\bbut|\n)[ \t*•-]*(?:(?:and|or|but)[ \t]+)?{_IT_IS}{_VALUE}{_UNIT}[*_$)]{{0,4}},?[ \t]+\(?"
    rf"(?:{_IF}|{_FOR}|in the (?:other|second)\b)",
    _FLAGS,
)
_ONE_MORE = re.compile(
    rf"\W{{0,4}}{_VALUE.replace('value', 'first')}{_UNIT}[*_$)]{{0,4}}"
    rf"(?:,?[ \t]+but[ \t]|,[ \t]+or[ \t]|;[ \t]|[ \t]\()[ \t]*{_IT_IS}{_VALUE}"
    rf"{_UNIT}[*_$)]{{0,4}},?[ \t]+\(?(?:{_IF}|{_OTHERWISE}\b)",
    _FLAGS,
)
_CASE = rf"(?:{_IF}|{_FOR})[^.;!?\n]{{1,80}}?,[ \t]*{_IT_IS}{_VALUE}{_CLOSES}"
_OTHER_CASE = re.compile(rf"(?:\bor|\bbut|;(?:[ \t]+(?:and|or|but|however))?),?[ \t]+{_CASE}", _FLAGS)
_NEXT_CASE = re.compile(rf"(?:\band|[.,;!]|\n)[*_$]{{0,3}}[ \t*•-]*{_CASE}", _FLAGS)
_TURNS = re.compile(
    r"(?:\b(?:so|thus|hence|therefore|then|(?<=[,;.][ ])but|instead|actually"
    r"|in (?:which|that) case)|[;.,]|[→⇒]|=>)[,:]?[ \t]+"
    rf"{_IT_IS}{_VALUE}{_CLOSES}",
    _FLAGS,
)
_TO_EACH = re.compile(
    rf"[ \t]for[ \t](?!(?:each|every|all|both|one|an?|per)\b)[\w'’ ]{{1,20}}?,?[ \t]and[ \t]{_VALUE}{_UNIT}"
    r"[ \t]for[ \t](?!(?:each|every|all|both|one|an?)\b)\w",
    _FLAGS,
)
_DENIES = re.compile(r"\b(?:not|never|but|however|actually|in fact|truth|false|unless|cannot)\b|n['’]t\b", _FLAGS)
_ENDS = re.compile(r"[.!?][*_)\"'”’$]{0,3}\s|\n")
_ANNOUNCED_ELSE = re.compile(rf"(?<![\w’'-]){_OTHERWISE}[,:]?[ \t]+(?:(?:then|so)[ \t]+)?(?:(?:the|our)[ \t]*)?"
    r"(?:(?:final|correct)[ \t]*)?[ \t$*_]*$", _FLAGS)  # fmt: skip
_ANNOUNCED_CASE = re.compile(
    rf"(?<!\w)(?:{_IF}|{_FOR})[^.!?\n]*(?:\banswer\b|\\boxed)[^.!?\n]*[;,][ \t]*(?:(?:and|but|while)[ \t]+)?"
    rf"(?:{_IF}|{_FOR})[^;.!?\n]*$",
    _FLAGS,
)
_NEAR = 300


def left_open(said: str, after: str) -> bool:
    """Whether the answer `said`, which `after` follows, holds in one case only and another value is given for others.

    >>> left_open("5", " if x > 0, otherwise 7."), left_open("5", " if he sells 3 of them.")
    (True, False)
    """
    ours = re.match(rf"[^\w$\\\n]{{0,4}}?(?:[a-z]\w?\s?=\s?)?{_VALUE}", said, _FLAGS)
    if ours is not None:
        said, after = ours[0], said[ours.end() :] + after
    after = after[:_NEAR].split("\n\n", 1)[0]
    own = _ENDS.split(after, maxsplit=1)[0]
    condition = _CONDITION.search(own)
    found = [_ELSE.finditer(after), _BEFORE_ELSE.finditer(after), _OTHER_CASE.finditer(own), _TO_EACH.finditer(own)]
    if condition is not None:
        found += [_ONE_MORE.finditer(said + own)]
        behind, following = own[condition.start() :], after[len(own) :]
        found += [_SECOND.finditer(after, condition.end()), _NEXT_CASE.finditer(after, condition.end())]
        found += [_TURNS.finditer(behind) if _DENIES.search(behind) or "case" in behind else iter(())]
        found += [_TURNS.finditer(following) if _DENIES.search(following) else iter(())]
    first = _plain(ours["value"] if ours else said)
    return any(_plain(other["value"]) != first for others in found for other in others)


def other_case(before: str) -> bool:
    """Whether an answer that is announced after this is that of the other of two cases.

    >>> other_case("If he lied, the answer is 5; otherwise, the "), other_case("When he sells all, the ")
    (True, False)
    """
    return bool(_ANNOUNCED_ELSE.search(before) or _ANNOUNCED_CASE.search(before))


def _plain(value: str) -> str:
    """A value without what is written around it, in digits."""
    value = re.sub(r"\\boxed|[^\w./+−-]", "", value).casefold()
    return _NUMBERS.get(value, value)
