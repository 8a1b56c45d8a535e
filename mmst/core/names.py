"""Names that any store can hold."""

from __future__ import annotations

from mmst.core.errors import StoreError


def checked_name(name: str) -> str:
    """`name` when any store can hold it; `StoreError` otherwise, above all for one that climbs out.

    Segments are separated by `/`, none is empty or starts with a dot, none is longer than 200 bytes.
    """
    try:
        segments = name.encode().split(b"/")
    except UnicodeEncodeError:
        segments = []
    if not all(s and len(s) <= 200 and s[:1] != b"." for s in segments) or not segments or len(name) > 800:
        raise StoreError(f"{name[:80]!r} cannot be a name in a store")
    if name.startswith("work/") or name == "work":
        raise StoreError(f"{name[:80]!r} cannot be a name in a store: work/ holds scratch folders")
    if not name.isprintable() or "\\" in name:
        raise StoreError(f"{name[:80]!r} cannot be a name in a store: control characters or backslashes")
    return name


def checked_prefix(prefix: str) -> str:
    """`prefix` when names can start with it; `StoreError` otherwise."""
    if prefix:
        checked_name(prefix.removesuffix("/"))
    return prefix
