"""Who is champion, and how it was measured: compare-and-set records in the store.

`champions/<name>.jsonl`, the truth that the registry's alias mirrors, holds one line per
promotion, the newest last, then their number with the hash of all; the whole file is swapped at
once, and only while it is still what the decision was made against. So no promotion is lost, and a
promotion that was interrupted finds out that it had been carried out.

`reports/<held-out set>-<protocol>/<checkpoint>.ref` says which evaluate stage measured a
checkpoint there, so that a later challenger can be compared on the same problems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmst.core import sealed
from mmst.core.errors import ConfigError
from mmst.core.manifest import Manifest
from mmst.core.ports import Champion, Registry, Store
from mmst.core.records import to_json
from mmst.core.results import Measured
from mmst.core.stored import made

RECORDS, REPORTS = "champions/", "reports/"
ALL_METHODS = "*"
"""The method of a `Score` that is the mean over all methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """One promotion: the champion, and the promote stage (`by`) that decided it."""

    champion: Champion
    by: str


Record = tuple[Reign, ...]
"""Every promotion of a name, oldest first; the last is the champion."""


def names(store: Store) -> list[str]:
    """The names that have a record."""
    ours = (path for path in store.names(RECORDS) if path.endswith(".jsonl"))
    return [path.removeprefix(RECORDS).removesuffix(".jsonl") for path in ours]


def check_name(name: str, key: str = "promote.name") -> None:
    """`ConfigError` for a name, given as `key`, that MLflow or a path could not hold."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,199}", name):
        raise ConfigError(
            f"{key} must be letters, digits, dots, dashes, underscores or spaces",
            value=name,
            remedy=f"{key} my-model" if key.startswith("-") else f"--set {key}=my-model",
        )


def read(store: Store, name: str) -> Record:
    """The promotions of `name` so far; empty when there never was one."""
    path, remedy = _path(name), "restore it; or move it away: then nobody is champion, and the next promotion begins it"
    text = sealed.read(store, path, remedy)
    lines = [] if text is None else text.split(b"\n")[:-1]
    return tuple(sealed.parsed(store, path, Reign, line, remedy) for line in lines)


def standing(store: Store, name: str) -> Champion | None:
    """The champion that stands now."""
    record = read(store, name)
    return record[-1].champion if record else None


def crown(store: Store, name: str, expected: Record, reign: Reign) -> bool:
    """Make `reign` the newest promotion while the record is still `expected`; False when it is not.

    Repeating it after a crash cannot promote twice: look for one's own `by` in the record first.
    """
    path = _path(name)
    return store.replace(path, _bytes(path, (*expected, reign)), _bytes(path, expected) if expected else None)


def follow(store: Store, registry: Registry, name: str) -> None:
    """Make the registry's alias point at the champion on record, also while others promote.

    Whoever sets the alias reads the record again afterwards, so the last one to set it saw the
    last champion. One that was held up before, or ended in between, may leave an older version
    there: so this is done at every run of a promotion, also of one that is complete, and by the rollout.
    """
    now = standing(store, name)
    while now is not None:
        registry.point(name, now.version)
        again = standing(store, name)
        if again == now:
            return
        now = again


def report_name(heldout: str, protocol: str, checkpoint: str) -> str:
    """Where the reference of the evaluation of a checkpoint on a held-out set stands (three digests).

    `protocol` is how the problems were put (methods, prompts, length): reports that differ in it
    are not comparable.
    """
    return f"{REPORTS}{heldout[7:23]}-{protocol[7:15]}/{report_file(checkpoint)}"


def report_file(checkpoint: str) -> str:
    """The name of this file alone: the same on every held-out set."""
    return f"{checkpoint[7:23]}.ref"


def remember(store: Store, evaluation: Manifest) -> None:
    """Leave the reference of an evaluation where `measured` looks for it."""
    at = evaluation.result(Measured)
    name = report_name(at.report.heldout, at.protocol, at.report.checkpoint)
    if store.read(name) != evaluation.ref.encode():
        store.write(name, evaluation.ref.encode())


def measured(store: Store, heldout: str, protocol: str, checkpoint: str) -> Manifest | None:
    """The evaluate stage that measured a checkpoint on a held-out set (three digests), if one did.

    `DamagedError` when the reference leads to anything else.
    """
    name, remedy = report_name(heldout, protocol, checkpoint), "delete it: evaluating that checkpoint writes it again"
    raw = store.read(name)
    if raw is None:
        return None
    # No hash stands in it: what it leads to has one, and says what was measured.
    ref = raw.decode("ascii", "replace")
    found = made(store, ref) if re.fullmatch(r"stages/evaluate/[0-9a-f]+", ref) else None
    if found is None:
        raise sealed.damaged(store, name, "leads to no evaluation that is there", remedy)
    at = found.result(Measured)
    if (at.report.heldout, at.protocol, at.report.checkpoint) != (heldout, protocol, checkpoint):
        raise sealed.damaged(store, name, "leads to the evaluation of something else", remedy)
    return found


def _path(name: str) -> str:
    check_name(name)
    return f"{RECORDS}{name}.jsonl"


def _bytes(path: str, record: Record) -> bytes:
    lines = "".join(to_json(r) + "\n" for r in record)
    return sealed.seal(path, f'{lines}{{"promotions":{len(record)}}}')
