"""Check a recipe before anything expensive is done; `mmst run` begins with this.

Each check raises the error that a stage would raise much later, with the value and the remedy.
"""

from __future__ import annotations

from pathlib import Path

from mmst import wiring
from mmst.core import plugins, teachers
from mmst.core.config import Config, Source, run_id
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import ConfigError, DataError, SetupError
from mmst.core.sections import ROLES
from mmst.core.stored import made, pointers
from mmst.datasets import PUBLISHED, located
from mmst.kubernetes.quota import MOST_TASKS, tasks
from mmst.models import whole
from mmst.models.sources import model_files
from mmst.preflight import machine as preflight_machine
from mmst.stages import champion
from mmst.wiring import added

LEAST_GIB = 0.5


def check(config: Config) -> None:
    """Look at all that the configuration names; raises for the first thing that cannot work."""
    for _, group, name in plugins.named(config):
        added.ready(group, name)
    problem_files(config)
    whole_checkpoints(config)
    for seen in teachers.views(config):
        with teachers.about(seen):
            recorded_file(seen)
            if seen.writer and seen.model.base:
                whole.check(model_files(seen.model.base).folder, chat=seen.prompt.style == "chat")
    folder = model_files(config.model.base).folder
    whole.check(folder, chat=config.prompt.style == "chat")
    if config.train.lora_rank and config.train.lora_targets:
        wiring.check_adapters(folder, config)
    champion.check_name(config.promote.name)
    for finding in machine(config):
        if not finding.ok:
            raise SetupError(f"{finding.what}: {finding.found}", why=finding.why, remedy=finding.remedy)
    wiring.open_store(config.out).probe()
    engines(config)


def problem_files(config: Config) -> None:
    """Every problem file exists and is not empty; there is something to sample and to hold out."""
    p = config.problems
    for part in ("train", "test"):
        if not getattr(p, part) and not (part == "train" and p.unlabelled):
            raise ConfigError(f"problems.{part} names no problems", remedy="see `mmst recipes --keys` (problems.*)")
    for part in ROLES:
        for i, source in enumerate(getattr(p, part)):
            _source_file(f"problems.{part}.{i}", source)


def _source_file(key: str, source: Source) -> None:
    if source.format == "generated":
        return
    if not source.format:
        raise ConfigError(f"{key}.format is empty", remedy=f"--set {key}.format=gsm8k (see `mmst problems list`)")
    path = located(source.path)
    if not source.path or not path.exists():
        raise ConfigError(
            f"{key}.path is not a file",
            value=str(path) if source.path else "",
            remedy=f"--set {key}.path=FILE; {PUBLISHED}",
        )
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty", remedy=f"use a file with problems in the format {source.format}")


def recorded_file(config: Config) -> None:
    """The file of recorded completions exists."""
    s = config.sampling
    if s.backend == "recorded" and not Path(s.recorded).expanduser().is_file():
        raise ConfigError(
            "sampling.recorded is not a file", value=s.recorded, remedy="--set sampling.recorded=completions.jsonl"
        )


def whole_checkpoints(config: Config) -> None:
    """What training leaves can be gone on with."""
    if config.train.export == "adapter":
        raise ConfigError(
            "a run evaluates the trained checkpoint and goes on with it, and train.export leaves none",
            value=config.train.export,
            remedy="--set train.export=both; or `mmst train`, for the adapter alone",
        )


def machine(config: Config) -> list[Diagnostic]:
    """This machine has what this configuration needs."""
    needed = {name for name, _, _, always in preflight_machine.PACKAGES if always}
    backends = {seen.sampling.backend for seen in teachers.views(config)}
    trains_here, samples_here = config.train.launcher == "local", backends != {"kserve"}
    if not trains_here and not samples_here:
        needed -= {"torch", "safetensors"}
    if trains_here and config.train.lora_rank:
        needed.add("peft")
    if trains_here and config.train.zero_stage:
        needed.add("deepspeed")
    if backends & {"openai", "server", "kserve"}:
        needed |= {"httptools", "orjson"}
    if not trains_here or "kserve" in backends or config.check.sandbox == "gvisor_job":
        needed.add("kubernetes")
    if config.out.startswith("s3://"):
        needed.add("boto3")
    packages = [
        preflight_machine.package(name, extra, why, True)
        for name, extra, why, _ in preflight_machine.PACKAGES
        if name in needed
    ]
    return [preflight_machine.python(), *packages, preflight_machine.disk(config.out, LEAST_GIB)]


def engines(config: Config) -> None:
    """The servers that are named answer, but for those of teachers who have written all; the sandbox starts."""
    for seen in teachers.views(config):
        with teachers.about(seen):
            try:
                model_server(seen)
            except ConfigError:
                if not has_written(seen):
                    raise
    tracking = preflight_machine.tracking(config.promote.tracking_uri)
    if not tracking.ok:
        raise SetupError(f"MLflow: {tracking.found}", why=tracking.why, remedy=tracking.remedy)
    if config.check.sandbox == "gvisor":
        wiring.gvisor(config.check.packages)


def has_written(seen: Config) -> bool:
    """Whether a run holds all that a teacher writes in it, so that its server is not asked again.

    One that stated a digest is asked for it again: without a declared revision nobody knows whose that was.
    """
    if seen.teacher is None or not seen.sampling.revision:
        return False
    store, last = wiring.connect(seen.whole).store, "translate" if teachers.translates(seen) else "sample"
    written = {
        place.round
        for place, ref, _ in pointers(store, run_id(seen.whole))
        if (place.arm, place.step) == (teachers.place_of(seen.writer), last) and made(store, ref) is not None
    }
    return written.issuperset(teachers.rounds_of(seen.whole, seen.writer))


def model_server(config: Config) -> None:
    """Who writes answers, where that is a server, and its key is there."""
    s = config.sampling
    if s.backend == "openai":
        wiring.api_key(s.api_key_env)
        server = preflight_machine.model_server(s.url)
        if not server.ok:
            raise ConfigError(
                f"no model server answers at sampling.url ({server.found})",
                value=s.url,
                remedy="start one (`mmst serve MODEL`), or --set sampling.backend=local",
            )
    if s.backend == "server":
        wiring.look_for_server(s.server)


def for_cluster(config: Config) -> None:
    """What a recipe needs so that its stages can run as pods, which share no folder and no gVisor with us.

    Only reads the configuration; `mmst preflight` looks at the cluster itself.
    """
    whole_checkpoints(config)
    c = config.cluster
    if (wanted := tasks(config)) > MOST_TASKS:
        raise ConfigError(
            f"the run would have {wanted} tasks, and Argo ends a run that has more than some {MOST_TASKS}",
            value=f"loop.rounds={config.loop.rounds}, {len(config.loop.controls)} controls",
            remedy="fewer rounds or controls; a second recipe can continue from the champion (model.base)",
        )
    if not config.out.startswith("s3://") and not (c.volume and Path(config.out).is_relative_to(c.mount)):
        raise ConfigError(
            "pods do not share this folder", value=config.out, remedy=f"--out s3://bucket/prefix, or below {c.mount}"
        )
    if config.check.sandbox == "gvisor":
        raise ConfigError(
            "check.sandbox=gvisor starts gVisor on one machine; a pod cannot",
            remedy="--set check.sandbox=gvisor_job, or --cluster NAMESPACE for the settings of the release there",
        )
    if not config.promote.tracking_uri and not any(e.startswith("MLFLOW_TRACKING_URI=") for e in c.env):
        raise ConfigError(
            "pods need an MLflow server", remedy="--set promote.tracking_uri=http://mlflow.mmst:5000, or --cluster"
        )
    if config.train.launcher != "local" and not c.volume:
        raise ConfigError("stages and training pods share no volume", remedy="--set cluster.volume=mmst-scratch")
