"""The gVisor sandbox's parts that need no gVisor: set-up errors, lies, the filter, the root folder."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import threading
import time
from pathlib import Path

import pytest

from mmst.core import meter
from mmst.core.errors import SandboxError, SetupError
from mmst.core.meter import Meter
from mmst.core.ports import Evaluation, Limits, Program
from mmst.sandbox.guest import seccomp
from mmst.sandbox.providers import gvisor, gvisor_box, gvisor_queue, gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox

LIMITS = Limits(timeout=1.0)


@pytest.fixture
def fake_runsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `runsc` of our own in PATH; tests write its Python body (`run` is called when it is to run)."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gvisor_root, "bundle", lambda packages: tmp_path)
    return tmp_path / "runsc"


def write(path: Path, body: str) -> None:
    path.write_text(
        "#!/usr/bin/env python3\nimport sys, json\n"
        "if '--version' in sys.argv: print('runsc version 1\\nspec: 1'); sys.exit()\n"
        "def send(x): b = json.dumps(x).encode(); sys.stdout.buffer.write(len(b).to_bytes(4, 'big') + b);"
        " sys.stdout.flush()\n"
        "def receive():\n n = int.from_bytes(sys.stdin.buffer.read(4), 'big')\n"
        " return json.loads(sys.stdin.buffer.read(n)) if n else None\n"
        f"{body}\n"
    )
    path.chmod(0o755)


ANSWER = "{'id': f['id'], 'status': 0, 'cut': '', 'stdout': 'MQ==', 'stderr': '', 'seconds': 0, 'peak_kib': 1}"


def test_no_runsc_is_a_setup_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="apt-get install runsc"):
        gvisor.available()


def test_a_runsc_that_starts_nothing_is_a_setup_error_with_its_words(fake_runsc: Path) -> None:
    write(fake_runsc, "sys.exit('cannot create namespaces')")
    with pytest.raises(SetupError, match="cannot create namespaces"):
        gvisor.available()


def test_a_tmpdir_that_is_not_there_is_not_handed_on(
    fake_runsc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    write(fake_runsc, "import os; sys.exit(os.environ['TMPDIR'])")
    with pytest.raises(SetupError) as said:
        gvisor.available()
    assert tempfile.gettempdir() in said.value.why
    assert "nowhere" not in said.value.why


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
        "send({**" + ANSWER + ", 'peak_kib': 10**400})",
        "send({**" + ANSWER + ", 'stdout': 'A' * 10**6})",
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
    monkeypatch.setattr(meter, "SEVERAL", 1)
    write(fake_runsc, f"send({{'ready': 1}})\nf = receive()\n{lie}")
    with GvisorSandbox(1, evaluate=False) as box, pytest.raises(SandboxError, match="program 'a'"):
        list(box.run([Program(id="a", source="")], Limits(timeout=0.3)))


def test_an_answer_given_twice_counts_once(fake_runsc: Path) -> None:
    write(fake_runsc, f"send({{'ready': 1}})\nwhile True:\n f = receive(); send({ANSWER}); send({ANSWER})")
    with GvisorSandbox(1, evaluate=False) as box:
        programs = [Program(id=str(i), source="") for i in range(5)]
        assert [e.id for e in box.run(programs, LIMITS)] == ["0", "1", "2", "3", "4"]


def test_a_program_killed_by_nobody_is_run_again(fake_runsc: Path) -> None:
    write(
        fake_runsc,
        "send({'ready': 1})\nn = 0\nwhile True:\n f = receive(); n += 1\n"
        f" send({{**{ANSWER}, 'status': -9 if n == 1 else 0}})",
    )
    with GvisorSandbox(1, evaluate=False) as box:
        assert [(e.id, e.exit_status) for e in box.run([Program(id="a", source="")], LIMITS)] == [("a", "ok")]


EVALUATOR = "if any(a.endswith('/evaluator') for a in sys.argv):\n send({'ready': 1})\n while True:\n  f = receive(); "
"""The sandbox that evaluates: `f` is what it was asked."""
ONES = "send({'results': ['MQ==' if 'print' in s else None for s in f['sources']]})"


def programs(n: int) -> list[Program]:
    return [Program(id=str(i), source="open(0)" if i == 2 else f"print({i})") for i in range(n)]


def test_what_an_evaluator_finishes_is_not_run_and_the_rest_is(fake_runsc: Path) -> None:
    write(fake_runsc, f"{EVALUATOR}{ONES}\nsend({{'ready': 1}})\nwhile True: f = receive(); send({ANSWER})")
    with GvisorSandbox(1, recheck=0.0) as box:
        found = {e.id: e.evaluation for e in box.run(programs(5), LIMITS)}
    assert found == {i: Evaluation.NONE if i == "2" else Evaluation.FINISHED for i in "01234"}


def test_what_is_rechecked_is_run_as_well(fake_runsc: Path) -> None:
    write(
        fake_runsc,
        f"{EVALUATOR}{ONES}\nsend({{'ready': 1}})\n"
        f"while True: f = receive(); send({{**{ANSWER}, 'stdout': 'MQ==' if f['id'] == '1' else 'Mg=='}})",
    )
    with GvisorSandbox(2, recheck=1.0) as box:
        found = {e.id: (e.stdout, e.evaluation) for e in box.run(programs(3), LIMITS)}
    assert found == {
        "0": ("2", Evaluation.CONTRADICTED),
        "1": ("1", Evaluation.CONFIRMED),
        "2": ("2", Evaluation.NONE),
    }


@pytest.mark.parametrize(
    "lie",
    [
        "sys.exit(1)", "send([1])", "send({'results': []})", "send({'results': [1] * 3})", "import time; time.sleep(9)",
        "send({'results': ['A' * 10**6] * 3})",
    ],
)  # fmt: skip
def test_an_evaluator_that_lies_or_dies_decides_nothing(
    fake_runsc: Path, lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gvisor_box, "EVALUATION_SECONDS", 0.5)
    write(fake_runsc, f"{EVALUATOR}{lie}\nsend({{'ready': 1}})\nwhile True: f = receive(); send({ANSWER})")
    with GvisorSandbox(1) as box:
        found = {e.id: (e.stdout, e.evaluation) for e in box.run(programs(3), LIMITS)}
    assert found == dict.fromkeys("012", ("1", Evaluation.NONE))


def test_evaluators_that_fail_again_and_again_are_done_without(
    fake_runsc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gvisor_queue, "BATCH", 1)
    log = f"open({str(tmp_path / 'log')!r}, 'a').write('x'); sys.exit(1)"
    write(fake_runsc, f"{EVALUATOR}{log}\nsend({{'ready': 1}})\nwhile True: f = receive(); send({ANSWER})")
    with GvisorSandbox(1) as box:
        assert len(list(box.run(programs(9), LIMITS))) == 9
    assert (tmp_path / "log").read_text() == "x" * gvisor_queue.TRIES


@pytest.mark.parametrize("limits", [Limits(timeout=0.1), Limits(memory_mib=32), Limits(output_kib=1)])
def test_under_low_limits_every_program_is_run(fake_runsc: Path, limits: Limits) -> None:
    write(fake_runsc, f"{EVALUATOR}{ONES}\nsend({{'ready': 1}})\nwhile True: f = receive(); send({ANSWER})")
    with GvisorSandbox(1) as box:
        assert {e.evaluation for e in box.run(programs(3), limits)} == {Evaluation.NONE}


def kept_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program wants a CPU and never gets one."""
    monkeypatch.setattr(Meter, "ready", lambda _: True)
    monkeypatch.setattr(Meter, "wanted", lambda _: 0.0)


def test_a_program_that_was_kept_from_running_is_run_again_in_peace(
    fake_runsc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_from_running(monkeypatch)
    write(
        fake_runsc,
        "send({'ready': 1})\nn = 0\nwhile True:\n f = receive(); n += 1\n"
        f" if n == 1: receive(); send({{**{ANSWER}, 'cut': 'time'}})\n else: send({ANSWER})",
    )
    with GvisorSandbox(1, evaluate=False) as box:
        [e] = box.run([Program(id="a", source="")], Limits(timeout=0.1))
    assert e.exit_status == "ok"


def test_kept_from_running_twice_it_is_timed_out_and_the_detail_says_by_what(
    fake_runsc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_from_running(monkeypatch)
    write(
        fake_runsc,
        "send({'ready': 1})\nwhile True:\n f = receive(); receive()\n send({**" + ANSWER + ", 'cut': 'time'})",
    )
    with GvisorSandbox(1, evaluate=False) as box:
        [e] = box.run([Program(id="a", source="")], Limits(timeout=0.1))
    assert e.exit_status == "timed_out"
    assert re.fullmatch(r"did not end within 0.8 s, in which it had 0[.\d]* s of CPU time", e.detail)


def test_packages_are_imported_before_a_programs_time_begins(fake_runsc: Path, tmp_path: Path) -> None:
    (tmp_path / "rootfs/opt/packages/numpy").mkdir(parents=True)
    write(
        fake_runsc,
        "import time\nsend({'ready': 1})\nwarm = 0\nwhile True:\n f = receive()\n"
        " if 'warm' in f: warm += 1; time.sleep(2); send(f)\n"
        f" else: assert warm == 1; send({ANSWER})",
    )
    with GvisorSandbox(1, evaluate=False) as box:
        asked = [Program(id=str(i), source=f"import numpy\nprint({i})") for i in range(2)]
        assert [e.exit_status for e in box.run(asked, Limits(timeout=0.1))] == ["ok", "ok"]


def verdict(number: int, argument: int = 0, arch: int = 0xC000003E, code: bytes = b"") -> int:
    """What the filter says of a system call: a small interpreter of its instructions."""
    data = struct.pack("=iIQ6Q", number & 0x7FFFFFFF, arch, 0, argument, 0, 0, 0, 0, 0)
    code, at, accumulator = code or seccomp.bpf(), 0, 0
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


def test_programs_may_change_files_only_where_they_have_a_folder_of_their_own() -> None:
    plain, files = (
        {n for n in range(600) if verdict(n, code=seccomp.bpf(files=f)) == 0x7FFF0000} for f in (False, True)
    )
    assert files - plain == set(seccomp._FILES.values())
    assert not files & {41, 42, 49, 56, 57, 58, 59, 62, 86, 88, 92, 93, 94, 133, 161, 165, 259, 260, 265, 266, 322}
    assert not plain & {76, 77, 82, 83, 84, 87, 90, 258, 263, 264}


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
    monkeypatch.setattr(gvisor_root, "fill", lambda root, packages: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SetupError, match=r"No space left.*XDG_CACHE_HOME"):
        gvisor_root.bundle()
    assert list((tmp_path / "mmst").iterdir()) == []


def test_a_new_root_folder_takes_the_place_of_those_unused_for_a_week(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gvisor_root, "fill", lambda root, packages: root.mkdir())
    old, begun, recent = (gvisor_root.cache() / name for name in ("sandbox-1", "building-2", "sandbox-3"))
    for folder, days in ((old, 8), (begun, 8), (recent, 6)):
        (folder / "rootfs").mkdir(parents=True)
        os.utime(folder, (time.time() - days * 86_400,) * 2)
    made = gvisor_root.bundle()
    assert {p.name for p in gvisor_root.cache().iterdir()} == {"sandbox-3", made.name}


def test_a_root_folder_that_is_used_again_counts_as_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gvisor_root, "fill", lambda root, packages: root.mkdir())
    made = gvisor_root.bundle()
    os.utime(made, (0, 0))
    assert gvisor_root.bundle().stat().st_mtime > time.time() - 60
