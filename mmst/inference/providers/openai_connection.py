"""One attempt at a request to a server of the OpenAI protocol: an answer, or an error that says who is at fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.core.redaction import redacted, remember
from mmst.inference.providers.openai_answers import (
    Answer,
    BadAnswer,
    decoded,
    message,
    models,
    most_bytes,
    read,
    retry_after,
    words,
)
from mmst.inference.providers.openai_dialect import Dialect
from mmst.inference.providers.openai_http import Broken, Client, Reply

T = TypeVar("T")

OPEN_TIMEOUT = 10.0
"""Seconds in which a server must list its models."""
REMEDY = "start one with `mmst serve`, or correct sampling.url"
STEP_TIMEOUT = 2.0
"""Seconds in which the connections must show that they are in step; one that does not answer is closed."""
MOST_MODELS_BYTES = 4 << 20
MOST_ERROR_BYTES = 64 << 10
RETRIED = {408, 409, 425, 429}
FOR_ALL = {401, 402, 403, 404, 405, 407, 410}
"""Refusals that mostly apply to every request: the key, the model's name, the address."""


class Transient(Broken):
    """A problem that may pass; `after` is how long the server asks to wait, in seconds."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.after = after


class Refused(Exception):
    """The server will never complete this request; `for_all` is the error where it completes no other either."""

    def __init__(self, what: str, for_all: SamplerError | None = None, *, status: int) -> None:
        super().__init__(what)
        self.for_all, self.status = for_all, status


class Connection:
    """A server's address with its API key (never shown). Belongs to one event loop. `SamplerError` for no address."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self._key = url.rstrip("/"), key
        headers = {"User-Agent": "mmst", "Accept": "application/json", "Accept-Encoding": "identity"}
        headers["Content-Type"] = "application/json"
        if key:
            remember(key)
            headers["Authorization"] = f"Bearer {key}"
        try:
            self._client = Client(self.url, headers)
        except ValueError as e:
            raise SamplerError(f"no model server answers at {self.where} ({words(str(e))})", remedy=REMEDY) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    @property
    def where(self) -> str:
        """The address, with its secret parts hidden."""
        return redacted(self.url)

    def complete(
        self, request: Request, model: str, dialect: Dialect, check: Callable[[Answer], None]
    ) -> asyncio.Future[Answer]:
        """The server's answer, on its way; `Broken`, `BadAnswer`, `Refused`, or what `check` raises of it."""
        wanted, chat, stops = most_bytes(request), dialect.chat, dialect.stops(request)

        def completed(reply: Reply) -> Answer:
            return self._completed(reply, wanted, lambda body: read(body, request, chat, stops), check)

        return self._client.ask(
            "POST",
            dialect.path,
            dialect.body(request, model),
            lambda status: wanted if status == 200 else MOST_ERROR_BYTES,
            completed,
        )

    def _completed(
        self, reply: Reply, most: int, read: Callable[[bytes], Answer], check: Callable[[Answer], None]
    ) -> Answer:
        status, body = reply.status, _unpacked(reply, most)
        if status == 200:
            answer = read(body)
            check(answer)
            return answer
        said = message(body)
        what = f"HTTP {status}: {said}"
        if status in RETRIED or status >= 500:
            raise Transient(what, retry_after(reply.header("retry-after"), time.time()))
        if status in FOR_ALL or 300 <= status < 400:
            raise Refused(what, self._refused_to_all(status, said), status=status)
        if status < 300:
            raise BadAnswer(f"HTTP {status}")
        raise Refused(what, status=status)

    async def models(self) -> dict[str, str]:
        """The models served, each with the checkpoint that the server names, if any; else `SamplerError`."""
        what = f"no model server answers at {self.where}"
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                status, body = await self._listing(lambda reply: (reply.status, _unpacked(reply, MOST_MODELS_BYTES)))
            if status == 200:
                return models(body)
        except BadAnswer as e:
            raise SamplerError(
                f"{self.where}/models does not follow the OpenAI protocol ({e})", remedy=REMEDY
            ) from None
        except TimeoutError:
            raise SamplerError(f"{what} (not within {OPEN_TIMEOUT:g} s)", remedy=REMEDY) from None
        except Broken as e:
            raise SamplerError(f"{what} ({words(str(e))})", remedy=REMEDY) from None
        if status in (401, 403):
            raise self._refused_to_all(status, message(body))
        raise SamplerError(f"{what} (HTTP {status}: {message(body)})", remedy=REMEDY)

    async def in_step(self) -> bool:
        """Whether the open connections answer what they are asked: not so after an answer that nobody asked for."""
        asked = [self._listing(_is_completion) for _ in range(self._client.idle)]
        if asked:
            await asyncio.wait(asked, timeout=STEP_TIMEOUT)
        for exchange in asked:
            exchange.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return not self._client.unasked and True not in found

    def _listing(self, read: Callable[[Reply], T]) -> asyncio.Future[T]:
        return self._client.ask("GET", "models", b"", _most_of_models, read)

    def _refused_to_all(self, status: int, said: str) -> SamplerError:
        remedy = "correct sampling.url and sampling.served_model"
        if status in (401, 403):
            remedy = "name the environment variable with the key: --set sampling.api_key_env=NAME"
            if self._key:
                remedy = "check that the key in the variable named by sampling.api_key_env may use this model"
        return SamplerError(f"{self.where} refuses every request (HTTP {status}: {said})", remedy=remedy)


def _most_of_models(status: int) -> int:
    return MOST_MODELS_BYTES if status == 200 else MOST_ERROR_BYTES


def _is_completion(reply: Reply) -> bool:
    return reply.status == 200 and b'"choices"' in reply.body


def _unpacked(reply: Reply, most: int) -> bytes:
    """The body of an answer; `BadAnswer` if it is longer than `most`, or more than one answer."""
    if reply.surplus:
        raise BadAnswer("more came than one answer")
    encoding = reply.header("content-encoding")
    if reply.status == 200:
        return decoded(reply.body, encoding, most)
    try:
        return decoded(reply.body[:MOST_ERROR_BYTES], encoding, MOST_ERROR_BYTES)
    except BadAnswer:
        return b""
