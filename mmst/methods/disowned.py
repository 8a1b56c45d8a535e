r"""Whether what a text says of an answer is its own: said by others, denied, supposed, or of an earlier attempt. Pure.

A student says the answer is 7, but …            →  somebody else's
"The answer is 7", said Tom.                     →  somebody else's
Answer: 5 is a trap.                             →  denied
It is false that the answer is 7.                →  denied
A common mistake gives \boxed{7}.                →  a mistake
Had we used degrees we would get \boxed{7}.      →  supposed
If she had three more she would have \boxed{7}.  →  doubtful: its own if it states nothing else
"""

from __future__ import annotations

import re
from enum import Enum

_SAYS = (
    r"(?:says?|said|saying|claim(?:s|ed)?|thinks?|thought|believe[sd]?|argue[sd]?|writes?|wrote|guess(?:es|ed)?|conclude[sd]?"
    r"|report(?:s|ed)?|told|insist(?:s|ed)?|suggest(?:s|ed)?|assume[sd]?|state[sd]?|expect(?:s|ed)?"
    r"|suspect(?:s|ed)?|answer(?:s|ed)|repl(?:y|ies|ied))"
)
_PERSON = (
    r"(?:students?|pupils?|friends?|persons?|people|child|children|boys?|girls?|man|men|woman|women|brother|sister"
    r"|classmates?|colleagues?|others?|someone|teachers?|readers?|learners?|kids?|solvers?|novices?|beginners?|tutors?"
    r"|professors?|authors?|experts?|critics?|skeptics?|guys?|players?|users?|models?|chatbots?|bots?|AIs?|assistants?"
    r"|(?:text)?books?|answer keys?|keys?|calculators?|computers?|machines?|websites?|internet|forums?)"
)
_WHO = (
    rf"(?:(?:an?|the|one|another|some|many|most|my|his|her|their|your|several|few"
    rf"|other)[ \t]+(?:\w+[ \t]+){{0,2}}?{_PERSON}"
    r"|(?-i:[A-Z][\w.-]+)|he|she|they|you|someone|somebody|some|others|people|many|one|everyone|everybody|most|anyone"
    r"|nobody|no[ -]one|students|pupils|children|beginners)"
)
_HELP = r"(?:may|might|could|would|can|will|did|do|does|often|mistakenly|wrongly|first|probably|surely|always|usually)"
_REPORTED = re.compile(
    rf"(?<![\w-])(?P<who>{_WHO})(?:[ \t]+\w+)??[ \t]+(?P<help>(?:{_HELP}[ \t]+){{0,2}})"
    rf"(?P<says>{_SAYS})(?:[ \t]+(?:me|us|him|her|them))?[ \t,:]*(?:that[ \t]+)?[\"'“‘]?"
    r"(?:the|his|her|their|our|my|its)?(?:[ \t]+(?:final|correct|right))?[ \t]*[*_]*$",
    re.IGNORECASE,
)
_ANYBODY = frozenset(
    "he she they you someone somebody some others people many one everyone everybody most anyone students pupils "
    "children beginners nobody".split()
)
_NOBODY = frozenset(
    "we i this that it so thus hence therefore then which who what given now here and problem question step theorem "
    "lemma let since because if as the a an our my".split()
)
_NO_PERSON = (
    r"(?!(?:this|that|these|our|my|its?|we|I|eq|equation|"
    r"step|rule|theorem|lemma|formula|part|table|figure|case|line)\b)"
)
_ACCORDING = re.compile(
    rf"\b(?:according to|in the (?:opinion|view|words) of|if you (?:ask|believe)|as)[ \t]+(?P<who>{_NO_PERSON}{_WHO})"
    rf"(?:(?<=\w)[ \t]+(?:{_SAYS}|puts?)(?:[ \t]+it)?)?,[ \t]*(?:the|his|her|their|our)?(?:[ \t]*(?:final|correct"
    rf"|right))?[ \t]*[*_\"'“‘]*$",
    re.IGNORECASE,
)
_ATTRIBUTED = re.compile(
    rf"(?:,|[\"”'’])[ \t,]*(?:(?:{_SAYS})[ \t]+(?!(?:I|we|that|it|this|so)\b){_WHO}"
    rf"|(?:as[ \t]+)?{_NO_PERSON}{_WHO}[ \t]+(?:{_HELP}[ \t]+)?(?:{_SAYS})[ \t]*(?:[.!,;]|$))"
    rf"|(?:,|[ \t])[ \t]*according to[ \t]+{_NO_PERSON}{_WHO}(?![ \t]*(?:'s|’s)?[ \t]*(?:theorem|law|rule|formula))"
    rf"|[ \t]is what[ \t]+{_WHO}[ \t]+(?:{_HELP}[ \t]+)?(?:{_SAYS}|gets?|got|gave)\b",
    re.IGNORECASE,
)
WRONG = (
    r"(?:(?:clearly|obviously|actually|simply|just|also|definitely|in fact|of course|plainly|certainly)[ \t]+)?"
    r"(?:(?:a|an|the|his|her|their|my)[ \t]+)?(?:(?:common|typical|usual|classic|obvious)[ \t]+)?"
    r"(?:wrong|incorrect|mistaken|trap|mistake|error|distractor|fallacy|blunder|misconception|not[ \t]+(?:quite[ \t]+)?"
    r"(?:right|correct|true|so|it|the[ \t]+(?:right[ \t]+|correct[ \t]+|final[ \t]+)?(?:answer|one|case)))\b"
)
_IS_WRONG = (
    rf"(?:(?:is|was|are|were|would[ \t]be|seems|looks)[ \t]+{WRONG}"
    r"|(?:is|was|are)n['’]t[ \t]+(?:quite[ \t]+)?(?:right|correct|true|it|the[ \t]+(?:right |correct )?answer)\b"
    r"|(?:can(?:not|['’]t)|could(?:[ \t]*not|n['’]t))[ \t]be[ \t](?:right|correct|true)\b)"
)
_OF_ITSELF = re.compile(
    r"[ \t]*[*_$\\(\[{\"']{0,4}[-+−]?[$\\]?[\w.,/%\\{}^]{1,80}[*_$\\)\]}\"']{0,4}(?:[ \t]+(?-i:[a-z]{1,20}))?[ \t]+"
    + _IS_WRONG,
    re.IGNORECASE,
)
_OF_IT = re.compile(
    r"(?:[.!?;:…)][*_$)}\]]{0,4}\s{1,9}(?:(?:but|however,?|no,|yet)[ \t]+)?"
    r"|,?[ \t]+(?:but|yet|although|though|however,?)[ \t]+|,[ \t]+which[ \t]+|[ \t][-–—][ \t](?:but[ \t])?)"
    r"(?:(?:this|that|it|he|she|they|both|(?:the|this|that|my)[ \t]+(?:answer|value|result|claim|one))[ \t]*)?"
    rf"(?:{_IS_WRONG}|['’]s[ \t]+{WRONG})",
    re.IGNORECASE,
)
_AFFIRMED = re.compile(
    r"\b(?:he|she|they|it|that|this|which)(?:[ \t]+(?:is|are|was|were)|['’](?:s|re))[ \t]+"
    r"(?:indeed[ \t]+|also[ \t]+)?(?:right|correct|true)\b",
    re.IGNORECASE,
)
_QUESTIONED = re.compile(r"[\s*_$)}\]\"'”’\\]{0,6}\?")
DENIES = re.compile(
    r"\b(?:wrong|incorrect|mistakes?|mistaken|errors?|miscalculated|misread|miscounted|misunderstood|forgot|oops|sorry"
    r"|scratch that|no(?=[,.!])|should(?:[ \t]have)?[ \t]be(?:en)?|not|cannot|correction|overlooked|missed)\b|n['’]t\b",
    re.IGNORECASE,
)
CONFIRMS = re.compile(
    r"(?<!not )(?<!n't )(?<!n’t )(?<!not quite )\b(?:yes|yep|yeah|correct(?!ion)|confirmed|confirms|right|checks out"
    r"|stands|verified|as before|as expected|consistent|matches|agrees|good|fine|okay|ok|same)\b"
    r"(?![ \t]+(?:answer|value|result|number|way|total|one)[ \t]+(?:is|should|must|would))"
    r"(?!,?[ \t]+(?:it|that|this)[ \t]+should)",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"(?:\b(?:the|his|her|their|its)[ \t]+)?(?:\b(?:final|correct|right)[ \t]+)?"
    r"(?:\b(?:answer|result|value|solution|total|sum|it|that|this|[a-z])\b[ \t]*)?"
    r"(?:(?:\b(?:is|was|are|be|to be|as|would be|should be|must be)\b|['’]s\b|=|:)[ \t]*)?[\s$\\(\[*_\"'“‘{]*$",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|assum(?:e|es|ing)|whether|unless|think (?:that )?the|pretend)\b[^.!?\n]{0,40}$"
    r"|\b(?:wrong|incorrect|mistaken|false)[ \t]{1,3}$",
    re.IGNORECASE,
)
_THOUGHT_SO = re.compile(r"\b(?:i|we) think\b[^.!?\n]{0,40}$", re.IGNORECASE)
_WHOSE = re.compile(
    r"(?:(?<!\w)(?!(?:today|here|there|let|it|that|what|this|who|where|how)['’])(?:(?-i:[A-Z][\w-]+)"
    rf"|(?:an?|the|one|another|my|his|her)[ \t]+(?:\w+[ \t]+)?{_PERSON})['’]s?|\b(?:his|her|their)"
    r"|\b(?:my|our)[ \t]+(?:old|first|previous|earlier|initial|original|former|last))"
    r"(?:[ \t]+(?:final|own|correct))?[ \t]*[*_]*$"
    r"|^[ \t*_]*(?!(?:answer|solution|conclusion|result|final|note|output|response|assistant|explanation|summary)\b)"
    r"(?-i:[A-Z])\w+[*_]*:[ \t]*[\"“](?:the)?[ \t]*(?:final|correct)?[ \t]*$",
    re.IGNORECASE,
)
"""Bob's answer; Bob: "The answer …"."""
_THAT = r"(?:,?[ \t]+that\b|[ \t]+to[ \t]+(?:say|think|claim|conclude|assume|believe)\b)"
_FALSE = re.compile(
    r"\b(?:false|untrue|wrong|incorrect|impossible|unlikely|doubtful|absurd|not[ \t]+(?:\w+[ \t]+){0,2}?"
    rf"(?:true|right|correct|so|the case|clear|certain|sure|possible|likely)){_THAT}(?:(?!\b(?:so|hence|thus"
    rf"|therefore)\b)[^.;:]){{0,60}}$"
    rf"|n['’]t[ \t]+(?:\w+[ \t]+){{0,2}}?(?:true|right|correct|so|the case|clear|certain|sure){_THAT}(?:(?!\b(?:so"
    rf"|hence|thus|therefore)\b)[^.;:]){{0,60}}$"
    r"|\b(?:doubt(?:s|ed)?|disagree[sd]?|den(?:y|ies|ied)|refute[sd]?|disprove[sd]?|contrary to)\b[^,.;:]{0,40}$"
    r"|(?:\b(?:do|does|did|can|could|would|will|should|must)(?:[ \t]*not|n['’]t)|\bcannot)[ \t]+(?:\w+[ \t]+)?"
    r"(?:think|believe|say|mean|claim|agree|accept|suppose|conclude|imply|get|give|obtain|answer|write|choose)\b(?:(?!\bbut\b)[^,.;:]){0,40}$",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\brather than|\binstead of|\bas opposed to|\bneither|\bnor|\banything but|\bfar from)"
    r"(?:[ \t]+(?:be|equal(?:[ \t]+to)?|get|give|simply|exactly|[a-z][ \t]*=))*[\s$\\(\[*_\"'{=]*$"
    r"|(?:\\neq?|≠|!=)[\s{]*$",
    re.IGNORECASE,
)
_BE_WRONG = r"(?:wrong|incorrect|mistaken|erroneous|flawed|faulty|bogus|false|invalid)"
_MISTAKE = re.compile(
    r"\b(?:common|typical|frequent|usual|classic|easy|possible|popular|tempting|careless|naive)[ \t]+"
    r"(?:\w+[ \t]+){0,2}?(?:mistakes?|errors?|misconceptions?|traps?|pitfalls?|blunders?|fallac(?:y|ies)|slips?"
    r"|oversights?)\b"
    rf"|\b{_BE_WRONG}[ \t]+(?:\w+[ \t]+)?(?:answers?|results?|values?|solutions?|approach|reasoning|calculations?|guess"
    r"|methods?|choices?|options?|conclusions?|interpretation|reading|count|formula)\b"
    r"|\b(?:tempt(?:ed|ing)|mistakes?|error|wrong|foolish|na[iï]ve|absurd)[ \t]+to[ \t]+(?:\w+[ \t]+)?"
    r"(?:answer|say|think|conclude|write|give|get|believe)\b"
    r"|\b(?:supposedly|allegedly|reportedly|purportedly)\b|\b(?:legend|rumou?r|word)[ \t]+has[ \t]+it\b"
    r"|\b(?:mistakenly|wrongly|incorrectly|erroneously|falsely|carelessly)\b"
    r"|\b(?:forgetting|misreading|misinterpreting|miscounting)\b",
    re.IGNORECASE,
)
_SETS_RIGHT = re.compile(
    r"\b(?:correct(?:ing|ed|ion|ly|s)?|fix(?:ing|ed)?|avoid(?:ing|ed|s)?|without|instead|right|actual(?:ly)?|true|but"
    r"|however|not)\b|n['’]t\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\b(?:previously|earlier|initially|originally|at first|formerly|last time"
    r"|before)\b,?[^.;:,]{0,30}\bI\b[^.;,]{0,40}$"
    r"|\bI\b(?:[ \t]+(?:had|have))?[ \t]+(?:previously|initially|originally|earlier|first)[ \t]+"
    r"(?:thought|said|guessed|answered|wrote|got|had|found|gave)\b[^.;,]{0,40}$"
    r"|\b(?:my|our)[ \t]+(?:first|previous|earlier|initial|original|old|former)[ \t]+"
    r"(?:attempt|answer|try|guess|result|value|calculation|estimate|thought|solution|response)\b[^.;,]{0,40}$",
    re.IGNORECASE,
)
_I_HAD = re.compile(r"\bI[ \t]+(?:had|have)\b(?![ \t]+(?:thought|said|written|guessed))", re.IGNORECASE)
_COUNTERFACTUAL = re.compile(
    r"(?:^|[,:(—–][ \t]*|\b(?:and|but|so)[ \t]+)[\s*_]*had[ \t]+(?:we|I|you|one)\b"
    r"|(?:^|[,:(—–][ \t]*)[\s*_]*(?:had|were)[ \t]+[^.;\n]*\bwould\b|(?:^|[,:(—–][ \t]*)[\s*_]*(?:had"
    r"|were)[ \t]+[^.;\n]*,[^,]*$"
    r"|\bif[ \t]+(?:we|I|you|one)(?:[ \t]+\w+)?[ \t]+(?:had|hadn['’]t|forgot|forget|mis\w+)\b"
    r"|\b(?:we|I|you|one)[ \t]+(?:\w+[ \t]+)?would(?:[ \t]+\w+)?[ \t]+have[ \t]+(?:got(?:ten)?|given|had|obtained"
    r"|found|said|written)\b"
    r"|\b(?:answer|result|value)[ \t]+would[ \t]+have[ \t]+been\b",
    re.IGNORECASE,
)
_HYPOTHESIS = re.compile(
    r"\b(?:suppose|imagine|pretend|assume|supposing|assuming)[ \t]+(?:that[ \t]+)?[^.;,]{0,40}$", re.IGNORECASE
)
_DOUBTFUL = re.compile(
    r"\bif\b[^.;\n]*\b(?:had|were|would|used|did)\b|\bwould[ \t]+have\b|\bhad\b[^.;\n]*\bwould\b"
    r"|\b(?:previously|earlier|initially|originally)\b[^.;\n,]{0,40}\b(?:we|I)\b"
    r"|\b(?:naive|tempting|careless|quick|hasty)[ \t]+(?:\w+[ \t]+)?(?:answer|approach|guess|reading|solution|solver"
    r"|calculation)\b"
    r"|\b(?:many|some|most|few|other|several|careless|weak)[ \t]+(?:\w+[ \t]+){0,2}?(?:students|people|solvers|pupils"
    r"|children|beginners|readers|learners|models|folks|others)\b[^.;\n]*\b(?:gets?|obtain|find|answer|choose|pick|write"
    r"|arrive|conclude|end up|would|might|may|compute|calculate)\b",
    re.IGNORECASE,
)
_DISPLAYED = re.compile(r"\s*\n\s*(?:\\\[|\$\$|\\begin\{[a-z]{1,12}\*?\})\s*")
_CONCLUDES = re.compile(r"(?:^|[,;]\s*|\s(?:and\s)?)(?:so|hence|thus|therefore)\b(?!\s+that)", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?;][*_)\"'”’]{0,3}\s|\n")
_NEAR = 300


class Standing(Enum):
    """Whether a stated answer is the text's own: yes; only if it commits to nothing else (doubtful); or no."""

    OWN = "own"
    DOUBTFUL = "doubtful"
    NOT = "not"


def standing(before: str, after: str) -> Standing:
    r"""Whether the answer that is announced after `before` and starts at `after` is the text's own.

    >>> standing("A common mistake gives ", r"\boxed{7}."), standing("If she had more she would have ", r"\boxed{7}")
    (<Standing.NOT: 'not'>, <Standing.DOUBTFUL: 'doubtful'>)
    """
    clause = _SENTENCE.split(_DISPLAYED.sub(" ", before[-_NEAR:]))[-1]
    link = _LINK.search(clause)
    bare = clause[: link.start()].rstrip(" \t$\\([*_{") + " " if link else clause
    if denied(after) or _NOT.search(clause) or _FALSE.search(clause) or _FALSE.search(bare):
        return Standing.NOT
    foreign = reported(clause) or reported(bare) or _according(clause) or _according(bare) or attributed(after)
    if foreign and not affirmed(after):
        return Standing.NOT
    if _WHOSE.search(clause) or _COUNTERFACTUAL.search(_CONCLUDES.split(clause)[-1]) or _HYPOTHESIS.search(bare):
        return Standing.NOT
    if _BEFORE.search(bare) or _BEFORE.search(clause):
        return Standing.DOUBTFUL if _I_HAD.search(clause) else Standing.NOT
    if (mistake := _MISTAKE.search(clause)) and not _SETS_RIGHT.search(
        clause[: mistake.start()] + clause[mistake.end() :]
    ):
        return Standing.DOUBTFUL if _CONCLUDES.search(clause) else Standing.NOT
    return Standing.DOUBTFUL if _DOUBTFUL.search(clause) else Standing.OWN


def supposed(before: str) -> bool:
    """Whether an answer that is announced after this is only supposed, or called wrong.

    >>> supposed("Suppose that the "), supposed("I think the ")
    (True, False)
    """
    near = before[-60:]
    return bool(_SUPPOSED.search(near)) and not _THOUGHT_SO.search(near)


def questioned(after: str) -> bool:
    """Whether the text after an answer asks whether it is right, and does not confirm it.

    >>> questioned("? No."), questioned("? Yes, it is."), questioned(". Is it? Yes.")
    (True, False, False)
    """
    asked = _QUESTIONED.match(after)
    if asked is None:
        return False
    rest = after[asked.end() : asked.end() + 1000].split("\n\n\n", 1)[0]
    return last(CONFIRMS, rest) <= last(DENIES, rest)


def borrowed(words: str) -> bool:
    """Whether the words between "the answer" and "is" attribute it to somebody else, or deny it.

    >>> borrowed("he says"), borrowed("then"), borrowed("you would get")
    (True, False, True)
    """
    if re.search(
        r"\b(?:if|not|never|would|might|could|had|gave|wrong|wrongly|forget\w*|expect\w*|mis\w+|according|before|earlier)\b"
        r"|n['’]t\b",
        words,
        re.IGNORECASE,
    ):
        return True
    return bool(re.search(rf"\b{_SAYS}\b", words, re.IGNORECASE)) and not re.search(r"\b(?:I|we)\b", words)


def reported(before: str) -> bool:
    """Whether an answer that is announced after this is somebody else's.

    >>> reported("A student says the "), reported("I think that the "), reported("So the ")
    (True, False, False)
    """
    found = _REPORTED.search(before[-120:])
    if found is None:
        return False
    named = found["who"].istitle() and found["who"].casefold() not in _ANYBODY
    if (
        named
        and not found["help"]
        and found["says"].endswith(("im", "ss", "rt", "te", "st", "ect", "nk", "ve", "ay", "ume"))
    ):
        return False  # "Final guess: the answer is 7" is no Mr Final who guesses
    return found["who"].casefold() not in _NOBODY and not re.search(r"\b(?:I|[Ww]e)\b", found[0])


def _according(before: str) -> bool:
    """Whether what is announced after this is attributed to somebody ("according to …")."""
    found = _ACCORDING.search(before[-120:])
    return found is not None and found["who"].casefold() not in _NOBODY


def attributed(after: str) -> bool:
    """Whether the sentence that begins here ends with an attribution ("…, said Tom").

    >>> attributed("7', said Tom."), attributed("7, according to Tom."), attributed("7, as we said.")
    (True, True, False)
    """
    line = after[:160].split("\n", 1)[0]
    return _ATTRIBUTED.search(_SENTENCE.split(line)[0]) is not None


def affirmed(after: str) -> bool:
    """Whether the text says that whoever reported the answer before this is right."""
    return _AFFIRMED.search(after[:_NEAR].split("\n\n", 1)[0]) is not None


def denied(after: str) -> bool:
    """Whether the answer that begins this text is called wrong, in its sentence or at the start of the next.

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
    return not re.search(r"[.!?](?:\s|$)", said.strip()) and len(said) < 80 and not CONFIRMS.match(near[found.end() :])


def last(pattern: re.Pattern[str], text: str) -> int:
    """The last position at which it is found; -1 if it is not found."""
    return max((m.start() for m in pattern.finditer(text)), default=-1)
