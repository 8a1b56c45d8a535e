"""A KServe model server for one model folder, with the OpenAI completions protocol.

    GET  /v2/health/ready   /v1/models   /metrics
    GET  /openai/v1/models         with `checkpoint`, the digest of what is served, when it came from a store
    POST /openai/v1/completions    model, prompt, n, temperature, top_p, max_tokens, stop, seed, logprobs (0)

Requests of all clients share one decode loop: a request that arrives joins the rows under way. It
is the loop that samples in process, so the same request and seed give the same text.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mmst.backends.local_model import LocalModel, failures
from mmst.errors import ModelError, PlatformError, SamplerError, StoreError
from mmst.manifest import Manifest
from mmst.ports import Request, Store
from mmst.store import checkpoint_folder, file_sha256

if TYPE_CHECKING:
    from mmst.decoding import Decoding
    from mmst.rows import Row

WINDOW = 0.005
"""Seconds for which the first request waits for company when the model is idle."""
DRAIN = 30
"""Seconds that requests under way have after SIGTERM."""


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
    """Serve a model folder as `name` until SIGTERM or Ctrl-C, which lets requests under way end.

    Nothing listens before the model is loaded. `checkpoint` is the digest that clients are told.
    `ModelError` when the folder cannot be served. `host` other than the default is only for
    servers that nobody else shall reach (127.0.0.1).
    """
    with LocalModel(Path(folder), dtype=dtype, batch=batch, trust_remote_code=trust_remote_code) as model:
        batcher = Batcher(model)
        batcher.start()
        _start_kserve(_router(batcher, model, name, checkpoint), name, host, port)
        batcher.stop()


def fetched(store: Store, manifest: Manifest, cache: Path) -> Path:
    """The folder of a checkpoint, every file with the hash that its manifest states.

    From a bucket it is fetched into `cache`; what is there already is not fetched again.
    `StoreError` when a file is missing or another.
    """
    folder = checkpoint_folder(store, manifest, cache / manifest.key)
    for entry in manifest.files:
        path = folder / entry.name
        if not path.is_file() or file_sha256(path) != entry.sha256:
            raise StoreError(f"{path} is missing or does not have the hash that {manifest.ref} states")
    return folder


@dataclass(slots=True, eq=False)
class Pending:
    """A request whose completions somebody waits for."""

    rows: list[Row]
    done: concurrent.futures.Future[list[Row]] = field(default_factory=concurrent.futures.Future)
    left: int = 0


class Batcher:
    """One thread that decodes for everybody: rows join and leave the loop as they come and end."""

    def __init__(self, model: LocalModel, observe: Callable[[int], None] = lambda rows: None) -> None:
        self.model, self.observe = model, observe
        self.queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self.owners: dict[int, Pending] = {}

    def start(self) -> None:
        """Start decoding."""
        self.thread.start()

    def stop(self) -> None:
        """End when what was submitted is done."""
        self.queue.put(None)
        self.thread.join()

    def submit(self, request: Request) -> concurrent.futures.Future[list[Row]]:
        """The rows of a request, once they have ended; `ModelError` when its prompt doesn't fit."""
        rows = self.model.rows(request)
        pending = Pending(rows, left=len(rows))
        self.queue.put(pending)
        return pending.done

    def _run(self) -> None:
        decoding, open_ = self.model.decoding(), True
        while open_ or decoding.busy:
            open_ = self._take(decoding, open_)
            if not decoding.busy:
                continue
            try:
                with failures():
                    ended = decoding.step()
            except Exception as e:  # whatever it is, the next requests are served
                self._fail(e if isinstance(e, PlatformError) else SamplerError(f"the decode loop failed: {e!r}"))
                decoding = self.model.decoding()
                continue
            self.observe(len(self.owners))
            for row in ended:
                pending = self.owners.pop(id(row))
                pending.left -= 1
                if not pending.left:
                    pending.done.set_result(pending.rows)

    def _take(self, decoding: Decoding, open_: bool) -> bool:
        """Add what was submitted to the loop; waits only while there is nothing to decode."""
        deadline = None if not decoding.busy else 0.0
        while open_:
            try:
                pending = self.queue.get(timeout=deadline) if deadline != 0.0 else self.queue.get_nowait()
            except queue.Empty:
                break
            if pending is None:
                return False
            if pending.done.set_running_or_notify_cancel():  # else its client has gone
                self.owners.update({id(row): pending for row in pending.rows})
                decoding.add(pending.rows)
            deadline = WINDOW if deadline is None or deadline > 0 else 0.0
        return open_

    def _fail(self, error: PlatformError) -> None:
        for pending in set(self.owners.values()):
            pending.done.set_exception(error)
        self.owners.clear()


def _start_kserve(router: Any, name: str, host: str, port: int) -> None:
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:  # kserve parses the command line when it is imported
        from kserve import Model, ModelServer
        from kserve.model_server import app
    finally:
        sys.argv = arguments

    class Served(Model):  # type: ignore[misc]
        """What KServe's own routes (health, models) know of."""

        def __init__(self) -> None:
            super().__init__(name)
            self.ready = True

    app.include_router(router)
    if host != "0.0.0.0":
        _bind(host)
    ModelServer(http_port=port, enable_grpc=False, workers=1, grace_period=DRAIN).start([Served()])


def _bind(host: str) -> None:
    """Listen on one address only; KServe itself always listens on all."""
    import uvicorn

    start: Any = uvicorn.Config.__init__

    def bound(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **{**kwargs, "host": host})

    uvicorn.Config.__init__ = bound  # type: ignore[method-assign]


def _router(batcher: Batcher, model: LocalModel, name: str, checkpoint: str) -> Any:
    """The routes of the OpenAI protocol."""
    from fastapi import APIRouter
    from fastapi import Request as HttpRequest
    from fastapi.responses import JSONResponse
    from prometheus_client import Counter, Histogram
    from pydantic import BaseModel, ConfigDict, Field, ValidationError

    asked = Counter("mmst_completion_requests", "Completion requests by HTTP status", ["status"])
    made = Counter("mmst_completion_tokens", "Tokens generated")
    read = Counter("mmst_prompt_tokens", "Prompt tokens read")
    rows = Histogram("mmst_batch_rows", "Rows decoded together, by step", buckets=[2**i for i in range(11)])
    batcher.observe = rows.observe

    class Body(BaseModel):
        """The part of the protocol that is served; anything else is refused, not ignored."""

        model_config = ConfigDict(extra="forbid")
        model: str
        prompt: Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1, max_length=1)]
        n: int = Field(1, ge=1, le=256)
        temperature: float = Field(1.0, ge=0, le=5, allow_inf_nan=False)
        top_p: float = Field(1.0, gt=0, le=1)
        max_tokens: int = Field(16, ge=1)
        stop: Annotated[str, Field(min_length=1)] | list[Annotated[str, Field(min_length=1)]] | None = None
        seed: int | None = Field(None, ge=-(2**63), lt=2**63)
        logprobs: int | None = Field(None, ge=0, le=0)
        user: str | None = None

    def refused(status: int, message: str, parameter: str | None = None) -> JSONResponse:
        asked.labels(status).inc()
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = {"message": message, "type": kind, "param": parameter, "code": status}
        return JSONResponse({"error": error}, status)

    async def completions(http: HttpRequest) -> JSONResponse:
        try:
            body = Body.model_validate_json(await http.body())
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return refused(400, f"{where}: {first['msg']}" if where else first["msg"], where or None)
        if body.model != name:
            return refused(404, f"the model '{body.model}' does not exist; this server has '{name}'", "model")
        request = Request(
            id=f"cmpl-{secrets.token_hex(12)}",
            prompt=body.prompt if isinstance(body.prompt, str) else body.prompt[0],
            n=body.n,
            seed=secrets.randbits(31) if body.seed is None else body.seed,
            temperature=body.temperature,
            top_p=body.top_p,
            max_tokens=body.max_tokens,
            stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        )
        try:
            ended = await asyncio.wrap_future(batcher.submit(request))
        except ModelError as e:
            return refused(400, str(e), "prompt")
        except PlatformError as e:
            return refused(503, str(e))
        asked.labels(200).inc()
        tokens = sum(len(row.tokens) for row in ended)
        made.inc(tokens)
        read.inc(len(ended[0].prompt))
        usage = {
            "prompt_tokens": len(ended[0].prompt),
            "completion_tokens": tokens,
            "total_tokens": len(ended[0].prompt) + tokens,
        }
        answer = {"id": request.id, "object": "text_completion", "created": int(time.time()), "model": name}
        choices = [_choice(row, model, body.logprobs is not None) for row in ended]
        return JSONResponse({**answer, "choices": choices, "usage": usage})

    async def models(http: HttpRequest) -> JSONResponse:
        served = {"id": name, "object": "model", "created": 0, "owned_by": "mmst"}
        if checkpoint:
            served["checkpoint"] = checkpoint
        return JSONResponse({"object": "list", "data": [served]})

    router = APIRouter()
    router.add_route("/openai/v1/completions", completions, methods=["POST"])
    router.add_route("/openai/v1/models", models, methods=["GET"])
    return router


def _choice(row: Row, model: LocalModel, logprobs: bool) -> dict[str, Any]:
    """One completion in the protocol's shape; `tokens` is our own field: how many it took."""
    choice: dict[str, Any] = {
        "index": row.j,
        "text": row.text,
        "finish_reason": row.finish,
        "tokens": len(row.tokens),
        "logprobs": None,
    }
    if logprobs:
        choice["logprobs"] = {
            "tokens": [model.tokens.text(row.prompt, [t]) for t in row.tokens],
            "token_logprobs": row.logprobs,
            "top_logprobs": None,
            "text_offset": [len(model.tokens.text(row.prompt, row.tokens[:i])) for i in range(len(row.tokens))],
        }
    return choice
