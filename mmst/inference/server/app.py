"""A KServe model server for one model folder, with the OpenAI completions protocol.

    GET  /v2/health/ready   /v1/models   /metrics
    GET  /openai/v1/models         with `checkpoint`, the digest of what is served: a store's, or that of its files
    POST /openai/v1/completions    model, prompt, n, temperature, top_p, max_tokens, stop, seed, logprobs (0),
                                   add_special_tokens

Requests of all clients share one decode loop: a new request joins the rows in progress. Sampling in process uses
the same loop, so the same request and seed give the same text.

    connection   bounds on what comes by a connection, in bytes and seconds
    request      what a body asks, read strictly
    routes       the protocol
    batch        the decode loop
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from mmst.core.errors import SamplerError, SetupError
from mmst.core.hashes import digest_of, files_of
from mmst.core.ports import Request
from mmst.inference.providers.transformers import LocalModel
from mmst.inference.server.batch import Batcher
from mmst.inference.server.connection import LINGER_SECONDS, bounded
from mmst.inference.server.routes import ROOT, Completions
from mmst.observe import terminal

DRAIN = 30
"""Seconds that requests in progress have after SIGTERM."""
LAST = 2.0
"""Additional seconds for a decoding step that is in progress then."""


def serve(
    folder: str,
    *,
    name: str,
    port: int,
    host: str = "0.0.0.0",
    batch: int = 256,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    checkpoint: str = "",
) -> None:
    """Serve a model folder as `name` until SIGTERM or Ctrl-C; requests in progress may end within `DRAIN`.

    Nothing listens before the model is loaded. Two lines on standard error say what is loaded and where it is
    served. `checkpoint` is the digest that clients see; empty, they see that of the folder's files. `SetupError` if
    the address is not available, `ModelError` if the folder cannot be served. Use `host` 127.0.0.1 for a server that
    others must not reach.
    """
    terminal.warn(f"mmst: loading {folder} as {dtype}")
    with (
        _address(host, port) as address,
        LocalModel(Path(folder), dtype=dtype, batch=batch, trust_remote_code=trust_remote_code) as model,
    ):
        stated = checkpoint or digest_of(files_of(Path(folder)))
        _warm(model)
        batcher = Batcher(model)
        batcher.start()
        completions = Completions(batcher, model, name, stated)
        what = f"{name}, {model.model.num_parameters():,} parameters"
        asyncio.run(Server(_config(completions, name, host, port), batcher, what).serve([address]))
        if not batcher.abort(SamplerError(STOPPED), LAST):
            sys.stdout.flush()
            os._exit(0)  # a step of a large model takes longer than anybody waits for


STOPPED = "the server is stopping"


class Server(uvicorn.Server):
    """uvicorn's server, which prints what it serves and where, and ends within a time limit."""

    def __init__(self, config: uvicorn.Config, batcher: Batcher, what: str) -> None:
        super().__init__(config)
        self.batcher, self.what = batcher, what

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then print the address."""
        host, port = self.config.host, self.config.port
        try:
            await super().startup(sockets)
        except OSError as e:  # another server took it as this one did, and was the first to listen
            raise _no_address(host, port, e) from e
        if self.started:
            host = f"[{host}]" if ":" in host else host
            terminal.warn(f"mmst: serving {self.what}, at http://{host}:{port}{ROOT}; Ctrl-C ends it")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once; the process exits normally either way."""
        self.should_exit, self.force_exit = True, self.should_exit

    async def shutdown(self, sockets: Any = None) -> None:
        """Let requests in progress end. Those not answered by then get 503, and decoding stops."""
        loop = asyncio.get_running_loop()
        loop.call_later(DRAIN, self.batcher.abort, SamplerError(STOPPED))
        await super().shutdown(sockets)


def _address(host: str, port: int) -> socket.socket:
    """Bind the address while the model loads, so that a conflict is found at once; nothing listens there yet."""
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
    except OSError as e:
        taken.close()
        raise _no_address(host, port, e) from e
    return taken


def _no_address(host: str, port: int, e: OSError) -> SetupError:
    remedy = "choose another --port, or a --host of this machine"
    return SetupError(f"cannot serve at {host} port {port}", why=e.strerror or str(e), remedy=remedy)


def _warm(model: LocalModel) -> None:
    """Do one-time work before any request, and keep what is permanent from the garbage collector."""
    model.rows(Request(id="warm", prompt="1", n=1, seed=0, temperature=0.0, top_p=1.0, max_tokens=1, stop=()))
    gc.collect()
    gc.freeze()


def _config(completions: Completions, name: str, host: str, port: int) -> uvicorn.Config:
    """KServe's application (health, models, metrics) with our routes and limits."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:  # kserve parses the command line when it is imported
        from kserve import Model
        from kserve.logging import configure_logging
        from kserve.model_repository import ModelRepository
        from kserve.model_server import app
        from kserve.protocol.dataplane import DataPlane
        from kserve.protocol.model_repository_extension import ModelRepositoryExtension
        from kserve.protocol.rest.server import RESTServer
    finally:
        sys.argv = arguments

    class Served(Model):  # type: ignore[misc]
        """The model as KServe's own routes (health, models) see it."""

        def __init__(self) -> None:
            super().__init__(name)
            self.ready = True

    configure_logging()
    models = ModelRepository()
    models.update(Served())
    rest = RESTServer("kserve.model_server:app", DataPlane(models), ModelRepositoryExtension(models), port)
    rest.create_application()
    config: uvicorn.Config = rest.config
    config.app, config.host, config.http, config.ws = completions.around(app), host, bounded(), "none"
    config.timeout_graceful_shutdown = DRAIN + int(LINGER_SECONDS)
    return config
