"""How programs become work for a gVisor sandbox, and what its answers mean. Pure.

    programs → works → frames →(sandbox: `mmst.inside`)→ answers → executions

Programs that are proven harmless (`mmst.harmless`) can neither see nor disturb one another, so
many of them share a process (a bundle); every other program has its own. A sandbox is not
trusted: its answers are bytes that a program may have had a hand in, and are taken only in
exactly the shape in which they were asked for.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from mmst.errors import UserError
from mmst.harmless import NAP, Proof, proof
from mmst.outcome import outcome
from mmst.ports import Execution, Limits, Program

BUNDLE = 64
"""How many harmless programs share a process."""
_LEAST = Limits(timeout=0.2, memory_mib=64, output_kib=20)
"""Under lower limits than these even a harmless program has a process of its own."""
_ENDLESS_SECONDS = 0.1
"""How long a program runs that is proven never to end, in case that the proof is wrong."""
_BUNDLE_LIMITS = Limits(timeout=10.0, memory_mib=256, output_kib=16 << 10)
_PATIENCE = 0.5
"""How many seconds a harmless program may wait for others to share a process with."""


class Nonsense(Exception):
    """A sandbox said something that is no answer to what it was asked."""


@dataclass(frozen=True, slots=True)
class Work:
    """A program, or a bundle of harmless ones that share a process.

    `limits` are those that it runs under; `tries` counts the sandboxes that it has taken down.
    """

    programs: tuple[Program, ...]
    limits: Limits
    tries: int = 0

    @property
    def bundle(self) -> bool:
        """Whether it is more than one program."""
        return len(self.programs) > 1

    @property
    def id(self) -> str:
        """The first program's."""
        return self.programs[0].id

    def frame(self) -> bytes:
        """The work as the supervisor in the sandbox takes it: one line of JSON."""
        frame = {
            "id": self.id,
            "sources": [program.source for program in self.programs],
            "stdin": "" if self.bundle else self.programs[0].stdin,
            "timeout": self.limits.timeout,
            "memory": self.limits.memory_mib << 20,
            "output": self.limits.output_kib << 10,
        }
        return json.dumps(frame).encode()

    def executions(self, body: bytes, limits: Limits) -> list[Execution] | None:
        """What the supervisor's answer says of each program, under the limits that the caller set.

        None when the work must be done again: a bundle that was not carried out as a whole, or a
        program that was killed by nobody (so perhaps by its host, for want of memory) for the
        first time. `Nonsense` when it is no answer.
        """
        frame = _decoded(body)
        if frame.get("id") != self.id:
            raise Nonsense("it answered what it was not asked")
        answers = frame.get("results") if self.bundle else [frame]
        peak = _number(frame, "peak_kib") / 1024
        if not isinstance(answers, list) or not all(isinstance(a, dict) for a in answers):
            raise Nonsense("it sent something that is no answer")
        if len(answers) != len(self.programs):
            return None
        if answers[0].get("status") == -signal.SIGKILL and not answers[0].get("cut") and self.tries == 0:
            return None
        return [_execution(p, a, limits, peak) for p, a in zip(self.programs, answers, strict=True)]


class Waiting:
    """What is still to be run: the suspects of broken sandboxes first, each alone, then the caller's.

    At most `bundle` harmless programs share a process; with 1 every program has its own.
    """

    def __init__(self, programs: Iterable[Program], limits: Limits, bundle: int = BUNDLE) -> None:
        self._new, self._limits = iter(programs), limits
        ample = all(getattr(limits, name) >= getattr(_LEAST, name) for name in Limits.__dataclass_fields__)
        self._bundle = bundle if ample else 1
        self._seen: set[str] = set()
        self._harmless: list[Program] = []
        self._since = 0.0
        self._again: deque[Work] = deque()
        self._found: deque[Work] = deque()

    def again(self, work: Work, *, blamed: bool = True) -> None:
        """Run it once more: a bundle program by program, and as before when it is not to blame."""
        if not blamed:
            self._again.append(work)
            return
        tries = work.tries if work.bundle else work.tries + 1
        self._again.extend(Work((program,), self._limits, tries) for program in work.programs)

    def next(self) -> Work | None:
        """What to run next; None when nothing is left."""
        if self._again:
            return self._again.popleft()
        return self._found.popleft() if self._found else self._find()

    def look_ahead(self, n: int) -> None:
        """Find the next works, for proofs take time, while the sandboxes are busy anyway."""
        while len(self._found) < n and (work := self._find()):
            self._found.append(work)

    def _find(self) -> Work | None:
        """The next work of the caller's programs."""
        if self._harmless and time.monotonic() > self._since + _PATIENCE:
            return self._together()
        for program in self._new:
            if program.id in self._seen:
                what = "two programs of one call have the same id"
                raise UserError(what, value=program.id, remedy="ids must be unique")
            self._seen.add(program.id)
            known = proof(program.source) if self._bundle > 1 else None
            if known is Proof.NEVER_ENDS and self._limits.timeout < NAP:
                return Work((program,), replace(self._limits, timeout=_ENDLESS_SECONDS))
            if known is not Proof.ENDS:
                return Work((program,), self._limits)
            if not self._harmless:
                self._since = time.monotonic()
            self._harmless.append(program)
            if len(self._harmless) == self._bundle:
                break
        return self._together() if self._harmless else None

    def _together(self) -> Work:
        """The harmless programs found so far."""
        harmless, self._harmless = tuple(self._harmless), []
        return Work(harmless, _BUNDLE_LIMITS if len(harmless) > 1 else self._limits)

    def __iter__(self) -> Iterator[Work]:
        while work := self.next():
            yield work


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        frame = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise Nonsense("it sent something that is no frame")
    return frame


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _number(answer: Mapping[str, Any], name: str) -> float:
    value = answer.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise Nonsense("it sent something that is no answer")
    return float(value)


def _execution(program: Program, answer: Mapping[str, Any], limits: Limits, peak: float) -> Execution:
    status, cut, stdout, stderr = (answer.get(name) for name in ("status", "cut", "stdout", "stderr"))
    if not isinstance(stdout, str) or not isinstance(stderr, str) or len(stdout) > limits.output_kib << 10:
        raise Nonsense("it sent something that is no answer")
    if type(status) is not int or cut not in ("", "time", "output"):
        raise Nonsense("it sent something that is no answer")
    what, detail = outcome(status=status, cut=cut, stderr=stderr, limits=limits)
    return Execution(
        id=program.id,
        outcome=what,
        stdout=stdout,
        stderr=stderr,
        detail=detail,
        seconds=_number(answer, "seconds"),
        peak_mib=peak,
    )
