"""Connections with limits: on a request's head, its body, its time to arrive, and the number of connections.

uvicorn has no such limits. It also accepts requests before the last one is answered (pipelining), which hides that
a client has gone. Here such a request is not read; the connection ends with the answer, so that the client asks
again.
"""

from __future__ import annotations

import asyncio
import json
import resource
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mmst.inference.server.request import AGAIN, BODY_BYTES, error_body

HEAD_BYTES = 64 << 10
WIRE_BYTES = 8 * BODY_BYTES + HEAD_BYTES
"""Limit of a request on the wire: a body in chunks of one byte takes six times its size."""
HEAD_SECONDS = 10.0
BODY_SECONDS = 20.0
WRITE_SECONDS = 60.0
"""Seconds that a client has to read an answer."""
LINGER_SECONDS = 1.0
"""Seconds that a refused client has to read the answer, because it may still be sending."""
MOST_CONNECTIONS = 4096
SPARE_FILES = 200
REFUSED = "refused"
"""The key in a request's state for the status with which it was refused before it was complete."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, with limits."""

    house: dict[BoundedConnection, None] = {}  # noqa: RUF012 all connections, the oldest first
    most = MOST_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.coming, self.head_done, self.unread, self.refusing = False, False, False, False
        self.wire = self.body = self.trailers = 0
        self.late: asyncio.TimerHandle | None = None
        self.stuck: asyncio.TimerHandle | None = None

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept it; if there are too many, close the oldest one without a whole request."""
        super().connection_made(transport)
        self.house[self] = None
        self._expect(HEAD_SECONDS)
        if len(self.house) > self.most:
            next(c for c in self.house if c.coming or not c.answering).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self.house.pop(self, None)
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)

    @property
    def answering(self) -> bool:
        """Whether a request is waiting for the end of its answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def shutdown(self) -> None:
        """The server is stopping: do not wait for a request that is not whole yet."""
        if self.coming and self.head_done:
            self.refuse(503, "the server is stopping")
        else:
            super().shutdown()

    def refuse(self, status: int, message: str) -> None:
        """Answer an incomplete request without waiting for the rest, and close."""
        if self.refusing or self.transport.is_closing():
            return
        self.refusing, begun = True, False
        self._expect(None)
        if self.head_done:
            begun = self.cycle.response_started
            self.cycle.scope["state"][REFUSED] = status
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not begun:
            self.transport.write(_response(status, message))
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _expect(self, seconds: float | None) -> None:
        """The time in which something must have arrived whole is over."""
        if self.late is not None:
            self.late.cancel()
        self.late = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self.coming:
            what, seconds = ("body", BODY_SECONDS) if self.head_done else ("head", HEAD_SECONDS)
            self.refuse(408, f"the request's {what} did not come whole within {seconds:g} s")
        else:
            self.transport.abort()

    # --- what comes ---

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless nothing reads it any more."""
        if self.refusing:
            return
        if self.answering and not self.coming:
            self.cycle.keep_alive = False
            return
        self.wire += len(data)
        super().data_received(data)
        if not self.head_done and self.wire > HEAD_BYTES:
            self.refuse(431, f"the request's head has more than {HEAD_BYTES:,} bytes")
        elif self.coming and self.wire > WIRE_BYTES:
            self.refuse(413, f"the request has more than {WIRE_BYTES:,} bytes")
        elif self.late is None and not self.answering and not self.transport.is_closing():
            self._expect(HEAD_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """The data is not HTTP."""
        self.refuse(400, msg)

    def on_message_begin(self) -> None:
        """A request begins."""
        if self.answering:
            self.unread, self.cycle.keep_alive = True, False
        if self._reads:
            self.coming, self.head_done, self.body, self.trailers = True, False, 0, 0
            self._expect(HEAD_SECONDS)
            super().on_message_begin()

    @property
    def _reads(self) -> bool:
        return not (self.unread or self.refusing)

    def on_url(self, url: bytes) -> None:
        """A part of the head has arrived."""
        if self._reads:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A part of the head, or of what follows the body, has arrived."""
        if self._reads:
            self.trailers += self.head_done * (len(name) + len(value))
            if self.trailers > HEAD_BYTES:
                self.refuse(431, f"what follows the body has more than {HEAD_BYTES:,} bytes")
            else:
                super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: if it announces a body that is too large, refuse it now."""
        if not self._reads:
            return
        size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
        told = max((value for name, value in self.headers if name == b"content-length"), default=b"", key=len)
        if size > HEAD_BYTES:
            self.refuse(431, f"the request's head has more than {HEAD_BYTES:,} bytes")
        elif told.isdigit() and (len(told) > 15 or int(told) > BODY_BYTES):
            self.refuse(413, f"the body has more than {BODY_BYTES:,} bytes")
        else:
            self._expect(BODY_SECONDS)
            super().on_headers_complete()
            self.head_done = True

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived."""
        if self._reads:
            self.body += len(body)
            if self.body > BODY_BYTES:
                self.refuse(413, f"the body has more than {BODY_BYTES:,} bytes")
            else:
                super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._reads:
            self._expect(None)
            self.coming, self.head_done, self.wire = False, False, 0
            super().on_message_complete()

    # --- what goes ---

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        self.stuck = self.stuck or self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self.stuck is not None:
            self.stuck.cancel()
            self.stuck = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """The connection was idle for long: unsent data is not waited for."""
        self.transport.abort()


def bounded() -> type[BoundedConnection]:
    """The connection class of a server: allows as many connections as this process may have open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + SPARE_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        BoundedConnection.most = max(16, soft - SPARE_FILES)
    return BoundedConnection


def _response(status: int, message: str) -> bytes:
    body = json.dumps(error_body(status, message)).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
    again = f"retry-after: {AGAIN}\r\n" if status == 503 else ""
    return f"{head}{again}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
