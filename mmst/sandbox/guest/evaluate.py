"""Evaluates a program with an interpreter that can do only what it was built for.

Why no program reaches the evaluator, another program, or the machine, however wrong we are about it:

1. *Syntax.* A text becomes functions node by node (`translate`), by tables of the nodes that are known. Any other
   node, any name or attribute that begins with two underscores, and any module that is not in `library` is given up
   before anything has run. The program's code object is made, since the compiler finds errors, and never executed.
2. *Values.* A program holds plain values, told apart by their exact type (`values`), and objects of ours: functions,
   classes, modules, built-ins. All of ours are `Opaque`: every special method gives up, so that no operator of
   CPython, however deep in a list it meets one, learns anything of it. `GiveUp` is no `Exception`: nothing catches it.
3. *Attributes and calls.* Attributes are looked up in tables by (type, name), never by `getattr`; what is called is
   one of ours, with as many arguments and the keywords that its entry allows. Formats are parsed before `str.format`.
4. *Work.* The nodes of a block are paid for before the block, whatever can be large or long before it is made
   (`machine`): texts, containers, integers, formats, comparisons of nested values, iterators of CPython, each of
   which takes its values from a source that counts. Depth is bounded, so the C stack is.
5. *Traces.* Each evaluation has its own `Machine`; module tables are never written; warnings are
   collected while it lasts; hash order, digits, recursion limit and decimal context stay as they were.

Why what it prints is what CPython prints: the operators, built-ins and methods are CPython's own, in the order of
its evaluation, on the same values; scopes come from its symbol tables. What depends on identity (`is`, NaN in
containers), on addresses (hashes of None or functions, texts of iterators), on frames, on the version (sums of
mixed types), and every error message that we would have to write ourselves, is given up. Texts' hashes must be
CPython's in the sandbox: `PYTHONHASHSEED=0` in both.

`bench/grading/fuzz_evaluate.py` tries both claims on random programs.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings

from mmst.sandbox.guest import definitions, statements  # they enter themselves into the tables
from mmst.sandbox.guest.machine import OUTPUT, Machine
from mmst.sandbox.guest.translate import Translator
from mmst.sandbox.guest.values import GiveUp

SOURCE = 1 << 14
"""Bytes of a program's text; longer ones are given up."""
_FRAMES = 4_000
_TABLES = (definitions, statements)
_LINE = re.compile(rb"\r\n|\r|\n")


def evaluate(source: str) -> str | None:
    """The output of the program if it was finished here; else None. Raises nothing."""
    machine = Machine()
    try:
        with warnings.catch_warnings(record=True) as said:  # no errors: the compiler swallows those of folding
            warnings.simplefilter("always")
            _run(machine, source.encode())
        if said:
            return None
        out = "".join(machine.out)
        return out if len(out.encode()) <= OUTPUT else None
    except (Exception, GiveUp):  # the program's own: it may raise `Exception` itself
        return None
    finally:
        machine.names.clear()


def _run(machine: Machine, source: bytes) -> None:
    if len(source) > SOURCE or any(b"coding" in line for line in _LINE.split(source, 2)[:2]):
        raise GiveUp  # perhaps another encoding (PEP 263)
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
