"""The server of the web application, and the address that it prints."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mmst.core.errors import ConfigError
from mmst.core.ports import Store
from mmst.observe import terminal
from mmst.view.app import application

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(store: Store, logs: Callable[[str], Path], *, host: str, port: int) -> None:
    """Show the store until the process is stopped. `ConfigError` when nothing can listen there."""
    ticket = "" if _loopback(host) else secrets.token_urlsafe(24)
    app = application(store, logs, ticket=ticket, hosts=() if ticket else LOOPBACK)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()
        except OSError as e:
            remedy = "choose another --port, or an address of this machine as --host"
            raise ConfigError(f"cannot listen there ({e.strerror or e})", value=f"{host}:{port}", remedy=remedy) from e
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{port}/{f'?ticket={ticket}' if ticket else ''}"
        terminal.say(f"{store.uri} at {address}  (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
