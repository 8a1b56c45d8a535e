"""Proves from a program's text alone that it is harmless and soon over, or never.

A program that is *harmless* does nothing but arithmetic on numbers and short texts that it states
itself, and prints: no attributes but those of `math` and `time.sleep`, no other imports, no
assignment to anything but its own names, no exceptions handled. It can't see or change what another
program in the same process sees. The text is followed (`walk`) with bounds in place of values (`bounds`), every
loop to its end, so a proof also bounds time, memory and output: at most `STEPS` steps, `OUTPUT`
characters printed. Most model-written solutions of word problems are such.

What is not proven is not accused: it gets a process of its own.

Example:
    >>> proof("total = 3 * 4\\nprint(total - 2)")
    <Proof.ENDS: 'ends'>
    >>> proof("n = 3\\nwhile True:\\n    n += 1")
    <Proof.NEVER_ENDS: 'never ends'>
    >>> proof("print(open('/etc/passwd').read())") is None, proof("print(9 ** 9 ** 9)") is None
    (True, True)
"""

from __future__ import annotations

import ast
import enum
import re
import warnings

from mmst.harmless.bounds import Unproven
from mmst.harmless.endless import never_ends
from mmst.harmless.expressions import MAIN, NAP, OUTPUT, STEPS, Never
from mmst.harmless.names import Names
from mmst.harmless.walk import Walk

__all__ = ["NAP", "OUTPUT", "STEPS", "Proof", "proof"]

SOURCE = 4000
"""Longer programs are not looked at."""
_MAIN = re.compile(r"\b__(?:name|main)__\b")
_STRANGE = re.compile(r"\0|coding[:=]|__")
"""What makes the same bytes another program than the text that is read here (PEP 263), and Python's own names."""


class Proof(enum.Enum):
    """What is known of a harmless program."""

    ENDS = "ends"
    """It is over within `STEPS` steps, whatever happens."""
    NEVER_ENDS = "never ends"
    """It does not fail, and within `STEPS` steps it enters a loop that it never leaves, or sleeps `NAP` seconds."""


def proof(source: str) -> Proof | None:
    """What can be proven of a program; None when nothing can. Raises nothing, takes milliseconds."""
    if len(source) > SOURCE or _STRANGE.search(_MAIN.sub("", source)):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the compiler says of it would stand in its stderr
            tree = ast.parse(source)
        Walk(never_ends).block(tree.body, Names({"__name__": MAIN}))
    except Never:
        return Proof.NEVER_ENDS if _compiles(tree) else None
    except (Unproven, SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, Warning):
        return None
    return Proof.ENDS


def _compiles(tree: ast.Module) -> bool:
    """Whether the program begins at all: some errors of syntax, also far behind a loop, only the compiler finds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
