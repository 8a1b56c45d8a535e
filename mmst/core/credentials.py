"""A recipe holds no credential: it is stored, sent and shown. One that does is refused, with what to do instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmst.core import redaction
from mmst.core.errors import ConfigError

_SECRET = "keep it in a Kubernetes Secret and name that: cluster.secrets=[NAME]; on this machine export the variable"
_REMEDIES = {
    "promote.tracking_uri": "leave it out here and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or "
    "MLFLOW_TRACKING_TOKEN, or the whole address as MLFLOW_TRACKING_URI) in the environment; on a cluster by a Secret "
    "in cluster.secrets",
    "sampling": "name the environment variable that holds the key: sampling.api_key_env=NAME; on a cluster it comes "
    "from a Secret in cluster.secrets",
    "teachers": "name the environment variable that holds the key: teachers.NAME.api_key_env=KEY; on a cluster it "
    "comes from a Secret in cluster.secrets",
    "cluster": _SECRET,
    "out": "give a bucket's credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, in the "
    "environment; on a cluster by a Secret in cluster.secrets",
}
_ELSE = "take it out; what needs it reads an environment variable, or a Kubernetes Secret that cluster.secrets names"
_BARE = re.compile(r"([^\s/:@]+:[^\s/@]+)@[A-Za-z0-9.-]+(?::\d+)?(?:/\S*)?")
"""An address without `http://`: user:password@host."""
_FLAG = re.compile(r"(?<!\S)--?([A-Za-z][\w-]*)[\s=]+([^\s$-]\S*)")
"""An option of a command with its value, which no variable holds."""
_ADDRESSES = re.compile(r"promote\.tracking_uri|(sampling|teachers\.[^.]*)\.url|out")


def refuse(data: Any, path: str = "") -> None:
    """`ConfigError` for the first credential in a recipe's plain data; the message never holds it.

    >>> refuse({"promote": {"tracking_uri": "http://me:pw@mlflow"}})
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: promote.tracking_uri holds the user or password of an address, got 'http://***@mlflow'...
    """
    if isinstance(data, Mapping):
        _named(data, path)
        for key, value in data.items():
            name = str(key)
            refuse(name, f"a key of {path}" if path else "a key of the recipe")
            refuse(value, f"{path}.{name}" if path else name)
    elif isinstance(data, list | tuple):
        for i, value in enumerate(data):
            refuse(value, f"{path}[{i}]")
    elif isinstance(data, str):
        _text(data, path)


def _text(value: str, path: str) -> None:
    if path.startswith("cluster.env"):
        name, equals, said = value.partition("=")
        if equals and redaction.says_secret(name.strip(), said):
            raise _error(path, redaction.NAMED, f"{name}={redaction.HIDDEN}")
    elif path.startswith(("cluster.node_selector", "cluster.tolerations")):
        return  # labels: their keys are names that people chose, and their values are 63 characters of anything
    for flag in _FLAG.finditer(value) if path.endswith(".server") else ():
        if redaction.says_secret(flag[1], flag[2]):
            raise _error(path, redaction.NAMED, f"--{flag[1]} {redaction.HIDDEN}")
    if _ADDRESSES.fullmatch(path) and (bare := _BARE.fullmatch(value)):
        raise _error(path, redaction.ADDRESS, f"{redaction.HIDDEN}{value[bare.end(1) :]}")
    found = redaction.first(value)
    if found is not None:
        shown = redaction.redacted(value[: found.start] + redaction.HIDDEN + value[found.end :])
        raise _error(path, found.what, shown)


def _named(data: Mapping[Any, Any], path: str) -> None:
    """Refuse {NAME: value}, or {name: NAME, value: value} as Kubernetes has it, of a name that says secret."""
    pairs = [(k, v) for k, v in data.items() if isinstance(k, str)]
    if isinstance(data.get("name"), str) and "value" in data:
        pairs.append((data["name"], data["value"]))
    for name, value in pairs:
        plain = isinstance(value, str) or (path.startswith("cluster.env") and isinstance(value, int | float))
        if plain and redaction.says_secret(name, str(value)):
            raise _error(f"{path}.{name}" if path else name, redaction.NAMED, redaction.HIDDEN)


def _error(path: str, what: str, shown: str) -> ConfigError:
    known = (path, path.partition(".")[0].partition("[")[0])
    return ConfigError(
        f"{path} holds {what}", value=shown, remedy=next((_REMEDIES[k] for k in known if k in _REMEDIES), _ELSE)
    )
