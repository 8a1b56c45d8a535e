"""What is said of an answer and is not one: denied, reported of others, or put right afterwards. Pure.

A student says the answer is 7, but …       →  reported: somebody else's answer
Answer: 5 is a trap.                        →  denied
The answer is 7. Wait, that is wrong: 8.    →  put right: 8
The answer is 7. Wait, let me check … yes.  →  it stays
"""

from __future__ import annotations

import re

from mmst.methods.values import bare, is_value, sentence

_SAYS = (
    r"(?:says?|said|saying|claim(?:s|ed)?|thinks?|thought|believe[sd]?|argue[sd]?|writes?|wrote|guess(?:es|ed)?|conclude[sd]?"
    r"|report(?:s|ed)?|told|insist(?:s|ed)?|suggest(?:s|ed)?|assume[sd]?|state[sd]?|expect(?:s|ed)?"
    r"|suspect(?:s|ed)?)"
)
_WHO = (
    r"(?:(?:an?|the|one|another|some|many|most|my|his|her|their|your|several|few|other)[ \t]+(?:\w+[ \t]+){0,2}?"
    r"(?:students?|pupils?|friends?|persons?|people|child|children|boys?|girls?|man|men|woman|women|brother|sister"
    r"|classmates?|colleagues?|others?|someone|teachers?|readers?|learners?|kids?)"
    r"|(?-i:[A-Z][a-z]+)|he|she|they|you|someone|somebody|some|others|people|many|one|everyone|everybody|most|anyone"
    r"|students|pupils|children|beginners)"
)
_REPORTED = re.compile(
    rf"(?<!\w)(?P<who>{_WHO})(?:[ \t]+\w+)?[ \t]+"
    r"(?:(?:may|might|could|would|can|will|did|do|does|often|mistakenly|wrongly|first)[ \t]+){0,2}"
    rf"(?P<says>{_SAYS})(?:[ \t]+(?:me|us|him|her|them))?[ \t,:]*(?:that[ \t]+)?[\"'“]?"
    r"(?:the|his|her|their|our|my|its)?(?:[ \t]+(?:final|correct|right))?[ \t]*[*_]*$",
    re.IGNORECASE,
)
_ANYBODY = frozenset(
    "he she they you someone somebody some others people many one everyone everybody most anyone students pupils "
    "children beginners".split()
)
_NOBODY = frozenset(
    "we i this that it so thus hence therefore then which who what given now here and problem question step theorem "
    "lemma let since because if as".split()
)
_WRONG = (
    r"(?:(?:clearly|obviously|actually|simply|just|also|definitely|in fact|of course|plainly|certainly)[ \t]+)?"
    r"(?:(?:a|an|the|his|her|their|my)[ \t]+)?(?:(?:common|typical|usual|classic|obvious)[ \t]+)?"
    r"(?:wrong|incorrect|mistaken|trap|mistake|error|distractor|fallacy|blunder|misconception|not[ \t]+(?:quite[ \t]+)?"
    r"(?:right|correct|true|so|it|the[ \t]+(?:right[ \t]+|correct[ \t]+|final[ \t]+)?(?:answer|one|case)))\b"
)
_IS_WRONG = (
    rf"(?:(?:is|was|are|were|would[ \t]be|seems|looks)[ \t]+{_WRONG}"
    r"|(?:is|was|are)n['’]t[ \t]+(?:quite[ \t]+)?(?:right|correct|true|it|the[ \t]+(?:right |correct )?answer)\b)"
)
_OF_ITSELF = re.compile(
    r"[ \t]*[*_$\\(\[{\"']{0,4}[-+−]?[$\\]?[\w.,/%\\{}^]{1,80}[*_$\\)\]}\"']{0,4}(?:[ \t]+[a-z]{1,20})?[ \t]+"
    + _IS_WRONG,
    re.IGNORECASE,
)
_OF_IT = re.compile(
    r"(?:[.!?;:…)][*_$)}\]]{0,4}\s{1,9}(?:(?:but|however,?|no,|yet)[ \t]+)?"
    r"|,?[ \t]+(?:but|yet|although|though|however,?)[ \t]+|,[ \t]+which[ \t]+|[ \t][-–—][ \t](?:but[ \t])?)"
    r"(?:(?:this|that|it|he|she|they|both)(?:[ \t]+(?:answer|value|result|claim|one))?[ \t]*)?"
    rf"(?:{_IS_WRONG}|['’]s[ \t]+{_WRONG})",
    re.IGNORECASE,
)
_AFFIRMED = re.compile(
    r"\b(?:he|she|they|it|that|this|which)(?:[ \t]+(?:is|are|was|were)|['’](?:s|re))[ \t]+"
    r"(?:indeed[ \t]+|also[ \t]+)?(?:right|correct|true)\b",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"(?:[.!?;…:)}\]*$>\"'”—–-]|\n|\w(?=\s{0,9}\n)|\w(?=[ \t]+(?-i:Wait)\b))[*_)$]{0,4}\s{0,9}"
    r"(?:(?:oh|hmm+|um|but|and|oops|ah|er|well),?[ \t.…]{0,9})?"
    r"(?P<cue>no(?=[,.!…—–-])|(?:wait|hold on|hang on|nope|actually|oops|sorry|correction|scratch that|strike that|hmm"
    r"|on second thoughts?|let me correct|i made an? (?:mistake|error)|my mistake"
    r"|that(?:['’]s| is| was) (?:wrong|incorrect))\b)",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"no|nope|actually|oops|sorry|correct|scratch|strike|on second|let me correct|i made|my mistake|that", re.IGNORECASE
)
_DENIES = re.compile(
    r"\b(?:wrong|incorrect|mistakes?|mistaken|errors?|miscalculated|misread|miscounted|misunderstood|forgot|oops|sorry"
    r"|scratch that|no(?=[,.!])|should(?:[ \t]have)?[ \t]be(?:en)?|not|cannot|correction|overlooked|missed)\b|n['’]t\b",
    re.IGNORECASE,
)
_CONFIRMS = re.compile(
    r"(?<!not )(?<!n't )(?<!n’t )(?<!not quite )\b(?:yes|yep|yeah|correct(?!ion)|confirmed|confirms|right|checks out"
    r"|stands|verified|as before|as expected|consistent|matches|agrees|good|fine|okay|ok|same)\b"
    r"(?![ \t]+(?:answer|value|result|number|way|total|one)[ \t]+(?:is|should|must|would))"
    r"(?!,?[ \t]+(?:it|that|this)[ \t]+should)",
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
    r"\b(?:wait|hold on|no|nope|actually|oops|sorry|correction|scratch that|strike that|so|thus|therefore|hence|hmm"
    r"|wrong|incorrect|mistake|not \S{1,20})[,.:;!…—–-]{0,3}[ \t]+(?:(?:no|sorry|actually|oops|make that),?[ \t]+)?"
    r"(?=(?P<said>(?:[-+−]?[$\\(]?\d|\$|\\\(|\\boxed)[^\n]{0,200}))",
    re.IGNORECASE,
)
_CHAIN_END = re.compile(
    r"[-+−*/×÷().,$\s\w]{0,150}=[ \t]*([-+−]?\\?\$?[\d.,/]*\d%?(?:[ \t][a-z]+)?)[ \t.!$]*", re.IGNORECASE
)
_ITSELF_DENIED = re.compile(
    rf"\b(?:that|this|it|answer|i)\b[^.!?\n]{{0,30}}(?:{_WRONG}"
    r"|\b(?:made|mistake|error|misread|miscalculated|forgot)\b"
    r"|n['’]t\b|(?<=answer )is not\b)",
    re.IGNORECASE,
)
_FAR = 2000
_NEAR = 300


def reported(before: str) -> bool:
    """Whether an answer that is announced behind this is somebody else's.

    >>> reported("A student says the "), reported("I think that the "), reported("So the ")
    (True, False, False)
    """
    found = _REPORTED.search(before[-120:])
    if found is None:
        return False
    named = found["who"].istitle() and found["who"].casefold() not in _ANYBODY
    if named and found["says"].endswith(("im", "ss", "rt", "te", "st", "ect", "nk", "ve", "ay", "ume")):
        return False  # "Final guess: the answer is 7" is no Mr Final who guesses
    return found["who"].casefold() not in _NOBODY and not re.search(r"\b(?:I|[Ww]e)\b", found[0])


def affirmed(after: str) -> bool:
    """Whether it is said that whoever reported the answer before this is right."""
    return _AFFIRMED.search(after[:_NEAR].split("\n\n", 1)[0]) is not None


def denied(after: str) -> bool:
    """Whether an answer that begins this text is said to be wrong, in its sentence or at the beginning of the next.

    >>> denied(" 5 is a trap"), denied(" 7, but this is wrong."), denied(" B, because A is wrong"), denied(" 7. Done.")
    (True, True, False, False)
    """
    near = after[:_NEAR].split("\n\n", 1)[0]
    if re.match(r"[\s*_\"']*(?:yes|no|true|false|correct|incorrect|wrong|right)\b", near, re.IGNORECASE):
        return False
    if _OF_ITSELF.match(near):
        return True
    found = _OF_IT.search(near)
    if found is None:
        return False
    said = near[: found.start()]
    return not re.search(r"[.!?](?:\s|$)", said.strip()) and len(said) < 80 and not _CONFIRMS.match(near[found.end() :])


def put_right(after: str) -> tuple[bool, str | None]:
    """Whether what begins this text is taken back in what follows, and what is said instead; None where nothing is.

    >>> put_right("7. Wait, that is wrong. It should be 8."), put_right("7. Wait, let me double-check … yes, 7.")
    ((True, '8'), (False, None))
    """
    cue = _CUE.search(after[:_FAR])
    if cue is None:
        return False, None
    rest = after[cue.start("cue") : cue.start("cue") + _FAR].split("\n\n\n", 1)[0].rstrip()
    denial, confirmed = _last(_DENIES, rest), _last(_CONFIRMS, rest)
    strong = _STRONG.match(cue["cue"]) is not None
    if confirmed > denial and not (strong and denial >= 0):
        return False, None
    said, at = _said(rest, strong or denial >= 0)
    if said is not None and (confirmed < 0 or at > confirmed or denial >= 0):
        return True, said
    return denial > confirmed and _ITSELF_DENIED.search(rest) is not None, None


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Where it is found last; -1 when nowhere."""
    return max((m.start() for m in pattern.finditer(text)), default=-1)


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
    """The value that a statement gives; a chain of numbers says its end."""
    said = sentence(said).rstrip("*_ ")
    chain = _CHAIN_END.fullmatch(said)
    if chain:
        return chain[1].strip()
    if re.match(r"(?:not|never|wrong|incorrect|a|an|the|in)\b", said.lstrip("*_ "), re.IGNORECASE):
        return None
    value = bare(said)
    return value if any(c.isalnum() for c in value) and is_value(value) and not value.isalpha() else None
