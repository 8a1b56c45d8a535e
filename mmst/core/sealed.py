"""The store's small JSON files, each of which ends with its own hash: a changed byte is noticed.

    {"ref":"stages/verify/3fa9…","inputs":{},"sha256":"9b1c…"}

The hash covers the file's name in the store and every byte before it. So a file that was changed,
cut, or put in another's place is found out before a word of it is believed, and it stays JSON that
any tool reads.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeVar

from mmst.core.errors import DamagedError, DataError
from mmst.core.ports import Store
from mmst.core.records import from_json

R = TypeVar("R")

READS = 3
"""A file is read so often before it counts as damaged: a bucket's answer may have been spoilt on its way."""
_SEAL = re.compile(rb'(?:,|(?<=\{))"sha256":"([0-9a-f]{64})"\}\Z')


def seal(name: str, text: str) -> bytes:
    """The bytes of a JSON text that ends with an object, with the hash as that object's last field.

    >>> seal("runs/demo/a.json", '{"ref":"x"}')[:27]
    b'{"ref":"x","sha256":"0badf6'
    """
    data = text.encode("utf-8", "surrogatepass")
    comma = b"" if data[:-1].endswith(b"{") else b","
    return data[:-1] + comma + b'"sha256":"' + _hash(name, data) + b'"}'


def unseal(name: str, raw: bytes) -> bytes | None:
    """The JSON text that was sealed under this name; None when these are not its bytes."""
    found = _SEAL.search(raw, max(0, len(raw) - 80))
    if found is None:
        return None
    data = raw[: found.start()] + b"}"
    return data if _hash(name, data) == found[1] else None


def write(store: Store, name: str, text: str) -> None:
    """Write a JSON text sealed; nothing is written when it stands there already."""
    raw = seal(name, text)
    if store.read(name) != raw:
        store.write(name, raw)


def read(store: Store, name: str, remedy: str) -> bytes | None:
    """The JSON text of a sealed file, None when there is none; `DamagedError` when it is not as it was written.

    `remedy` says what to do with it then.
    """
    raw: bytes | None = b""
    for _ in range(READS):
        raw = store.read(name)
        if raw is None:
            _absent(store, name, remedy)
            return None
        text = unseal(name, raw)
        if text is not None:
            return text
    if not raw:
        what = "is empty"
    elif _SEAL.search(raw):
        what = "does not have the hash that stands at its end"
    else:
        what = "does not end with its own hash: it is damaged, or from before MMST wrote one"
    raise damaged(store, name, what, remedy)


def read_as(store: Store, name: str, kind: type[R], remedy: str) -> R | None:
    """A sealed file as a record; `DamagedError` also when it holds something else."""
    text = read(store, name, remedy)
    return None if text is None else parsed(store, name, kind, text, remedy)


def parsed(store: Store, name: str, kind: type[R], text: bytes, remedy: str) -> R:
    """A record of a file of the store whose hash is right; `DamagedError` when it holds something else."""
    try:
        return from_json(kind, text)
    except DataError as e:
        what = f"holds what this version of MMST cannot read ({str(e)[:200]})"
        raise damaged(store, name, what, remedy) from None


def damaged(store: Store, name: str, what: str, remedy: str) -> DamagedError:
    """The error that names a file of the store, what is wrong with it and what to do."""
    return DamagedError(f"{store.uri}/{name} {what}", remedy=remedy)


def _absent(store: Store, name: str, remedy: str) -> None:
    """`DamagedError` when there is no such file because a folder stands in its place."""
    folder = store.folder(name)
    if folder is not None and folder.is_dir():
        raise damaged(store, name, "is a folder where a file belongs", remedy)


def _hash(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass") + b"\0" + data).hexdigest().encode()
