"""Weights are what their manifest says whenever they are used, and are read once for it."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmst.core import hashes, sealed
from mmst.core.errors import DamagedError, StoreError
from mmst.core.hashes import file_entries
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import from_json, to_json
from mmst.core.stage_folder import StageFolder
from mmst.core.weights import checkpoint_folder
from mmst.storage.folder import FolderStore

SIZE = 300_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is remembered at first; and a file counts as left alone at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED", -1.0)
    hashes._known.clear()
    yield tmp_path / "cache" / "mmst" / "hashes"
    hashes._known.clear()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read for their hash."""
    found: list[str] = []
    original = hashes.file_sha256

    def read(path: Path) -> str:
        found.append(path.name)
        return original(path)

    monkeypatch.setattr(hashes, "file_sha256", read)
    return found


def model(folder: Path, letter: bytes = b"w") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(letter * SIZE)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def stored(store: Store, folder: Path, version: int = 1) -> Manifest:
    stage = StageFolder.open(store, "train", version=version, config={}, inputs={})
    for entry in file_entries(folder):
        stage.put_file(entry.name, folder / entry.name)
    return stage.finish(files=file_entries(folder))


def referred(store: Store, folder: Path) -> Manifest:
    stage = StageFolder.open(store, "base", version=1, config={}, inputs={})
    return stage.finish(files=file_entries(folder), location=str(folder))


KINDS = {"stored": stored, "referred": referred}


def weights(path: Path) -> Path:
    return path / "model.safetensors"


def flipped(folder: Path) -> None:
    data = bytearray(weights(folder).read_bytes())
    data[SIZE // 2] ^= 1
    weights(folder).write_bytes(data)


def zeroed(folder: Path) -> None:
    with weights(folder).open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


def anothers(folder: Path) -> None:
    weights(folder).write_bytes(b"v" * SIZE)


def anothers_put_in_place(folder: Path) -> None:
    (folder / "aside").write_bytes(b"v" * SIZE)
    (folder / "aside").replace(weights(folder))


def with_old_times(folder: Path) -> None:
    before = weights(folder).stat()
    zeroed(folder)
    os.utime(weights(folder), ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(folder: Path) -> None:
    os.truncate(weights(folder), SIZE - 1)


def longer(folder: Path) -> None:
    with weights(folder).open("ab") as file:
        file.write(b"w")


def emptied(folder: Path) -> None:
    weights(folder).write_bytes(b"")


def lost(folder: Path) -> None:
    weights(folder).unlink()


def a_folder(folder: Path) -> None:
    weights(folder).unlink()
    weights(folder).mkdir()


def a_dangling_link(folder: Path) -> None:
    weights(folder).unlink()
    weights(folder).symlink_to("nowhere")


def a_link_to_another(folder: Path) -> None:
    weights(folder).unlink()
    (folder.parent / "other").write_bytes(b"v" * SIZE)
    weights(folder).symlink_to(folder.parent / "other")


def mapped(folder: Path) -> None:
    import mmap

    with weights(folder).open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[100] = 0
        view.flush()


DAMAGES: list[Callable[[Path], None]] = [
    flipped, zeroed, anothers, anothers_put_in_place, with_old_times, cut, longer, emptied, lost, a_folder,
    a_dangling_link, a_link_to_another, mapped,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_weights_are_never_used(kind: str, seen: bool, damage: Callable[[Path], None], tmp_path: Path) -> None:
    """`seen`: they were verified in this process, and found good, a moment before."""
    store = FolderStore(tmp_path / "store")
    manifest = KINDS[kind](store, model(tmp_path / "model"))
    folder = Path(manifest.location) if manifest.location else store.folder(manifest.ref)
    if seen:
        assert checkpoint_folder(store, manifest) == folder
    time.sleep(0.02)  # a tick of the file system's clock
    damage(folder)
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"model\.safetensors (has|is|does).*Remedy"):
            checkpoint_folder(store, manifest)
    hashes._known.clear()
    with pytest.raises(DamagedError, match=r"model\.safetensors (has|is|does).*Remedy"):
        checkpoint_folder(store, manifest)


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "adapter_config.json", "x.py", "vocab.txt"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_would_be_loaded_too_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = KINDS[kind](store, model(tmp_path / "model"))
    folder = Path(manifest.location) if manifest.location else store.folder(manifest.ref)
    (folder / name).write_text("{}")
    with pytest.raises(DamagedError, match=rf"{name} is no part of the checkpoint.*Remedy: move it out"):
        checkpoint_folder(store, manifest)


@pytest.mark.parametrize("name", ["README.md", "notes.txt", ".gitattributes", "train.log", "LICENSE", "curve.png"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_no_loader_reads_disturbs_nobody(kind: str, name: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = KINDS[kind](store, model(tmp_path / "model"))
    folder = Path(manifest.location) if manifest.location else store.folder(manifest.ref)
    (folder / name).write_text("{}")
    assert checkpoint_folder(store, manifest) == folder


def test_weights_are_read_once_and_not_again_by_another_process(tmp_path: Path, reads: list[str]) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = stored(store, model(tmp_path / "model"))
    reads.clear()
    for _ in range(3):
        checkpoint_folder(store, manifest)
    assert sorted(reads) == ["config.json", "model.safetensors"]
    hashes._known.clear()
    checkpoint_folder(store, manifest)
    assert len(reads) == 2


def test_a_copy_of_a_store_is_read(tmp_path: Path, reads: list[str]) -> None:
    store = FolderStore(tmp_path / "store")
    manifest = stored(store, model(tmp_path / "model"))
    checkpoint_folder(store, manifest)
    shutil.copytree(tmp_path / "store", tmp_path / "copy", copy_function=shutil.copy2)
    reads.clear()
    checkpoint_folder(FolderStore(tmp_path / "copy"), manifest)
    assert sorted(reads) == ["config.json", "model.safetensors"]


def test_a_file_that_was_written_just_now_is_not_remembered(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr(hashes, "SETTLED", 2.0)
    path = weights(model(tmp_path / "model"))
    assert hashes.known_sha256(path) == hashes.known_sha256(path)
    assert len(reads) == 2
    assert not own_cache.exists()


def aged(known: hashes.Known) -> hashes.Known:
    return replace(known, at=known.at - hashes.TRUSTED - 1)


def from_tomorrow(known: hashes.Known) -> hashes.Known:
    return replace(known, at=known.at + 86_400)


def of_another_inode(known: hashes.Known) -> hashes.Known:
    return replace(known, inode=known.inode + 1)


def of_another_size(known: hashes.Known) -> hashes.Known:
    return replace(known, size=known.size + 1)


def of_another_time(known: hashes.Known) -> hashes.Known:
    return replace(known, ctime_ns=known.ctime_ns - 1)


@pytest.mark.parametrize("change", [aged, from_tomorrow, of_another_inode, of_another_size, of_another_time])
def test_what_is_remembered_counts_for_that_file_and_a_day(
    change: Callable[[hashes.Known], hashes.Known], tmp_path: Path, reads: list[str], own_cache: Path
) -> None:
    path = weights(model(tmp_path / "model"))
    right = hashes.known_sha256(path)
    (memo,) = own_cache.iterdir()
    known = from_json(hashes.Known, sealed.unseal(str(path), memo.read_bytes()) or b"")
    memo.write_bytes(sealed.seal(str(path), to_json(replace(change(known), sha256="sha256:wrong"))))
    hashes._known.clear()
    assert hashes.known_sha256(path) == right
    assert len(reads) == 2


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-1]),
        lambda p: p.write_bytes(p.read_bytes().replace(b"sha256:", b"sha255:", 1)),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(b"\xff" * 100),
        lambda p: p.write_bytes(b"[" * 50_000),
        lambda p: p.chmod(0o666),
        lambda p: p.parent.chmod(0o777),
        lambda p: p.rename(p.with_name("x")) and p.symlink_to(p.with_name("x")),
        lambda p: (p.unlink(), p.mkdir()),
        fifo,
        lambda p: p.write_bytes(json.dumps({"path": "x"}).encode()),
    ],
    ids=[
        "cut",
        "changed",
        "empty",
        "no text",
        "deep",
        "anybody's",
        "anybody's folder",
        "link",
        "folder",
        "pipe",
        "shape",
    ],
)
def test_what_is_remembered_is_not_believed_blindly(
    spoil: Callable[[Path], object], tmp_path: Path, reads: list[str], own_cache: Path
) -> None:
    path = weights(model(tmp_path / "model"))
    right = hashes.known_sha256(path)
    (memo,) = own_cache.iterdir()
    spoil(memo)
    hashes._known.clear()
    assert hashes.known_sha256(path) == right
    assert len(reads) == 2


def test_only_this_user_can_write_what_is_remembered(tmp_path: Path, own_cache: Path) -> None:
    hashes.known_sha256(weights(model(tmp_path / "model")))
    (memo,) = own_cache.iterdir()
    assert (memo.stat().st_mode & 0o777, own_cache.stat().st_mode & 0o077) == (0o600, 0)


@pytest.mark.parametrize("base", ["/proc/nothing", "/dev/null"])
def test_a_cache_that_cannot_be_written_costs_time_only(
    base: str, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    path = weights(model(tmp_path / "model"))
    right = hashes.known_sha256(path)
    hashes._known.clear()
    assert hashes.known_sha256(path) == right
    assert len(reads) == 2


def test_what_was_fetched_from_a_bucket_is_fetched_again_when_damaged(tmp_path: Path) -> None:
    class Bucket(FolderStore):
        def folder(self, prefix: str) -> None:  # type: ignore[override]
            return None

    bucket = Bucket(tmp_path / "bucket")
    manifest = stored(bucket, model(tmp_path / "model"))
    folder = checkpoint_folder(bucket, manifest)
    for damage in (flipped, zeroed, cut, emptied, lost, anothers_put_in_place):
        damage(folder)
        assert weights(checkpoint_folder(bucket, manifest)).read_bytes() == b"w" * SIZE
    a_folder(folder)
    with pytest.raises(StoreError, match=r"model\.safetensors.*Remedy: a folder stands"):
        checkpoint_folder(bucket, manifest)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    store = FolderStore(tmp_path / "store")
    manifest = stored(store, model(tmp_path / "model"))
    monkeypatch.setattr(hashes, "file_sha256", read)
    with pytest.raises(StoreError, match=r"cannot read .*Input/output error.*Remedy"):
        checkpoint_folder(store, manifest)
