"""HTTP/1.1 for many small exchanges with one server: connections that stay open, one exchange at a time on each.

Kept small: no redirects are followed, no cookies kept, nothing is sent before the last answer
is whole. After anything odd (bytes behind an answer, a cut, a cancelled exchange) the connection is closed. The
parser is httptools (llhttp, as in Node.js), which is strict. A proxy of the environment is used (`HTTP_PROXY`,
`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`); TLS trusts the certificates of the system.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import httptools

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
MOST_HEAD_BYTES = 64 << 10
BUFFER_BYTES = 64 << 10
PORTS = {"http": 80, "https": 443}
UNASKED = re.compile(rb"HTTP/1\.[01] 200\b")
SAFE = "/%:@!$&'()*+,;=~-._"
"""Signs of a path that are sent as they are."""


class Broken(Exception):
    """An exchange that came to no answer; the same may come to one next time."""

    after = 0.0
    """Seconds that the server asks to wait."""


class Reply(NamedTuple):
    """An answer. Its body ends where it was longer than wanted; `surplus`: more came than one answer."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    surplus: bool

    def header(self, name: str) -> str:
        """A header's value by its name in lower case, "" if there is none."""
        return self.headers.get(name.encode(), b"").decode("latin-1")


class Client:
    """The connections to one server. Belongs to one event loop.

    `ValueError` for what is no address, and for a proxy of the environment that is not spoken to.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = _address(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._host, self._port, self._tls = host, port, parts.scheme == "https"
        self._path, self._query = quote(parts.path.rstrip("/"), safe=SAFE), quote(parts.query, safe=SAFE + "?")
        named = _bracketed(host) if port == PORTS[parts.scheme] else f"{_bracketed(host)}:{port}"
        sent = {"Host": named, **_authorization("Authorization", parts), **headers}
        self._proxy = _proxy(parts.scheme, host, port)
        self._through: dict[str, str] = {}
        """What a proxy alone is told."""
        if self._proxy is not None:
            self._through = _authorization("Proxy-Authorization", self._proxy)
            if not self._tls:
                sent |= self._through
                self._path = f"http://{named}{self._path}"
        self._head = _lines(sent)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._context = ssl.create_default_context() if self._tls else None
        self._idle: list[_Wire] = []
        self._open: set[_Wire] = set()
        self.unasked = False
        """Whether an answer came that nobody had asked for: earlier ones may then be those of other requests."""

    def ask(
        self, method: str, name: str, body: bytes, most: Callable[[int], int], read: Callable[[Reply], T]
    ) -> asyncio.Future[T]:
        """Begin an exchange: what `read` makes of the answer, or `Broken`. Cancelled, its connection is closed.

        `most` tells for a status how many bytes of a body are wanted.
        """
        head = self._heads.get((method, name))
        if head is None:
            target = f"{self._path}/{name}" + (f"?{self._query}" if self._query else "")
            head = self._heads[method, name] = f"{method} {target} HTTP/1.1\r\n".encode("ascii") + self._head
        data = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        while self._idle:
            wire = self._idle.pop()
            if not wire.closing:
                return wire.begin(data, most, read)
        return asyncio.ensure_future(self._on_new(data, most, read))

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def close(self) -> None:
        """Close all connections."""
        for wire in list(self._open):
            wire.drop()
        while self._open:
            await asyncio.sleep(0)

    async def _on_new(self, data: bytes, most: Callable[[int], int], read: Callable[[Reply], T]) -> T:
        wire = _Wire(self)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._connect(wire)
        except TimeoutError:
            raise Broken(f"no connection within {CONNECT_TIMEOUT:g} s") from None
        except (OSError, UnicodeError) as e:
            raise Broken(str(e).strip() or type(e).__name__) from None
        return await wire.begin(data, most, read)

    async def _connect(self, wire: _Wire) -> None:
        loop = asyncio.get_running_loop()
        if self._proxy is None:
            await loop.create_connection(
                lambda: wire, self._host, self._port, ssl=self._context, happy_eyeballs_delay=0.25
            )
            return
        host, port = self._proxy.hostname or "", self._proxy.port or PORTS["http"]
        if not self._tls:
            await loop.create_connection(lambda: wire, host, port)
            return
        assert self._context is not None
        raw, tunnel = await loop.create_connection(_Tunnel, host, port)
        try:
            target = f"{_bracketed(self._host)}:{self._port}"
            head = _lines({"Host": target, **self._through})
            raw.write(f"CONNECT {target} HTTP/1.1\r\n".encode("ascii") + head + b"\r\n")
            await tunnel.led
            transport = await loop.start_tls(raw, wire, self._context, server_hostname=self._host)
        except BaseException:
            raw.abort()
            raise
        assert transport is not None
        wire.connection_made(transport)


class _Tunnel(asyncio.Protocol):
    """A proxy that is asked for a connection; `led` is done when it is there, `OSError` where it refuses."""

    def __init__(self) -> None:
        self.led = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.led.done() or (b"\r\n\r\n" not in self._head and len(self._head) < MOST_HEAD_BYTES):
            return
        status = self._head[:20].split(b"\r\n", 1)[0].split(b" ")
        if status[0][:5] != b"HTTP/" or not self._head.endswith(b"\r\n\r\n"):
            self.led.set_exception(OSError("the proxy does not answer in HTTP"))
        elif status[1:2] != [b"200"]:
            self.led.set_exception(OSError(f"the proxy refuses: HTTP {b''.join(status[1:2])[:3].decode('latin-1')}"))
        else:
            self.led.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.led.done():
            self.led.set_exception(OSError("the proxy closed the connection"))


class _Exchange(asyncio.Future[T]):
    """The answer that is waited for on a connection, which a cancelled one cannot leave as it was."""

    wire: _Wire

    def cancel(self, msg: Any = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self.wire.drop()
        return cancelled


class _Wire(asyncio.BufferedProtocol):
    """A connection, and the parser's callbacks."""

    def __init__(self, client: Client) -> None:
        self._client, self._idle, self._all = client, client._idle, client._open
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._exchange: _Exchange[Any] | None = None
        self._fresh(lambda status: 0)

    def begin(self, data: bytes, most: Callable[[int], int], read: Callable[[Reply], T]) -> asyncio.Future[T]:
        """Send a request."""
        self._exchange = exchange = _Exchange[T](loop=self._loop)
        exchange.wire = self
        self._read = read
        self._fresh(most)
        self._transport.write(data)
        return exchange

    @property
    def closing(self) -> bool:
        """Whether its end is on the way."""
        return self._transport.is_closing()

    def drop(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._transport.abort()

    def _fresh(self, most: Callable[[int], int]) -> None:
        self._most, self._limit, self._received = most, 0, 0
        self._status, self._size = 0, 0
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._whole = self._kept = self._surplus = False

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._all.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._exchange is None:  # nobody asked; some servers say (408) that they wait no longer
            self._client.unasked |= bool(UNASKED.match(self._buffer[:nbytes]))
            self._retire()
            self._transport.abort()
            return
        self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as e:
            if not self._whole:
                self._fail(f"not HTTP: {e}")
                return
            self._surplus = True
        if self._whole:
            self._answer()
        elif self._size > self._limit:
            self._surplus = self._kept = False
            self._answer()
        elif self._received > MOST_HEAD_BYTES + (8 * self._limit if self._status else 0):
            self._fail("a head, or ends of chunks, without end")  # a byte a chunk takes six

    def eof_received(self) -> None:
        """The transport closes, and says so below."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._retire()
        if self._exchange is None:
            return
        headers = self._headers
        if exc is None and self._status and not headers.keys() & {b"content-length", b"transfer-encoding"}:
            self._kept = False
            self._answer()  # one that ends with its connection
        else:
            cut = "the answer was cut off" if self._received else "the server closed the connection without an answer"
            self._fail(str(exc or "").strip() or cut)

    # --- the parser's side

    def on_message_begin(self) -> None:
        if self._whole:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # later ones are trailers
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._whole:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            self._status, self._limit = status, self._most(status)
            self._kept = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self._whole:
            self._parts.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        if self._status:
            self._whole = True
        else:  # 1xx: the answer is still to come
            self._headers = {}

    # --- the end of an exchange

    def _answer(self) -> None:
        exchange, self._exchange = self._exchange, None
        encoding = self._headers.get(b"transfer-encoding", b"chunked").strip().lower()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        reply = Reply(self._status, self._headers, body, self._surplus)
        if self._kept and self._whole and not self._surplus and not self._transport.get_write_buffer_size():
            self._idle.append(self)
        else:
            self._transport.abort()
        if exchange is None or exchange.done():
            return
        if encoding != b"chunked":
            exchange.set_exception(Broken(f"the transfer encoding {encoding[:40].decode('latin-1')!r}"))
            return
        try:
            exchange.set_result(self._read(reply))
        except Exception as e:
            exchange.set_exception(e)

    def _fail(self, why: str) -> None:
        exchange, self._exchange = self._exchange, None
        self._transport.abort()
        if exchange is not None and not exchange.done():
            exchange.set_exception(Broken(why))

    def _retire(self) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(self)


def _address(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or not url.isprintable():
        raise ValueError("this is no address: http://HOST:PORT/PATH")
    parts.hostname.encode("idna")
    _ = parts.port  # raises
    return parts


def _proxy(scheme: str, host: str, port: int) -> SplitResult | None:
    """The proxy that the environment names for an address; none for this machine, where a proxy would find itself."""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return None
    named = getproxies_environment()
    found = named.get(scheme) or named.get("all")
    without = {name.strip() for name in named.get("no", "").split(",")}
    bypassed = any(proxy_bypass_environment(name, named) for name in (host, f"{host}:{port}"))
    if not found or bypassed or "*" in without:
        return None
    parts = urlsplit(found if "://" in found else f"http://{found}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(
            f"the environment names a proxy of the kind '{parts.scheme}', and only http://HOST:PORT is spoken to; "
            f"put {host} into NO_PROXY to go without"
        )
    return parts


def _authorization(name: str, parts: SplitResult) -> dict[str, str]:
    """User and password of an address as a header, if it has any."""
    if parts.username is None:
        return {}
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {name: f"Basic {base64.b64encode(said.encode()).decode()}"}


def _lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent; `ValueError` for a value that would be more than one."""
    if bad := [name for name, value in headers.items() if not (value.isprintable() and value.isascii())]:
        raise ValueError(f"the header {bad[0]} would have characters that no header may have")
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def _bracketed(host: str) -> str:
    """A host as it stands before a port.

    >>> _bracketed("::1"), _bracketed("example.org")
    ('[::1]', 'example.org')
    """
    return f"[{host}]" if ":" in host else host if host.isascii() else host.encode("idna").decode("ascii")
