"""The attacks: one file each in `programs/`, never run, imported or compiled outside gVisor.

A file is sent to the sandbox as it stands. The comments at its top say what it is:

    # purpose: what it tries (the first line)
    # expect: crashed or timed_out         the outcomes that are right; default ok
    # detail: SIGKILL                      a regular expression that `Execution.detail` must match
    # prints: 'refused 3\\n'                what stdout must be: a literal, or literal * number
    # begins: 'x'                          what stdout must begin with, where its end may differ
    # reads: 'x' * 9                       its stdin; `host` stands for what this machine is known by
    # timeout: 3, # memory: 64, # output: 8   limits other than usual (s, MiB, KiB)
    # expand: @BOMB@ = '+1' * 500000       replaced in the file before it is sent

Whatever it is expected to do, an attack that has got what it wanted prints a line with `GOT`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmst.core.ports import Execution, Limits

FOLDER = Path(__file__).parent / "programs"
ENDLESS, AMPLE = 2.0, 20.0
"""Seconds for attacks that may run out of time, and for those that must not, on a busy machine."""
OUTCOMES = {"ok", "crashed", "timed_out", "out_of_memory", "output_limit"}
_KEYS = {"purpose", "expect", "detail", "prints", "begins", "reads", "timeout", "memory", "output", "expand"}
_HEAD = re.compile(r"# ([a-z]+): (.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One file of the corpus."""

    name: str
    purpose: str
    source: str
    limits: Limits
    outcomes: frozenset[str] = frozenset({"ok"})
    detail: str = ""
    prints: str | None = None
    begins: str = ""
    reads: str = ""


def attacks() -> list[Attack]:
    """The whole corpus, by name."""
    return [parsed(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.attack"))]


def parsed(name: str, text: str) -> Attack:
    """The attack that a file's text is; `ValueError` when its head says something else."""
    head = list(_head(text))
    if not head or head[0][0] != "purpose":
        raise ValueError(f"{name}: the first line is not '# purpose: …'")
    said = dict(head)
    keys = [k for k, _ in head]
    unknown = [k for k in keys if k not in _KEYS or (k != "expand" and keys.count(k) > 1)]
    outcomes = frozenset(said.get("expect", "ok").split(" or "))
    if unknown or outcomes - OUTCOMES:
        raise ValueError(f"{name}: unknown in its head: {unknown or sorted(outcomes - OUTCOMES)}")
    code = re.sub(r"\A(#.*\n)*", "", text)
    top = text[: len(text) - len(code)]
    for mark, value in (v.split(" = ", 1) for k, v in head if k == "expand"):
        code = code.replace(mark, literal(value))
    return Attack(
        name=name,
        purpose=said["purpose"],
        source=top + code,
        outcomes=outcomes,
        detail=said.get("detail", ""),
        prints=literal(said["prints"]) if "prints" in said else None,
        begins=literal(said["begins"]) if "begins" in said else "",
        reads=said.get("reads", "") if said.get("reads", "host") == "host" else literal(said["reads"]),
        limits=Limits(
            timeout=float(said.get("timeout", ENDLESS if "timed_out" in outcomes else AMPLE)),
            memory_mib=int(said.get("memory", Limits().memory_mib)),
            output_kib=int(said.get("output", Limits().output_kib)),
        ),
    )


def literal(text: str) -> str:
    """A Python string literal, or one times a number.

    >>> literal("'ab' * 2")
    'abab'
    """
    found = re.fullmatch(r"""('.*'|".*")(?: \* (\d+))?""", text)
    value = ast.literal_eval(found[1]) if found else None
    if not found or not isinstance(value, str):
        raise ValueError(f"not a literal: {text}")
    return value * int(found[2] or 1)


def complaints(attack: Attack, execution: Execution, slower: float = 1.0) -> Iterator[str]:
    """What is wrong with how an attack ended where all may be so much slower; nothing when it was withstood."""
    if "GOT" in execution.stdout or "GOT" in execution.stderr:
        yield f"it got what it wanted: {execution.stdout[-2000:]!r} {execution.stderr[-2000:]!r}"
    if execution.exit_status not in attack.outcomes:
        said = f"{execution.stdout[-500:]!r} {execution.stderr[-500:]!r}"
        end = f"{execution.exit_status} ({execution.detail}) after {said}"
        yield f"it ended {end}, not {' or '.join(sorted(attack.outcomes))}"
    if not re.search(attack.detail, execution.detail):
        yield f"its detail is {execution.detail!r}, without {attack.detail!r}"
    if attack.prints is not None and execution.stdout != attack.prints:
        yield f"it printed {execution.stdout[:2000]!r}, not {attack.prints[:2000]!r}"
    if not execution.stdout.startswith(attack.begins):
        yield f"it printed {execution.stdout[:2000]!r}, which does not begin with {attack.begins[:2000]!r}"
    if execution.seconds > slower * attack.limits.timeout + 5:
        yield f"it took {execution.seconds:.1f} s"


def _head(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        if not line.startswith("#"):
            return
        if found := _HEAD.fullmatch(line):
            yield found[1], found[2]
