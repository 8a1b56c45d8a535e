"""Programs: the model writes Python, the sandbox does the arithmetic, what is printed counts.

    a = 3 + 4
    print ( a )

The answer is the last line that the program printed.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import ClassVar

from mmst.methods import Phrasing

_LONGEST = 20_000
"""Longer completions are taken as they are."""
_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NAMES_MATTER = {"eval", "exec", "globals", "locals", "vars"}


class CodeMethod:
    """Fulfils `mmst.methods.Method`."""

    name: ClassVar[str] = "code"
    executes: ClassVar[bool] = True
    phrasings: ClassVar[tuple[Phrasing, ...]] = (
        Phrasing(
            heading="Python:",
            instruction="Solve the problem with a short Python program that computes the answer and prints it, and "
            "nothing else, on its last line. Use the standard library only. Write the program alone.",
            translation="Here is a problem with a correct solution. Rewrite the solution as a short Python program: "
            "the same steps, computed by Python, and the answer printed on the last line. Write the program alone.",
        ),
        Phrasing(
            heading="Answer with a Python program:",
            instruction="Answer the question with Python code, one assignment a step, every value computed. The last "
            "line prints the answer and nothing else is printed. No imports but of the standard library, no comments.",
            translation="A question and its correct solution follow. Answer the question with Python code, by the "
            "steps of that solution, one assignment a step, every value computed. The last line prints the answer.",
        ),
        Phrasing(
            heading="# This Python program prints the answer.",
            instruction="Think of the problem below as a calculation, and write the script that does it: plain Python, "
            "names that say what they hold, one print at the end that gives the bare answer. Give the script only.",
            translation="Below is a problem that somebody solved correctly. Write the script that does that "
            "calculation: plain Python, names that say what they hold, one print at the end. Give the script only.",
        ),
    )
    shots: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "A bakery sold 14 loaves in the morning and 9 in the afternoon. How many loaves did it sell?",
            "loaves = 14 + 9\nprint(loaves)",
        ),
        (
            "Noor had 50 stickers. She gave 8 stickers to each of her 4 cousins. How many are left?",
            "given = 8 * 4\nleft = 50 - given\nprint(left)",
        ),
        (
            "A rope of 45 metres is cut into 6 equal parts. How many metres long is each part?",
            "part = 45 / 6\nprint(part)",
        ),
        (
            "Tickets cost $12, and children pay half. What do 2 adults and 3 children pay together, in dollars?",
            "child = 12 / 2\ntotal = 2 * 12 + 3 * child\nprint(total)",
        ),
        (
            "A tank holds 80 litres and is 35% full. How many litres are missing?",
            "inside = 80 * 35 / 100\nmissing = 80 - inside\nprint(missing)",
        ),
        ("Ivo is 3 years older than twice Mara's age. Mara is 11. How old is Ivo?", "mara = 11\nprint(2 * mara + 3)"),
        (
            "A bus needs 40 minutes for 30 km. At the same speed, how many km does it drive in 2 hours?",
            "minutes = 2 * 60\nprint(minutes / 40 * 30)",
        ),
        (
            "Three friends share 7 bars of chocolate equally. How many bars does each get?",
            "from fractions import Fraction\nprint(Fraction(7, 3))",
        ),
    )

    def solution(self, completion: str) -> str:
        """The program: what is fenced, else all up to another question, without prose around it."""
        fenced = _FENCED.search(completion)
        before = completion.split("```", 1)[0]
        # A prompt may have opened the fence: then the first mark closes it.
        text = before if not fenced or (before.strip() and _parse(before)) else fenced[1]
        text = re.split(r"\n[ \t]*Question:", text, maxsplit=1)[0].strip("\n").rstrip()
        return text if len(text) > _LONGEST or _parse(text) else _without_prose(text)

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """The last line with something on it that the program printed."""
        lines = (stdout or "").rstrip().rsplit("\n", 1)
        return lines[-1].strip() or None

    def canonical(self, solution: str) -> str:
        """The program without comments and layout, its own names numbered in order of appearance.

        What does not parse, or reaches names through strings (`eval`), keeps its names.
        """
        tree = _parse(solution)
        if tree is None:
            return " ".join(solution.split())
        try:
            used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            if not used & _NAMES_MATTER:
                _Renamer(tree, used).visit(tree)
            return ast.unparse(tree)
        except (RecursionError, ValueError):
            return " ".join(solution.split())


def _parse(text: str) -> ast.Module | None:
    if len(text) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _without_prose(text: str) -> str:
    """A program freed of a leading "Here is …:" line and of trailing paragraphs of prose.

    Nothing is cut that belongs to the program: one that is broken stays so and crashes.
    """
    first, _, rest = text.partition("\n")
    if first.rstrip().endswith(":") and not _parse(f"{first}\n pass") and rest.strip():
        text = rest.strip("\n")
    paragraphs = re.split(r"\n\s*\n", text)[:20]
    kept = next((n for n in range(len(paragraphs), 0, -1) if _parse("\n\n".join(paragraphs[:n]))), 0)
    prose = all(re.match(r"[A-Z]\w*[ ,']", p) for p in paragraphs[kept:])
    return "\n\n".join(paragraphs[:kept]) if kept and prose else text


class _Renamer(ast.NodeTransformer):
    """Renames what the program itself binds, everywhere alike, so that meaning is kept."""

    def __init__(self, tree: ast.AST, used: set[str]) -> None:
        bound: dict[str, None] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound[node.id] = None
            elif isinstance(node, ast.arg):
                bound[node.arg] = None
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                bound[node.name] = None
        taken = used - bound.keys()
        fresh = (f"v{i}" for i in range(len(bound) + len(taken)))
        self.names = dict(zip(bound, (n for n in fresh if n not in taken), strict=False))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for attribute in ("id", "arg", "name"):
            value = getattr(node, attribute, None)
            if isinstance(value, str) and not isinstance(node, ast.alias):
                setattr(node, attribute, self.names.get(value, value))
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [self.names.get(n, n) for n in node.names]
        return super().generic_visit(node)


METHOD = CodeMethod()
