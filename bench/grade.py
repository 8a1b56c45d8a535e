"""How well and how fast the answers are graded, beside Math-Verify where its Python is given.

    python bench/grade.py                                     the cases of our own tests, pairs a CPU-second
    python bench/grade.py --cases math-verify=FOLDER …        agreement with the cases of a peer's tests
    python bench/grade.py --peer-python VENV/bin/python       Math-Verify on the same cases and pairs

A peer's folder is read, never run: the pairs and what is expected of them stand in its tests as literals.
Their answers are often whole messages. Ours is then what `TextMethod.answer` takes from one, and where that
commits to nothing, what Math-Verify takes: the last formula, else the last number (`reading`).
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmst import grading
from mmst.methods.text import METHOD

ROOT = Path(__file__).resolve().parent.parent


class Case(NamedTuple):
    """A pair and whether it is to be equal.

    `formulas` says that the test takes only formulas for answers, `usual` that it changes no setting
    of the peer's (rounding to two digits, say), which has no counterpart here; `message` that the texts
    may be whole messages.
    """

    gold: str
    answer: str
    expected: bool
    formulas: bool = False
    usual: bool = True
    message: bool = True


# --- what peers expect ---


def cases_of(folder: Path) -> list[Case]:
    """The cases of the tests below a folder, in the forms of Math-Verify, NeMo-Skills, inspect_ai and MARIO_EVAL."""
    found: dict[Case, None] = {}
    for path in sorted(folder.rglob("math_cases.json")):  # inspect_ai: {"output", "target", "expected": "C" or "I"}
        rows = json.loads(path.read_text(encoding="utf-8"))
        found.update({Case(row["target"], row["output"], row["expected"] == "C"): None for row in rows})
    for path in sorted(folder.rglob("test_*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                found.update(dict.fromkeys([*_cases(function), *_asserted(function)]))
    return list(found)


GOLD, ANSWER, EXPECTED = {"gold"}, {"pred", "answer"}, {"expected", "result"}
USUAL = {"precision": 6, "strict": True, "allow_set_relation_comp": False}
"""Math-Verify's defaults."""


def _cases(function: ast.FunctionDef) -> Iterator[Case]:
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("parametrize"):
            continue
        names = [name.strip() for name in str(_literal(decorator.args[0])).split(",")]
        if names == ["output_pair"] and isinstance(decorator.args[1], ast.List):  # NeMo-Skills: both ways round
            for pair_ in map(_literal, decorator.args[1].elts):
                if isinstance(pair_, tuple):
                    one, other = map(str, pair_)
                    expected = "incorrect" not in function.name
                    yield from (Case(one, other, expected), Case(other, one, expected))
        places = [next((i for i, n in enumerate(names) if n in wanted), None) for wanted in (GOLD, ANSWER, EXPECTED)]
        if None in places or not isinstance(decorator.args[1], ast.List):
            continue
        formulas = "match_types=['latex']" in ast.unparse(function)
        for row in map(_literal, decorator.args[1].elts):
            if isinstance(row, tuple):
                gold, answer, expected = (row[i] for i in places if i is not None)
                settings = {n: v for i, (n, v) in enumerate(zip(names, row, strict=True)) if i not in places}
                usual = settings.items() <= USUAL.items()
                if isinstance(gold, str) and isinstance(answer, str):
                    yield Case(gold, answer, bool(expected), formulas, usual)


def _asserted(function: ast.FunctionDef) -> Iterator[Case]:
    """MARIO_EVAL's: `test_in = …`, `test_out = …`, `self.assertTrue(_test_is_equiv(test_in, test_out))`."""
    known: dict[str, object] = {}
    for statement in function.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known[name] = _literal(value)
            case ast.Expr(ast.Call(ast.Attribute(attr="assertTrue" | "assertFalse" as says), [ast.Call() as call])):
                given = [known.get(a.id) if isinstance(a, ast.Name) else _literal(a) for a in call.args[:2]]
                if len(given) == 2 and "equiv" in ast.unparse(call.func):
                    yield Case(str(given[1]), str(given[0]), says == "assertTrue", message=False)


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


_FORMULA = r"\$\$(.+?)\$\$|(?<!\\)\$((?:\\.|[^$\n\\])+)\$|\\\[(.+?)\\\]|\\\(((?:(?!\\\))[^\n])+)\\\)"
_FORMULAS = re.compile(_FORMULA, re.DOTALL)
_VALUES = re.compile(_FORMULA + r"|(?<![\w.])(-?[$€]?\d[\d,. ]*(?:/\d+)?)", re.DOTALL)
_PERCENT = re.compile(r"\s*(?:%|percent\b|pct\b)")


def reading(text: str, formulas: bool = False) -> str:
    """The answer in a message; see above."""
    stated = METHOD.answer(text, None)
    if stated is not None:
        return stated
    if (found := grading.read(text)) is not None and not found.tree.has("word"):
        return text
    last = next(reversed(list((_FORMULAS if formulas else _VALUES).finditer(text))), None)
    if last is None:
        return text
    percent = _PERCENT.match(text, last.end())
    return next(group for group in last.groups() if group).strip(" ,.") + (percent[0] if percent else "")


def pair(case: Case) -> tuple[str, str]:
    """The two answers of a case."""
    if not case.message:
        return case.gold, case.answer
    return reading(case.gold, case.formulas), reading(case.answer, case.formulas)


# --- graders ---


def ours(cases: list[Case]) -> list[bool | None]:
    """What we say, algebra included."""
    from mmst.wiring import algebra

    with algebra() as engine:
        return [c.equal for c in grading.settle([pair(c) for c in cases], engine.decide)]


def peer(python: str, cases: list[Case]) -> tuple[list[bool | None], float]:
    """What Math-Verify says, and the CPU seconds that it took; it needs formulas to be marked by `$`.

    Peers' tests do not always mark them: the better of both ways, the texts as they are and marked, counts.
    """
    ways = [
        [[case.gold, case.answer] for case in cases],
        [[_marked(case.gold), _marked(case.answer)] for case in cases],
    ]
    found = [_answered(python, pairs) for pairs in ways]
    return max(found, key=lambda said: sum(s is c.expected for c, s in zip(cases, said[0], strict=True)))


def _answered(python: str, pairs: list[list[str]]) -> tuple[list[bool | None], float]:
    program = ROOT / "bench/grading/math_verify_pairs.py"
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    done = subprocess.run([python, str(program)], input=lines, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    return said["equal"], said["seconds"]


def _marked(text: str) -> str:
    """A text with `$` around it where it is a formula that nothing marks."""
    marked = re.search(r"\$|\\\(|\\\[|boxed", text) or METHOD.answer(text, None) is not None
    found = None if marked else grading.read(text)
    return text if found is None or found.tree.has("word") else f"${text}$"


def own_cases() -> list[Case]:
    """The table of our own tests: equal pairs, and hard negatives both ways round."""
    sys.path.insert(0, str(ROOT))
    from tests.support.grading_cases import OTHER, SAME

    turned = [(answer, gold, "") for gold, answer, reason in OTHER if "percent" not in reason]
    return [
        Case(g, a, expected, message=False)
        for rows, expected in ((SAME, True), ([*OTHER, *turned], False))
        for g, a, _ in rows
    ]


def agreement(name: str, grader: str, cases: list[Case], said: list[bool | None], show: bool) -> None:
    """Print how often a grader says what is expected."""
    agreed = [s is c.expected for c, s in zip(cases, said, strict=True)]
    usual = [a for c, a in zip(cases, agreed, strict=True) if c.usual]
    kinds = Counter((c.expected, s) for c, s in zip(cases, said, strict=True))
    print(
        f"{name}: {grader} agrees on {sum(agreed)} of all {len(cases)} ({sum(agreed) / len(cases):.3f}), "
        f"on {sum(usual)} of the {len(usual)} with usual settings ({sum(usual) / len(usual):.3f}); "
        f"accepts {kinds[False, True]} of the unequal, rejects {kinds[True, False]} of the equal, "
        f"{kinds[True, None] + kinds[False, None]} undecided"
    )
    for case, right, verdict in zip(cases, agreed, said, strict=True):
        if show and not right:
            gold, answer = pair(case)
            print(f"    {gold[:90]!r} / {answer[:90]!r}: expected {case.expected}, said {verdict}")


# --- speed ---


def cpu_seconds(pairs: list[tuple[str, str]]) -> float:
    """What it takes to compare all pairs, without algebra."""
    began = time.process_time()
    for gold, answer in pairs:
        grading.compare(gold, answer)
    return time.process_time() - began


def plain_pairs(n: int) -> list[tuple[str, str]]:
    """n different pairs of plain numbers: equal or not, as integers, decimals, money, with separators and units."""
    dress = ("{}", "{}.0", "${}", "{:,}", "{} apples", " {} ", "-{}", "{}/1")
    return [(str(i * 37), dress[i % len(dress)].format(i * 37 + i // 3 % 2)) for i in range(1, n + 1)]


def latex_pairs(n: int) -> list[tuple[str, str]]:
    """n different pairs in LaTeX: fractions, roots, polynomials, tuples, intervals."""
    kinds = (
        (r"\frac{{{0}}}{{{1}}}", r"\dfrac{{{0}}}{{{1}}}"),
        (r"{0}\sqrt{{{1}}}", r"\sqrt{{{1}}} \cdot {0}"),
        (r"(x+{0})^2", r"x^2+2\cdot {0}x+{0}^2"),
        (r"\left({0},\frac{{1}}{{{1}}}\right)", r"({0}, 1/{1})"),
        (r"[{0}, \infty)", r"\left[{0},\infty\right)"),
        (r"\frac{{{0}\pi}}{{{1}}}", r"\frac{{{0}}}{{{1}}}\pi"),
        (r"{0}x+{1}", r"{0}x-{1}"),
    )
    return [tuple(t.format(i + 2, i % 89 + 2) for t in kinds[i % len(kinds)]) for i in range(n)]  # type: ignore[misc]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--show", action="store_true", help="print the cases that were judged otherwise")
    given = parser.parse_args()
    own = own_cases()
    agreement("own cases", "ours", own, ours(own), given.show)
    if given.peer_python:
        agreement("own cases", "math-verify", own, peer(given.peer_python, own)[0], show=False)
    for item in given.cases:
        name, _, folder = item.partition("=")
        cases = cases_of(Path(folder))
        agreement(name, "ours", cases, ours(cases), given.show)
        if given.peer_python:
            agreement(name, "math-verify", cases, peer(given.peer_python, cases)[0], show=False)
    plain = plain_pairs(100_000)
    print(f"plain pairs: {len(plain) / cpu_seconds(plain):,.0f} a CPU-second")
    latex = latex_pairs(2000)
    seconds = cpu_seconds(latex)
    print(f"LaTeX pairs: {len(latex) / seconds:,.0f} a CPU-second")
    if given.peer_python:
        theirs = _answered(given.peer_python, [[f"${g}$", f"${a}$"] for g, a in latex])[1]
        print(f"LaTeX pairs: math-verify {len(latex) / theirs:,.0f} a CPU-second; ratio {theirs / seconds:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
