"""A real S3 server process for tests, and a proxy before it that misbehaves on order."""

import contextlib
import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def s3_server(host: str = "127.0.0.1", *flags: str) -> Iterator[str]:
    """The address of a running moto server; `flags` as `moto_s3.py` takes them."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("moto_s3.py")), host, str(port), *flags]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=os.environ | CREDENTIALS) as server:
        try:
            deadline = time.monotonic() + 60
            while server.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                    break
                time.sleep(0.1)
            yield f"http://{host}:{port}"
        finally:
            server.kill()


@contextlib.contextmanager
def proxy(target: str, plan: list[str]) -> Iterator[str]:
    """Forwards to `target`; each request takes one item of `plan`, and passes when it is empty.

    `503` and `500` answer so without forwarding, `slow` with S3's `SlowDown` (`slow:2`: and to come
    again after 2 s); `reset` breaks off at once; `lose` forwards and breaks off before the reply; `cut`
    forwards and breaks off in the middle of the body; `short` leaves half of an object out, and says so
    many bytes; `wrong` changes a byte of an object; `pass` passes.
    """
    host = target.removeprefix("http://")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = plan.pop(0) if plan else "pass"
            self.close_connection = True
            if action in ("503", "500") or action.startswith("slow"):
                said = b"<Error><Code>SlowDown</Code><Message>please</Message></Error>" if action[0] == "s" else b""
                self.send_response(500 if action == "500" else 503)
                if ":" in action:
                    self.send_header("Retry-After", action.partition(":")[2])
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said if self.command != "HEAD" else b"")
                return
            if action == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
                return
            upstream = http.client.HTTPConnection(host, timeout=30)
            upstream.request(self.command, self.path, body, dict(self.headers))
            reply = upstream.getresponse()
            data = reply.read()
            if action == "lose":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if action in ("short", "wrong") and self.command == "GET" and reply.getheader("ETag"):
                half = len(data) // 2
                data = data[:half] + (b"" if action == "short" else bytes([data[half] ^ 1]) + data[half + 1 :])
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            size = reply.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", size)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if action == "cut" else data)

        do_GET = do_PUT = do_POST = do_PATCH = do_HEAD = do_DELETE = _handle

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
