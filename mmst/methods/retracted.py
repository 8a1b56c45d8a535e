"""What a text takes back after saying it, and what counts instead. Pure.

The answer is 7. Wait, that is wrong: 8.    →  put right: 8
The answer is 7. Wait, let me check … yes.  →  it stays
The answer is 7. Ignore that.               →  taken back
The answer is not 7 but 8.                  →  8
"""

from __future__ import annotations

import re

from mmst.methods.disowned import CONFIRMS, DENIES, WRONG, last
from mmst.methods.values import bare, is_value, sentence

_TURNS = (
    r"no,?[ \t]+wait|wait,?[ \t]+no|i[ \t]mean|(?:or,?[ \t]+)?rather(?![ \t]than)|make[ \t]that|scratch[ \t]that"
    r"|strike[ \t]that|correction(?=:)|(?:edit|update)(?=:)|my[ \t]bad"
)
"""What turns to another value, also within a sentence."""
_TURN = re.compile(rf"(?:,[ \t]|[ \t][–—-][ \t]|[–—])(?P<cue>{_TURNS}|no(?=,))(?!\w)", re.IGNORECASE)
_CUE = re.compile(
    r"(?:[.!?;…:)}\]*$>\"'”—–-]|\n|\w(?=\s{0,9}\n)|\w(?=[ \t]+(?-i:Wait)\b))[*_)$]{0,4}\s{0,9}"
    r"(?:(?:oh|hmm+|um|but|and|oops|ah|er|well),?[ \t.…]{0,9})?"
    rf"(?P<cue>no(?=[,.!…—–-])|(?:{_TURNS}|wait|hold on|hang on|nope|nah|actually|oops|sorry|apologies|correction|hmm"
    r"|on second thoughts?|let me correct|i made an? (?:mistake|error)|my mistake"
    r"|that(?:['’]s| is| was) (?:wrong|incorrect))\b)",
    re.IGNORECASE,
)
_IT = (
    r"(?:that|this|it|(?:all[ \t]+(?:of[ \t]+)?)?(?:the|that|this|my)(?:[ \t]+(?:above|last|previous|first|whole))?"
    r"(?:[ \t]+(?:answer|statement|result|value|line|claim|solution|one|part))?|everything(?:[ \t]+above)?"
    r"|what[ \t]+I(?:[ \t]+just)?[ \t]+(?:said|wrote))"
)
_RETRACTS = re.compile(
    r"(?:[.!?;…:()}\]*$>\"'”—–-]|\n|,[ \t])[*_)$]{0,4}\s{0,9}(?P<cue>(?:(?:oh|no|oops|sorry|please|well|wait|but|and"
    r"|so|then)"
    r",?[ \t]+){0,3}(?:(?:I|we)(?:['’]d|[ \t]+(?:must|have to|want to|would|hereby|should"
    r"|need to))?(?:[ \t]+like to)?[ \t]+"
    r"|you[ \t]+(?:can|should|may|must)[ \t]+|let(?:['’]s|[ \t]+me|[ \t]+us)[ \t]+)?"
    rf"(?:(?:ignore|disregard|forget|retract|withdraw|revoke|rescind|discard|scrap|scratch|strike|delete"
    rf"|cancel)[ \t]+{_IT}"
    rf"|take[ \t]+{_IT}[ \t]+back|take[ \t]+back[ \t]+{_IT}|never[ ]?mind|(?:just[ \t]+)?(?:kidding|joking)|jk|lied"
    r"|changed[ \t]+my[ \t]+mind|(?:am|was)[ \t]+(?:wrong|mistaken|(?:just[ \t]+)?(?:kidding|joking))"
    r"|(?:that|this|it|(?:that|this|the|my)(?:[ \t]+above)?[ \t]+answer)[ \t]+(?:is|was)[ \t]+(?:hereby[ \t]+)?"
    r"(?:retracted|withdrawn|void|invalid|a[ \t]+(?:joke|lie))|not[ \t]+really|or[ \t]+not"
    r"|psych|sike|not(?=!)|(?:lol|haha),?[ \t]+no(?:t|pe)?|as[ \t]+if|(?:do[ \t]+not|don['’]t)[ \t]+(?:believe|trust"
    r"|buy|think)"
    r"[ \t]+(?:it|this|that|so))"
    r"(?=[ \t]*(?:[.,!;:…)*—–]|-{1,2}[ \t]|$|\n|[ \t]and\b|[ \t]because\b|[ \t]since\b|[ \t]please\b)))",
    re.IGNORECASE,
)
"""What takes back at once, whatever follows: said of the answer, and all that its clause says."""
_STRONG = re.compile(
    rf"{_TURNS}|no|nope|nah|actually|oops|sorry|apologies|correct|on second|let me correct|i made|my mistake|that",
    re.IGNORECASE,
)
_BE = r"(?:should|must|would|has to|ought to)(?:[ \t]have)?[ \t]be(?:en)?"
_STATES = re.compile(
    r"(?:\b(?:it|that|this|which|there|(?:(?:the|my)[ \t]+)?(?:(?:right|correct|real|actual|true|final|new)[ \t]+)?"
    rf"(?:answer|result|total|value|sum|number|one))(?:['’]s|[ \t]+(?:is|was|equals|are|gives|makes|{_BE}))"
    rf"|\bmakes?[ \t](?:that|it)|\bi[ \t]meant?|\bcorrection:|\bit[ \t]+comes[ \t]+to|\b{_BE}"
    r"|\b(?:i|we)[ \t]+(?:now[ \t]+)?get|\b(?:is|are)[ \t]+(?:actually|really|in fact)|\brather|\binstead:?)"
    r"(?:[ \t]+(?:actually|really|in fact|then|now|just|indeed))?[ \t]*:?[ \t]+(?=(?P<said>[^\n]{1,200}))",
    re.IGNORECASE,
)
_DIRECT = re.compile(
    rf"\b(?:{_TURNS}|wait|hold on|no|nope|nah|actually|oops|sorry|apologies|correction|so|thus|therefore|hence|hmm"
    r"|on second thoughts?|wrong|incorrect|mistake|not \S{1,20})"
    r"[,.:;!…—–-]{0,3}[ \t]+(?:(?:no|sorry|actually|oops|make that),?[ \t]+)?"
    r"(?=(?P<said>(?:[-+−]?[$\\(]?\d|\$|\\\(|\\boxed)[^\n]{0,200}))",
    re.IGNORECASE,
)
_CHAIN_END = re.compile(
    r"[-+−*/×÷().,$\s\w]{0,150}=[ \t]*([-+−]?\\?\$?[\d.,/]*\d%?(?:[ \t][a-z]+)?)[ \t.!$]*", re.IGNORECASE
)
_ITSELF_DENIED = re.compile(
    rf"\b(?:that|this|it|answer|i)\b[^.!?\n]{{0,30}}(?:{WRONG}"
    r"|\b(?:made|mistake|error|misread|miscalculated|forgot)\b"
    r"|n['’]t\b|(?<=answer )is not\b)",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"[^\w\n]{0,4}(?:[^.!?;,\n]|[.,](?=\d)){1,80}?"
    r"(?:,?[ \t]+(?:but|so)[ \t]+(?:(?:rather|instead)[ \t]+)?(?:it[ \t]+(?:is|must be|has to be)[ \t]+)?"
    r"|(?:[,;–—]|[.!][*_$)]{0,3})[ \t]*(?:(?:rather|instead|actually|no|in fact),?[ \t]+)?"
    r"(?:(?:it|that|the (?:right |correct )?answer)(?:['’]s|[ \t]+(?:is|should be|must be))|rather|instead)"
    r"(?:[ \t]+(?:actually|rather|really))?[ \t]+)"
    r"(?P<said>[^\n]{1,200})",
    re.IGNORECASE,
)
_FAR = 2000


def put_right(after: str, said: str = "") -> tuple[bool, str | None]:
    """Whether the start of this text is taken back later, and what replaces it; None if it is not.

    `said` is the text before it, because a part of the answer itself may take it back.

    >>> put_right("7. Wait, that is wrong. It should be 8."), put_right("7. Wait, let me double-check … yes, 7.")
    ((True, '8'), (False, None))
    """
    whole = said + after
    if retracts := _RETRACTS.search(whole[:_FAR]):
        return True, _said(whole[retracts.start("cue") :][:_FAR].split("\n\n\n", 1)[0].rstrip(), contradicts=True)[0]
    cue = _TURN.search(whole[:_FAR]) or _CUE.search(after[:_FAR])
    if cue is None:
        return False, None
    rest = (said * (cue.re is _TURN) + after)[cue.start("cue") :][:_FAR].split("\n\n\n", 1)[0].rstrip()
    denial, confirmed = last(DENIES, rest), last(CONFIRMS, rest)
    strong = _STRONG.match(cue["cue"]) is not None
    if confirmed > denial and not (strong and denial >= 0):
        return False, None
    instead, at = _said(rest, strong or denial >= 0)
    if instead is not None and (confirmed < 0 or at > confirmed or denial >= 0):
        return True, instead
    return denial > confirmed and _ITSELF_DENIED.search(rest) is not None, None


def instead_of(denied: str) -> str | None:
    """The value that replaces a denied one at the start of this text.

    >>> instead_of("7 but 8."), instead_of("5. It is 6."), instead_of("7. We go on.")
    ('8', '6', None)
    """
    found = _INSTEAD.match(denied)
    value = bare(sentence(found["said"])) if found else ""
    return value if value and is_value(value) and any(c.isalnum() for c in value) else None


def _said(rest: str, contradicts: bool) -> tuple[str | None, int]:
    """The last value that is stated behind a cue, and where; without a denial only at the end, or at once."""
    found: tuple[str | None, int] = (None, -1)
    for mark in [*_STATES.finditer(rest), *_DIRECT.finditer(rest)]:
        value = _value(mark["said"])
        ends = len(rest) - mark.end("said") < 3 and "\n" not in rest[mark.start("said") :]
        whole = sentence(mark["said"]).rstrip(" .!") == mark["said"].rstrip(" .!*")
        if value is None or mark.start("said") <= found[1]:
            continue
        if contradicts or (ends and whole) or mark.start() == 0:
            found = value, mark.start("said")
    return found


def _value(said: str) -> str | None:
    """The value that a statement gives; for a chain of numbers, its end."""
    said = sentence(said).rstrip("*_ ")
    chain = _CHAIN_END.fullmatch(said)
    if chain:
        return chain[1].strip()
    if re.match(r"(?:not|never|wrong|incorrect|a|an|the|in)\b", said.lstrip("*_ "), re.IGNORECASE):
        return None
    value = bare(said)
    return value if any(c.isalnum() for c in value) and is_value(value) and not value.isalpha() else None
