"""Many programs from a file, checked in a sandbox; stopped at any moment, the same call goes on.

    IN    {"id": "a", "program": "print(int(input()) * 2)", "stdin": "21"}
    OUT   {"id": "a", "verdict": "ok", "stdout": "42\\n", "stderr": "", "detail": "", "seconds": 0.03, "peak_mib": 9.1}

For programs in memory, ask a sandbox directly:

    >>> from mmst import wiring                                               # doctest: +SKIP
    >>> from mmst.ports import Limits, Program
    >>> from mmst.programs import once
    >>> with wiring.sandbox("gvisor", workers=2) as box:
    ...     [e.stdout for e in once(box, [Program(id="a", source="print(6 * 7)")], Limits(timeout=1.0))]
    ['42\\n']
"""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmst.errors import DataError, StoreError, UserError
from mmst.ports import Execution, Limits, Program, Progress, Sandbox
from mmst.problems.reading import jsonl_stream
from mmst.store import file_sha256

_REMEMBERED = 10_000
"""How many different programs' results are kept for those that are identical."""


def once(sandbox: Sandbox, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
    """Run programs, identical ones with identical stdin only once; see `ports.Sandbox.run`.

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


def _key(program: Program) -> bytes:
    parts = (part.encode("utf-8", "surrogatepass") for part in (program.source, program.stdin))
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def check_file(
    source: Path,
    target: Path,
    sandbox: Callable[[], AbstractContextManager[Sandbox]],
    limits: Limits,
    progress: Progress,
    dedupe: bool = True,
) -> dict[str, int]:
    """Check the programs of a JSONL file into another, in the same order; returns how many had which verdict.

    The whole input is read first: `DataError` names file, line, field and value, and nothing is
    run. Verdicts are appended to `TARGET.partial` as they come; when the call was stopped or the
    sandbox failed (`SandboxError`) or the disk was full (`StoreError`), the same call with the same input
    goes on from there.
    `target` is there only when it is whole.
    """
    ids = [program.id for program in read(source)]
    if len(set(ids)) < len(ids):
        [(twice, _)] = Counter(ids).most_common(1)
        raise DataError(f"{source}: two programs have the same id", value=twice, remedy="make the ids unique")
    partial = target.with_name(target.name + ".partial")
    stamp = json.dumps({"input": file_sha256(source), "limits": asdict(limits), "dedupe": dedupe})
    done = _resume(partial, stamp)
    missing = (p for p in read(source) if p.id not in done)
    with partial.open("ab") as out, progress.task("check", len(ids) - len(done), "programs") as task:
        if len(done) < len(ids):
            with sandbox() as box:
                for execution in once(box, missing, limits) if dedupe else box.run(missing, limits):
                    done[execution.id] = out.tell()
                    with _writing(partial):
                        out.write(_line(execution))
                        out.flush()
                    task.advance()
    return _put_in_order(ids, done, partial, target)


def read(path: Path) -> Iterator[Program]:
    """The programs of a JSONL file, one at a time."""
    for row in jsonl_stream(path):
        for name in ("id", "program"):
            if not isinstance(row.fields.get(name), str):
                row.fail(name, "must be a text", f"fields there: {', '.join(row.fields) or 'none'}")
        if not isinstance(row.fields.get("stdin", ""), str):
            row.fail("stdin", "must be a text", "leave it out if none")
        yield Program(id=row.fields["id"], source=row.fields["program"], stdin=row.fields.get("stdin", ""))


def _line(e: Execution) -> bytes:
    fields: dict[str, Any] = {"id": e.id, "verdict": e.outcome, "stdout": e.stdout, "stderr": e.stderr}
    fields |= {"detail": e.detail, "seconds": round(e.seconds, 4), "peak_mib": round(e.peak_mib, 1)}
    return json.dumps(fields).encode() + b"\n"


def _resume(partial: Path, stamp: str) -> dict[str, int]:
    """Id → where its line stands in the partial file, which is begun anew for other work."""
    done: dict[str, int] = {}
    head = stamp.encode() + b"\n"
    if not partial.exists() or partial.open("rb").readline() != head:
        partial.write_bytes(head)
        return done
    at = len(head)
    with partial.open("rb+") as lines:
        lines.seek(at)
        for line in lines:
            if not line.endswith(b"\n"):
                lines.truncate(at)  # the stop came in the middle of it
                break
            done[json.loads(line)["id"]] = at
            at += len(line)
    return done


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise StoreError(f"{path} could not be written: {e}; the same command goes on when that is mended") from e


def _put_in_order(ids: list[str], done: dict[str, int], partial: Path, target: Path) -> dict[str, int]:
    counts = Counter[str]()
    aside = target.with_name(target.name + ".ordered")
    with _writing(target), partial.open("rb") as lines, aside.open("wb") as out:
        for name in ids:
            lines.seek(done[name])
            line = lines.readline()
            counts[json.loads(line)["verdict"]] += 1
            out.write(line)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(target)
    partial.unlink()
    return dict(counts)
