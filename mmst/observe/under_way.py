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
    """The latest state of a stage: `done` of `total`; `running` while the run's process exists.

    `rate` is how many a second, 0 where that is not known; `note` is what it says besides.
    """

    done: int
    total: int
    unit: str
    running: bool
    rate: float = 0.0
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate; None where it is not known."""
        return (self.total - self.done) / self.rate if self.rate and self.running else None

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
            done, seconds = int(event.get("done", 0)), float(event.get("seconds", 0))
            found[place] = Work(
                done=done,
                total=int(start["total"]),
                unit=str(start["unit"]),
                running=running,
                rate=(done - int(event.get("found", 0))) / seconds if seconds else 0.0,
                note=str(event.get("note", "")),
            )
    return found


def losses(folder: Path) -> dict[str, dict[int, float]]:
    """The loss by step of each place that was trained, as far as the folder of logs has them."""
    found, places = dict[str, dict[int, float]](), dict[str, str]()
    for event in _events(folder / EVENTS):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if event["event"] == "start":
                places[event["id"]] = event["place"]
            elif (note := event.get("note", "")).startswith("loss "):
                found.setdefault(places[event["id"]], {})[int(event["done"])] = float(note.removeprefix("loss "))
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
