"""The experiments of a store whose results are written, and their files.

experiments/<name>-<digest>/page.html  results.json  arms.csv  outcomes.csv.gz
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from mmst.core.errors import StoreError
from mmst.core.ports import Store

PREFIX = "experiments/"
PAGE, RESULTS, ARMS, OUTCOMES = FILES = ("page.html", "results.json", "arms.csv", "outcomes.csv.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An experiment with results: how many seeds and held-out problems, and the verdict of each claim."""

    id: str
    title: str
    seeds: int
    problems: int
    verdicts: tuple[str, ...]


def names(store: Store) -> Iterator[str]:
    """All experiments with results."""
    for name in store.names(PREFIX):
        experiment, _, file = name.removeprefix(PREFIX).partition("/")
        if file == RESULTS:
            yield experiment


def experiments(store: Store) -> Iterator[tuple[str, Written | None]]:
    """The same with what they hold; None for those whose results are not what `write` wrote."""
    for name in names(store):
        yield name, _summary(store, name)


def _summary(store: Store, name: str) -> Written | None:
    try:
        found = json.loads(store.read(f"{PREFIX}{name}/{RESULTS}") or b"")
        of = found["definition"]
        return Written(
            id=str(found["experiment"]),
            title=str(of["title"] or of["name"]),
            seeds=len(found["seeds"]),
            problems=int(found["items"]),
            verdicts=tuple(str(claim["verdict"]) for claim in found["claims"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, StoreError):
        return None
