"""What the tests of checks in a cluster share: a sandbox whose programs run in Jobs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from mmst.core.config import ClusterConfig
from mmst.core.ports import Execution, Limits, Program
from mmst.kubernetes.client import Cluster
from mmst.sandbox.providers.kubernetes_job import GvisorJobs

GVISOR = f"mmst-test-{secrets.token_hex(3)}"
"""A RuntimeClass of this session's own: the release's may be there or not, and others may test on the same cluster."""
SETTINGS = ClusterConfig(runtime_class=GVISOR, checkers=2, checker_cpu="250m", checker_memory="1Gi", start_timeout=60.0)
"""Two pods at once on a node of two cores."""


def jobs(cluster: Cluster, **changes: Any) -> GvisorJobs:
    """A sandbox in the cluster's namespace."""
    return GvisorJobs(cluster, SETTINGS.__class__(**{**as_fields(SETTINGS), **changes}), run="test")


def as_fields(settings: ClusterConfig) -> dict[str, object]:
    """The settings as keyword arguments."""
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def answers(box: GvisorJobs, programs: Iterable[Program], limits: Limits) -> dict[str, Execution]:
    """What came of each program; each answered exactly once."""
    found: dict[str, Execution] = {}
    for execution in box.run(programs, limits):
        assert execution.id not in found, "answered twice"
        found[execution.id] = execution
    return found
