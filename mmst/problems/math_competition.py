r"""MATH (Hendrycks et al. 2021): JSONL, one problem a line.

    {"problem": "What is $\\frac12+\\frac13$?", "solution": "… $\\boxed{\\frac56}$.", "level": "Level 1",
     "type": "Prealgebra"}

The gold answer is the last `\boxed{…}` of the solution, which becomes the `text` solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmst.methods.stated import boxed
from mmst.problems import make_problem
from mmst.problems.reading import jsonl_rows, without_blank_lines
from mmst.records import Problem


def read(path: Path) -> Iterator[Problem]:
    """The problems of a MATH JSONL file; `level` may be absent."""
    for row in jsonl_rows(path):
        solution = row.text("solution")
        answers = [text for _, text in boxed(solution) if text.strip()]
        if not answers:
            row.fail("solution", r"holds no \boxed{answer}", r"mark the final answer, e.g. \boxed{7}")
        yield make_problem(
            row.text("problem"),
            answers[-1],
            "math",
            family=" ".join(filter(None, (row.text("type", ""), row.text("level", "")))),
            solutions={"text": f"{without_blank_lines(solution)}\nThe answer is {answers[-1]}"},
        )
