"""The champion record: compare-and-set, and nothing but that changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmst.core.errors import ConfigError
from mmst.core.ports import Champion
from mmst.stages import champion
from mmst.stages.champion import Reign
from mmst.storage.folder import FolderStore


def reign(n: int) -> Reign:
    return Reign(
        champion=Champion(checkpoint=f"sha256:{n}", ref=f"stages/train/{n}", version=str(n)), by=f"stages/promote/{n}"
    )


def test_there_is_no_champion_at_first(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert champion.read(store, "m") == ()
    assert champion.standing(store, "m") is None


def test_the_newest_promotion_stands_and_the_older_ones_stay_on_record(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert champion.crown(store, "m", (), reign(1))
    assert champion.crown(store, "m", (reign(1),), reign(2))
    assert champion.standing(store, "m") == reign(2).champion
    assert champion.read(store, "m") == (reign(1), reign(2))


@pytest.mark.parametrize("expected", [(), (reign(2),), (reign(1), reign(1))])
def test_a_decision_against_another_record_changes_nothing(tmp_path: Path, expected: champion.Record) -> None:
    store = FolderStore(tmp_path)
    champion.crown(store, "m", (), reign(1))
    assert not champion.crown(store, "m", expected, reign(3))
    assert champion.read(store, "m") == (reign(1),)


def test_names_have_champions_of_their_own(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    champion.crown(store, "a", (), reign(1))
    champion.crown(store, "a.b", (), reign(2))
    assert champion.standing(store, "a") == reign(1).champion
    assert champion.standing(store, "a.b") == reign(2).champion


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a:b", ".hidden", "x" * 201])
def test_a_name_that_no_registry_could_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"promote\.name"):
        champion.read(FolderStore(tmp_path), name)


def test_report_names_differ_by_problems_by_protocol_and_by_checkpoint() -> None:
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    names = {champion.report_name(*digests) for digests in ((a, a, a), (b, a, a), (a, b, a), (a, a, b))}
    assert len(names) == 4
