"""Fine-tuning in a cluster: a PyTorchJob or TrainJob runs the same worker as on one machine.

Everything that the worker reads and writes is on a volume that this process and the training pods share, under the
same path. The job is named by its content, so a later call adopts it. A failed job is created again and resumes
from the last whole checkpoint on that volume.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmst.core import private
from mmst.core.config import ClusterConfig
from mmst.core.errors import SetupError, TrainingError
from mmst.core.ports import TrainSpec
from mmst.core.records import to_json
from mmst.kubernetes import pods, users
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import POD, Object
from mmst.kubernetes.scheduling import Turn
from mmst.training.checkpoints import finished
from mmst.training.providers.kubernetes_job_objects import KINDS, POD_LABEL, job, name_of, status
from mmst.training.providers.worker_log import TAIL, event, failure

LOOK = 5.0
"""Seconds between checks of the job and its log."""
FRUITLESS = 2
"""Number of restarts of every pod after which a job without progress is given up."""
PODS_MADE = 30.0
"""Seconds that an operator has to create pods, unless something forbids them."""
DONE = "figures.json"


class TrainingJobs:
    """Fulfils `ports.Trainer`: `form` is `pytorchjob` or `trainjob`."""

    def __init__(
        self, cluster: Cluster, settings: ClusterConfig, *, form: str, ranks: int, run: str = "", execution: str = ""
    ) -> None:
        self._cluster, self._settings, self._form, self._ranks, self._run = cluster, settings, form, ranks, run
        self._execution = execution
        self._kind = KINDS[form]

    def train(
        self, spec: TrainSpec, on_step: Callable[[int, float], None] = lambda step, loss: None
    ) -> Mapping[str, float]:
        """See `ports.Trainer.train`."""
        self._must_be_shared(spec)
        scratch = Path(spec.scratch)
        if not finished(scratch, Path(spec.out)):
            private.folder(scratch)
            text = to_json(spec)
            private.write(scratch / "spec.json", text)
            name = name_of(text.encode(), self._settings, self._ranks)
            self._start(name, str(scratch / "spec.json"))
            self._await(name, spec, on_step)
            self._leave(name)
        figures: dict[str, float] = json.loads((scratch / DONE).read_text())
        return figures

    def _must_be_shared(self, spec: TrainSpec) -> None:
        for path in (spec.model, spec.examples, spec.out, spec.scratch):
            if not Path(path).is_relative_to(self._settings.mount):
                raise SetupError(
                    f"{path} is not on the volume of the training pods ({self._settings.mount})",
                    why="training in a cluster reads the model and examples from it and writes checkpoints to it",
                    remedy=f"mount the claim {self._settings.volume} there and set MMST_SCRATCH={self._settings.mount}",
                )

    def _start(self, name: str, path: str) -> None:
        """Create the job, or adopt the one of an earlier call, unless that has ended."""
        body = users.used_by(job(self._form, name, path, self._settings, self._ranks, self._run), self._execution)
        while True:
            found, new = self._cluster.create(self._kind, body)
            if new:
                return
            if status(found)[0] not in ("failed", "succeeded"):
                if users.join(self._cluster, self._kind, found, self._execution):
                    return
            elif not found["metadata"].get("deletionTimestamp"):
                self._cluster.delete(self._kind, name)
            time.sleep(1.0)

    def _leave(self, name: str) -> None:
        users.leave(self._cluster, self._kind, name, self._execution)

    def _await(self, name: str, spec: TrainSpec, on_step: Callable[[int, float], None]) -> None:
        """Wait until the checkpoint is there; raise the job's error otherwise."""
        labels, looked, step, lost = {POD_LABEL[self._form]: name}, 0.0, 0, 0
        began, turn = time.monotonic(), Turn([self._cluster])
        for state, _ in self._cluster.follow(POD, labels):
            if time.monotonic() < looked + LOOK:
                continue
            looked = time.monotonic()
            found = self._cluster.get(self._kind, name)
            what, why = status(found) if found else ("gone", "somebody deleted it")
            if what == "gone" and finished(Path(spec.scratch), Path(spec.out)):
                return  # whoever shared it saw its end first
            seen = self._events(state)
            steps = [e for e in seen if e.get("step", 0) > step]
            for e in steps:
                step, lost = int(e["step"]), restarts(state)
                on_step(step, float(e["loss"]))
            if what == "succeeded":
                if Path(spec.out).exists():
                    return
                raise TrainingError(
                    f"{self._kind.kind} {name} succeeded but left nothing at {spec.out}: "
                    f"claim {self._settings.volume} is not the volume that is mounted here"
                )
            final = [e for e in seen if e.get("kind") in ("user", "diverged")]
            if restarts(state) > lost + FRUITLESS * len(state):
                what, why = "failed", f"{FRUITLESS} restarts did not bring it one step further"
            if final or what in ("failed", "gone"):
                error = self._failure(name, state, final, why or what)
                self._leave(name)
                raise error
            if what != "suspended":
                self._stuck(name, state, looked - began, turn)

    def _events(self, state: Mapping[str, Object]) -> list[dict[str, Any]]:
        """The latest log lines of the workers, in all pods."""
        return [e for name in running(state) for line in self._lines(name, 40) if (e := event(line))]

    def _lines(self, pod: str, most: int, *, previous: bool = False) -> list[str]:
        log = self._cluster.log(pod, tail=most, previous=previous) or b""
        return log.decode("utf-8", "replace").splitlines()

    def _failure(self, name: str, state: Mapping[str, Object], said: list[dict[str, Any]], why: str) -> Exception:
        """The error, with the last lines of the rank that failed first, possibly from before a restart."""
        where = f"`kubectl -n {self._cluster.namespace} logs -l {POD_LABEL[self._form]}={name}`"
        lines = [line for pod in running(state) for old in (True, False) for line in self._lines(pod, 80, previous=old)]
        said = said or [e for line in lines if (e := event(line)) and "failed" in e]
        troubles = [f"{pod}: {what}" for pod, p in state.items() if (what := pods.trouble(p))]
        return failure("; ".join([why, *troubles]), said, lines[-2 * TAIL :], where)

    def _stuck(self, name: str, state: Mapping[str, Object], seconds: float, turn: Turn) -> None:
        """Raise if a pod of the job cannot start or cannot be created."""
        if len(state) < self._settings.trainer_nodes and seconds > min(PODS_MADE, self._settings.start_timeout):
            said = self._cluster.warnings(name)
            if said or seconds > self._settings.start_timeout:
                self._leave(name)
                raise TrainingError(
                    f"{self._kind.kind} {name} has {len(state)} of {self._settings.trainer_nodes} pods after "
                    f"{seconds:.0f} s: {said or 'no reason given'}",
                    remedy="see that its operator runs, and quota, "
                    "Pod Security level (its own init container needs `baseline`) and service account mmst-trainer",
                )
        for pod_name, pod in state.items():
            what = pods.trouble(pod, self._settings.start_timeout)
            if what and pods.phase(pod) == "Pending" and turn.over(pod, what):
                self._leave(name)
                raise TrainingError(
                    f"training pod {pod_name} cannot run ({what.name}: {what.message})",
                    remedy=what.remedy,
                )


def restarts(state: Mapping[str, Object]) -> int:
    """How often the containers of these pods were restarted."""
    statuses = (c for pod in state.values() for c in pod.get("status", {}).get("containerStatuses", ()))
    return sum(int(c.get("restartCount", 0)) for c in statuses)


def running(state: Mapping[str, Object]) -> list[str]:
    """The pods that have started."""
    return [name for name, pod in state.items() if pods.phase(pod) != "Pending"]
