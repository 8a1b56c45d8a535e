"""Stores under kill -9, a full disk, and a server that fails, loses replies or is not there."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.core.errors import ConfigError, StoreError
from mmst.core.ports import Store
from mmst.storage.folder import FolderStore
from mmst.wiring import open_store
from tests.support import store_process
from tests.support.s3_server import CREDENTIALS, free_port, proxy, s3_server

KILLS = 4


def kill_writers(uri: str) -> None:
    """Start a writer, kill -9 it in the middle of its work; several times."""
    for i in range(KILLS):
        writer = subprocess.Popen([sys.executable, store_process.__file__, "overwrite", uri, "0"])
        deadline = time.monotonic() + 60
        while not list(open_store(uri).names("files/put")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3 + 0.037 * i)
        assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        writer.wait()


def assert_whole(store: Store) -> None:
    names = list(store.names("files/"))
    assert {"files/written", "files/replaced", "files/put"} <= set(names)
    for name in names:
        data = store.read(name)
        assert data is not None
        assert len(data) == store_process.BLOCK
        assert len(set(data)) == 1


def test_killed_writers_leave_nothing_half_in_a_folder(tmp_path: Path) -> None:
    kill_writers(str(tmp_path))
    assert_whole(FolderStore(tmp_path))


def test_a_killed_writer_holds_up_nobody(tmp_path: Path) -> None:
    kill_writers(str(tmp_path))
    started = time.monotonic()
    FolderStore(tmp_path).write("next", b"1")
    assert time.monotonic() - started < 10


def test_a_full_disk_is_a_store_error_and_leaves_nothing_half(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        store = FolderStore(disk)
        store.write("stays", b"old")
        big = tmp_path / "big"
        big.write_bytes(b"x" * (1 << 20))
        for attempt in (
            lambda: store.write("stays", b"x" * (1 << 20)),
            lambda: store.create("new", b"x" * (1 << 20)),
            lambda: store.put_file("new", big),
        ):
            with pytest.raises(StoreError, match=r"(?i)no space left.*Remedy: free space"):
                attempt()
        assert store.read("stays") == b"old"
        assert list(store.names("")) == ["stays"]
        assert [p.name for p in disk.iterdir() if p.name.startswith(".tmp")] == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_in_a_folders_place_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StoreError, match=r"out.*Remedy: a file stands where a folder is needed"):
        FolderStore(tmp_path / "out").write("a/b", b"1")


def test_what_old_killed_writers_of_large_files_left_is_swept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("big/a", b"1")
    old, fresh = tmp_path / "big" / ".tmp-old", tmp_path / "big" / ".tmp-fresh"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (1, 1))
    store.put_file("big/b", tmp_path / "big" / "a")
    assert (old.exists(), fresh.exists()) == (False, True)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    boto3 = pytest.importorskip("boto3")
    boto3.client("s3").create_bucket(Bucket="mmst")
    return f"s3://mmst/{uuid.uuid4().hex}"


@pytest.mark.server
def test_killed_writers_leave_nothing_half_in_a_bucket(bucket: str) -> None:
    kill_writers(bucket)
    assert_whole(open_store(bucket))


@pytest.mark.server
def test_server_errors_are_retried(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(server, ["503", "503", "pass", "503", "pass"]) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = open_store(bucket)
        store.write("a", b"1")
        assert store.read("a") == b"1"


@pytest.mark.server
def test_a_body_that_breaks_off_is_read_again(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(bucket).write("a", b"x" * 100_000)
    plan = ["cut", "cut"]
    with proxy(server, plan) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert open_store(bucket).read("a") == b"x" * 100_000
    assert plan == []


@pytest.mark.server
def test_a_lost_reply_to_a_creation_is_no_loss_of_the_race(
    server: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ["lose"]
    with proxy(server, plan) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = open_store(bucket)
        assert store.create("lock", b"mine")
        assert plan == []
        assert not store.create("lock", b"mine")
        plan.extend(["pass", "lose"])
        assert store.replace("lock", b"new", b"mine")
        assert plan == []
        assert store.read("lock") == b"new"


@pytest.mark.server
def test_a_missing_bucket_is_named_with_a_remedy(bucket: str) -> None:
    for use in (lambda s: s.read("a"), lambda s: s.write("a", b""), lambda s: list(s.names(""))):
        with pytest.raises(StoreError, match=r"no-such-bucket.*Remedy: create the bucket"):
            use(open_store("s3://no-such-bucket/x"))


def test_a_server_that_is_not_there_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"Remedy: check AWS_ENDPOINT_URL"):
        open_store("s3://mmst/x").read("a")
    assert time.monotonic() - started < 30


def test_missing_credentials_are_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"Remedy: set AWS_ACCESS_KEY_ID"):
        open_store("s3://mmst/x").read("a")


@pytest.mark.parametrize("uri", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(uri: str) -> None:
    pytest.importorskip("boto3")
    with pytest.raises(ConfigError, match="bucket"):
        open_store(uri)
