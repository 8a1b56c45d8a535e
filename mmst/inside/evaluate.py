"""Evaluates a program without running it."""

from __future__ import annotations

import ast
import re
import sys
import warnings

from mmst.inside import definitions, statements  # they enter themselves into the tables
from mmst.inside.machine import Machine
from mmst.inside.translate import Translator
from mmst.inside.values import GiveUp

SOURCE = 1 << 14
"""Bytes of text; a longer one is given up."""
_FRAMES = 4_000
_TABLES = (definitions, statements)
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=]", re.MULTILINE)


def evaluate(source: str) -> str | None:
    """What the program prints when it runs to its end; None when it was not finished here. Raises nothing."""
    machine = Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _run(machine, source.encode())
        out = "".join(machine.out)
        out.encode()
        return out
    except (Exception, GiveUp):  # the program's own: it may raise `Exception` itself
        return None
    finally:
        machine.names.clear()


def _run(machine: Machine, source: bytes) -> None:
    if len(source) > SOURCE or _CODING.search(source):
        raise GiveUp
    tree = compile(source, "<program>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    compile(tree, "<program>", "exec", dont_inherit=True)
    run = Translator(machine, source).block(tree.body)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _FRAMES))  # not before: the compiler's stack grows with it
    try:
        run(())
    finally:
        sys.setrecursionlimit(limit)
