"""Run by the store tests as a process of its own: `python store_process.py ACTION URI ME`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmst.core.ports import Store
from mmst.wiring import open_store

CREATIONS = 12
INCREMENTS = 10
BLOCK = 1 << 20


def create(store: Store, me: int) -> None:
    """Try to be the one who makes each name, all with the same content."""
    for i in range(CREATIONS):
        if store.create(f"race/{i:02d}", b"the same from all"):
            store.write(f"won/{i:02d}.{me}", b"")


def count(store: Store, me: int) -> None:
    """Raise a counter by compare-and-set."""
    for _ in range(INCREMENTS):
        while True:
            seen = store.read("counter")
            if store.replace("counter", str(int(seen or b"0") + 1).encode(), seen):
                break


def overwrite(store: Store, me: int) -> None:
    """Write blocks of one letter, over and over, in every way, until killed."""
    source = store.scratch("source") / str(os.getpid())
    while True:
        for letter in b"abc":
            block = bytes([letter]) * BLOCK
            store.write("files/written", block)
            store.replace("files/replaced", block, store.read("files/replaced"))
            store.create(f"files/created.{os.getpid()}.{letter}", block)
            source.write_bytes(block)
            store.put_file("files/put", source)
            store.get_file("files/put", Path(source.parent / "got"))


ACTIONS: dict[str, Callable[[Store, int], None]] = {"create": create, "count": count, "overwrite": overwrite}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](open_store(sys.argv[2]), int(sys.argv[3]))
