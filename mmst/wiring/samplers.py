"""The samplers that `sampling.backend` names: each a function of recipe, store and checkpoint.

Entry points of other packages have the same form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from mmst.core.config import Config, run_id
from mmst.core.manifest import Manifest
from mmst.core.ports import Sampler, Store
from mmst.core.weights import checkpoint_folder
from mmst.models import trusted

Factory = Callable[[Config, Store, Manifest], AbstractContextManager[Sampler]]
"""The sampler of a checkpoint (`checkpoint_folder` fetches it), for as long as the context is open."""


def local(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """The model in this process."""
    from mmst.inference.providers.transformers import LocalModel

    m, folder = config.model, checkpoint_folder(store, checkpoint)
    return LocalModel(folder, dtype=m.dtype, batch=config.sampling.batch, trust_remote_code=bool(trusted(m)))


def ctranslate2(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """The model in this process, converted once for CPUs."""
    from mmst.inference.providers.ctranslate2 import Ctranslate2Model
    from mmst.inference.providers.ctranslate2_convert import converted

    m, folder = config.model, checkpoint_folder(store, checkpoint)
    return Ctranslate2Model(folder, converted(folder, m.dtype), dtype=m.dtype, batch=config.sampling.batch)


def recorded(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """Completions that somebody recorded, whatever the checkpoint."""
    from mmst.inference.providers.recorded import Recorded

    return contextlib.nullcontext(Recorded(Path(config.sampling.recorded)))


def openai(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """A completions server, which serves what it was started with."""
    from mmst import wiring
    from mmst.inference.providers.openai import OpenAIServer

    s = config.sampling
    return OpenAIServer(
        s.url,
        s.served_model,
        concurrency=s.concurrency,
        deadline=s.deadline,
        answered=s.answered_model,
        key=wiring.api_key(s.api_key_env),
    )


@contextlib.contextmanager
def server(config: Config, store: Store, checkpoint: Manifest) -> Iterator[Sampler]:
    """A model server that is started on this machine for this checkpoint, and ended afterwards."""
    from mmst.inference.providers import own_server
    from mmst.inference.providers.openai import OpenAIServer

    s, folder = config.sampling, checkpoint_folder(store, checkpoint)
    with (
        own_server.started(s.server, folder, config.model.dtype) as url,
        OpenAIServer(url, s.served_model, concurrency=s.concurrency, deadline=s.deadline) as sampler,
    ):
        yield sampler


@contextlib.contextmanager
def kserve(config: Config, store: Store, checkpoint: Manifest) -> Iterator[Sampler]:
    """A model server in the cluster for this checkpoint, which it must say it serves."""
    from mmst import wiring
    from mmst.inference.providers import kserve as servers
    from mmst.inference.providers.kserve_objects import model_name, sampling_service

    c = config.cluster
    service = sampling_service(checkpoint, store=store.uri, dtype=config.model.dtype, cluster=c, run=run_id(config))
    here = wiring.cluster(c.namespace)
    holder = servers.own_pod(here)
    with (
        servers.hosted(here, service, start_timeout=c.start_timeout, holder=holder) as url,
        asking(config, url, model_name(checkpoint), checkpoint.digest) as server,
    ):
        yield server


def asking(config: Config, url: str, model: str, checkpoint: str) -> AbstractContextManager[Sampler]:
    """A sampler of a server that must serve this checkpoint."""
    from mmst.inference.providers.openai import OpenAIServer

    # vLLM does not say which checkpoint it serves; there the name that it was started with has to do.
    stated = checkpoint if config.cluster.server_runtime == "mmst" else ""
    s = config.sampling
    return OpenAIServer(url, model, concurrency=s.concurrency, deadline=s.deadline, checkpoint=stated)
