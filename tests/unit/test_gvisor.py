"""The gVisor sandbox's parts that need no gVisor: set-up errors, lies, the filter, the root folder."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import pytest

from mmst.backends import gvisor, gvisor_box, gvisor_root
from mmst.backends.gvisor import GvisorSandbox
from mmst.errors import SandboxError, SetupError
from mmst.inside import seccomp
from mmst.ports import Limits, Program

LIMITS = Limits(timeout=1.0)


@pytest.fixture
def fake_runsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `runsc` of our own in PATH; tests write its Python body (`run` is called when it is to run)."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gvisor_root, "bundle", lambda: tmp_path)
    return tmp_path / "runsc"


def write(path: Path, body: str) -> None:
    path.write_text(
        "#!/usr/bin/env python3\nimport sys, json\n"
        "if '--version' in sys.argv: print('runsc version 1\\nspec: 1'); sys.exit()\n"
        "def send(x): b = json.dumps(x).encode(); sys.stdout.buffer.write(len(b).to_bytes(4, 'big') + b);"
        " sys.stdout.flush()\n"
        "def receive():\n n = int.from_bytes(sys.stdin.buffer.read(4), 'big')\n"
        " return json.loads(sys.stdin.buffer.read(n))\n"
        f"{body}\n"
    )
    path.chmod(0o755)


ANSWER = "{'id': f['id'], 'status': 0, 'cut': '', 'stdout': '1', 'stderr': '', 'seconds': 0, 'peak_kib': 1}"


def test_no_runsc_is_a_setup_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="apt-get install runsc"):
        gvisor.available()


def test_a_runsc_that_starts_nothing_is_a_setup_error_with_its_words(fake_runsc: Path) -> None:
    write(fake_runsc, "sys.exit('cannot create namespaces')")
    with pytest.raises(SetupError, match="cannot create namespaces"):
        gvisor.available()


def test_another_platform_is_taken_when_the_default_fails(fake_runsc: Path) -> None:
    write(
        fake_runsc,
        "if '--platform=ptrace' not in sys.argv: sys.exit('no kvm')\n"
        f"send({{'ready': 1}})\nwhile True: f = receive(); send({ANSWER})",
    )
    assert gvisor.available() == "runsc 1, platform ptrace"


@pytest.mark.parametrize(
    "lie",
    [
        "sys.stdout.write('no frame at all'); sys.stdout.flush(); receive()",
        "send([1])",
        "send({'id': 'other'})",
        "send({**" + ANSWER + ", 'id': 'other'})",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\x02{}'); sys.stdout.flush()",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\x02{x'); sys.stdout.flush()",
        "sys.exit(1)",
        "import time; time.sleep(9)",
    ],
)
def test_a_sandbox_that_lies_or_dies_is_never_a_verdict(
    fake_runsc: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gvisor_box, "GRACE_SECONDS", 0.0)
    write(fake_runsc, f"send({{'ready': 1}})\nf = receive()\n{lie}")
    with GvisorSandbox(1) as box, pytest.raises(SandboxError, match="program 'a'"):
        list(box.run([Program(id="a", source="")], Limits(timeout=0.3)))


def test_an_answer_given_twice_counts_once(fake_runsc: Path) -> None:
    write(fake_runsc, f"send({{'ready': 1}})\nwhile True:\n f = receive(); send({ANSWER}); send({ANSWER})")
    with GvisorSandbox(1, bundle=1) as box:
        programs = [Program(id=str(i), source="") for i in range(5)]
        assert [e.id for e in box.run(programs, LIMITS)] == ["0", "1", "2", "3", "4"]


def test_a_program_killed_by_nobody_is_run_again(fake_runsc: Path) -> None:
    write(
        fake_runsc,
        "send({'ready': 1})\nn = 0\nwhile True:\n f = receive(); n += 1\n"
        f" send({{**{ANSWER}, 'status': -9 if n == 1 else 0}})",
    )
    with GvisorSandbox(1) as box:
        assert [(e.id, e.outcome) for e in box.run([Program(id="a", source="")], LIMITS)] == [("a", "ok")]


RESULTS = "[{'status': 0, 'cut': '', 'stdout': s[6:-1], 'stderr': '', 'seconds': 0} for s in f['sources']]"


def test_harmless_programs_share_a_process_and_others_do_not(fake_runsc: Path) -> None:
    write(
        fake_runsc,
        "send({'ready': 1})\nwhile True:\n f = receive()\n"
        f" if len(f['sources']) > 1: send({{'id': f['id'], 'peak_kib': 1, 'results': {RESULTS}}})\n"
        f" else: send({{**{ANSWER}, 'stdout': 'alone'}})",
    )
    with GvisorSandbox(1) as box:
        asked = [Program(id=str(i), source="open(0)" if i == 2 else f"print({i})") for i in range(5)]
        found = {e.id: e.stdout for e in box.run(asked, LIMITS)}
    assert found == {"0": "0", "1": "1", "2": "alone", "3": "3", "4": "4"}


@pytest.mark.parametrize("limits", [Limits(timeout=0.1), Limits(memory_mib=32), Limits(output_kib=1)])
def test_under_low_limits_every_program_is_alone(fake_runsc: Path, limits: Limits) -> None:
    write(fake_runsc, f"send({{'ready': 1}})\nwhile True: f = receive(); assert len(f['sources']) == 1; send({ANSWER})")
    with GvisorSandbox(1) as box:
        assert len(list(box.run([Program(id=str(i), source="print(1)") for i in range(3)], limits))) == 3


@pytest.mark.parametrize("broken", ["[]", RESULTS + "[1:]"])
def test_a_bundle_that_is_not_carried_out_whole_is_run_program_by_program(fake_runsc: Path, broken: str) -> None:
    write(
        fake_runsc,
        "send({'ready': 1})\nwhile True:\n f = receive()\n"
        f" if len(f['sources']) > 1: send({{'id': f['id'], 'peak_kib': 1, 'results': {broken}}})\n"
        f" else: send({{**{ANSWER}, 'stdout': 'alone'}})",
    )
    with GvisorSandbox(1) as box:
        found = list(box.run([Program(id=str(i), source=f"print({i})") for i in range(3)], LIMITS))
    assert sorted((e.id, e.stdout) for e in found) == [("0", "alone"), ("1", "alone"), ("2", "alone")]


def verdict(number: int, argument: int = 0, arch: int = 0xC000003E) -> int:
    """What the filter says of a system call: a small interpreter of its instructions."""
    data = struct.pack("=iIQ6Q", number & 0x7FFFFFFF, arch, 0, argument, 0, 0, 0, 0, 0)
    code, at, accumulator = seccomp.bpf(), 0, 0
    while True:
        op, true, false, k = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        if op == 0x20:
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif op == 0x06:
            return int(k)
        else:
            at += true if (accumulator == k if op == 0x15 else accumulator & k) else false


def test_the_filter_allows_what_is_listed_and_nothing_else() -> None:
    allowed = {n for n in range(600) if verdict(n) == 0x7FFF0000}
    assert allowed == {*seccomp._ALLOWED.values(), 302}
    assert not allowed & {41, 42, 56, 57, 58, 59, 62, 101, 157, 165, 200, 272, 310, 317, 321, 322, 434, 435}


def test_the_filter_lets_threads_start_but_no_processes() -> None:
    assert verdict(56, 0x3D0F00) == 0x7FFF0000
    assert verdict(56, 17) == 0x50001
    assert verdict(435, 0x3D0F00) == 0x50000 | 38


def test_the_filter_lets_a_program_change_no_limits_but_its_own() -> None:
    assert verdict(302, 0) == 0x7FFF0000
    assert {verdict(302, pid) for pid in (1, 2, 4242, 0xFFFFFFFF)} == {0x50001}


def test_the_filter_kills_foreign_system_calls() -> None:
    assert verdict(0, arch=0x40000003) == 0x80000000


def test_the_root_folder_is_built_once_by_any_number_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(gvisor_root.bundle())) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found[0] == found[1] == gvisor_root.bundle()
    assert [p.name for p in (tmp_path / "mmst").iterdir()] == [found[0].name]
    root = found[0] / "rootfs"
    assert (root / "usr/bin/python3").stat().st_mode & 0o777 == 0o755
    assert not [p for p in root.rglob("*") if p.name in ("site-packages", "shadow", "passwd")]


def test_a_root_folder_that_cannot_be_built_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gvisor_root, "fill", lambda root: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SetupError, match=r"No space left.*XDG_CACHE_HOME"):
        gvisor_root.bundle()
    assert list((tmp_path / "mmst").iterdir()) == []
