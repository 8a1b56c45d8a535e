"""What may go from a store is what nobody uses; what somebody uses never goes."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmst.core import locks
from mmst.core.config import parse, run_id
from mmst.core.errors import UserError
from mmst.core.manifest import Place
from mmst.core.ports import Champion
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import made
from mmst.observe.progress import Quiet
from mmst.runs.cleaning import clean, plan, refuse
from mmst.runs.summary import record_config, runs
from mmst.stages import champion
from mmst.stages.champion import Reign
from mmst.storage.folder import FolderStore

SHARD = "shard-00000.jsonl"


def staged(store: FolderStore, key: int, *of: str, step: str = "sample", finish: bool = True) -> str:
    """A stage with a shard, used by these runs; its reference."""
    for run in of or ("",):
        place = Place(run=run, round=key, arm="mmst", step=step) if run else None
        folder = StageFolder.open(store, step, version=1, config=key, inputs={}, place=place)
        folder.write(SHARD, b"{}\n")
        if finish:
            folder.finish(shards=[SHARD])
    return folder.prefix


def refs(store: FolderStore, *given_up: str) -> set[str]:
    return {u.ref for u in plan(store, given_up).unused}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


RUNS = ("a", "b", "c")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=st.lists(st.sets(st.sampled_from(RUNS)), max_size=6), given_up=st.sets(st.sampled_from(RUNS)))
def test_exactly_what_no_other_run_uses_goes(
    users: list[set[str]], given_up: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    made_by = {staged(store, key, *sorted(of)): of for key, of in enumerate(users)}
    clean(store, plan(store, sorted(given_up)), Quiet())
    assert {ref for ref in made_by if made(store, ref)} == {ref for ref, of in made_by.items() if of - given_up}
    assert set(runs(store)) == set().union(*users) - given_up
    assert not plan(store).unused


def test_planning_deletes_nothing(store: FolderStore) -> None:
    ref = staged(store, 1)
    before = list(store.names(""))
    assert refs(store) == {ref}
    assert list(store.names("")) == before


def test_what_a_stage_was_made_of_stays_with_it(store: FolderStore) -> None:
    problems = made(store, staged(store, 1))
    assert problems
    place = Place(run="a", round=1, arm="mmst", step="verify")
    StageFolder.open(store, "verify", version=1, config=2, inputs={"problems": problems}, place=place)
    assert not refs(store)


def test_a_checkpoint_that_a_recipe_names_stays(store: FolderStore) -> None:
    ref = staged(store, 1, step="train")
    config = parse({"out": store.uri, "model": {"base": f"{store.uri}/{ref}"}})
    record_config(store, config)
    assert not refs(store)
    assert refs(store, run_id(config)) == {ref}


def test_what_a_promotion_names_stays_when_its_run_goes(store: FolderStore) -> None:
    checkpoint, promotion, measured, rejected = (
        staged(store, i, "a", step=step) for i, step in enumerate(("train", "promote", "evaluate", "evaluate"))
    )
    digest = "sha256:" + "c" * 64
    reign = Reign(champion=Champion(checkpoint=digest, ref=checkpoint, version="1"), by=promotion)
    assert champion.crown(store, "mine", (), reign)
    where = champion.report_name("sha256:" + "a" * 64, "sha256:" + "b" * 64, digest)
    other = champion.report_name("sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "d" * 64)
    store.write(where, measured.encode())
    store.write(other, rejected.encode())
    clean(store, plan(store, ["a"]), Quiet())
    assert [bool(made(store, ref)) for ref in (checkpoint, promotion, measured, rejected)] == [True, True, True, False]
    assert (store.read(where), store.read(other)) == (measured.encode(), None)


def test_work_in_progress_goes_with_its_stage_and_counts(store: FolderStore) -> None:
    ref = staged(store, 1, finish=False)
    (store.scratch(ref) / "checkpoint").write_bytes(b"x" * 1000)
    (unused,) = plan(store).unused
    assert unused.bytes > 1000
    clean(store, plan(store), Quiet())
    assert not (store.root / "work" / ref).exists()


def test_work_in_progress_of_a_run_stays(store: FolderStore) -> None:
    ref = staged(store, 1, "a", finish=False)
    (store.scratch(ref) / "checkpoint").write_bytes(b"x")
    clean(store, plan(store), Quiet())
    assert (store.scratch(ref) / "checkpoint").exists()


def test_a_stage_that_somebody_makes_now_stays(store: FolderStore) -> None:
    folder = StageFolder.open(store, "sample", version=1, config=1, inputs={})
    folder.write(SHARD, b"{}\n")
    held, done = threading.Event(), threading.Event()

    def make() -> None:
        with locks.held(store.scratch(folder.prefix).with_name(f"{folder.key}.lock")):
            held.set()
            done.wait(20)

    maker = threading.Thread(target=make)
    maker.start()
    held.wait(20)
    try:
        assert list(clean(store, plan(store), Quiet())) == [folder.prefix]
        assert folder.has(SHARD)
    finally:
        done.set()
        maker.join()


def test_a_stage_that_a_run_finds_meanwhile_is_whole_again(store: FolderStore) -> None:
    ref = staged(store, 1)
    planned = plan(store)
    staged(store, 1, "late")
    assert clean(store, planned, Quiet()) == {ref: "a run uses it now"}
    assert made(store, ref)


@pytest.mark.parametrize("dies_at", range(1, 14))
def test_killed_on_the_way_the_same_call_ends_it(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    gone = [staged(store, key, "a") for key in range(3)]
    kept = staged(store, 9, "a", "b")
    delete, left = FolderStore.delete, iter(range(dies_at - 1))

    class Killed(BaseException):
        pass

    def dies(self: FolderStore, names: Iterable[str]) -> None:
        for name in names:
            if next(left, None) is None:
                raise Killed
            delete(self, [name])

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "delete", dies)
        with pytest.raises(Killed):
            clean(store, plan(store, ["a"]), Quiet())
    assert made(store, kept)
    clean(store, plan(store, ["a"] if "a" in runs(store) else []), Quiet())
    assert (runs(store), [bool(made(store, ref)) for ref in (*gone, kept)]) == (["b"], [False] * 3 + [True])
    assert list(store.names("stages/")) == list(store.names(f"{kept}/"))


def test_links_lead_nowhere(store: FolderStore, tmp_path: Path) -> None:
    used = staged(store, 1, "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.txt").write_text("mine")
    for key, target in (("0" * 16, outside), ("1" * 16, store.root / used)):
        (store.root / "stages" / "sample" / key).symlink_to(target)
    lock = store.scratch(f"stages/sample/{'2' * 16}").with_name(f"{'2' * 16}.lock")
    lock.symlink_to(outside / "thesis.txt")
    staged(store, 2)
    stay = clean(store, plan(store), Quiet())
    assert (outside / "thesis.txt").read_text() == "mine"
    assert made(store, used)
    assert all("a link leads there" in why for why in stay.values())
    assert len(stay) == 2


@pytest.mark.parametrize("spelt", ["stages/train", "stages/train/../train", "stages/./train", "stages//train", "link"])
def test_a_stage_that_a_base_model_refers_to_stays_however_it_is_spelt(store: FolderStore, spelt: str) -> None:
    checkpoint = staged(store, 1, step="train")
    (store.root / "link").symlink_to(store.root / "stages" / "train")
    at = f"{store.root}/{spelt}/{checkpoint.rpartition('/')[2]}"
    place = Place(run="a", round=0, arm="base", step="base_model")
    base = StageFolder.open(store, "base", version=1, config=1, inputs={}, place=place)
    base.finish(location=at)
    assert not refs(store)
    store.delete([place.name])
    record_config(store, parse({"out": store.uri, "teachers": {"big": {"base": at}}}))
    assert checkpoint not in refs(store)


def test_the_run_of_a_standing_champion_is_refused_and_that_of_an_earlier_one_is_not(store: FolderStore) -> None:
    record: champion.Record = ()
    for i, run in enumerate("ab"):
        promotion, checkpoint = staged(store, i, run, step="promote"), staged(store, i + 5, run, step="train")
        reign = Reign(champion=Champion(checkpoint=f"sha256:{run * 64}", ref=checkpoint, version=str(i)), by=promotion)
        assert champion.crown(store, "mine", record, reign)
        record = champion.read(store, "mine")
    refuse(store, "a")
    with pytest.raises(UserError, match="champion of 'mine'"):
        refuse(store, "b")


def test_a_standing_champion_is_seen_behind_a_damaged_pointer(store: FolderStore) -> None:
    promotion = staged(store, 1, "a", step="promote")
    reign = Reign(champion=Champion(checkpoint="sha256:" + "c" * 64, ref=promotion, version="1"), by=promotion)
    assert champion.crown(store, "mine", (), reign)
    store.write("runs/a/00.base.base_model.json", b'{"ref":"stages/base/0')
    with pytest.raises(UserError, match="champion of 'mine'"):
        refuse(store, "a")


def test_no_link_below_the_work_in_progress_is_followed(store: FolderStore, tmp_path: Path) -> None:
    ref = staged(store, 1)
    key = ref.rpartition("/")[2]
    (tmp_path / "outside" / key).mkdir(parents=True)
    (tmp_path / "outside" / key / "precious").write_text("mine")
    store.scratch("stages")
    (store.root / "work" / "stages" / "sample").symlink_to(tmp_path / "outside")
    assert "a link leads there" in clean(store, plan(store), Quiet())[ref]
    assert (tmp_path / "outside" / key / "precious").read_text() == "mine"


def test_a_run_that_a_link_leads_to_is_refused_before_anything_is_deleted(store: FolderStore, tmp_path: Path) -> None:
    staged(store, 1, "a")
    (store.root / "runs" / "a").rename(tmp_path / "a")
    (store.root / "runs" / "a").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="a link leads to this run"):
        refuse(store, "a")


def test_a_run_is_one_until_its_last_file_is_gone(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse({"out": store.uri})
    record_config(store, config)
    run, delete = run_id(config), FolderStore.delete
    staged(store, 1, run)
    store.write(f"runs/{run}/report.html", b"page")

    def watched(self: FolderStore, names: Iterable[str]) -> None:
        for name in names:
            if name.startswith("runs/"):
                refuse(store, run)
            delete(self, [name])

    monkeypatch.setattr(FolderStore, "delete", watched)
    clean(store, plan(store, [run]), Quiet())
    assert runs(store) == []


def test_a_complete_stage_that_somebody_is_at_keeps_its_manifest(store: FolderStore) -> None:
    ref = staged(store, 1)
    with locks.held(store.scratch(ref).with_name(f"{ref.rpartition('/')[2]}.lock")):
        assert list(clean(store, plan(store), Quiet())) == [ref]
    assert made(store, ref)


def test_a_damaged_evaluation_of_a_kept_run_stops_nothing_half_way(store: FolderStore) -> None:
    ref, kept = staged(store, 1, "a"), staged(store, 2, "b", step="evaluate")
    store.write(champion.report_name("sha256:" + "a" * 64, "sha256:" + "b" * 64, "sha256:" + "c" * 64), kept.encode())
    store.write(f"{kept}/manifest.json", b"{")
    clean(store, plan(store, ["a"]), Quiet())
    assert not made(store, ref)
    assert runs(store) == ["b"]


def test_a_run_of_which_a_stage_is_worked_at_is_refused(store: FolderStore) -> None:
    ref = staged(store, 1, "a", finish=False)
    with locks.held(store.scratch(ref).with_name(f"{ref.rpartition('/')[2]}.lock")):
        assert_under_way(store)
    refuse(store, "a")


def assert_under_way(store: FolderStore) -> None:
    with pytest.raises(UserError, match="under way"):
        refuse(store, "a")


def test_what_is_no_run_is_refused(store: FolderStore) -> None:
    store.write("runs/train/exp1/weights/best.pt", b"somebody's")
    with pytest.raises(UserError, match="no run of MMST"):
        refuse(store, "train")


def test_a_run_that_is_damaged_can_be_given_up(store: FolderStore) -> None:
    ref = staged(store, 1, "a")
    store.write("runs/a/01.mmst.verify.json", b"{")
    clean(store, plan(store, ["a"]), Quiet())
    assert not made(store, ref)
    assert runs(store) == []


def test_one_odd_name_keeps_its_stage_alone(store: FolderStore) -> None:
    odd, plain = staged(store, 1), staged(store, 2)
    (store.root / odd / "a\\b.txt").write_text("x")
    stay = clean(store, plan(store), Quiet())
    assert list(stay) == [odd]
    assert not list(store.names(f"{plain}/"))


def test_a_run_s_size_is_told_with_what_it_alone_has(store: FolderStore) -> None:
    staged(store, 1, "a")
    staged(store, 2, "a", "b")
    sizes = {r.run: r for r in plan(store).kept}
    assert (sizes["a"].stages, sizes["b"].stages) == (2, 1)
    assert 0 < sizes["a"].alone < sizes["a"].bytes
    assert sizes["b"].alone == 0
    assert sizes["a"].alone == plan(store, ["a"]).bytes
