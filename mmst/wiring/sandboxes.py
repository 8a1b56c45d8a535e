"""The sandboxes that `check.sandbox` names: each a function of the recipe, as are those of other packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from mmst.core.config import Config, run_id
from mmst.core.ports import Sandbox

Factory = Callable[[Config], AbstractContextManager[Sandbox]]
"""The sandbox that runs a recipe's programs, for as long as the context is open."""


def gvisor(config: Config) -> AbstractContextManager[Sandbox]:
    """gVisor on this machine."""
    from mmst.sandbox.providers.gvisor import GvisorSandbox

    c = config.check
    return GvisorSandbox(workers=_workers(config), packages=c.packages, recheck=c.recheck)


def gvisor_job(config: Config) -> AbstractContextManager[Sandbox]:
    """gVisor in Kubernetes Jobs."""
    from mmst import wiring
    from mmst.sandbox.providers.kubernetes_job import GvisorJobs

    c = config.cluster
    here, share = wiring.cluster(c.sandbox_namespace), config.check.recheck
    return GvisorJobs(here, c, run_id(config), execution=wiring.execution(), recheck=share)


def subprocess(config: Config) -> AbstractContextManager[Sandbox]:
    """Plain processes, unconfined."""
    from mmst.sandbox.providers.subprocess import SubprocessSandbox

    return SubprocessSandbox(workers=_workers(config))


def _workers(config: Config) -> int:
    return config.check.workers or os.cpu_count() or 1
