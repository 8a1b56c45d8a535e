"""The blocks of code in a text: between fences as in CommonMark, or between the marks of known formats. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LANGUAGES = r"code|python3?|py|llm-code|execute(?:_i?python)?|pre|script|tool_code|code_block|program|jupyter_code"
_WRAPPER = re.compile(
    rf"(?P<close></(?:{_LANGUAGES}|llm-code-output|output|jupyter_output|tool_response|execution_results?)>"
    r"|^[ \t]{0,20}\[(?:/PYTHON|/CODE|/python|/code|DONE|END)\]|\[/(?:PYTHON|CODE|python)\]"
    r"|\\end\{(?:python|lstlisting|verbatim|minted|code)\})"
    r"|(?P<output><(?:llm-code-output|output|jupyter_output|tool_response|execution_results?)>)"
    rf"|(?P<open><(?:{_LANGUAGES})(?:[ \t][^<>\n]{{0,80}})?>|<\|python_tag\|>"
    r"|^[ \t]{0,20}\[(?:PYTHON|CODE|python|code|BEGIN)\]"
    r"|\\begin\{(?:python|lstlisting|verbatim|minted|code)\}(?:\[[^\]\n]{0,80}\])?(?:\{python3?\})?)"
    r"|(?P<drop></?(?:answer|solution|response|final_answer|p|div|body|html)>|<\|(?:begin|end)_of_solution\|>)",
    re.MULTILINE,
)
_FENCE = re.compile(r"([ \t]*+(?:>[ \t]?){0,3}+[ \t]*+(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?)(`{3,}|~{3,})[ \t]*([^\n]*)")
_INLINE = re.compile(r"(?<!`)(`{3,})(?!`)([^`\n]{1,1000})\1(?!`)")
_LATE = re.compile(r"[^`\n]*\S[ \t]*(`{3,}|~{3,})[ \t]*((?:i?python|py)[\w.+-]{0,20})[ \t]*$", re.IGNORECASE)
_SHUT = re.compile(r"([^`\n]*+)(`{3,})[ \t]*+")
_HALF = re.compile(r"(?<=\n)`{1,2}\s{0,9}\Z")
_PYTHON = re.compile(r"\W{0,3}(?:i?python|py(?:con)?)(?=[\d.]*(?:[^\w.]|$))[\d.]*", re.IGNORECASE)
_UNNAMED = {"", "code", "tool_code", "program", "script", "repl"}
_NAME = re.compile(r"\W{0,3}[A-Za-z][\w+#.-]{0,20}(?![\w(=.])")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a text, as two positions in it."""

    start: int
    end: int
    info: str
    closed: bool
    inside: tuple[int, int]
    """Where its content is."""

    @property
    def python(self) -> bool:
        """Whether the block is marked as Python."""
        return bool(_PYTHON.match(self.info))

    @property
    def unnamed(self) -> bool:
        """Whether the block is unmarked."""
        return self.info.strip().lower() in _UNNAMED or not _NAME.match(self.info)

    def content(self, text: str) -> str:
        """Its content, including code on the line of the fence."""
        rest = _PYTHON.sub("", self.info, count=1).strip() if self.python else self.info if self.unnamed else ""
        said = rest.strip() not in _UNNAMED and ("(" in rest or rest.startswith(("import ", "from ")))
        code = text[slice(*self.inside)]
        return f"{rest}\n{code}" if said else code


def fenced(text: str, seen: str) -> tuple[str, str]:
    """The text and its visible part, with the marks of known formats (`<code>`, `[PYTHON]`) replaced by fences."""
    texts, seens, at = [], [], 0
    for m in _WRAPPER.finditer(seen):
        mark = {"close": "\n```\n", "output": "\n```output\n", "open": "\n```python\n", "drop": "\n"}[m.lastgroup or ""]
        texts += [text[at : m.start()], mark]
        seens += [seen[at : m.start()], mark]
        at = m.end()
    return "".join([*texts, text[at:]]), "".join([*seens, seen[at:]])


def blocks(seen: str) -> list[Block]:
    """The blocks of a text, by its visible fences; the last one may be open."""
    return list(_scan(seen))


def _scan(seen: str) -> Iterator[Block]:
    opened: tuple[int, str, str, int] | None = None
    at = 0
    for line in seen.split("\n"):
        start, at = at, at + len(line) + 1
        fence = _FENCE.fullmatch(line)
        if opened is None:
            late = None if fence else _LATE.match(line)
            if _INLINE.search(line):
                yield from _inline(line, start)
            elif fence and not (fence[2][0] == "`" and "`" in fence[3]):
                opened = start, fence[2], fence[3].strip(), at
            elif late:
                opened = start, late[1], late[2], at
            continue
        first, mark, info, inside = opened
        if fence and fence[2][0] == mark[0] and (fence[3].strip() or len(fence[2]) >= len(mark)):
            again = fence[3].strip()
            yield Block(first, start if again else at, info, True, (inside, max(inside, start - 1)))
            opened = (start, fence[2], again, at) if again else None
        elif not fence and mark[0] == "`" and (shut := _SHUT.fullmatch(line)) and len(shut[2]) >= len(mark):
            yield Block(first, at, info, True, (inside, start + len(shut[1])))
            opened = None
    if opened is not None:
        first, _, info, inside = opened
        cut = _HALF.search(seen, min(inside, len(seen)))
        yield Block(first, len(seen), info, False, (min(inside, len(seen)), cut.start() if cut else len(seen)))


def _inline(line: str, start: int) -> Iterator[Block]:
    for m in _INLINE.finditer(line):
        named = re.match(r"(?:i?python3?|py)[ \t]+", m[2], re.IGNORECASE)
        info = named[0].strip() if named else ""
        inside = start + m.start(2) + (named.end() if named else 0), start + m.end(2)
        yield Block(start + m.start(), start + m.end(), info, True, inside)
