"""Check many programs from a file in a sandbox; if stopped, the same call continues.

    IN    {"id": "a", "program": "print(int(input()) * 2)", "stdin": "21"}
    OUT   {"id": "a", "verdict": "ok", "stdout": "42\\n", "stderr": "", "detail": "", "seconds": 0.03, "peak_mib": 9.1}

A program without a statement is not run (`no_program`). "gold" and "question" are copied, for `mmst grade`.

For programs in memory, ask a sandbox directly:

    >>> from mmst import wiring
    >>> from mmst.core.ports import Limits, Program
    >>> from mmst.sandbox.batch import once
    >>> with wiring.sandbox("gvisor", workers=2) as box:
    ...     [e.stdout for e in once(box, [Program(id="a", source="print(6 * 7)")], Limits(timeout=1.0))]
    ['42\\n']
"""

from __future__ import annotations

import ast
import json
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmst.core.errors import DataError, UserError
from mmst.core.hashes import file_sha256
from mmst.core.output import Output, find
from mmst.core.ports import Execution, Limits, Program, Progress, Sandbox
from mmst.core.rows import CARRIED, carried, jsonl_stream
from mmst.sandbox.exit_status import Tally
from mmst.sandbox.partial import Unused, opened

VERSION = 3
"""Increase it if the same program may get another verdict."""
OPTIONS = {
    "packages": "--packages", "sandbox": "--sandbox", "timeout": "--timeout", "memory_mib": "--memory",
    "output_kib": "--output-limit", "workers": "--workers",
}  # fmt: skip
"""The options of `mmst check-programs` for the recipe keys below `check`."""
_FIELDS = ("id", "program", "stdin")
_Through = str | int | dict[str, Any]
"""What goes through: an id as it stands in the file; with what `mmst grade` needs, where that is there."""
_KEY = re.compile(rf"(?:--set )?\bcheck\.({'|'.join(OPTIONS)})\b(?:=([^\s;,.)]+))?")
_REMEMBERED = 10_000
"""How many results are kept for programs that are identical to earlier ones."""


def once(sandbox: Sandbox, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
    """Run programs, and identical ones with identical stdin only once; see `ports.Sandbox.run`.

    A program whose output depends on time or chance thus shows one output for all its copies.
    Of the last 10,000 different programs that are done, later copies are found.
    """
    copies: dict[bytes, list[str]] = {}
    keys: dict[str, bytes] = {}
    known: OrderedDict[bytes, Execution] = OrderedDict()
    answered: deque[Execution] = deque()
    seen: set[str] = set()

    def different() -> Iterator[Program]:
        for program in programs:
            if program.id in seen:
                what = "two programs of one call have the same id"
                raise UserError(what, value=program.id, remedy="ids must be unique")
            seen.add(program.id)
            key = _key(program)
            if key in known:
                answered.append(replace(known[key], id=program.id))
            elif key in copies:
                copies[key].append(program.id)
            else:
                copies[key], keys[program.id] = [], key
                yield program

    for execution in sandbox.run(different(), limits):
        yield execution
        key = keys.pop(execution.id)
        known[key] = execution
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
        yield from (replace(execution, id=copy) for copy in copies.pop(key))
        while answered:
            yield answered.popleft()
    yield from answered


def _says(source: str) -> bool:
    """Whether a program has a statement, or cannot be parsed."""
    lines = (line.strip(" \t\f\ufeff") for line in re.split(r"[\r\n]", source))
    if any(line and line[0] not in "#\\" for line in lines):
        return True
    try:
        return bool(ast.parse(source.encode()).body)
    except (SyntaxError, ValueError):
        return True


def _none(program: Program) -> Execution:
    return Execution(id=program.id, exit_status="no_program", stdout="", stderr="", detail="it holds no statement")


def _key(program: Program) -> bytes:
    parts = (part.encode("utf-8", "surrogatepass") for part in (program.source, program.stdin))
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def check_file(
    source: Path,
    target: Path | Output,
    sandbox: Callable[[], AbstractContextManager[Sandbox]],
    limits: Limits,
    progress: Progress,
    dedupe: bool = True,
    engine: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Tally:
    """Check the programs of a JSONL file and write the results in the same order; returns the count of each verdict.

    `engine` names what else decides verdicts (the sandbox, its packages). Verdicts that were begun with another
    engine, other limits or another input are not used, and the work starts again; `say` is called with what changed
    and how many verdicts are not used.

    The whole input is read first: `DataError` names file, line, field and value, and nothing is run. Verdicts are
    appended to `TARGET.partial` as they come; if the call was stopped, the sandbox failed (`SandboxError`) or the
    disk was full (`StoreError`), the same call with the same input continues from there. `target` exists only once
    it is whole.

    A target that is not a file (`mmst.core.output`) gets the verdicts as they come, still in order; if stopped,
    this starts again.
    """
    place = find(target, source)
    ids = _ids(source)

    def executions(done: Container[str]) -> Iterator[Execution]:
        none: deque[Execution] = deque()

        def missing() -> Iterator[Program]:
            for program in read(source):
                if program.id in ids and program.id not in done:
                    if _says(program.source):
                        yield program
                    else:
                        none.append(_none(program))

        with sandbox() as box:
            for execution in once(box, missing(), limits) if dedupe else box.run(missing(), limits):
                while none:
                    yield none.popleft()
                yield execution
        yield from none

    if place.path is None:
        return _stream(place, ids, executions, progress, source)
    stamp = {
        "version": VERSION, "engine": list(engine), "input": file_sha256(source), "limits": asdict(limits),
        "dedupe": dedupe,
    }  # fmt: skip
    with opened(place, source) as kept:
        if unused := kept.resume(stamp, ids.keys()):
            say(_begun_anew(kept.path, unused, stamp))
        with progress.task("check", len(ids) - len(kept.at), "programs") as task:
            if len(kept.at) < len(ids):
                for execution in executions(kept.at):
                    kept.add(execution.id, _line(execution, ids[execution.id]))
                    task.advance()
        _all_there(kept.at, ids, source)
        return kept.finish(ids.keys(), place)


def read(path: Path) -> Iterator[Program]:
    """The programs of a JSONL file, one at a time; a whole number as id becomes a text."""
    return (program for _, program in _rows(path))


def _rows(path: Path) -> Iterator[tuple[_Through, Program]]:
    """Each program with the fields that are copied."""
    for row in jsonl_stream(path):
        for field in _FIELDS:
            if (meant := row.nearest(field, (*_FIELDS, *CARRIED))) is not None:
                row.fail(meant, "is no field", f"rename '{meant}' to '{field}'")
        name = row.fields.get("id")
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            there = f"fields there: {', '.join(row.fields) or 'none'}"
            row.fail("id", "must be a text or a whole number", there if name is None else "put it in quotes")
        if not isinstance(row.fields.get("program"), str):
            row.fail("program", "must be a text", f"fields there: {', '.join(row.fields) or 'none'}")
        if not isinstance(row.fields.get("stdin", ""), str):
            row.fail("stdin", "must be a text", "leave it out if none")
        also = carried(row)
        yield (
            {"id": name} | also if also else name,
            Program(id=str(name), source=row.fields["program"], stdin=row.fields.get("stdin", "")),
        )


def _ids(source: Path) -> dict[str, _Through]:
    """Every id as text, in file order, with the fields that are copied; 1 and "1" are the same."""
    ids: dict[str, _Through] = {}
    for through, program in _rows(source):
        if program.id in ids:
            raise DataError(
                f"{source}: two programs have the same id",
                value=through["id"] if isinstance(through, dict) else through,
                remedy='make the ids unique (1 is the same as "1")',
            )
        ids[program.id] = through
    return ids


def spoken(text: str) -> str:
    """A message from a sandbox, with the options of `mmst check-programs` instead of recipe keys.

    >>> spoken("scipy is not in the sandbox; check.packages"), spoken("--set check.packages='[numpy]'")
    ('scipy is not in the sandbox; --packages', '--packages numpy')
    """
    return _KEY.sub(lambda m: OPTIONS[m[1]] + (" " + m[2].strip("'[]") if m[2] else ""), text)


def _begun_anew(path: Path, unused: Unused, now: Mapping[str, Any]) -> str:
    """The message about kept verdicts that are not used."""
    were, are = _facts(unused.stamp), _facts(now)
    changed = [
        f"{name} was {were[name]} and is {are[name]} now" if name.startswith("--") else f"{name} is another one"
        for name in are
        if were.get(name) != are[name]
    ]
    lines = f"{unused.done:,} finished {'line is' if unused.done == 1 else 'lines are'} not used"
    return f"{path.name} is begun anew and its {lines}, because {'; '.join(changed) or 'it was other work'}"


def _facts(stamp: Mapping[str, Any]) -> dict[str, str]:
    """The settings that decide verdicts, under the names of their options."""
    given, limits = stamp.get("engine"), stamp["limits"] if isinstance(stamp["limits"], dict) else {}
    engine = [str(part) for part in given] if isinstance(given, list) and given else [""]
    return {
        "the input": str(stamp["input"]),
        "--timeout": str(limits.get("timeout")),
        "--memory": str(limits.get("memory_mib")),
        "--output-limit": str(limits.get("output_kib")),
        "--sandbox": engine[0],
        "--packages": ",".join(engine[1:]) or "''",
        "--dedupe": "on" if stamp["dedupe"] else "off",
        "the version of mmst": str(stamp.get("version")),
    }


def _line(e: Execution, through: _Through) -> bytes:
    also = through if isinstance(through, dict) else {"id": through}
    fields: dict[str, Any] = {"id": also["id"], "verdict": e.exit_status, "stdout": e.stdout, "stderr": e.stderr}
    fields |= {"detail": spoken(e.detail), "seconds": round(e.seconds, 4), "peak_mib": round(e.peak_mib, 1)}
    return json.dumps(fields | also).encode() + b"\n"


def _stream(
    place: Output,
    ids: Mapping[str, _Through],
    executions: Callable[[Container[str]], Iterator[Execution]],
    progress: Progress,
    source: Path,
) -> Tally:
    """Write verdicts as they come, in order; later ones wait for earlier ones."""
    tally, waiting, turns = Tally(), dict[str, bytes](), iter(ids)
    written: set[str] = set()
    with place.writing() as out, progress.task("check", len(ids), "programs") as task:
        turn = next(turns, None)
        for execution in executions(()) if ids else ():
            tally.add(execution.exit_status, execution.detail)
            waiting[execution.id] = _line(execution, ids[execution.id])
            while turn is not None and turn in waiting:
                out.write(waiting.pop(turn))
                written.add(turn)
                turn = next(turns, None)
            out.flush()
            task.advance()
        _all_there(written, ids, source)
    return tally


def _all_there(done: Container[str], ids: Iterable[str], source: Path) -> None:
    lost = next((name for name in ids if name not in done), None)
    if lost is not None:
        raise DataError(
            f"{source} was changed while it was read: a program is missing", value=lost, remedy="run it again"
        )
