"""Stages: found when complete, continued when not, the same digest after an interruption."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import StoreError, UserError
from mmst.core.hashes import file_entries
from mmst.core.manifest import Manifest, Place
from mmst.core.names import checked_name
from mmst.core.records import Outcome
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.core.stored import load, pointers, records
from mmst.core.weights import checkpoint_folder
from mmst.storage.folder import FolderStore

PLACE = Place(run="r", round=1, arm="mmst", step="verify-heldout")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def outcome(i: int) -> Outcome:
    # U+2028 and U+0085 are line breaks to str.splitlines, but not in JSON lines.
    return Outcome(problem_id=f"p-{i}", task="main", family="\u2028\x85\n", method="text", passed=i % 2 == 0)


def opened(store: FolderStore, **changes: object) -> StageFolder:
    settings = {"version": 1, "config": {"k": 4}, "inputs": {}, "place": PLACE} | changes
    return StageFolder.open(store, "demo", **settings)  # type: ignore[arg-type]


def finished(store: FolderStore, **changes: object) -> Manifest:
    stage = opened(store, **changes)
    stage.write_records(shard_name(0), [outcome(i) for i in range(3)])
    stage.write_records(shard_name(1), [outcome(3)])
    return stage.finish(shards=[shard_name(0), shard_name(1)], counts={"outcomes": 4}, timing={"seconds": 1.5})


def test_a_finished_stage_is_found_again(store: FolderStore) -> None:
    manifest = finished(store)
    assert opened(store).manifest == manifest == load(store, manifest.ref)


def test_an_unfinished_stage_keeps_its_shards(store: FolderStore) -> None:
    opened(store).write_records(shard_name(0), [outcome(0)])
    again = opened(store)
    assert again.manifest is None
    assert (again.has(shard_name(0)), again.has(shard_name(1))) == (True, False)
    assert again.files() == {shard_name(0)}
    assert list(again.read_records(shard_name(0), Outcome)) == [outcome(0)]


def test_work_in_progress_stays_until_the_stage_is_complete(store: FolderStore) -> None:
    stage = opened(store)
    with stage.alone() as scratch:
        (scratch / "half").write_text("done")
    with stage.alone() as again:
        assert (again / "half").read_text() == "done"
        stage.finish()
    assert not scratch.exists()
    assert list(scratch.parent.iterdir()) == []


def test_who_waited_for_the_stage_finds_it_complete(store: FolderStore) -> None:
    waiting = opened(store)
    finished(store)
    with waiting.alone():
        assert waiting.manifest == opened(store).manifest is not None


def test_a_name_that_another_starts_with_is_not_that_name(store: FolderStore) -> None:
    opened(store).write("shard-1.bak", b"")
    assert not opened(store).has("shard-1")


def test_an_interrupted_and_an_undisturbed_stage_have_the_same_digest(store: FolderStore, tmp_path: Path) -> None:
    opened(store).write_records(shard_name(1), [outcome(3)])
    assert finished(store).digest == finished(FolderStore(tmp_path / "other")).digest


def test_timing_and_place_are_no_part_of_the_digest(store: FolderStore, tmp_path: Path) -> None:
    other = FolderStore(tmp_path / "other")
    stage = opened(other, place=None)
    for i, part in enumerate(([0, 1, 2], [3])):
        stage.write_records(shard_name(i), map(outcome, part))
    manifest = stage.finish(shards=[shard_name(0), shard_name(1)], counts={"outcomes": 4}, timing={"seconds": 99.0})
    assert manifest.digest == finished(store).digest


@pytest.mark.parametrize("changes", [{"version": 2}, {"config": {"k": 5}}])
def test_other_code_or_settings_are_another_stage(store: FolderStore, changes: dict[str, object]) -> None:
    finished(store)
    assert opened(store, **changes).manifest is None


def test_other_inputs_are_another_stage(store: FolderStore) -> None:
    manifest = finished(store)
    assert opened(store, inputs={"problems": manifest}).manifest is None


@given(st.lists(st.builds(outcome, st.integers(0, 99)), max_size=5))
def test_records_are_read_back_in_order(tmp_path_factory: pytest.TempPathFactory, items: list[Outcome]) -> None:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    stage = opened(store)
    stage.write_records(shard_name(0), items)
    manifest = stage.finish(shards=[shard_name(0)])
    assert list(records(store, manifest, Outcome)) == items
    assert manifest.files[0].records == len(items)


def test_a_changed_shard_is_noticed(store: FolderStore) -> None:
    manifest = finished(store)
    store.write(f"{manifest.ref}/{shard_name(1)}", b"{}\n")
    with pytest.raises(StoreError, match=r"shard-00001.*does not have the hash"):
        list(records(store, manifest, Outcome))


def test_a_lost_shard_is_noticed(store: FolderStore, tmp_path: Path) -> None:
    manifest = finished(store)
    (tmp_path / "store" / manifest.ref / shard_name(0)).unlink()
    with pytest.raises(StoreError, match=r"shard-00000.*is missing"):
        list(records(store, manifest, Outcome))


def test_a_reference_may_be_a_path_or_the_manifest(store: FolderStore) -> None:
    manifest = finished(store)
    for ref in (f"{store.uri}/{manifest.ref}", f"{manifest.ref}/manifest.json", f"{manifest.ref}/"):
        assert load(store, ref) == manifest


def test_an_incomplete_reference_is_a_user_error(store: FolderStore) -> None:
    with pytest.raises(UserError, match=r"no complete stage 'stages/demo/0000'.*Remedy"):
        load(store, "stages/demo/0000")


def test_a_run_knows_its_stages(store: FolderStore) -> None:
    manifest = finished(store)
    assert list(pointers(store, "r")) == [(PLACE, manifest.ref, {})]
    assert list(pointers(store, "other")) == []


def test_a_checkpoint_is_its_folder_or_where_it_refers_to(store: FolderStore, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    stage = opened(store)
    stage.put_file("config.json", model / "config.json")
    copied = stage.finish(files=file_entries(model))
    referred = opened(store, version=2).finish(files=file_entries(model), location=str(model))
    assert (checkpoint_folder(store, copied) / "config.json").read_text() == "{}"
    assert checkpoint_folder(store, referred) == model


def test_a_checkpoint_is_fetched_and_verified_from_a_store_without_folders(store: FolderStore, tmp_path: Path) -> None:
    class Bucket(FolderStore):
        def folder(self, prefix: str) -> None:  # type: ignore[override]
            return None

    bucket = Bucket(store.root)
    stage = opened(bucket)
    stage.write("weights", b"right")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "weights").write_bytes(b"right")
    manifest = stage.finish(files=file_entries(tmp_path / "m"))
    assert (checkpoint_folder(bucket, manifest) / "weights").read_bytes() == b"right"
    bucket.write(f"{manifest.ref}/weights", b"wrong")
    with pytest.raises(StoreError, match="arrived with another hash"):
        checkpoint_folder(bucket, manifest, tmp_path / "fresh")
    assert not (tmp_path / "fresh" / "weights").exists()


@given(st.text())
def test_a_name_is_kept_or_refused_never_changed(name: str) -> None:
    try:
        assert checked_name(name) == name
    except StoreError:
        return
    assert not {"", ".", ".."} & set(name.split("/"))
