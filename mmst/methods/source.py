"""Python in a text: what parses, without indentation, session prompts and surrounding prose. Pure."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LONGEST = 20_000
"""Longer programs are not parsed."""
_TRIES = 200
_PARSED = 1_000_000
"""Limits of parsing while programs are looked for in a text: number of attempts, and characters in all."""
_PROMPT = re.compile(r"[ \t]*(?:>>>(?: |$|(?=\w))|(?:\.\.\.|In \[\d+\]:|[ \t]{2,9}\.\.\.:)(?: |$))")
_FIRST_PROMPT = re.compile(r"^[ \t]*(?:>>>[ ]?(?=\S)|In \[\d+\]: )", re.MULTILINE)
_CELL = re.compile(r"^[ \t]*In \[\d+\]: ", re.MULTILINE)
_MARKDOWN = re.compile(r"(?:[-*+•>|]|\#+|\d{1,3}[.)])\s|\*\*|__\w|\\[\[\]()a-z]|\$|-{3}|={3}|[`~]{3}|\d")
_SENTENCE = re.compile(
    r"[(\"'“‘]?[^\W\d_a-z][^\W\d_]*(?:['’][a-z]+)?(?:[ ,]+(?:[^\W\d_]|[\d$\\`*(\"'“])|[.!?:,;]?$|:[ ])"
    r"|[^\W\d_]+(?:['’][a-z]+)?,?(?: [^\W\d_]+(?:['’][a-z]+)?,?){2}|[^\W\d_]+(?: [^\W\d_]+)*:$"
)
_EMPTY = re.compile(r"\A(?:[ \t]*\n)+")
_QUOTE = re.compile(r"^[ \t]*>(?!>>)[ ]?", re.MULTILINE)
_SHELL = re.compile(r"^[ \t]*(?:[!%]\w|pip3? install )[^\n]*\n?", re.MULTILINE)
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}>$|\[/?[A-Z]{2,20}\]$")
_SUM = r"[\d\s.+*/×÷()$%,−-]*\d[%)]*\s*"
_CHAIN = re.compile(rf"[^=]{{1,60}}=\s?{_SUM}=(?:{_SUM}=)*\s*[$\d.,%]+\.?$")
_STATEMENTS = {*keyword.kwlist, "print", "match", "case"} - {"True", "False", "None"}
_PRINTING = {"print", "pprint", "display", "exec", "write", "writelines"}
KNOWN = {*dir(builtins), "__name__", "__file__", "__doc__", "__builtins__"}
"""Names that every program has."""


@dataclass(frozen=True, slots=True)
class Program:
    """A text that parses as Python, with its statements."""

    text: str
    tree: ast.Module = field(compare=False)

    @property
    def does(self) -> bool:
        """Whether it calls, imports or defines anything, unlike a value or a formula."""
        kinds = (ast.Call, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        return any(isinstance(node, kinds) for node in ast.walk(self.tree))

    @property
    def states(self) -> bool:
        """Whether it has a statement that is more than a value or a word."""
        return any(not _idle(statement) for statement in self.tree.body)

    @property
    def prints(self) -> bool:
        """Whether it calls something that prints."""
        calls = (node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call))
        return any((getattr(f, "id", None) or getattr(f, "attr", None)) in _PRINTING for f in calls)


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a text; None if it is too long or not Python."""
    return None if isinstance(tree := _parsed(text), int) else tree


def stripped(text: str) -> str:
    """The text without leading empty lines and trailing space."""
    return _EMPTY.sub("", text, count=1).rstrip()


def program(text: str) -> Program | None:
    """The text as a program, without the common indentation or that of its first line; None if it is not one."""
    text = stripped(text)
    shapes = [text, textwrap.dedent(text), text.lstrip(" \t")]
    shapes += [stripped(p.sub("", text)) for p in (_QUOTE, _SHELL) if p.search(text)]
    for candidate in dict.fromkeys(shapes):
        if (tree := parse(candidate)) is not None:
            return _trimmed(candidate, tree)
    return None


def programs(text: str) -> list[Program] | None:
    """The programs in a text with prose, in order; None if something in it is neither.

    >>> [p.text for p in programs("We add them.\\n\\na = 3\\nprint(a + 4)\\n\\nIt prints 7.")]
    ['a = 3\\nprint(a + 4)']
    """
    if not _CELL.search(text) and (whole := program(text)):  # "In [1]: a = 7" happens to parse
        quoted = _quoted(whole)
        return [whole] if whole.states else programs(quoted) if quoted else []
    if _FIRST_PROMPT.search(text):
        return [found] if (found := _session(text)) else None
    if len(text) > LONGEST:
        return None
    lines = _at_the_margin(textwrap.dedent(text).split("\n"))
    kept: list[Program] = []
    other: list[str] = []
    for first, last, tree in _runs(lines):
        if tree is None:
            other += lines[first:last]
        elif (made := _trimmed(stripped("\n".join(lines[first:last])), tree)).states:
            kept.append(made)
    return kept if kept and all(_prose(line) for line in other) else None


def _parsed(text: str) -> ast.Module | int:
    """The tree, or the first line that is not Python."""
    if len(text) > LONGEST:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as e:
        return e.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1


def _runs(lines: Sequence[str]) -> Iterator[tuple[int, int, ast.Module | None]]:
    """The text as runs of lines: each as long as it parses, or a single line without a tree."""
    at = tries = 0
    most = min(_TRIES, _PARSED // (1 + sum(map(len, lines))))
    while at < len(lines):
        end, tree = len(lines), None
        starts = lines[at].strip() and lines[at][:1] not in " \t" and not _prose(lines[at], sure=True)
        while starts and tree is None and at < end and tries < most:
            tries += 1
            made = _parsed("\n".join(lines[at:end]))
            if isinstance(made, int):
                end = max(at, min(end - 1, at + made - 1))
            else:
                tree = made
        end = at + 1 if tree is None else end
        yield at, end, tree
        at = end


def _at_the_margin(lines: list[str]) -> list[str]:
    """The lines, with what stands indented below prose, as Markdown marks code, freed of that indentation."""
    shown, above, at = list[str](), "", 0
    while at < len(lines):
        end = at
        if lines[at][:1] in (" ", "\t") and lines[at].strip() and above[:1].strip() and _prose(above):
            while end < len(lines) and (lines[end][:1] in (" ", "\t") or not lines[end].strip()):
                end += 1
            shown += textwrap.dedent("\n".join(lines[at:end])).split("\n")
        else:
            end += 1
            shown.append(lines[at])
        above = next((line for line in reversed(lines[at:end]) if line.strip()), above)
        at = end
    return shown


def _trimmed(text: str, tree: ast.Module) -> Program:
    """The program without words at its ends that happen to parse: "Explanation", "Answer: 7"."""
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    body = list(tree.body)
    while body and _word(body[-1], bound):
        body.pop()
    while body and _word(body[0], bound):
        body.pop(0)
    if len(body) == len(tree.body):
        return Program(text, tree)
    if not body:
        return Program("", ast.Module([], []))
    lines = text.split("\n")[body[0].lineno - 1 : body[-1].end_lineno]
    shorter = "\n".join(lines)
    return Program(shorter, made) if (made := parse(shorter)) is not None else Program(text, tree)


def _word(statement: ast.stmt, bound: set[str]) -> bool:
    if isinstance(statement, ast.AnnAssign):
        named = isinstance(statement.annotation, ast.Name) and statement.annotation.id in KNOWN
        return statement.value is None and not named
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Name) and value.id not in bound | KNOWN


def _idle(statement: ast.stmt) -> bool:
    """Whether a statement is only a value: a word, a number, a list of these."""
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    kinds = (ast.Call, ast.Await, ast.Yield, ast.NamedExpr, ast.ListComp, ast.BinOp)
    return isinstance(statement, ast.Expr) and not any(isinstance(node, kinds) for node in ast.walk(statement))


def _session(text: str) -> Program | None:
    """The input of an interactive session; its last expression prints its value, as it does there."""
    typed = [line[m.end() :] for line in text.split("\n") if (m := _PROMPT.match(line))]
    typed = [line for line in typed if line.strip() not in ("exit()", "quit()")]
    made = program("\n".join(typed))
    if (
        made is None
        or made.prints
        or not made.states
        or not isinstance(made.tree.body[-1] if made.tree.body else None, ast.Expr)
    ):
        return made
    last = made.tree.body[-1]
    lines = made.text.split("\n")
    shown = "\n".join([*lines[: last.lineno - 1], f"print({ast.unparse(last)})"])
    return program(shown) or made


def _prose(line: str, sure: bool = False) -> bool:
    """Whether a line that is not Python is prose or markdown, not a broken program; `sure`: without doubt."""
    line = line.strip()
    if not line or _TAG.match(line):
        return bool(line) or not sure
    if (word := re.match(r"\w+", line)) and word[0] in _STATEMENTS:
        return False
    sentence = bool(_SENTENCE.match(line))
    if sure:
        return sentence and len(re.findall(r"[^\W\d_]+ (?=[^\W\d_])", line)) >= 3 and "=" not in line
    return sentence or bool(_MARKDOWN.match(line) or _CHAIN.match(line)) or not line.isascii()


def _quoted(whole: Program) -> str:
    """The text between triple quotes that were meant as fences."""
    only = whole.tree.body[0] if len(whole.tree.body) == 1 else None
    value = only.value if isinstance(only, ast.Expr) else None
    held = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
    return re.sub(r"^(?:python|py)3?\n", "", held, flags=re.IGNORECASE) if "\n" in held else ""
