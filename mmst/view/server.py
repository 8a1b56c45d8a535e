"""The server of the web application, and the address that it prints."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from mmst.core.errors import ConfigError
from mmst.core.ports import Store
from mmst.observe import terminal
from mmst.view.app import application

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE = ("0.0.0.0", "::")


def serve(store: Store, logs: Callable[[str], Path], *, host: str, port: int) -> None:
    """Show the store until the process is stopped. `ConfigError` when nothing can listen there."""
    if not host:
        raise ConfigError("--host must be an address", value=host, remedy="--host 127.0.0.1")
    ticket = "" if _loopback(host) else secrets.token_urlsafe(24)
    name = socket.gethostname() if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    app = application(store, logs, ticket=ticket, hosts=() if ticket else (*LOOPBACK, name.lower()))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()
        except OSError as e:
            remedy = "choose another --port, or an address of this machine as --host"
            raise ConfigError(f"cannot listen there ({e.strerror or e})", value=f"{host}:{port}", remedy=remedy) from e
        address = f"http://{name}:{port}/{f'?ticket={ticket}' if ticket else ''}"
        terminal.say(f"{store.uri} at {address}  (Ctrl-C ends it)")
        config = uvicorn.Config(
            app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=1
        )
        _Server(config, app.state.close).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends at once what is under way when it is stopped."""

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server.handle_exit`."""
        self._close()
        super().handle_exit(sig, frame)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
