"""What a process started ends with it, however it ends and however far the other has come."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.core.process import OWNER, descendants, owned, started
from tests.support.processes import marked

OWNED = """
import os, subprocess, sys, time
from mmst.core.process import adopt, end_with_owner, owned
depth, folder, session = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "sessions"
end_with_owner()
if depth:
    command = [sys.executable, "-c", os.environ["SOURCE"], str(depth - 1), folder, sys.argv[3]]
    subprocess.Popen(command, env=os.environ | owned(), start_new_session=session)
else:
    for _ in range(2):  # what knows nothing of owners, below a shell
        subprocess.Popen(["sh", "-c", "sleep 600; true"], start_new_session=session)
    open(folder + "/there", "w").close()
time.sleep(600)
"""


@pytest.fixture
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process with two generations of Python and then shells below it, all at work."""
    environment = os.environ | {"SOURCE": OWNED, "TREE": str(tmp_path)} | owned()
    root = subprocess.Popen([sys.executable, "-c", OWNED, "2", str(tmp_path), request.param], env=environment)
    until = time.monotonic() + 60
    while not (tmp_path / "there").exists() and time.monotonic() < until:
        time.sleep(0.02)
    yield root
    root.kill()
    root.wait()
    for pid in at_work(tmp_path):
        os.kill(pid, signal.SIGKILL)


def at_work(folder: Path) -> list[int]:
    """The processes of a tree, wherever they hang now."""
    return marked(f"TREE={folder}", "environ")


def left(folder: Path, seconds: float = 5.0) -> list[int]:
    until = time.monotonic() + seconds
    while (found := at_work(folder)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("tree", ["sessions", "one-session"], indirect=True)
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_nothing_outlives_an_owner_that_is_killed(
    tree: subprocess.Popen[bytes], generation: int, tmp_path: Path
) -> None:
    below = [pid for pid in at_work(tmp_path) if b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    line = sorted(below, key=lambda pid: int(started(pid)))
    assert len(line) == 3
    killed = line[generation]
    expected = set(line[:generation])
    under = descendants(killed)
    os.kill(killed, signal.SIGKILL)
    if generation == 0:
        tree.wait()
    until = time.monotonic() + 5
    while set(at_work(tmp_path)) - {killed} != expected and time.monotonic() < until:
        time.sleep(0.02)
    remaining = set(at_work(tmp_path)) - {killed}
    # What the last Python process started has no owner: it is taken along by one that outlives it, if there is one.
    assert remaining - expected <= set(under if generation == 2 else ())


def test_a_process_whose_owner_has_gone_ends_at_once() -> None:
    gone = subprocess.Popen(["true"])
    name = f"{gone.pid}.{started(gone.pid) or 1}"
    gone.wait()
    assert begun({OWNER: name}) == -signal.SIGKILL


def test_a_process_with_the_number_of_a_former_owner_is_none() -> None:
    assert begun({OWNER: f"{os.getpid()}.1"}) == -signal.SIGKILL


@pytest.mark.parametrize("owner", ["", "nonsense", ".", "x.1"])
def test_without_an_owner_a_process_goes_on(owner: str) -> None:
    assert begun({OWNER: owner} if owner else {}) == 0


def test_with_a_living_owner_a_process_goes_on() -> None:
    assert begun(owned()) == 0


def begun(environment: dict[str, str]) -> int:
    source = "from mmst.core.process import end_with_owner; end_with_owner()"
    plain = {k: v for k, v in os.environ.items() if k != OWNER}
    return subprocess.run([sys.executable, "-c", source], env=plain | environment, check=False).returncode


def test_a_parent_that_ended_between_fork_and_exec_takes_the_child_along() -> None:
    source = "from mmst.core.process import die_with_parent; die_with_parent(1); print('alive')"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_the_descendants_are_those_that_have_not_ended() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 600; true"])
    ended = subprocess.Popen(["true"])
    until = time.monotonic() + 10
    while not (below := descendants(child.pid)) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(below) == 1
    assert set(descendants(os.getpid())) >= {child.pid, *below}
    while Path(f"/proc/{ended.pid}/stat").read_text().split(")")[1].split()[0] != "Z" and time.monotonic() < until:
        time.sleep(0.02)
    assert ended.pid not in descendants(os.getpid())
    for pid in descendants(child.pid):
        os.kill(pid, signal.SIGKILL)
    child.kill()
    child.wait()
    ended.wait()
    assert child.pid not in descendants(os.getpid())
