"""Amounts of a resource as Kubernetes writes them: `500m` CPUs, `2Gi` of memory."""

from __future__ import annotations

import re

from mmst.core.errors import ConfigError

_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{s}i": 1024.0 ** (i + 1) for i, s in enumerate("KMGTPE")
}


def quantity(text: str, key: str = "this") -> float:
    """A Kubernetes quantity as a number: CPUs, bytes, or a count. `ConfigError` for what is none, named by its `key`.

    >>> quantity("500m"), quantity("2Gi")
    (0.5, 2147483648.0)
    """
    found = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)", text)
    if not found or found[2] not in _SUFFIXES:
        raise ConfigError(f"{key} is no amount of a resource", value=text, remedy="e.g. 500m CPUs, or 2Gi of memory")
    return float(found[1]) * _SUFFIXES[found[2]]
