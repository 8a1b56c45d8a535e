"""Run evaluated programs in CPython as well, many in one process, and compare the results. Pure.

No verdict rests on this: if all results agree, the evaluator's count, as they would have without it; if any
differs, each of the programs runs alone, and that result counts. So whatever one program does to the others in that
process only changes which of them run alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_DRIVER = """\
import io, sys, zlib
real, marks = sys.stdout, []
for source in {sources!r}:
    sys.stdout = io.StringIO()
    exec(compile(source, "<program>", "exec"), {{"__name__": "__main__"}})
    marks.append(zlib.crc32(sys.stdout.getvalue().encode()))
sys.stdout = real
print(marks)
"""


def program(sources: Sequence[str]) -> str:
    """The program that runs them one after another and prints a mark of the output of each."""
    return _DRIVER.format(sources=list(sources))


def agree(stdout: str, texts: Sequence[str]) -> bool:
    """Whether the output of that program says that each of them printed its text."""
    return stdout == f"{[zlib.crc32(text.encode()) for text in texts]}\n"
