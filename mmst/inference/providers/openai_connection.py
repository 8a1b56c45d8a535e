"""One attempt at a request to a server of the OpenAI protocol: an answer, or an error that says who is at fault."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NamedTuple

import httpx

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

CONNECT_TIMEOUT = 5.0
OPEN_TIMEOUT = 10.0
"""Seconds in which a server must list its models."""
MOST_MODELS_BYTES = 4 << 20
MOST_ERROR_BYTES = 64 << 10
RETRIED = {408, 409, 425, 429}
FOR_ALL = {401, 402, 403, 404, 405, 407, 410}
"""Refusals that mostly apply to every request: the key, the model's name, the address."""


class Transient(Exception):
    """A problem that may pass; `after` is how long the server asks to wait, in seconds."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.after = after


class Refused(Exception):
    """The server will never complete this request; `for_all` is the error where it completes no other either."""

    def __init__(self, what: str, for_all: SamplerError | None = None) -> None:
        super().__init__(what)
        self.for_all = for_all


class Reply(NamedTuple):
    """The answer as received, with the body cut if it is too long for an error message."""

    status: int
    headers: httpx.Headers
    body: bytes


class Connection:
    """A server's address with its API key (never shown). Belongs to one event loop."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self._key = url.rstrip("/"), key
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key:
            remember(key)
            self._headers["Authorization"] = f"Bearer {key}"
        self._tls = httpx.create_ssl_context()
        self._clients: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        """A client for one request at a time: httpx checks every connection of a client on every request."""
        if not self._idle:
            client = httpx.AsyncClient(
                headers=self._headers,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                verify=self._tls,
                # The whole attempt is watched by who asks: a server that trickles would never be late here.
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            )
            self._clients.append(client)
            return client
        return self._idle.pop()

    @property
    def where(self) -> str:
        """The address, with its secret parts hidden."""
        return redacted(self.url)

    async def complete(self, request: Request, model: str) -> Answer:
        """The server's answer; `Transient`, `BadAnswer` or `Refused`."""
        try:
            reply = await self._reply("POST", "completions", _body(request, model), most_bytes(request))
        except (httpx.HTTPError, OSError) as e:
            raise Transient(self._said(e)) from None
        status = reply.status
        if status == 200:
            return read(reply.body, request)
        what = f"HTTP {status}: {message(reply.body)}"
        if status in RETRIED or status >= 500:
            raise Transient(what, retry_after(reply.headers.get("retry-after"), time.time()))
        if status in FOR_ALL or 300 <= status < 400:
            raise Refused(what, self._refused_to_all(reply))
        if status < 300:
            raise BadAnswer(f"HTTP {status}")
        raise Refused(what)

    async def models(self) -> dict[str, str]:
        """The models served, each with the checkpoint that the server names, if any; else `SamplerError`."""
        remedy = "start one with `mmst serve`, or correct sampling.url"
        what = f"no model server answers at {self.where}"
        try:
            url = httpx.URL(self.url)
            if url.scheme not in ("http", "https") or not url.host or (url.port or 80) > 65535:
                raise httpx.InvalidURL("this is no address: http://HOST:PORT/PATH")
            async with asyncio.timeout(OPEN_TIMEOUT):
                reply = await self._reply("GET", "models", None, MOST_MODELS_BYTES)
            if reply.status == 200:
                return models(reply.body)
        except BadAnswer as e:
            raise SamplerError(
                f"{self.where}/models does not follow the OpenAI protocol ({e})", remedy=remedy
            ) from None
        except TimeoutError:
            raise SamplerError(f"{what} (not within {OPEN_TIMEOUT:g} s)", remedy=remedy) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as e:
            raise SamplerError(f"{what} ({self._said(e)})", remedy=remedy) from None
        if reply.status in (401, 403):
            raise self._refused_to_all(reply)
        said = message(reply.body)
        raise SamplerError(f"{what} (HTTP {reply.status}: {said})", remedy=remedy)

    async def _reply(self, method: str, path: str, content: bytes | None, most: int) -> Reply:
        """The server's answer; `BadAnswer` if it is longer than `most`, or more than one answer."""
        client = self._client()
        try:
            async with client.stream(method, f"{self.url}/{path}", content=content) as answer:
                good = answer.status_code == 200
                most = most if good else MOST_ERROR_BYTES
                parts, size = [], 0
                async for part in answer.aiter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        break
            more = _behind(client)
        except BaseException:
            self._idle.append(client)  # the connection was closed
            raise
        if more:
            self._clients.remove(client)
            await client.aclose()
        else:
            self._idle.append(client)
        if more.strip():
            raise BadAnswer("more came than one answer")
        raw, encoding, body = b"".join(parts), answer.headers.get("content-encoding", ""), b""
        with contextlib.nullcontext() if good else contextlib.suppress(BadAnswer):
            body = decoded(raw if good else raw[:most], encoding, most)
        return Reply(answer.status_code, answer.headers, body)

    def _refused_to_all(self, reply: Reply) -> SamplerError:
        remedy = "correct sampling.url and sampling.served_model"
        if reply.status in (401, 403):
            remedy = "name the environment variable with the key: --set sampling.api_key_env=NAME"
            if self._key:
                remedy = "check that the key in the variable named by sampling.api_key_env may use this model"
        said = message(reply.body)
        return SamplerError(f"{self.where} refuses every request (HTTP {reply.status}: {said})", remedy=remedy)

    def _said(self, error: Exception) -> str:
        return words(str(error).strip() or type(error).__name__)


def _behind(client: httpx.AsyncClient) -> bytes:
    """What came by a client's connections behind an answer, and would be taken for the answer to its next request.

    httpcore keeps it there, and has no other way to tell.
    """
    transports: list[Any] = [client._transport, *filter(None, client._mounts.values())]
    behind = b""
    for connection in (c for transport in transports for c in transport._pool.connections):
        while connection is not None and not hasattr(connection, "_h11_state"):
            connection = getattr(connection, "_connection", None)
        behind += b"" if connection is None else connection._h11_state.trailing_data[0]
    return behind


def _body(request: Request, model: str) -> bytes:
    body: dict[str, Any] = {
        "model": model,
        "prompt": request.prompt,
        "n": request.n,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "seed": request.seed,
    }
    if request.stop:
        body["stop"] = list(request.stop)
    return json.dumps(body).encode()
