"""A seeded generator of word problems: families of stories, each in several wordings.

    At camp 12 children meet with Maya. Then 3 of them go home and the others form teams of 3. …
    text: So 12 - 3 = 9 .                     code: a = 12 - 3
          So 9 / 3 = 3 .                            b = a // 3
          The answer is 3                           print ( b )

Numbers are small (results up to 150) so that a small model can do the arithmetic itself, and
are set between spaces so that a tokenizer can give each one token.

**What is imposed.** A family is annotated with worked solutions for `text` alone, for `code`
alone, or for both (`ANNOTATIONS`). A model that learns from these annotations is therefore good
at different problems with different methods, which is what multi-method self-training uses. Real data sets are also
annotated in one way each, but here the division is made by us, and every result on these problems must say so. The
stories of one family express each number's role in the same way, so they are easier than problems written by
people.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmst.core.errors import ConfigError
from mmst.core.records import Problem
from mmst.datasets import make_problem

MOST = 150
"""The largest result of a step."""
VARIABLES = "abcd"

NAMES = (
    "Ada Ben Cara Dan Eva Finn Gina Hugo Iris Jack Kim Leo Maya Nils Olga Paul Rosa Sam Tara Umar Vera Will Yara Zoe"
)
THINGS = (
    "apples beads books buttons cakes cards coins cups dolls eggs flags hats kites lamps marbles nuts pears pens "
    "plums ribbons rings rocks shells stamps stickers toys"
)

TEXT, CODE = ("text",), ("code",)
BOTH = TEXT + CODE


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of story.

    `steps` are separated by commas; letters are the numbers of the story, digits constants, and
    `_` is the previous step's result, `@1` the first step's. `ranges` bounds each number,
    inclusive. In `story`, `[x|y]` is a choice of wording: the surface forms; `{n}`, `{m}` are
    people and `{o}` things.
    """

    name: str
    methods: tuple[str, ...]
    steps: str
    ranges: Mapping[str, tuple[int, int]]
    story: str

    @property
    def forms(self) -> int:
        """How many wordings the story has, not counting names, things and numbers."""
        count = 1
        for choice in _CHOICE.findall(self.story):
            count *= choice.count("|") + 1
        return count


def _small(**ranges: tuple[int, int]) -> dict[str, tuple[int, int]]:
    return ranges


MAIN: tuple[Family, ...] = (
    # Annotated in words only.
    Family("at-first", TEXT, "a + b", _small(a=(2, 40), b=(2, 40)),
        "{n} [gave|handed|passed] {a} {o} to {m} and [still has|is left with|keeps] {b} {o}. How many {o} did {n}"
        " have [at first|in the beginning|before that]?"),
    Family("teams", TEXT, "a - b, _ / c", _small(a=(8, 60), b=(2, 30), c=(2, 9)),
        "[At camp|At school|In the park] {a} [children|players|pupils] [meet|line up] with {n}. Then {b} of them "
        "[go home|must leave] and the others form teams of {c}. How many teams [are there|play]?"),
    Family("tickets", TEXT, "a * b, _ + c", _small(a=(2, 9), b=(2, 12), c=(2, 30)),
        "{n} [takes|brings] {m} to the [fair|show|zoo] and [pays for|buys] {a} tickets that cost {b} dollars "
        "each. Lunch costs {c} dollars [more|as well]. What does the [day|trip] cost in dollars?"),
    Family("ages", TEXT, "a * b, _ + c", _small(a=(2, 15), b=(2, 5), c=(2, 20)),
        "{n} is {a} years old [and|while] {m} is {b} times as old. How old will {m} be [in {c} years|when {c} "
        "years have passed|{c} years from now]?"),
    Family("reading", TEXT, "b * c, a - _", _small(a=(20, 99), b=(2, 12), c=(2, 9)),
        "{n} [reads|is reading] a [novel|story] of {a} pages. {n} [finishes|gets through] {b} pages [a|every] "
        "day. How many pages [are unread|remain] after {c} days?"),
    Family("garden", TEXT, "a * b, c * d, @1 + _", _small(a=(2, 9), b=(2, 9), c=(2, 9), d=(2, 9)),
        "[In spring|In May|Today] {n} plants {a} rows of {b} [roses|tulips] and {m} plants {c} rows of {d} "
        "[lilies|daisies]. How many [flowers|plants] [do they plant|grow there]?"),
    Family("plates", TEXT, "a / b, _ + c", _small(a=(6, 60), b=(2, 9), c=(2, 30)),
        "{n} [lays|spreads] {a} [cookies|rolls] evenly [on|over] {b} plates. Then {m} adds {c} [to each plate|to "
        "every plate]. How many [are|lie] on one plate now?"),
    Family("bus", TEXT, "a - b, _ + c", _small(a=(8, 50), b=(2, 30), c=(2, 30)),
        "A [bus|train|ferry] [leaves|starts] with {a} [people|riders] on board, {n} among them. At the "
        "[stop|bridge] {b} get off and {c} get on. How many are on board [now|then]?"),
    # Annotated as programs only.
    Family("fewer", CODE, "a - b", _small(a=(5, 60), b=(2, 40)),
        "{n} [found|collected|made] {a} {o}. {m} [found|collected|made] {b} fewer [than {n}|{o} than {n}]. How "
        "many {o} does {m} [own|hold]?"),
    Family("packs", CODE, "a / b", _small(a=(6, 99), b=(2, 11)),
        "{n} needs {a} {o} for a [party|wedding|class]. The shop sells them [in packs|in bags|in sets] of {b}. "
        "How many [must|should] {n} [order|buy]?"),
    Family("wages", CODE, "a * b, _ - c", _small(a=(2, 9), b=(3, 15), c=(2, 40)),
        "{n} works {a} hours [at|in] the [mill|bank|farm] [for|and earns] {b} dollars an hour. {n} [spends|owes] "
        "{c} dollars of it [for|on] rent. How much money is left?"),
    Family("hens", CODE, "a + b, _ * c", _small(a=(2, 12), b=(2, 12), c=(2, 7)),
        "[On the hill|Near the lake] {n} keeps {a} [brown|black] hens and {b} white [ones|hens]. Each "
        "[lays|gives] {c} eggs [a|per] week. How many eggs is that [a|per] week?"),
    Family("trays", CODE, "a + b, _ / c", _small(a=(5, 50), b=(5, 50), c=(2, 9)),
        "{n} [bakes|cooks] {a} [buns|pies] [before noon|early] and {b} [after noon|late]. {m} puts them on trays "
        "that hold {c}. How many trays are [full|filled|used]?"),
    Family("running", CODE, "a * 7, _ + b", _small(a=(2, 15), b=(2, 30)),
        "[All week|For a week] {n} [runs|walks|rides] {a} miles [daily|each day]. The next [day|morning] it is "
        "{b} miles. How [far|many miles] is that in [all|total]?"),
    Family("change", CODE, "b * c, a - _", _small(a=(20, 100), b=(2, 9), c=(2, 12)),
        "{n} has a [purse|wallet] with {a} dollars [in it|inside]. {n} [chooses|picks] {b} {o} [priced|marked] at"
        " {c} dollars. How many dollars does {n} get to keep?"),
    Family("shelves", CODE, "a * b, _ - c, _ / d", _small(a=(2, 9), b=(3, 15), c=(2, 30), d=(2, 6)),
        "A [hall|room] has {a} shelves with {b} [boxes|jars] [each|on each]. {n} [throws|clears] {c} away. The "
        "rest [is|gets] [divided|split] among {d} [helpers|workers]. How many does each [take|carry]?"),
    # Annotated in both ways: all that the model sees of one story told in two ways.
    Family("more", BOTH, "a + b", _small(a=(2, 60), b=(2, 60)),
        "{n} has {a} {o}. {m} [brings|sends|lends] {n} {b} more. How many {o} does {n} have "
        "[now|then|altogether]?"),
    Family("groups", BOTH, "a * b", _small(a=(2, 12), b=(2, 12)),
        "There are {a} [crates|drawers] [at|in] the [market|house] of {n}. [Each|Every one] holds {b} {o}. How "
        "many {o} are there?"),
    Family("lost", BOTH, "a - b", _small(a=(5, 90), b=(2, 60)),
        "{n} had {a} {o} [but|and] [lost|broke|sold] {b} of them. How many {o} are [left|still there]?"),
    Family("shared", BOTH, "a / b, _ - c", _small(a=(12, 90), b=(2, 9), c=(1, 20)),
        "{a} {o} are [shared|dealt] out fairly to {b} [friends|guests]. {n} is one of them and [eats|uses|hides] "
        "{c}. How many does {n} [have|see] then?"),
    Family("days", BOTH, "a + b, _ + c", _small(a=(2, 40), b=(2, 40), c=(2, 40)),
        "{n} [counted|saw|drew] {a} {o} on Monday, {b} on [Tuesday|Friday] and {c} on Sunday. How many [{o}|of "
        "them] [were|is] that [together|altogether]?"),
    Family("times", BOTH, "a * b, _ + a", _small(a=(2, 20), b=(2, 6)),
        "{n} [has|owns] {a} {o} and {m} has {b} times as many. How many [{o} do they|do both] have [together|in "
        "sum]?"),
    Family("store", BOTH, "a * b, _ + c, _ - d", _small(a=(2, 9), b=(2, 12), c=(2, 30), d=(2, 30)),
        "[A store|The museum] of {n} gets {a} [cases|chests] of {b} {o} and {c} single ones. Then {d} are "
        "[bad|sold]. How many [good ones|{o}] remain?"),
)  # fmt: skip

# The same skills asked otherwise: other things, places and questions, borrowed from several families.
RELATED: tuple[Family, ...] = (
    Family("shelf-groups", (), "a * b", _small(a=(2, 12), b=(2, 12)),
        "There are {a} shelves [at|in] the [museum|hall] of {n}. [Each|Every one] holds {b} {o}. "
        "How many {o} are there?"),
    Family("school-bus", (), "a - b, _ + c", _small(a=(8, 50), b=(2, 30), c=(2, 30)),
        "A [bus|train|ferry] starts with {a} [children|pupils] on board. At the [school|market] {b} get off and {c} "
        "get on. How many [children|pupils] are there [now|then]?"),
    Family("shopping", (), "a * b, _ + c", _small(a=(2, 9), b=(2, 12), c=(2, 30)),
        "{n} [takes|brings] {m} to the [market|shop] and [pays for|buys] {a} {o} that cost {b} dollars each. "
        "Lunch costs {c} dollars more. How many dollars is that in [all|total]?"),
    Family("drawers", (), "a / b, _ + c", _small(a=(6, 60), b=(2, 9), c=(2, 30)),
        "{n} [lays|spreads] {a} {o} evenly over {b} drawers. Then {m} adds {c} to [each|every] drawer. "
        "How many {o} are in one drawer now?"),
    Family("pages-left", (), "b * c, a - _", _small(a=(20, 99), b=(2, 12), c=(2, 9)),
        "{n} has a [novel|story] of {a} pages and [reads|finishes] {b} pages daily. "
        "How many pages are left after {c} days?"),
    Family("lunch-money", (), "a * b, _ - c", _small(a=(2, 9), b=(3, 15), c=(2, 40)),
        "{n} works {a} hours in the [shop|zoo] [for|and earns] {b} dollars an hour. "
        "{n} [spends|owes] {c} dollars of it for lunch. How many dollars does {n} have left?"),
    Family("found", (), "a + b, _ + c", _small(a=(2, 40), b=(2, 40), c=(2, 40)),
        "{n} [found|made] {a} {o} on Monday, {b} on [Tuesday|Friday] and {c} on Sunday. "
        "How many {o} does {n} have altogether?"),
    Family("camp", (), "a - b, _ / c", _small(a=(8, 60), b=(2, 30), c=(2, 9)),
        "In the [hall|museum] {a} [friends|guests] meet with {n}. Then {b} of them go home and the others form sets of "
        "{c}. How many sets are there?"),
    Family("hens-park", (), "a + b, _ * c", _small(a=(2, 12), b=(2, 12), c=(2, 7)),
        "[In the park|At school] {n} keeps {a} [brown|black] hens and {b} white ones. "
        "Each lays {c} eggs [in a|a|per] week. How many eggs do they lay?"),
    Family("supplies", (), "a / b", _small(a=(6, 99), b=(2, 11)),
        "{n} needs {a} {o} for the [fair|show|museum]. The [market|store] sells them in [packs|bags|cases] of {b}. "
        "How many does {n} [order|buy]?"),
)  # fmt: skip

TASKS = {"main": MAIN, "related": RELATED}
ANNOTATIONS: dict[str, tuple[str, ...]] = {f.name: f.methods for f in MAIN}
"""Family → methods in which its problems are annotated; see the module's docstring."""

Step = tuple[int, str, int, int, str, str]
"""Left value, operator, right value, result; left and right as the program writes them."""

_CHOICE = re.compile(r"\[([^\]]*)\]")


def generate(count: int, seed: int, task: str = "main") -> Iterator[Problem]:
    """`count` different problems of a task, always the same for the same arguments.

    Problems of annotated families carry `solutions`; those of the related task carry none.
    """
    if task not in TASKS:
        raise ConfigError("unknown generated task", value=task, remedy=f"tasks: {', '.join(TASKS)}")
    rng = random.Random(f"{task}/{seed}")
    seen: set[str] = set()
    while len(seen) < count:
        problem = _problem(rng.choice(TASKS[task]), task, rng)
        if problem.id not in seen:
            seen.add(problem.id)
            yield problem


def text_solution(steps: Sequence[Step]) -> str:
    """The steps in words, each with its result."""
    lines = [f"So {left} {op} {right} = {value} ." for left, op, right, value, _, _ in steps]
    return "\n".join([*lines, f"The answer is {steps[-1][3]}"])


def program(steps: Sequence[Step]) -> str:
    """The steps as a program that prints the last result."""
    lines = [
        f"{VARIABLES[i]} = {left} {'//' if op == '/' else op} {right}"
        for i, (_, op, _, _, left, right) in enumerate(steps)
    ]
    return "\n".join([*lines, f"print ( {VARIABLES[len(steps) - 1]} )"])


def work_out(steps: str, numbers: Mapping[str, int]) -> list[Step] | None:
    """The steps with their numbers filled in; None if a result is not a whole number from 1 to `MOST`.

    >>> work_out("a - b, _ / c", {"a": 12, "b": 3, "c": 3})
    [(12, '-', 3, 9, '12', '3'), (9, '/', 3, 3, 'a', '3')]
    """
    done: list[Step] = []
    for step in steps.split(", "):
        left, op, right = step.split(" ")
        (x, shown_x), (y, shown_y) = _operand(left, numbers, done), _operand(right, numbers, done)
        if op == "/" and x % y:
            return None
        value = {"+": x + y, "-": x - y, "*": x * y, "/": x // y}[op]
        if not 1 <= value <= MOST:
            return None
        done.append((x, op, y, value, shown_x, shown_y))
    return done


def _operand(written: str, numbers: Mapping[str, int], done: Sequence[Step]) -> tuple[int, str]:
    if written in ("_", "@1"):
        at = 0 if written == "@1" else len(done) - 1
        return done[at][3], VARIABLES[at]
    value = numbers[written] if written in numbers else int(written)
    return value, str(value)


def _problem(family: Family, task: str, rng: random.Random) -> Problem:
    steps = None
    while steps is None:
        numbers = {letter: rng.randint(low, high) for letter, (low, high) in family.ranges.items()}
        steps = work_out(family.steps, numbers)
    n, m = rng.sample(NAMES.split(), 2)
    wording = _CHOICE.sub(lambda choice: rng.choice(choice[1].split("|")), family.story)
    written = {"text": text_solution(steps), "code": program(steps)}
    return make_problem(
        wording.format(n=n, m=m, o=rng.choice(THINGS.split()), **numbers),
        str(steps[-1][3]),
        "generated",
        task=task,
        family=family.name,
        solutions={method: written[method] for method in family.methods},
    )
