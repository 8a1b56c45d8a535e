"""Programs as work for a gVisor sandbox, and the meaning of its replies. Pure.

    programs → evaluator → what it does not finish, and a share of what it does → a process each → executions

A program is *evaluated* first (`mmst.sandbox.guest.evaluate`): that costs a fraction of a millisecond and
can do nothing but what the evaluator was built for. Whatever it does not finish runs alone in
CPython, in a process of its own; of what it finishes, a share (`check.recheck`, chosen by the program's
hash) runs there as well and is compared. No verdict depends on what somebody proves of a text.
"""

from __future__ import annotations

import json
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from mmst.core.config import RECHECK
from mmst.core.errors import UserError
from mmst.core.ports import Evaluation, Execution, Limits, Program
from mmst.sandbox.exit_status import exit_status
from mmst.sandbox.guest.evaluate import SOURCE
from mmst.sandbox.guest.machine import OUTPUT
from mmst.sandbox.replies import Nonsense, Reply

_LEAST = Limits(timeout=1.0, memory_mib=64, output_kib=OUTPUT >> 10)
"""With lower limits than these, every program runs alone, because the evaluator has bounds of its own."""


@dataclass(frozen=True, slots=True)
class Work:
    """One program to run under `limits`, or one that rechecks the works in `together`.

    `evaluate` says that it may be evaluated first, and `evaluated` what came of that: what it
    prints. `tries` counts the sandboxes that it has taken down; `in_peace` says that it was kept from
    running before, and now nothing runs beside it.
    """

    program: Program
    limits: Limits
    evaluate: bool = False
    recheck: bool = False
    evaluated: str | None = None
    tries: int = 0
    in_peace: bool = False
    together: tuple[Work, ...] = ()

    @property
    def id(self) -> str:
        """The id of the program."""
        return self.program.id

    def frame(self, wall: float = 0.0) -> bytes:
        """The work as a line of JSON for the supervisor in the sandbox. `wall`: seconds, if not the limit's."""
        frame: dict[str, Any] = {
            "id": self.id,
            "source": self.program.source,
            "stdin": self.program.stdin,
            "timeout": wall or self.limits.timeout,
            "memory": self.limits.memory_mib << 20,
            "output": self.limits.output_kib << 10,
            "evaluate": self.evaluate,
            "recheck": self.recheck,
        }
        return json.dumps(frame).encode()

    def execution(self, reply: Reply) -> Execution | None:
        """The result of the program, from a reply.

        None when it must be run again: it was killed by nobody (so perhaps by its host, for want
        of memory) for the first time. `Nonsense` when it is the reply to another question.
        """
        if reply.id != self.id or (reply.status is None and not self.evaluate):
            raise Nonsense("it answered another request")
        evaluated = reply.evaluated if self.evaluate else self.evaluated
        if reply.status is None:
            assert evaluated is not None, "a reply is one or the other"
            return Execution(id=self.id, exit_status="ok", stdout=evaluated, stderr="", evaluation=Evaluation.FINISHED)
        if reply.status == -signal.SIGKILL and not reply.cut and self.tries == 0:
            return None
        what, detail = exit_status(status=reply.status, cut=reply.cut, stderr=reply.stderr, limits=self.limits)
        if evaluated is None:
            evaluation = Evaluation.NONE
        else:
            same = what == "ok" and (reply.stdout, reply.stderr) == (evaluated, "")
            evaluation = Evaluation.CONFIRMED if same else Evaluation.CONTRADICTED
        return Execution(
            id=self.id,
            exit_status=what,
            stdout=reply.stdout,
            stderr=reply.stderr,
            detail=detail,
            seconds=reply.seconds,
            peak_mib=reply.peak_kib / 1024,
            evaluation=evaluation,
        )


class Waiting:
    """What is still to run: suspects of broken sandboxes first, then the caller's programs in order.

    With `evaluate`, programs are marked that may be evaluated first, and of these a share of `recheck`.
    """

    def __init__(
        self, programs: Iterable[Program], limits: Limits, *, evaluate: bool = True, recheck: float = RECHECK
    ) -> None:
        self._new, self._limits, self._recheck = iter(programs), limits, recheck
        ample = all(getattr(limits, name) >= getattr(_LEAST, name) for name in Limits.__dataclass_fields__)
        self._evaluate = evaluate and ample
        self._seen: set[str] = set()
        self._again: deque[Work] = deque()

    def again(self, work: Work, *, blamed: bool = True) -> None:
        """Run it again: as before if it is not to blame, else as a suspect that is not evaluated."""
        self._again.append(replace(work, tries=work.tries + 1, evaluate=False) if blamed else work)

    def next(self) -> Work | None:
        """The next work; None if nothing is left."""
        if self._again:
            return self._again.popleft()
        for program in self._new:
            if program.id in self._seen:
                what = "two programs of one call have the same id"
                raise UserError(what, value=program.id, remedy="ids must be unique")
            self._seen.add(program.id)
            evaluate = self._evaluate and not program.stdin and len(program.source) <= SOURCE
            return Work(program, self._limits, evaluate, evaluate and chosen(program.source, self._recheck))
        return None

    def __iter__(self) -> Iterator[Work]:
        while work := self.next():
            yield work


def chosen(source: str, share: float) -> bool:
    """Whether a program belongs to a share of all programs; decided by its hash, so always the same."""
    mark = sha256(source.encode("utf-8", "surrogatepass")).digest()[:8]
    return int.from_bytes(mark, "big") < share * (1 << 64)
