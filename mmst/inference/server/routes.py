"""The routes of `mmst serve`: the OpenAI completions protocol, and nothing else with a body.

A handler does no work on the event loop: threads read bodies, tokenise prompts and write answers. While it waits
for them, or for the model, it watches whether its client is still connected.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from mmst.core.errors import ModelError, PlatformError
from mmst.inference.server.batch import Batcher
from mmst.inference.server.connection import REFUSED
from mmst.inference.server.request import AGAIN, Asked, BadRequest, error_body, read

if TYPE_CHECKING:
    from mmst.inference.providers.transformers import LocalModel
    from mmst.inference.sequences import ActiveSequence
    from mmst.inference.tokenizer import Tokens

ROOT = "/openai/v1"
PATH, MODELS = f"{ROOT}/completions", f"{ROOT}/models"
OFFERED = f"this server completes prompts: POST {PATH}"
GONE = 499
"""Counted instead of a status if the client has gone before its answer."""
READERS = 2
"""Threads that read bodies and write answers: more would compete with the loop for the interpreter."""
HELD_BYTES = 64 << 20
"""Limit for the bodies of all requests together."""
SPECIAL = "add_special_tokens"
READING = ("GET", "HEAD", "OPTIONS")

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class Completions:
    """The requests of all clients: counted, read, decoded, answered."""

    def __init__(self, batcher: Batcher, model: LocalModel, name: str, checkpoint: str) -> None:
        self.batcher, self.model, self.name = batcher, model, name
        self.checkpoint = checkpoint
        self.readers = ThreadPoolExecutor(READERS, "read")
        self.held = 0
        self.asked = Counter("mmst_completion_requests", "Completion requests by HTTP status; 499: gone", ["status"])
        self.made = Counter("mmst_completion_tokens", "Tokens generated")
        self.prompts = Counter("mmst_prompt_tokens", "Prompt tokens read")
        buckets = [2**i for i in range(11)]
        batcher.observe = Histogram("mmst_batch_rows", "Rows decoded together, by step", buckets=buckets).observe
        open_rows = Gauge("mmst_open_rows", "Completions that are decoded or wait for it")
        open_rows.set_function(lambda: len(batcher.owners))

    def around(self, app: App) -> App:
        """KServe's application with our routes, and without its own routes that have a body.

        Our routes bypass its layers, which take a millisecond of the event loop each time. A text model has no
        tensors, and no client may unload it.
        """

        async def served(scope: Scope, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            method, path = scope["method"], scope["path"]
            if path == PATH and method == "POST":
                answer = await self.completions(HttpRequest(scope, receive))
            elif path == MODELS and method == "GET":
                answer = self.models()
            elif path.startswith(f"{ROOT}/"):
                answer = refused(404, f"no {method} {path} here: {OFFERED}, and GET {MODELS}")
            elif path.startswith(("/v1/", "/v2/")) and method not in READING:
                answer = JSONResponse({"error": OFFERED}, 501)
            else:
                return await app(scope, receive, send)
            return await answer(scope, receive, send)

        return served

    def models(self) -> Response:
        """The models that are served."""
        served = {"id": self.name, "object": "model", "created": 0, "owned_by": "mmst", "checkpoint": self.checkpoint}
        return JSONResponse({"object": "list", "data": [served]})

    async def completions(self, http: HttpRequest) -> Response:
        """Answer one request, unless its client goes first."""
        raw = bytearray()
        try:
            async for part in http.stream():
                raw += part
                self.held += len(part)
                if self.held > HELD_BYTES:
                    response: Response = refused(503, "the server is busy: it holds too many requests")
                    break
            else:
                response = await self._unless_gone(http, bytes(raw))
        except ClientDisconnect:
            response = Response(status_code=http.scope["state"].get(REFUSED, GONE))
        finally:
            self.held -= len(raw)
        self.asked.labels(response.status_code).inc()
        return response

    async def _unless_gone(self, http: HttpRequest, raw: bytes) -> Response:
        """The answer; `ClientDisconnect` if the client has gone, and decoding stops."""
        work, gone = asyncio.ensure_future(self._answer(raw)), asyncio.ensure_future(_gone(http))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            return work.result()
        finally:
            work.cancel()
            gone.cancel()

    async def _answer(self, raw: bytes) -> Response:
        loop = asyncio.get_running_loop()
        try:
            asked, rows = await loop.run_in_executor(self.readers, self._read, raw)
            try:
                await asyncio.wrap_future(self.batcher.add(rows))
            finally:  # what was generated for one that has gone was generated
                self.made.inc(sum(len(row.tokens) for row in rows))
        except BadRequest as e:
            return refused(e.status, str(e), e.parameter)
        except ModelError as e:
            return refused(400, str(e), "prompt")
        except PlatformError as e:
            return refused(503, str(e))
        self.prompts.inc(len(rows[0].prompt))
        return await loop.run_in_executor(self.readers, self._written, asked, rows)

    def _read(self, raw: bytes) -> tuple[Asked, list[ActiveSequence]]:
        asked = read(
            raw,
            model=self.name,
            context=self.model.context,
            id=f"cmpl-{secrets.token_hex(12)}",
            seed=secrets.randbits(31),
        )
        rows = self.model.rows(asked.request)
        if not asked.special_tokens and rows[0].prompt != self.model.tokens.bare(asked.request.prompt):
            raise BadRequest(f"{SPECIAL}: this server puts the start token before a text that has none", SPECIAL)
        return asked, rows

    def _written(self, asked: Asked, rows: list[ActiveSequence]) -> Response:
        prompt, made = len(rows[0].prompt), sum(len(row.tokens) for row in rows)
        return JSONResponse(
            {
                "id": asked.request.id,
                "object": "text_completion",
                "created": int(time.time()),
                "model": self.name,
                "system_fingerprint": self.checkpoint,
                "choices": [choice(row, self.model.tokens, asked.logprobs) for row in rows],
                "usage": {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made},
            }
        )


def refused(status: int, message: str, parameter: str | None = None) -> Response:
    """An answer without completions."""
    headers = {"Retry-After": AGAIN} if status == 503 else None
    return JSONResponse(error_body(status, message, parameter), status, headers)


def choice(row: ActiveSequence, tokens: Tokens, logprobs: bool) -> dict[str, Any]:
    """One completion in the protocol's form; `tokens` is our own field with their number."""
    made: dict[str, Any] = {
        "index": row.j,
        "text": row.text,
        "finish_reason": row.finish,
        "tokens": len(row.tokens),
        "logprobs": None,
    }
    if logprobs:
        made["logprobs"] = {
            "tokens": [tokens.text(row.prompt, [t]) for t in row.tokens],
            "token_logprobs": row.logprobs,
            "top_logprobs": None,
            "text_offset": tokens.offsets(row.prompt, row.tokens),
        }
    return made


async def _gone(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
