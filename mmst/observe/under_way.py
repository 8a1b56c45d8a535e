"""The progress of a run's stages on this machine, as reported by its processes (`observe.progress`)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmst.core import locks

EVENTS = "events.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The latest state of a stage: `done` of `total`; `running` while the run's process exists."""

    done: int
    total: int
    unit: str
    running: bool

    def __str__(self) -> str:
        word = "in progress," if self.running else "stopped at"
        return f"{word} {self.done:,} of {self.total:,} {self.unit}"


def look(folder: Path) -> dict[str, Work]:
    """The state of each place, from a run's folder of logs; empty if there is none."""
    running, found = locks.is_held(folder / locks.RUN), dict[str, Work]()
    places: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for event in _events(folder / EVENTS):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if event["event"] == "start":
                places[event["id"]] = event["place"], event
            place, start = places[event["id"]]
            found[place] = Work(
                done=int(event.get("done", 0)), total=int(start["total"]), unit=str(start["unit"]), running=running
            )
    return found


def _events(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                found.append(event)
    return found
