r"""Which answer a program's output gives. Pure.

1. The last line that is not empty counts. A value ("7", "7 apples", "[1, 2]", "$7", "3/4"), a word, a formula and
   "x = 5" are the answer, unchanged.
2. A sentence is read like a solution in words: "The answer is 7", "Answer: 7", `\boxed{7}`. Programs rarely print
   without a purpose, so these count too: the value after the only label ("Total cost: $ 7", "total_cost = 7"), the
   only value after the last verb ("Each of the 3 children gets 7 apples" gives 7), or else the only value on the line.
3. A chain of numbers gives its end: "3 + 4 = 7" gives 7.
4. A line is kept as text if it denies, compares or counts steps ("no solution for 7", "more than 7", "Step 3"), gives
   values to several things ("Ann has 3 and Bob has 4") or cases ("5 if x, otherwise 7"), multiplies its value ("5
   thousand"), or has several values that no rule above chooses from.
5. If the last line is a sentence without a value ("Done."), an earlier line counts if it states an answer in the
   words of rule 2, or if it is the only value.
"""

from __future__ import annotations

import re

from mmst.methods.conditions import left_open
from mmst.methods.extraction import answer_in
from mmst.methods.values import CHANGES

_LONGEST = 1000
_COLOURS = re.compile(r"\x1b\[[\d;]{0,20}m")
_NUMBER = r"(?:\d+(?:[,_ ]\d{3})*+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)"
_VALUE = re.compile(rf"(?<![\w.])[-+−]?(?:[$€£][ ]?)?[-+−]?{_NUMBER}(?:[ ]?[/:][ ]?{_NUMBER})*+(?:[ ]?%)?(?!\w|\.\d)")
_LIST = re.compile(rf"\W{{0,3}}{_VALUE.pattern}(?:(?:, and|,| and| or) {_VALUE.pattern})++[.!]?")
_BEGINS = re.compile(r"[-+−]?(?:[$€£] ?)?\.?\d|[\[({<\"'\\$|√π∞]")
_SUM = r"[-+−*/×÷().,$€£\s\d^_]"
_CHAIN = re.compile(rf"{_SUM}+[-+−*/×÷^]{_SUM}+(?:={_SUM}+)*=\s*([-+−]?[$€£]?\s?{_NUMBER}%?(?: [a-zA-Z]+)?)[.!]?")
_LABEL = re.compile(r"([^\W\d_][^:=]{1,80}?)(?:\s?=\s?|\s?:\s+|\s?:(?!\d))(\S.*)")
_VERB = re.compile(
    r"\b(?:is|are|was|were|be|equals?|gets?|got|ha[sd]|have|needs?|needed|costs?|makes?|made|earns?|earned|takes?|took"
    r"|gives?|gave|pays?|paid|spends?|spent|saves?|saved|receives?|received|remains?|weighs?|travels?|walks?|runs?|lasts?"
    r"|contains?|holds?|becomes?|totals?|sells?|sold|buys?|bought|eats?|ate|reads?|uses?|used|owes?|owns?|collects?"
    r"|collected|scores?|scored)\b",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"\b(?:not?|never|none|nothing|neither|nor|without|cannot|impossible|unknown|undefined|than|least|most|between"
    r"|up to|under|over|below|above|minus|negative|half|twice|yes|true|false)\b|n['’]t\b|[<>≤≥?]",
    re.IGNORECASE,
)
_FAILS = re.compile(r"\b(?:invalid|fail(?:s|ed)?|(?:[a-z]*)error|warning|exception|traceback)\b", re.IGNORECASE)
_COUNTS = re.compile(
    r"\b(?:step|case|iteration|test|example|part|problem|question|round|attempt|trial|line|version|loop|option|phase)s?"
    r"[ \t]*#?\d",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:the|his|her|their|its) .{1,80}? (?:is|are|was|were):? (.+)", re.I
)
_REMARK = re.compile(rf"(?<=[\w%]) \((?!{CHANGES}).*\)$", re.IGNORECASE)
_CHANGED = re.compile(rf"[\s,(–—-]{{1,3}}{CHANGES}", re.IGNORECASE)
_NO_WORDS = re.compile(
    r"(?:sqrt|exp|log|sin|cos|tan|abs|inf|nan|[A-Z]?[a-z]*Fraction|Decimal|array|set|frozenset|Matrix"
    r"|jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|[a-z]{3,7}uary|march|april|august|[a-z]{4,6}ber|[a-z]{3,6}day)$",
    re.IGNORECASE,
)


def answer_printed(stdout: str) -> str | None:
    """The answer that a program's output gives; None if it printed nothing.

    >>> answer_printed("working\\n7 apples\\n"), answer_printed("Number of apples left: 7"), answer_printed("\\n")
    ('7 apples', '7', None)
    """
    stdout = _COLOURS.sub("", stdout).rstrip()
    line = stdout.rsplit("\n", 1)[-1].strip()
    if not line or len(line) > _LONGEST:
        return line or None
    line = _undressed(line)
    if chain := _CHAIN.fullmatch(line):
        return chain[1].strip()
    words = [w for w in re.findall(r"[^\W\d_]{2,}", line) if not _NO_WORDS.match(w)]
    formula = re.search(r"\*\*|\^|\w\(", line) or not any(len(w) > 2 for w in words)
    if _BEGINS.match(line) and ((len(words) < 3 and not _VERB.search(line)) or line[0] in "[({<\"'"):
        return answer_in(line) or line
    if (stated := answer_in(line)) is not None:
        return stated
    return line if formula and line.strip("-=_*#. ") else _said(line) or _earlier(stdout, line) or line


def _undressed(line: str) -> str:
    """A line without the markdown around it."""
    found = re.fullmatch(r"(\*\*|__|`)([^*`]+)\1[.!]?", line)
    return found[2].strip() if found else line


def _said(line: str) -> str | None:
    """The value that a sentence or a labelled line gives; None if it is ambiguous."""
    if _FAILS.search(line):
        return None
    label = _LABEL.fullmatch(line)
    if label and line.count("=") + len(re.findall(r":(?!\d)", line)) == 1:
        value = label[2]
        if _plain(value) and not _COUNTS.search(label[1]):
            return _bare(value)
    if _DENIES.search(line) or _COUNTS.search(line):
        return None
    values = list(_VALUE.finditer(line))
    if any(_CHANGED.match(line, value.end()) or left_open(value[0], line[value.end() :]) for value in values):
        return None
    if len(values) == 1:
        return _bare(values[0][0])
    return _behind_verb(line, values)


def _behind_verb(line: str, values: list[re.Match[str]]) -> str | None:
    """The value after the last verb, if no other verb gives a value."""
    verbs = [v for v in _VERB.finditer(line) if not values or any(n.start() >= v.end() for n in values)]
    if not verbs:
        return None
    last = verbs[-1]
    given = [n for n in values if n.start() >= last.end()]
    if any(verbs[0].end() <= n.start() < last.start() for n in values):
        return None
    if len(given) == 1:
        return _bare(given[0][0])
    rest = line[last.end() :].strip()
    subject = _SUBJECT.fullmatch(line)
    if (given and (_LIST.fullmatch(rest) or rest[:1] in ("[", "(", "{"))) or (subject and not values):
        return (subject[1] if subject else rest).rstrip(".!")
    return None


def _plain(value: str) -> bool:
    """Whether the text after a label is a value, not a sentence."""
    words = len(re.findall(r"[^\W\d_]{2,}", value))
    return words <= 4 if _BEGINS.match(value) else words <= 3 and "," not in value


def _bare(value: str) -> str:
    """A value without a remark in brackets after it, and without the space after a currency sign."""
    value = _REMARK.sub("", value.strip())
    return re.sub(r"([$€£]) ", r"\1", value).strip().rstrip(".!").strip()


def _earlier(stdout: str, line: str) -> str | None:
    """The answer that an earlier line states, if the last line is only a sentence."""
    if any(c.isdigit() for c in line) or _SUBJECT.fullmatch(line) or (line[-1].isalnum()):
        return None
    if (stated := answer_in(stdout)) is not None:
        return stated
    before = stdout.removesuffix(line).split()
    return before[0] if len(before) == 1 and _VALUE.fullmatch(before[0]) else None
