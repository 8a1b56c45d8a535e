"""What the registry is told of a round beside its reports: losses by step, times, data sets; read from the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from mmst.core.errors import DamagedError
from mmst.core.manifest import Place
from mmst.core.ports import DataSet, Store
from mmst.core.records import digest
from mmst.core.stored import losses, made, pointers, timing

SETS = {"train": "training", "annotated": "training", "unlabelled": "training", "heldout": "evaluation"}
"""The problem sets of a run, and what each is read for."""
Stages = Sequence[tuple[Place, str]]
"""The stages of a run, each with its reference: its pointers, read once."""


def stages_of(store: Store, run: str) -> Stages:
    """All stages that the run has come to."""
    return [(place, ref) for place, ref, _ in pointers(store, run)]


def curves(store: Store, stages: Stages, round: int) -> dict[str, Mapping[int, float]]:
    """The training losses of the round's arms, by step."""
    trained = ((place, ref) for place, ref in stages if place.round == round and place.step == "train")
    found = {f"{place.arm}.round-{round:02d}.loss": losses(store, ref) for place, ref in trained}
    return {name: curve for name, curve in found.items() if curve}


def times(store: Store, stages: Stages, round: int) -> dict[str, float]:
    """Seconds and tokens of each of the round's stages, under the prefix that MLflow shows as system metrics.

    Times that are damaged are left out: they are only shown.
    """
    found = dict[str, float]()
    for place, ref in (at for at in stages if at[0].round == round):
        with contextlib.suppress(DamagedError):
            found |= {f"system/{place.arm}.{place.step}.{what}": value for what, value in timing(store, ref).items()}
    return found


def data(store: Store, stages: Stages, round: int) -> Iterator[DataSet]:
    """The run's problem sets, and the training set of each of the round's arms."""
    for place, ref in stages:
        if place.step == "prepare":
            for name, context in SETS.items():
                yield from _data_set(store, ref, name, context, f"{name}-")
        elif place.step == "build_trainset" and place.round == round:
            yield from _data_set(store, ref, f"{place.arm}.round-{round:02d}.trainset", "training")


def _data_set(store: Store, ref: str, name: str, context: str, prefix: str = "") -> Iterator[DataSet]:
    """The shards of a stage whose names start with `prefix`, if there are records in them."""
    manifest = made(store, ref)
    files = [e for e in manifest.files if e.name.startswith(prefix) and e.records] if manifest else []
    if files:
        yield DataSet(
            name=name,
            digest=digest([e.sha256 for e in files]),
            source=f"{store.uri.rstrip('/')}/{ref}",
            context=context,
            records=sum(e.records for e in files),
        )
