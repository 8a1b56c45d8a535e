"""Config → providers: the only room that knows them, each imported when first asked for.

Samplers and sandboxes are found by name (`mmst.core.plugins`): ours in `samplers` and `sandboxes`, others in the
packages that add them.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mmst import models
from mmst.core import addresses, plugins
from mmst.core.config import RECHECK, CheckConfig, ClusterConfig, Config, TrainConfig, run_id
from mmst.core.errors import MmstError, SetupError
from mmst.core.manifest import Manifest
from mmst.core.ports import Algebra, Message, Progress, Registry, Sampler, Sandbox, Store, Trainer, TrainSpec
from mmst.core.provenance import Provenance
from mmst.core.redaction import remember
from mmst.core.served import asks_server
from mmst.core.stored import load
from mmst.core.weights import checkpoint_folder
from mmst.observe import progress as progress_module
from mmst.retrain.trigger import Records
from mmst.sandbox.guest.packages import DEFAULT
from mmst.serving.rollout import Rollout, Version, smoke_test
from mmst.wiring import added, samplers

if TYPE_CHECKING:
    from mmst.core.diagnostic import Diagnostic
    from mmst.kubernetes.client import Cluster
    from mmst.kubernetes.kinds import Object
    from mmst.kubernetes.run_status import Seen


def connect(config: Config, progress: Progress | None = None) -> Wired:
    """The engines of a configuration.

    >>> engines = connect(parse({"out": "runs"}))      # doctest: +SKIP
    >>> with engines.sandbox() as box: ...             # doctest: +SKIP
    """
    return Wired(config, progress or progress_module.from_environment())


def open_store(uri: str) -> Store:
    """A folder, or a bucket for `s3://bucket/prefix`."""
    addresses.store(uri)
    if uri.startswith("s3://"):
        from mmst.storage.s3 import S3Store

        return S3Store(uri)
    from mmst.storage.folder import FolderStore

    return FolderStore(Path(uri.removeprefix("file://")))


def cluster(namespace: str) -> Cluster:
    """The Kubernetes cluster here, in this namespace; see `kubernetes.client.Cluster`."""
    from mmst.kubernetes.client import Cluster

    return Cluster.connect(namespace)


def execution() -> str:
    """The execution of a run that this process belongs to; empty outside of one. See `kubernetes.users`."""
    from mmst.kubernetes.kinds import EXECUTION

    return os.environ.get(EXECUTION, "")


def records(namespace: str) -> Records:
    """The records of `mmst trigger` in a namespace."""
    from mmst.retrain.configmap_records import ConfigMapRecords

    return ConfigMapRecords(cluster(namespace))


def in_cluster(settings: ClusterConfig, run: str, kfp_run: str = "") -> list[Seen]:
    """What of a run is in the cluster now; see `kubernetes.run_status.of_run`."""
    from mmst.kubernetes import run_status

    here = cluster(settings.namespace)
    return run_status.of_run(
        here, settings.sandbox_namespace, run, kfp_run=kfp_run, start_timeout=settings.start_timeout
    )


def workflow_nodes(settings: ClusterConfig, kfp_run: str) -> list[Object]:
    """The nodes of a run's Argo Workflow; see `kubernetes.run_status.workflow_nodes`."""
    from mmst.kubernetes import run_status

    return run_status.workflow_nodes(cluster(settings.namespace), kfp_run)


def failures(settings: ClusterConfig, run: str, since: float = 0.0) -> list[MmstError]:
    """Why stages of a run failed since then; see `kubernetes.run_status.failures`."""
    from mmst.kubernetes import run_status

    return run_status.failures(cluster(settings.namespace), run, since)


def preflight(part: str, config: Config) -> Iterator[Diagnostic]:
    """What one part of `mmst preflight` finds in the cluster; see `kubernetes.probes`."""
    from mmst.kubernetes import probes

    found: Iterator[Diagnostic] = getattr(probes, part)(cluster(config.cluster.namespace), config)
    return found


SETTINGS = "mmst-settings"
"""The ConfigMap in which an installed release says how runs are to use the cluster."""


def release_settings(namespace: str) -> str:
    """The partial recipe (YAML) of the release that is installed in a namespace; `SetupError` when there is none."""
    from mmst.kubernetes.kinds import CONFIG_MAP

    found = cluster(namespace).get(CONFIG_MAP, SETTINGS)
    if found is None or "settings.yaml" not in found.get("data", {}):
        what = f"no MMST release in namespace '{namespace}' (ConfigMap {SETTINGS} with settings.yaml)"
        raise SetupError(what, remedy=f"helm install mmst helm/mmst --namespace {namespace} (helm/mmst/README.md)")
    return str(found["data"]["settings.yaml"])


def token_counter(folder: Path) -> Callable[[Sequence[str]], list[int]]:
    """How many tokens texts are for a model folder's tokenizer, its own start and end tokens left out.

    transformers, which takes seconds to load, is only asked where the folder has no tokenizer.json.
    """
    from mmst.inference.folder import counter, load_tokenizer

    if (folder / "tokenizer.json").is_file():
        return counter(folder / "tokenizer.json")
    tokenizer = load_tokenizer(folder)
    return lambda texts: [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def check_adapters(folder: Path, config: Config) -> None:
    """`UserError` for LoRA targets that the model in the folder does not have; no weight is loaded."""
    from mmst.training.model import check_adapters

    check_adapters(folder, config.train, trust=bool(models.trusted(config.model)))


def look_for_server(template: str) -> None:
    """`SetupError` if the program that starts a model server is not installed; see `sampling.server`."""
    from mmst.inference.providers import own_server

    own_server.look(template)


def sandboxes_here() -> list[str]:
    """The sandboxes that need no cluster, by name."""
    return [name for name in plugins.names(plugins.SANDBOXES) if name != "gvisor_job"]


def sandbox(
    name: str, workers: int = 0, packages: Sequence[str] = DEFAULT, recheck: float = RECHECK
) -> contextlib.AbstractContextManager[Sandbox]:
    """The sandbox of this name, with as many workers or, for 0, one a core.

    In gVisor with these `packages`, and with a share of `recheck` of what is evaluated run as well.
    """
    check = CheckConfig(sandbox=name, workers=workers, packages=tuple(packages), recheck=recheck)
    return added.sandbox(name)(Config(check=check))


class Wired:
    """Fulfils `ports.Engines`."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self.config = config
        self.progress = progress

    @cached_property
    def store(self) -> Store:
        """The run's store."""
        return open_store(self.config.out)

    @cached_property
    def provenance(self) -> Provenance:
        """Which run this is."""
        return Provenance.of(self.config)

    @property
    def failures(self) -> float:
        """See `ports.Ports.failures`."""
        return self.config.sampling.failures

    @property
    def most_tokens(self) -> int:
        """See `ports.Ports.most_tokens`."""
        return self.config.teacher.most_tokens if self.config.teacher else 0

    def served_digest(self) -> str:
        """See `ports.Ports.served_digest`."""
        return samplers.served_digest(self.config)

    @contextlib.contextmanager
    def sampler(self, checkpoint: Manifest, *, recorded: bool = False) -> Iterator[Sampler]:
        """The sampler of a checkpoint; see `ports.Engines.sampler`.

        A completions server serves the model that the run starts from, or a teacher; the checkpoints that
        the run makes are sampled in process, never by a server that serves another model.
        """
        name = self.config.sampling.backend
        if (name == "recorded" and not recorded) or (name == "openai" and not asks_server(self.config, checkpoint)):
            name = "local"
        with added.sampler(name)(self.config, self.store, checkpoint) as sampler:
            yield sampler

    def rollout(self, model: str, tell: Callable[[str], None]) -> Rollout:
        """What moves the namespace's champion to that of a registered model; see `mmst.serving.rollout`."""
        from mmst.registry.mlflow import MlflowRegistry
        from mmst.serving.champion_service import ChampionServices
        from mmst.serving.registry_versions import ServingVersions

        config, registry = self.config, self.registry()
        assert isinstance(registry, MlflowRegistry)
        versions = ServingVersions(registry, model, self.store, tell)

        def ask(url: str, model: str, version: Version) -> contextlib.AbstractContextManager[Sampler]:
            checkpoint = load(self.store, version.ref)
            dialect = samplers.rendered(versions.recipe(version), self.store, checkpoint)
            return samplers.asking(config, url, model, version.checkpoint, dialect)

        def check(version: Version, sampler: Sampler) -> str:
            return smoke_test(self.store, version, sampler, versions.recipe(version).filed)

        here = cluster(config.cluster.namespace)
        services = ChampionServices(here, config.cluster, self.store, versions.recipe, ask)
        return Rollout(services, versions, check, tell)

    def renderer(self, checkpoint: Manifest) -> Callable[[Sequence[Message]], str]:
        """The checkpoint's chat template; see `ports.Engines.renderer`."""
        from mmst.inference.providers.transformers import chat_renderer

        return chat_renderer(checkpoint_folder(self.store, checkpoint))

    def sandbox(self) -> contextlib.AbstractContextManager[Sandbox]:
        """The code sandbox that the configuration names."""
        return added.sandbox(self.config.check.sandbox)(self.config)

    def algebra(self) -> contextlib.AbstractContextManager[Algebra]:
        """The algebra engine."""
        return algebra()

    def trainer(self) -> Trainer:
        """The training engine."""
        c, t = self.config.cluster, self.config.train
        if t.launcher != "local":
            from mmst.training.providers.kubernetes_job import TrainingJobs

            here, run = cluster(c.namespace), run_id(self.config)
            jobs = TrainingJobs(here, c, form=t.launcher, ranks=t.ranks, run=run, execution=execution())
            return Configured(jobs, t)
        from mmst.training.providers.torchrun import Torchrun

        return Configured(Torchrun(ranks=t.ranks), t)

    def registry(self) -> Registry:
        """The tracking server and registry; SQLite beside the run's store by default."""
        from mmst.registry.mlflow import MlflowRegistry

        p = self.config.promote
        uri = p.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        uri = uri or default_tracking_uri(self.config.out)
        return MlflowRegistry(uri, experiment=p.experiment, progress=self.progress)

    def rehearse(self) -> None:
        """`RegistryError` for what a tracking server will refuse at the run's promotions; SQLite refuses nothing."""
        from mmst.registry.mlflow import MlflowRegistry

        registry = self.registry()
        assert isinstance(registry, MlflowRegistry)
        if not registry.uri.startswith("sqlite:"):
            registry.rehearse(self.config.promote.name, run_id(self.config))

    def cleanup(self, run: str) -> None:
        """Delete what this execution of a run left in the cluster: check Jobs, their inputs, training jobs, servers.

        What another execution of the same run uses stays.
        """
        from mmst.inference.providers import kserve
        from mmst.kubernetes import kinds as kube
        from mmst.kubernetes import users

        here = cluster(self.config.cluster.namespace)
        sandbox = here.beside(self.config.cluster.sandbox_namespace)
        training = [(here, kind) for kind in (kube.PYTORCH_JOB, kube.TRAIN_JOB) if here.has(kind)]
        for where, kind in (*training, (sandbox, kube.JOB), (sandbox, kube.CONFIG_MAP)):
            for found in list(where.list(kind, {**kube.MANAGED, kube.RUN: run})):
                users.leave(where, kind, found["metadata"]["name"], execution())
        if here.has(kube.INFERENCE_SERVICE):
            kserve.end(here, run, execution())


class Configured:
    """A trainer that is told, beside what the stage says, how the recipe has it work: what changes no result."""

    def __init__(self, trainer: Trainer, config: TrainConfig) -> None:
        self.trainer = trainer
        self.how = {f.name: getattr(config, f.name) for f in fields(config) if not f.metadata.get("affects", True)}

    def train(
        self, spec: TrainSpec, on_step: Callable[[int, float], None] = lambda step, loss: None
    ) -> Mapping[str, float]:
        """See `ports.Trainer.train`."""
        return self.trainer.train(replace(spec, settings={**spec.settings, **self.how}), on_step)


def algebra() -> contextlib.AbstractContextManager[Algebra]:
    """sympy, in as many processes as there are processors; they start with the first question."""
    from mmst.grading.algebra.processes import SympyAlgebra

    return SympyAlgebra(workers=os.cpu_count() or 1)


def api_key(variable: str) -> str:
    """The key in an environment variable, "" where none is named; `SetupError`, without the key, if it is none."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"[!-~]{1,4096}", key):
        what = "contains characters that no key has" if key else "is not set"
        remedy = f"export {variable}=…; on a cluster, a Secret with this key in cluster.stage_secrets"
        raise SetupError(
            f"the environment variable {variable} {what}", why="sampling.api_key_env names it", remedy=remedy
        )
    remember(key)
    return key


def gvisor(packages: Sequence[str] = ()) -> str:
    """Version and platform of this machine's gVisor, really started with these packages in it.

    `SetupError` with the remedy when it can't be.
    """
    from mmst.sandbox.providers.gvisor import available

    return available(packages)


def default_tracking_uri(out: str) -> str:
    """SQLite in the run's folder; for a bucket, in the current folder."""
    folder = Path.cwd() if out.startswith("s3://") else Path(out.removeprefix("file://")).absolute()
    return f"sqlite:///{folder / 'mlflow.db'}"
