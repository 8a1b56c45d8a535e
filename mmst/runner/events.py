"""What an operator looks for, as Kubernetes Events on the stage's pod: `kubectl get events` shows them.

    RunStarted · Promoted · Rejected · StageFailed

Only in a cluster, where the pod says who it is (`pipelines.placement` sets that). An Event that
cannot be left never fails a stage.
"""

from __future__ import annotations

import contextlib
import os

from mmst import wiring
from mmst.core.errors import MmstError, Stopped
from mmst.core.manifest import Manifest
from mmst.core.results import Promoted


def started(run: str) -> None:
    """A run begins."""
    _leave("RunStarted", f"{run}: started")


def finished(run: str, made: Manifest) -> None:
    """A stage is complete; only what was decided is worth an Event."""
    if made.stage == "promote":
        decision = made.result(Promoted).decision
        word = "promoted" if decision.promote else "rejected"
        _leave(word.capitalize(), f"{run}: round {decision.round} {word}: {decision.reason}")


def failed(run: str, error: MmstError) -> None:
    """A stage failed, and why; a stage that was stopped has not failed."""
    if not isinstance(error, Stopped):
        _leave("StageFailed", f"{run}: {error}", error)


def _leave(reason: str, message: str, error: MmstError | None = None) -> None:
    name, uid, namespace = (os.environ.get(f"POD_{key}", "") for key in ("NAME", "UID", "NAMESPACE"))
    if name and uid and namespace:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": uid}}
        with contextlib.suppress(Exception):
            wiring.cluster(namespace).event(pod, reason=reason, message=message, error=error)
