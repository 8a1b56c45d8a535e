"""The samplers that `sampling.backend` names: each a function of recipe, store and checkpoint.

Entry points of other packages have the same form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmst.core.config import Config, run_id
from mmst.core.hashes import digest_of
from mmst.core.manifest import Manifest
from mmst.core.ports import Sampler, Store
from mmst.core.served import STAGE, asked_by, served
from mmst.core.weights import checkpoint_folder
from mmst.models import trusted

if TYPE_CHECKING:
    from mmst.inference.providers.openai import OpenAIServer
    from mmst.inference.providers.openai_dialect import Dialect

WEIGHTS = ".safetensors"
GONE = 30.0
"""Seconds after which a server that need not be there is taken for gone."""
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

    return contextlib.nullcontext(Recorded(Path(config.sampling.recorded), config.filed))


def openai(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """A completions server of the user's, which must say that it serves the base, or be named with a revision.

    A teacher's whose model is not here must still say what it said, if it said anything.
    """
    known, dialect = served(config, checkpoint), rendered(config, store, checkpoint)
    if checkpoint.stage == STAGE:
        assert known is not None
        return _asked(config, dialect, checkpoint=known.digest, silent=not known.digest)
    files = digest_of(checkpoint.files)
    return _asked(config, dialect, checkpoint=checkpoint.digest, files=files, unstated=known is not None)


def served_digest(config: Config) -> str:
    """The digest that the server of `sampling.url` states of what it serves; "" where it states none.

    One that may be gone, since the recipe declares who it is, is not waited for as long as for an answer.
    """
    s = config.sampling
    with _asked(config, None, deadline=min(s.deadline, GONE) if s.revision else s.deadline) as there:
        return there.known


def _asked(config: Config, dialect: Dialect | None, deadline: float = 0.0, **expected: Any) -> OpenAIServer:
    from mmst import wiring
    from mmst.inference.providers.openai import OpenAIServer
    from mmst.inference.providers.openai_dialect import Dialect

    s = config.sampling
    if asked_by(config):
        dialect = dialect or Dialect()
        dialect.chat = True
    return OpenAIServer(
        s.url,
        s.served_model,
        concurrency=s.concurrency,
        deadline=deadline or s.deadline,
        answered=s.answered_model,
        key=wiring.api_key(s.api_key_env),
        dialect=dialect,
        **expected,
    )


@contextlib.contextmanager
def server(config: Config, store: Store, checkpoint: Manifest) -> Iterator[Sampler]:
    """A model server that is started on this machine for this checkpoint, and ended afterwards."""
    from mmst.inference.providers import own_server
    from mmst.inference.providers.openai import OpenAIServer

    s, folder = config.sampling, checkpoint_folder(store, checkpoint)
    with (
        own_server.started(s.server, folder, config.model.dtype) as url,
        OpenAIServer(
            url,
            s.served_model,
            concurrency=s.concurrency,
            deadline=s.deadline,
            checkpoint=checkpoint.digest,
            files=digest_of(checkpoint.files),
            unstated=True,  # it was started on these files
            own=str(folder),
            dialect=_dialect(config, folder),
        ) as sampler,
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
    dialect = rendered(config, store, checkpoint)
    with (
        servers.hosted(here, service, start_timeout=c.start_timeout, holder=holder) as url,
        asking(config, url, model_name(checkpoint), checkpoint.digest, dialect) as server,
    ):
        yield server


def asking(
    config: Config, url: str, model: str, checkpoint: str, dialect: Dialect | None = None
) -> AbstractContextManager[Sampler]:
    """A sampler of a server that must serve this checkpoint."""
    from mmst.inference.providers.openai import OpenAIServer

    # vLLM does not say which checkpoint it serves; there the name that it was started with has to do.
    stated = checkpoint if config.cluster.server_runtime == "mmst" else ""
    s = config.sampling
    return OpenAIServer(url, model, concurrency=s.concurrency, deadline=s.deadline, checkpoint=stated, dialect=dialect)


def rendered(config: Config, store: Store, checkpoint: Manifest) -> Dialect | None:
    """What a server must be told where prompts are rendered from chat messages; None where they are not."""
    if config.prompt.style != "chat":
        return None
    if checkpoint.location or store.folder(checkpoint.ref) is not None:
        return _dialect(config, checkpoint_folder(store, checkpoint))
    # From a bucket without the weights, which the server alone needs.
    words = replace(checkpoint, files=tuple(e for e in checkpoint.files if not e.name.endswith(WEIGHTS)))
    return _dialect(config, checkpoint_folder(store, words, store.scratch(checkpoint.ref) / "words"))


def _dialect(config: Config, folder: Path) -> Dialect:
    """What a server must be told of the model in a folder."""
    from mmst.inference.folder import framing
    from mmst.inference.providers.openai_dialect import Dialect

    around = framing(folder, bool(trusted(config.model)))
    return Dialect(**around._asdict())
