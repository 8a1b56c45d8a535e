"""What every store promises (`ports.Store`), asked of a folder and of a real S3 server."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmst.core.errors import StoreError
from mmst.core.ports import Store
from mmst.wiring import open_store
from tests.support import store_process
from tests.support.s3_server import CREDENTIALS, s3_server

PROCESSES = 3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.server)])
def uri(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        return str(tmp_path / "store")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("server"))
    boto3 = pytest.importorskip("boto3")
    boto3.client("s3").create_bucket(Bucket="mmst")
    return f"s3://mmst/{uuid.uuid4().hex}"


@pytest.fixture
def store(uri: str) -> Store:
    return open_store(uri)


def test_what_was_written_is_read(store: Store) -> None:
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two\x00\xff")
    assert store.read("a/b.json") == b"two\x00\xff"


def test_absent_names_read_as_none(store: Store) -> None:
    store.write("a/b", b"1")
    assert [store.read(n) for n in ("a", "a/c", "a/b/c", "z")] == [None] * 4


def test_an_empty_file_is_not_an_absent_one(store: Store) -> None:
    store.write("empty", b"")
    assert store.read("empty") == b""
    assert not store.create("empty", b"x")
    assert store.replace("empty", b"y", b"")


def test_create_writes_only_what_is_absent(store: Store) -> None:
    assert store.create("lock", b"first")
    assert not store.create("lock", b"second")
    assert store.read("lock") == b"first"


def test_replace_needs_the_expected_content(store: Store) -> None:
    assert not store.replace("c", b"x", b"something")
    assert store.replace("c", b"1", None)
    assert not store.replace("c", b"2", None)
    assert not store.replace("c", b"2", b"0")
    assert store.replace("c", b"2", b"1")
    assert store.read("c") == b"2"


def test_names_are_sorted_by_bytes_and_cut_at_the_prefix(store: Store) -> None:
    names = ["a/b/c", "a/b.txt", "a/b-1", "a/é", "a/z", "ab", "b/1", "b/10", "b/2"]
    for name in names:
        store.write(name, b"")
    assert list(store.names("")) == sorted(names, key=str.encode)
    assert list(store.names("a/b")) == ["a/b-1", "a/b.txt", "a/b/c"]
    assert list(store.names("a/b/")) == ["a/b/c"]
    assert list(store.names("b/1")) == ["b/1", "b/10"]
    assert list(store.names("nowhere/")) == []


def test_sizes_are_of_the_same_names(store: Store) -> None:
    for name in ("a/b/c", "a/b.txt", "b/1"):
        store.write(name, name.encode() * 3)
    assert list(store.sizes("a/")) == [(name, 3 * len(name)) for name in store.names("a/")]


def test_what_is_deleted_while_sizes_are_told_ends_nothing(store: Store) -> None:
    for name in ("a/1", "a/2", "a/3"):
        store.write(name, b"x")
    told = store.sizes("a/")
    assert next(told) == ("a/1", 1)
    store.delete(["a/2"])
    assert ("a/3", 1) in list(told)


def test_what_is_deleted_is_absent_and_nothing_else_is(store: Store) -> None:
    for name in ("a/1", "a/2", "a/b/3", "c"):
        store.write(name, b"x")
    store.delete(iter(["a/1", "a/b/3", "never/there"]))
    assert list(store.names("")) == ["a/2", "c"]
    assert store.create("a/b/3", b"again")


def test_only_names_of_the_store_are_deleted(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    with pytest.raises(StoreError, match="cannot be a name"):
        store.delete(["../outside"])
    assert outside.read_text() == "mine"


def test_names_come_lazily(store: Store) -> None:
    store.write("a/1", b"")
    store.write("b/1", b"")
    listing = store.names("")
    assert next(iter(listing)) == "a/1"


@pytest.mark.parametrize(
    "name", ["", "/abs", "a//b", "a/", "../up", "a/../../up", ".", "a/./b", ".hidden", "a\\b", "a\x00", "work/x"]
)
def test_names_that_climb_out_or_hide_are_refused(store: Store, name: str) -> None:
    for use in (store.read, lambda n: store.write(n, b""), lambda n: store.create(n, b"")):
        with pytest.raises(StoreError, match="cannot be a name"):
            use(name)


def test_files_travel_both_ways(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    data = os.urandom(9 << 20)
    source.write_bytes(data)
    store.put_file("big/file.bin", source)
    source.write_bytes(b"changed later")
    store.get_file("big/file.bin", target)
    assert target.read_bytes() == data
    assert sorted(p.name for p in target.parent.iterdir()) == ["target"]


def test_fetching_what_is_absent_leaves_nothing(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(StoreError, match="nothing-here"):
        store.get_file("nothing-here", target)
    assert target.read_bytes() == b"old"


def test_storing_a_file_that_is_absent_says_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing\.bin"):
        store.put_file("x", tmp_path / "missing.bin")
    assert store.read("x") is None


def test_scratch_survives_and_is_never_listed(store: Store, uri: str) -> None:
    store.write("stages/x/1", b"")
    (store.scratch("stages/x") / "part").write_bytes(b"half done")
    again = open_store(uri)
    assert (again.scratch("stages/x") / "part").read_bytes() == b"half done"
    assert list(again.names("")) == ["stages/x/1"]


def test_folder_is_where_the_files_are_or_none(store: Store, uri: str) -> None:
    store.write("stages/x/1", b"here")
    folder = store.folder("stages/x")
    assert folder is None if uri.startswith("s3://") else (folder and (folder / "1").read_bytes() == b"here")


SEGMENT = st.text("abz09_-é ", min_size=1, max_size=3)
NAMES = st.builds(lambda top, leaf: f"{top}/{leaf}", st.sampled_from(["a", "a.d", "b"]), SEGMENT)
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "create", "replace", "stale", "read"]), NAMES, st.binary(max_size=8)),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_store_behaves_as_a_dictionary(uri: str, steps: list[tuple[str, str, bytes]]) -> None:
    store, model = open_store(f"{uri}/{uuid.uuid4().hex}"), dict[str, bytes]()
    for action, name, data in steps:
        if action == "write":
            store.write(name, data)
            model[name] = data
        elif action == "create":
            assert store.create(name, data) == (name not in model)
            model.setdefault(name, data)
        elif action == "replace":
            assert store.replace(name, data, model.get(name))
            model[name] = data
        elif action == "stale":
            assert not store.replace(name, data, b"never written")
        assert store.read(name) == model.get(name)
    for prefix in ("", "a", "a/", "a.", "b/z"):
        assert list(store.names(prefix)) == sorted((n for n in model if n.startswith(prefix)), key=str.encode)


def race(action: str, uri: str) -> None:
    command = [sys.executable, store_process.__file__, action, uri]
    running = [subprocess.Popen([*command, str(i)]) for i in range(PROCESSES)]
    assert [p.wait(120) for p in running] == [0] * PROCESSES


def test_of_racing_creators_exactly_one_wins(store: Store, uri: str) -> None:
    race("create", uri)
    won = [name.removeprefix("won/").split(".")[0] for name in store.names("won/")]
    assert won == [f"{i:02d}" for i in range(store_process.CREATIONS)]


def test_racing_replacements_lose_no_update(store: Store, uri: str) -> None:
    race("count", uri)
    assert store.read("counter") == str(PROCESSES * store_process.INCREMENTS).encode()


def test_a_probe_leaves_nothing_behind(store: Store) -> None:
    store.write("a", b"1")
    store.probe()
    assert list(store.names("")) == ["a"]


@pytest.mark.server
@pytest.mark.parametrize("uri", ["s3"], indirect=True)
def test_a_probe_finds_a_server_that_ignores_conditions(uri: str) -> None:
    from mmst.storage.s3 import S3Store

    store = S3Store(uri)

    class Old:
        """A client of a server that takes every write."""

        def __init__(self, client: Any) -> None:
            self.client = client

        def put_object(self, **arguments: Any) -> Any:
            return self.client.put_object(**{k: v for k, v in arguments.items() if not k.startswith("If")})

        def __getattr__(self, name: str) -> Any:
            return getattr(self.client, name)

    with pytest.raises(StoreError, match=r"If-None-Match.*use one that does"):
        S3Store(uri, client=Old(store.client)).probe()
    assert list(store.names("")) == []
