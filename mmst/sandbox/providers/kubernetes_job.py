"""Runs untrusted programs in a cluster: Indexed Jobs of gVisor pods, one shard of programs per index.

    programs → ConfigMap → pods (`mmst.sandbox.guest.pod`) → their logs → executions

Only the pods' logs come back, and this trusted side reads them as hostile bytes. A whole answer counts, however its
pod ended later. Programs without an answer at the end of a Job run again in another Job: the program during which a
pod died runs alone, the others as before. So a pod that is evicted, killed for memory or lost with its node never
gives a verdict.

Jobs are named by their content, so a launcher that was killed adopts its Jobs when it is started again.
About 60 API calls serve 10,000 programs (docs/scale.md).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace

from mmst.core.config import RECHECK, ClusterConfig
from mmst.core.errors import ClusterError, SandboxError
from mmst.core.ports import Execution, Limits, Program
from mmst.kubernetes import pods, users
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, JOB, POD, Object
from mmst.kubernetes.scheduling import Turn
from mmst.sandbox import replies
from mmst.sandbox.providers.kubernetes_job_objects import PACKED_MOST, check_job, config_map, name_of, owned_by, packed
from mmst.sandbox.replies import Nonsense
from mmst.sandbox.work import Waiting, Work

TRIES = 3
"""How many pods one program may break, and how many Jobs may give no result, before it is an error."""
SHARD = 500
"""Maximum number of works of one index: what a killed pod loses."""
SHARDS = 20
"""Maximum number of indexes of one Job."""
RAW_MOST = 4 * PACKED_MOST
"""Characters of programs that should fit, packed, into one ConfigMap."""
IN_FLIGHT = 2
"""Jobs at once: the next Job starts while the last pods of the previous one run."""


@dataclass(slots=True)
class Flight:
    """A Job in progress: its shards, and the unanswered works of each index."""

    name: str
    shards: list[list[Work]]
    open: list[dict[str, Work]] = field(init=False)
    read: set[str] = field(default_factory=set)
    blamed: set[str] = field(default_factory=set)
    last_words: str = ""

    def __post_init__(self) -> None:
        self.open = [{work.id: work for work in shard} for shard in self.shards]

    @property
    def fruitless(self) -> bool:
        """Whether it gave no result: no answer, and no program to blame."""
        return not self.blamed and all(len(o) == len(s) for o, s in zip(self.open, self.shards, strict=True))


class GvisorJobs:
    """Fulfils `ports.Sandbox` in the sandbox namespace of a cluster.

    >>> with GvisorJobs(Cluster.connect("mmst-sandbox"), config.cluster, run="demo-1") as box:   # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "gvisor_job"

    def __init__(
        self,
        cluster: Cluster,
        settings: ClusterConfig,
        run: str = "",
        *,
        execution: str = "",
        recheck: float = RECHECK,
    ) -> None:
        self._cluster, self._settings, self._run, self._recheck = cluster, settings, run, recheck
        self._execution = execution

    def __enter__(self) -> GvisorJobs:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def calls(self) -> int:
        """Number of API calls so far."""
        return self._cluster.calls

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`; programs are read from the iterable a Job or two ahead."""
        waiting, flights, fruitless = Waiting(programs, limits, recheck=self._recheck), deque[Flight](), 0
        try:
            while True:
                while len(flights) < IN_FLIGHT and (shards := self._next(waiting)):
                    flights.append(self._launch(shards))
                if not flights:
                    return
                yield from self._collect(flights[0])
                flight = flights.popleft()
                self._delete(flight.name)
                fruitless = fruitless + 1 if flight.fruitless else 0
                if fruitless == TRIES:
                    what = f"{TRIES} check Jobs in a row ended without an answer, the last was {flight.name}"
                    raise SandboxError(f"{what}: they were deleted, or the logs of their pods could not be read")
                self._again(flight, waiting)
        finally:
            for flight in flights:
                with contextlib.suppress(ClusterError):
                    self._delete(flight.name)

    def _next(self, waiting: Waiting) -> list[list[Work]]:
        """The works of the next Job, divided among its indexes; each suspect has its own index."""
        works: list[Work] = []
        size = 0
        while len(works) < SHARD * SHARDS and size < RAW_MOST and (work := waiting.next()):
            size += len(work.program.source) + len(work.program.stdin)
            works.append(work)
        while sum(map(len, map(packed, shards := self._shards(works)))) > PACKED_MOST:
            if len(works) == 1:
                what = f"program '{works[0].id}' is too large for a check Job ({len(packed(works)) >> 10} KiB packed"
                raise SandboxError(f"{what}, {PACKED_MOST >> 10} at most)", remedy="check it with check.sandbox=gvisor")
            half = len(works) // 2
            for work in works[half:]:
                waiting.again(work, blamed=False)
            works = works[:half]
        return shards

    def _shards(self, works: list[Work]) -> list[list[Work]]:
        alone, others = [[w] for w in works if w.tries], [w for w in works if not w.tries]
        each = max(1, min(SHARD, -(-len(others) // self._settings.checkers)))
        return [*alone, *(others[i : i + each] for i in range(0, len(others), each))]

    def _launch(self, shards: list[list[Work]]) -> Flight:
        """Start a Job, or adopt the one that a killed launcher had started."""
        data = [packed(shard) for shard in shards]
        name = name_of(data, self._settings, salt=str(max(work.tries for shard in shards for work in shard)))
        job = users.used_by(check_job(name, shards, self._settings, self._run), self._execution)
        inputs = users.used_by(config_map(name, data, self._run), self._execution)
        while True:
            read, fresh = self._cluster.create(CONFIG_MAP, inputs)
            if fresh or users.join(self._cluster, CONFIG_MAP, read, self._execution):
                made, new = self._cluster.create(JOB, job)
                if new:
                    self._cluster.patch(CONFIG_MAP, name, owned_by(made))
                if new or users.join(self._cluster, JOB, made, self._execution):
                    return Flight(name, shards)
            time.sleep(1.0)

    def _delete(self, name: str) -> None:
        users.leave(self._cluster, JOB, name, self._execution)
        users.leave(self._cluster, CONFIG_MAP, name, self._execution)

    def _collect(self, flight: Flight) -> Generator[Execution, None, None]:
        """The answers of a Job's pods as they end, until the Job has ended or is gone."""
        looked = began = time.monotonic()
        turn = Turn([self._cluster, self._cluster.beside(self._settings.namespace)])
        for state, changed in self._cluster.follow(POD, {"batch.kubernetes.io/job-name": flight.name}):
            for pod in [state[changed]] if changed in state else list(state.values()):
                if pods.finished(pod) and pod["metadata"]["name"] not in flight.read:
                    yield from self._read(flight, pod)
            if not any(flight.open):
                return
            if changed and time.monotonic() < looked + 5.0:
                continue
            looked = time.monotonic()
            job = self._cluster.get(JOB, flight.name)
            if job is None or job["metadata"].get("deletionTimestamp"):
                return
            if _over(job) and all(pods.finished(pod) for pod in state.values()):
                for pod in list(state.values()):
                    if pod["metadata"]["name"] not in flight.read:
                        yield from self._read(flight, pod)
                return
            self._stuck(flight, state, looked - began, turn)
        raise AssertionError("unreachable")

    def _read(self, flight: Flight, pod: Object) -> Iterator[Execution]:
        """The answers in a finished pod's log; notes the work during which it died."""
        name = pod["metadata"]["name"]
        flight.read.add(name)
        index = int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])
        left = flight.open[index]
        for line in (self._cluster.log(name) or b"").split(b"\n")[:-1]:
            work = left.get(replies.asked(line))
            if work is None:
                continue  # answered by an earlier pod of this index, or nothing that was asked
            try:
                execution = work.execution(replies.reply(line, output=work.limits.output_kib << 10))
            except Nonsense:
                continue
            del left[work.id]
            if execution is None:
                left[work.id] = work
                flight.blamed.add(work.id)
                continue
            yield execution
        what = pods.trouble(pod)
        if left and what and not pods.disrupted(pod):
            flight.blamed.add(next(iter(left)))
            flight.last_words = str(what)

    def _again(self, flight: Flight, waiting: Waiting) -> None:
        """Give back what was not answered, or raise if a program has broken its pods too often."""
        for work in (
            w for shard, left in zip(flight.shards, flight.open, strict=True) for w in self._left(shard, left)
        ):
            blamed = work.id in flight.blamed
            if blamed and work.tries + 1 >= TRIES:
                what = f"{TRIES} pods in a row ended while running program '{work.id}'"
                raise SandboxError(f"{what}, the last in Job {flight.name}: {flight.last_words or 'no reason given'}")
            waiting.again(work, blamed=blamed)

    def _left(self, shard: list[Work], left: dict[str, Work]) -> Iterable[Work]:
        """The unanswered works of a shard's pods; if nothing was answered, evaluating them may have killed the pods."""
        return [replace(w, evaluate=False) for w in shard] if len(left) == len(shard) else left.values()

    def _stuck(self, flight: Flight, state: dict[str, Object], seconds: float, turn: Turn) -> None:
        """Raise if none of a Job's pods starts."""
        patience = self._settings.start_timeout
        if any(pods.phase(pod) not in ("Pending", "Failed") for pod in state.values()):
            return
        for name, pod in state.items():
            what = pods.trouble(pod, patience)
            if what and pods.phase(pod) == "Pending" and turn.over(pod, what):
                raise SandboxError(f"check pod {name} cannot run ({what.name}: {what.message})", remedy=what.remedy)
        if not state and seconds > min(patience, 30.0):
            said = self._cluster.warnings(flight.name)
            if said or seconds > patience:
                describe = f"kubectl -n {self._cluster.namespace} describe job {flight.name}"
                raise SandboxError(
                    f"check Job {flight.name} has no pods after {seconds:.0f} s: {said or 'no reason given'}",
                    remedy=f"see `{describe}` (quota, admission, queue)",
                )


def _over(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)
