"""Addresses that people write: malformed ones, and schemes that nobody here speaks, are refused when they are read."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mmst.core.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+")
_BUCKET = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]*(/.*)?", re.DOTALL)
_DATABASE = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?://.+", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9._-]+:[0-9]+(/.*)?", re.DOTALL)
"""A host with a port, without its scheme."""
TRACKING = "http://mlflow:5000"


def store(uri: str, key: str = "out") -> None:
    """`ConfigError` for an address that is no folder and no bucket.

    >>> store("gs://bucket/x", "--out")
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: --out must be a folder or s3://bucket/prefix, got 'gs://bucket/x'. Remedy: --out runs
    """
    found = _SCHEME.match(uri)
    if found is None or uri.startswith("file://") or _BUCKET.fullmatch(uri):
        return
    better = "s3://bucket/prefix" if found[1].lower() == "s3" else "runs"
    example = f"{key} {better}" if key.startswith("-") else f"--set {key}={better}"
    raise ConfigError(f"{key} must be a folder or s3://bucket/prefix", value=uri, remedy=example)


def web(url: str, key: str, example: str) -> None:
    """`ConfigError` unless this is the address of an HTTP server.

    >>> web("localhost:8080", "sampling.url", "http://127.0.0.1:8080/openai/v1")
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: sampling.url must be the address of an HTTP server (no http:// or https://), \
got 'localhost:8080'. Remedy: e.g. http://127.0.0.1:8080/openai/v1
    """
    if why := _not_web(url):
        raise ConfigError(f"{key} must be the address of an HTTP server ({why})", value=url, remedy=f"e.g. {example}")


def tracking(uri: str, key: str) -> None:
    """`ConfigError` unless this is where MLflow can write: a server, a database, or a folder."""
    if uri.startswith(("http:", "https:")):
        web(uri, key, TRACKING)
    elif _BARE.fullmatch(uri) or (_SCHEME.match(uri) and not uri.startswith("file:/") and not _DATABASE.fullmatch(uri)):
        what = f"{key} must be the address of an MLflow server, or sqlite:///FILE"
        raise ConfigError(what, value=uri, remedy=f"e.g. {TRACKING}")


def _not_web(url: str) -> str:
    """What is wrong with the address of a server; "" for nothing."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return "no http:// or https://"
        if parts.port == 0 or not parts.hostname:
            return "no host" if not parts.hostname else "port 0"
    except ValueError as e:
        return str(e)
    return "it contains a space" if re.search(r"\s", url) else ""
