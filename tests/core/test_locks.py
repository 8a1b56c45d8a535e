"""Locks that say who holds them, and are gone with their holder."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmst.core import locks
from mmst.core.errors import StoreError

HOLDER = """
import sys, time
from pathlib import Path
from mmst.core import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_who_waits_is_told_who_holds_it_and_since_when(tmp_path: Path) -> None:
    child = holder(tmp_path / "lock")
    assert locks.is_held(tmp_path / "lock")
    told: list[str] = []

    def waiting(who: str) -> None:
        told.append(who)
        child.kill()
        child.wait()

    with locks.held(tmp_path / "lock", waiting):
        assert told[0].startswith(f"process {child.pid}, since {time.strftime('%Y-')}")
    assert not locks.is_held(tmp_path / "lock")


def test_a_lock_that_nobody_holds_is_taken_without_a_word(tmp_path: Path) -> None:
    child = holder(tmp_path / "lock")
    child.kill()
    child.wait()
    with locks.held(tmp_path / "lock", lambda who: pytest.fail(f"nobody holds it, not {who}")):
        assert locks.is_held(tmp_path / "lock")


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"pid": "x"}', '{"pid": 1}', "\0" * 9])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    with locks.held(path):
        path.write_text(content)
        told: list[str] = []
        waits = threading.Thread(target=_hold, args=(path, told))
        waits.start()
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            time.sleep(0.01)
    waits.join()
    assert told[0] == "another process"


def _hold(path: Path, told: list[str]) -> None:
    with locks.held(path, told.append):
        pass


def test_a_lock_that_is_not_there_is_not_held(tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path / "none")


def test_a_lock_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError), locks.held(tmp_path / "file" / "lock"):
        pass


def test_who_waited_for_a_lock_whose_file_was_deleted_holds_the_one_that_is_there(tmp_path: Path) -> None:
    path, waits, done = tmp_path / "lock", threading.Event(), threading.Event()

    def wait() -> None:
        with locks.held(path, lambda who: waits.set()):
            done.set()
            time.sleep(1)

    with locks.held(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert waits.wait(20)
        path.unlink()
    assert done.wait(20)
    assert locks.is_held(path)
    waiter.join()


def test_a_lock_is_held_now_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.held_now(path) as first, locks.held_now(path) as second:
        assert (first, second) == (True, False)
    with locks.held_now(path) as again:
        assert again


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError), locks.held(tmp_path / "lock"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"
