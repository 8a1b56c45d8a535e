r"""The method `code`: the model writes a Python program, the sandbox runs it, and its output is the answer.

    a = 3 + 4
    print ( a )

Which program a completion holds:

1. Only the model's own turn counts, without thoughts (`mmst.methods.turns`). A mark or a fence inside a string of the
   program is ignored.
2. Blocks are used if there are any: text between fences (any info string, tildes, indented, on one line, never closed)
   or the marks of known formats (`<code>`, `[PYTHON]`, `<|python_tag|>`). A block marked as Python counts. An unmarked
   block counts if it calls, imports or defines something. Other blocks never count (bash, JSON, output).
3. The last block that parses and prints is the program, since a corrected attempt follows its draft. Earlier blocks
   that bind or change names which it reads are added to it. A later block that prints nothing, but binds the
   program's names again, is a correction and replaces it. If no block parses, the last one marked as Python runs as it
   is, and crashes.
4. Without blocks, the lines that parse are used: the input of an interactive session, else runs of lines, chosen like
   blocks; lines indented below prose, as Markdown marks code, are a block. Text that is neither Python nor prose is
   a broken program; it is kept whole as the program.
5. Indentation shared by all lines, or of the first line alone, is removed.

A program without a statement does not count (verdict `no_program`) and is not run. The answer is what the program
printed last (`mmst.methods.printed`).
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Sequence
from typing import ClassVar

from mmst.methods import REMEMBERED, Phrasing
from mmst.methods.fences import Block, blocks, fenced
from mmst.methods.names import continued, names
from mmst.methods.printed import answer_printed
from mmst.methods.source import LONGEST, Program, parse, program, programs, stripped
from mmst.methods.turns import hide_literals, lines_of, own_turn

_MOST = 30
"""How many of a completion's last blocks are examined."""
_MENDED = 3
"""For how many of these prose and session prompts are removed, which is slow."""
_INLINE = re.compile(r"(?<!`)`([^`\n]{1,1000})`(?!`)")
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
        """The program, by the rules above; "" if there is none."""
        return _solution(completion)

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """What the program printed last; `printed` has the rules."""
        return answer_printed(stdout or "")

    def canonical(self, solution: str) -> str:
        """The program without comments and layout, with its own names numbered in order of appearance.

        A program that does not parse, or uses names through strings (`eval`), keeps its names.
        """
        return _canonical(solution)


@functools.lru_cache(REMEMBERED)
def _solution(completion: str) -> str:
    text = lines_of(completion)
    seen = hide_literals(text)
    found, parses = _program(text, seen)
    if seen != text and not (found and parses):  # quotes that are not closed in one block may hide the next
        again, parses = _program(text, text)
        found = again if parses and again else found
    return found


@functools.lru_cache(REMEMBERED)
def _canonical(solution: str) -> str:
    tree = parse(solution)
    if tree is None:
        return " ".join(solution.split())
    try:
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        if not used & _NAMES_MATTER:
            _Renamer(tree, used).visit(tree)
        return ast.unparse(tree)
    except (RecursionError, ValueError):
        return " ".join(solution.split())


def _program(text: str, seen: str) -> tuple[str, bool]:
    """The program in a completion, and whether it parses (or there is none)."""
    turn = own_turn(_with_programs_hidden(text, seen))
    text, seen = fenced(turn.said(text), turn.said(seen))
    there = blocks(seen)
    if not there:
        return _unfenced(text)
    if found := _chosen(_parts(text, there)):
        return found, True
    ours = [b for b in there if b.python]
    if broken := next((c for b in reversed(ours) if parse(c := stripped(b.content(text))) is None), ""):
        return broken, False
    if found := _chosen([p for p in programs(_without(text, there)) or [] if p.does]):
        return found, True
    others = (stripped(b.content(text)) for b in reversed(there) if b.unnamed)
    broken = next((c for c in others if parse(c) is None), "")
    return broken, not broken


def _with_programs_hidden(text: str, seen: str) -> str:
    """The visible text without the blocks that parse: marks inside them end no turn."""
    shown, at = [], 0
    for b in [b for b in blocks(seen) if (b.closed and not b.info) or b.python][-_MOST:]:
        first, last = b.inside
        if first >= at and program(text[first:last]):
            shown += [seen[at:first], "print ".ljust(last - first, "_")[: last - first]]
            at = last
    return "".join([*shown, seen[at:]])


def _parts(text: str, there: Sequence[Block]) -> list[Program]:
    """The blocks that are programs, including a first one whose fence was opened by the prompt."""
    parts = []
    head = program(text[: there[0].start])
    if head and head.does and not there[0].python:
        parts.append(head)
    ours = [b for b in there if b.python or b.unnamed][-_MOST:]
    for n, b in enumerate(ours, 1):
        content = b.content(text)
        made = program(content)
        found = [made] if made else programs(content) or [] if n > len(ours) - _MENDED else []
        parts += [p for p in found if (p.states if b.python else p.does)]
    return parts


def _chosen(parts: Sequence[Program]) -> str:
    """The last program that prints, with the blocks that it continues; "" if there are none."""
    if not parts:
        return ""
    known = [names(p.tree) for p in parts]
    for last in range(len(parts) - 1, -1, -1):
        joined = continued(known, last)
        if any(parts[n].prints for n in joined):
            break
    behind = [n for n in range(last + 1, len(parts)) if parts[n].does]
    if (last == 0 and not any(p.prints for p in parts)) or any(known[n].bound & known[last].bound for n in behind):
        joined = continued(known, len(parts) - 1)
    return "\n\n".join(parts[n].text for n in joined)


def _without(text: str, there: Sequence[Block]) -> str:
    """The text outside blocks."""
    ends = [0, *(b.end for b in there)]
    starts = [*(b.start for b in there), len(text)]
    return "\n\n".join(text[a:b] for a, b in zip(ends, starts, strict=True))


def _unfenced(text: str) -> tuple[str, bool]:
    """The program in a text without fences, and whether it parses."""
    if len(text) > LONGEST:
        return stripped(text), False
    found = programs(text)
    if found is not None:
        return _chosen(found), True
    inline = [made for code in _INLINE.findall(text) if (made := program(code)) and made.prints]
    if inline:
        return inline[-1].text, True
    return stripped(text), False


class _Renamer(ast.NodeTransformer):
    """Renames the names that the program itself binds, consistently, so that the meaning is kept."""

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
