"""What this machine must have, each thing really tried: `mmst doctor`, and before every run.

Each is a `Finding`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mmst import wiring
from mmst.core import plugins
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import MmstError, SetupError, sentence
from mmst.core.extras import install
from mmst.core.redaction import without_user
from mmst.wiring import added

PYTHONS = ((3, 11), (3, 13))
"""At least the first, below the second."""

PACKAGES = (
    ("kfp", "pipeline", "runs and compiles the graph", True),
    ("torch", "model", "sampling and training", True),
    ("transformers", "model", "sampling and training", True),
    ("safetensors", "model", "model weights", True),
    ("mlflow", "registry", "tracking and the model registry", True),
    ("ctranslate2", "ctranslate2", "sampling in int8 on CPUs (sampling.backend=ctranslate2)", False),
    ("gguf", "gguf", "models in GGUF files (model.base, `mmst model import`)", False),
    ("peft", "model", "LoRA (train.lora_rank)", False),
    ("deepspeed", "deepspeed", "ZeRO and more than one rank (train.zero, train.ranks)", False),
    ("kserve", "serve", "`mmst serve`", False),
    ("httptools", "http", "sampling from a server (sampling.backend=openai, server, kserve)", False),
    ("orjson", "http", "sampling from a server (sampling.backend=openai, server, kserve)", False),
    ("kubernetes", "cluster", "providers in a cluster (gvisor_job, pytorchjob, kserve)", False),
    ("sympy", "grade", "programs that import it (check.packages), answers that take algebra", False),
    ("boto3", "s3", "runs stored in a bucket (--out s3://…)", False),
)
"""Distribution, the extra that installs it, its purpose, and whether every run needs it."""

MEMORY_GIB = 3.0
DISK_GIB = 2.0
SHM_MIB = 64
UNAVAILABLE = 503
LOADING, LOOK = 600.0, 1.0
"""Seconds for which a model server that loads its model is waited for, and between two looks at it."""


def examine(out: str) -> Iterator[Diagnostic]:
    """Check everything for runs stored at `out`; yields one finding after the other."""
    yield python()
    yield processors()
    yield memory()
    yield disk(out)
    yield shared_memory()
    for name, extra, why, needed in PACKAGES:
        yield package(name, extra, why, needed)
    yield gvisor()
    yield model()
    yield store(out)
    yield tracking()
    yield from plug_ins()


def python(version: tuple[int, int] = sys.version_info[:2]) -> Diagnostic:
    """The Python version."""
    low, below = PYTHONS
    return Diagnostic(
        what="Python",
        ok=low <= version < below,
        found=".".join(map(str, version)),
        why="the pinned packages are for these versions",
        remedy=f"create the environment with Python {low[0]}.{low[1]} or {below[0]}.{below[1] - 1}",
    )


def processors() -> Diagnostic:
    """The cores that this process may use."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Diagnostic(
        what="processors",
        ok=n >= 2,
        found=f"{n}",
        why="sampling, checks and training share them; one is enough, but slower",
        remedy="use a machine with 2 cores or more",
        needed=False,
    )


def memory(free: float | None = None) -> Diagnostic:
    """The free memory in GiB, within a container's limit."""
    gib = _free_memory() if free is None else free
    return Diagnostic(
        what="memory",
        ok=gib >= MEMORY_GIB,
        found=f"{gib:.1f} GiB free",
        why=f"the demo needs {MEMORY_GIB:g} GiB; training your own model needs about 5 times its size",
        remedy="end other programs, raise the container's limit, or use a larger machine",
    )


def disk(out: str, least_gib: float = DISK_GIB) -> Diagnostic:
    """The free space where runs are stored (for a bucket: where models are downloaded to)."""
    folder = Path.cwd() if out.startswith("s3://") else Path(out.removeprefix("file://")).absolute()
    while not folder.exists():
        folder = folder.parent
    gib = shutil.disk_usage(folder).free / (1 << 30)
    return Diagnostic(
        what="disk",
        ok=gib >= least_gib,
        found=f"{gib:.1f} GiB free at {folder}",
        why=f"every sample and checkpoint is kept; at least {least_gib:g} GiB",
        remedy=f"free some space there, or choose another place with --out (now {out})",
    )


def shared_memory(folder: Path = Path("/dev/shm")) -> Diagnostic:
    """Shared memory, through which training processes on one machine talk."""
    mib = shutil.disk_usage(folder).free / (1 << 20) if folder.is_dir() else 0.0
    return Diagnostic(
        what="shared memory",
        ok=mib >= SHM_MIB,
        found=f"{mib:.0f} MiB free at {folder}",
        why="training with more than one rank uses it",
        remedy="docker run --shm-size=1g; in Kubernetes an emptyDir of medium Memory at /dev/shm",
        needed=False,
    )


def package(name: str, extra: str, why: str, needed: bool) -> Diagnostic:
    """Whether a package is installed, and its version. It is not imported, because that takes seconds."""
    try:
        version = importlib.metadata.version(name)
        ok = importlib.util.find_spec(name) is not None
        version = version if ok else f"{version}, of which only the metadata is there"
    except (importlib.metadata.PackageNotFoundError, ValueError):
        version, ok = "not installed", False
    return Diagnostic(what=name, ok=ok, found=version, why=why, remedy=install(extra), needed=needed)


def gvisor() -> Diagnostic:
    """gVisor, checked by running a program in it."""
    why = "runs the programs that the model writes; they are never run unconfined instead"
    return _try("gVisor", why, wiring.gvisor)


def model() -> Diagnostic:
    """The model that ships with MMST."""
    from mmst.models import model_folder

    return _try("shipped model", "the demo starts from it", lambda: f"mmst:{model_folder('mmst:tiny').name}")


def store(out: str) -> Diagnostic:
    """The store, checked by writing to it."""

    def probe() -> str:
        opened = wiring.open_store(out)
        opened.probe()
        return f"{opened.uri} is writable, also on conditions"

    return _try("store", "everything that a run produces is stored there", probe)


def tracking(uri: str = "") -> Diagnostic:
    """Where MLflow will write; a server must answer."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    why = "experiments and the model registry"
    if not uri.startswith("http"):
        return Diagnostic(what="MLflow", ok=True, found=uri or "SQLite in the run's folder", why=why)
    remedy = "start it (`mlflow server`), or unset MLFLOW_TRACKING_URI and promote.tracking_uri to use SQLite"
    return answering("MLflow", f"{uri.rstrip('/')}/health", why, remedy)


def plug_ins() -> Iterator[Diagnostic]:
    """What installed packages add to what a recipe can name, each loaded; recipes that do not name it run without."""
    found, unreadable = plugins.installed()
    for entry in found:
        why = f"added by {entry.package} ({', '.join(plugins.KEYS[entry.group])}; docs/extending.md)"

        def load(entry: plugins.Entry = entry) -> str:
            added.ready(entry.group, entry.name)
            return f"{entry.package} {entry.version}"

        yield replace(_try(f"{plugins.NOUNS[entry.group]} {entry.name}", why, load), needed=False)
    for what in unreadable:
        remedy = "reinstall or uninstall that package"
        yield Diagnostic(
            what="plug-in", ok=False, found=what, why="may add what recipes name", remedy=remedy, needed=False
        )


def answering(what: str, url: str, why: str, remedy: str, seconds: float = 5.0) -> Diagnostic:
    """Whether an HTTP server answers: any answer below 500 counts, also a refusal."""
    status, found = _asked(url, seconds)
    return Diagnostic(what=what, ok=0 < status < 500, found=found, why=why, remedy=remedy)


def model_server(url: str) -> Diagnostic:
    """Whether a model server answers at `url`, at last: while it says 503 it loads its model, and is waited for.

    Any other answer will do, for there are servers that fail to list their models.
    """
    until = time.monotonic() + LOADING
    status, found = _asked(f"{url.rstrip('/')}/models", 5.0)
    while status == UNAVAILABLE and time.monotonic() < until:
        time.sleep(LOOK)
        status, found = _asked(f"{url.rstrip('/')}/models", 5.0)
    return Diagnostic(what="server", ok=status not in (0, UNAVAILABLE), found=found, why="", remedy="")


def _asked(url: str, seconds: float) -> tuple[int, str]:
    """The status of an HTTP server's answer, 0 if there is none, and what happened in words."""
    import http.client
    import urllib.error
    import urllib.request

    address, headers = without_user(url)
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=seconds) as answer:
            return answer.status, f"{url} answers"
    except urllib.error.HTTPError as e:
        return e.code, f"{url} answers with {e.code}"
    except (OSError, ValueError, http.client.HTTPException) as e:
        return 0, f"{url}: {getattr(e, 'reason', e)}"


def _try(what: str, why: str, probe: Callable[[], str]) -> Diagnostic:
    try:
        return Diagnostic(what=what, ok=True, found=probe(), why=why)
    except SetupError as e:
        return Diagnostic(what=what, ok=False, found=sentence(e.what, why=e.why), why=why, remedy=e.remedy)
    except (MmstError, ImportError, OSError) as e:
        return Diagnostic(what=what, ok=False, found=str(e), why=why, remedy=getattr(e, "remedy", ""))


def _free_memory() -> float:
    available = float("inf")
    with Path("/proc/meminfo").open() as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) / (1 << 20)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f).read_text()) / (1 << 30) for f in ("memory.max", "memory.current"))
    except (OSError, ValueError):
        return available  # no limit ("max"), or no control group of version 2
    return min(available, limit - used)
