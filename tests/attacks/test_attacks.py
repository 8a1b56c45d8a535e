"""Every attack of the corpus, with victims before and beside it and programs that come after it.

Attack texts go to gVisor and nowhere else: some of them kill or fill whatever they reach.
"""

from __future__ import annotations

import getpass
import os
import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mmst.core.meter import SEVERAL
from mmst.core.ports import Execution, Limits, Program
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox
from tests.attacks.corpus import FOLDER, Attack, attacks, complaints, literal, parsed
from tests.attacks.neighbours import PROBE, VICTIM, Neighbours
from tests.support import sandboxes

pytestmark = [pytest.mark.gvisor, pytest.mark.timeout(120)]
CORPUS = attacks()
GOT_THROUGH: dict[str, str] = {}
"""Attacks that are not withstood yet, and why."""
SPENT = {"tmp_many_inodes"}
"""Attacks after which their sandbox is given up: they leave more files than are removed one by one."""


@contextmanager
def opened(workers: int) -> Iterator[GvisorSandbox]:
    """Sandboxes of one's own; skips where there is no gVisor."""
    made = sandboxes.gvisor(workers)
    try:
        yield made
    finally:
        made.__exit__(None, None, None)


@pytest.fixture(scope="module")
def box(record_testsuite_property: Callable[[str, object], None]) -> Iterator[GvisorSandbox]:
    """Two sandboxes that meet the whole corpus."""
    with opened(2) as made:
        record_testsuite_property("gvisor platform", made.platform or "default")
        yield made


@pytest.fixture(scope="module")
def clean() -> str:
    """What the probe finds in a sandbox in which nothing has run."""
    with opened(1) as fresh:
        found = sandboxes.run(fresh, PROBE)
    assert found.stdout.endswith("end\n"), found.stderr
    return found.stdout


def _cases() -> list[object]:
    marks = {n: pytest.mark.xfail(strict=True, reason=why) for n, why in GOT_THROUGH.items()}
    return [pytest.param(a, id=a.name, marks=[marks[a.name]] if a.name in marks else []) for a in CORPUS]


@pytest.mark.parametrize("attack", _cases())
def test_an_attack_harms_nobody_and_leaves_nothing(box: GvisorSandbox, clean: str, attack: Attack) -> None:
    root_before = root_folder()
    # A machine that stalls may cost a sandbox once; an attack that can would do so each time.
    kept = withstood(box, clean, attack) or (attack.name not in SPENT and withstood(box, clean, attack))
    assert kept != (attack.name in SPENT), "it took a sandbox down" if not kept else "its sandbox should be given up"
    assert root_folder() == root_before, "the root folder of the sandboxes has changed"


def withstood(box: GvisorSandbox, clean: str, attack: Attack) -> bool:
    """Check that the attack got nothing and spoiled nobody's result; whether all sandboxes outlived it."""
    before, neighbours = [b.id for b in box._pool], Neighbours(clean)
    found = beside_neighbours(box, attack, neighbours)
    wrong = [*complaints(attack, found["attack"], slower=SEVERAL), *neighbours.complaints(found)]
    assert not wrong, "\n".join(wrong)
    told = "\n".join(e.stdout + e.stderr + e.detail for e in found.values())
    assert [fact for fact in host_facts() if fact in told] == []
    return [b.id for b in box._pool][: len(before)] == before


def beside_neighbours(box: GvisorSandbox, attack: Attack, neighbours: Neighbours) -> dict[str, Execution]:
    """A victim in every sandbox, the attack, victims beside it for a second, then the next programs.

    Those are asked for when the attack has been answered, two probes first: one for each sandbox.
    """
    reads = "\n".join(host_facts()) if attack.reads == "host" else attack.reads
    before = [neighbours.victim(0.05), neighbours.victim(0.05)]
    beside = [neighbours.victim(0.2) for _ in range(4)]
    first = [*before, Program(id="attack", source=attack.source, stdin=reads), *beside]
    found: dict[str, Execution] = {}
    for programs in (first, [neighbours.probe(), neighbours.probe(), *neighbours.others()]):
        for execution in box.run(programs, attack.limits):
            assert execution.id not in found, "answered twice"
            found[execution.id] = execution
    return found


def host_facts() -> list[str]:
    """What this machine is known by, and no program in a sandbox may read."""
    facts = [platform.release(), platform.version(), str(Path.cwd()), str(Path.home()), str(gvisor_root.cache())]
    facts += [socket.gethostname(), getpass.getuser(), *map(str, Path(__file__).parents[:3])]
    facts += [Path(p).read_text().strip() for p in ("/etc/machine-id", "/etc/hostname") if Path(p).is_file()]
    facts += [v for k, v in os.environ.items() if k.endswith(("TOKEN", "KEY", "SECRET", "_ID", "USER", "HOME", "PWD"))]
    facts += [Path(p).read_text().strip() for p in ("/proc/sys/kernel/random/boot_id",) if Path(p).is_file()]
    return sorted({f for f in facts if len(f) >= 6})


def root_folder() -> dict[str, tuple[int, ...]]:
    """The root folder of the sandboxes as the host sees it."""
    rows: dict[str, tuple[int, ...]] = {}
    for folder, _, files in os.walk(gvisor_root.bundle() / "rootfs"):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            s = os.lstat(path)
            rows[path] = (s.st_ino, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
    return rows


def test_what_was_done_to_packages_is_not_seen_by_the_next(box: GvisorSandbox) -> None:
    look = "import numpy as np, sympy\nprint(np.sum([3, 4]), sympy.solve(sympy.Symbol('x') - 1), np.random.rand())"
    attack = next(a for a in CORPUS if a.name == "packages_spoiled")
    found = sandboxes.results(box, [look, attack.source, look, attack.source, look])
    assert {e.stdout for e in found[::2]} == {"7 [1] 0.5488135039273248\n"}


def test_every_program_has_a_user_id_of_its_own() -> None:
    """Two programs with one id could write to each other's descriptors."""
    with opened(1) as one:
        found = sandboxes.results(one, ["import os; print(os.getresuid(), os.getresgid(), os.getgroups())"] * 4)
    assert len({e.stdout for e in found}) == 4
    assert all("[]" in e.stdout and "(0, " not in e.stdout for e in found)


# --- that the corpus can see --------------------------------------------------------------------


def test_the_corpus_is_large_and_every_file_of_it_is_read() -> None:
    assert len(CORPUS) >= 45
    assert [f"{a.name}.attack" for a in CORPUS] == sorted(p.name for p in FOLDER.iterdir())
    assert len({a.purpose for a in CORPUS}) == len(CORPUS)
    assert set(GOT_THROUGH) <= {a.name for a in CORPUS}


@pytest.mark.parametrize("name", [a.name for a in CORPUS if "SECR" in a.source])
def test_what_hunts_for_secrets_finds_one_that_is_its_own(box: GvisorSandbox, name: str) -> None:
    attack = next(a for a in CORPUS if a.name == name)
    planted = """
import ctypes
FINDS_ITSELF = True
mine = [('SECR' + 'ET-' + str(123000 + 456)) * n for n in (1, 3)]
c = ctypes.CDLL(None)
c.getenv.restype = ctypes.c_void_p
ctypes.memmove(c.getenv(b'LD_LIBRARY_PATH'), mine[0].encode(), 13)  # what /proc/PID/environ shows
"""
    found = sandboxes.run(box, planted + attack.source, Limits(timeout=20.0))
    assert "GOT" in found.stdout, (found.stdout, found.stderr)


def test_the_probe_sees_what_is_there(box: GvisorSandbox, clean: str) -> None:
    """Processes, descriptors, planted names, handlers, timers: each shows in what it prints."""
    for what, row in {
        "PROBE = PROBE.replace(' if p != me', '')": "processes",
        "import os; os.environ['left'] = '1'": "environment",
        "import os; os.umask(0o77)": "environment",
        "import os; os.pipe()": "files",
        "import sys; sys.modules['planted'] = sys": "python",
        "import sys; sys.setrecursionlimit(77)": "python",
        "import builtins; builtins.planted = 1": "names",
        "import builtins; builtins.sum = lambda *_: 0": "names",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)": "signals",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])": "signals",
        "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 99)": "timers",
        "import resource; resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))": "limits",
        "import socket; kept = socket.socketpair()": "sockets",
    }.items():
        execution = sandboxes.run(box, f"PROBE = {PROBE!r}\n{what}\nexec(PROBE)")
        neighbours = Neighbours(clean)
        neighbours.probe()
        [complaint] = neighbours.complaints({"probe-0": execution})
        assert f"{row} " in complaint, (what, complaint)


def test_a_changed_verdict_of_a_neighbour_is_seen(clean: str) -> None:
    neighbours = Neighbours(clean)
    made = [neighbours.victim(0), neighbours.probe(), *neighbours.others()]
    good = {
        name: Execution(id=name, exit_status=outcome, stdout=stdout, stderr="", detail=detail)
        for name, (outcome, stdout, detail) in neighbours.expected.items()
    }
    assert [p.id for p in made] == [*good]
    assert list(neighbours.complaints(good)) == []
    for name, e in good.items():
        for other in (replace(e, exit_status="timed_out"), replace(e, detail="?" + e.detail)):
            assert e.detail == other.detail[1:] == "" or list(neighbours.complaints({**good, name: other}))
        if e.exit_status != "output_limit":
            assert list(neighbours.complaints({**good, name: replace(e, stdout=e.stdout + "x")}))
        assert list(neighbours.complaints({n: g for n, g in good.items() if n != name}))


def test_an_attack_that_ends_otherwise_is_seen() -> None:
    attack = parsed("x", "# purpose: p\n# expect: crashed\n# detail: ^exit status 3$\n# prints: 'ab' * 2\n1")
    good = Execution(id="x", exit_status="crashed", stdout="abab", stderr="", detail="exit status 3")
    assert list(complaints(attack, good)) == []
    for bad in (
        replace(good, exit_status="ok"),
        replace(good, detail=""),
        replace(good, stdout="ab"),
        replace(good, stderr="GOT it"),
        replace(good, seconds=99.0),
    ):
        assert list(complaints(attack, bad))


def test_an_expansion_leaves_the_head_as_it_is() -> None:
    attack = parsed("x", "# purpose: p\n# expand: @A@ = '+1' * 3\nx = 1@A@\n")
    assert attack.source == "# purpose: p\n# expand: @A@ = '+1' * 3\nx = 1+1+1+1\n"


@pytest.mark.parametrize(
    "text", ["x = 1", "# expect: ok\n# purpose: p", "# purpose: p\n# wants: x", "# purpose: p\n# expect: okay"]
)
def test_a_head_that_says_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="x: "):
        parsed("x", text)


def test_only_literals_are_expanded() -> None:
    assert literal("'+1' * 3") == "+1+1+1"
    for text in ("__import__('os')", "'a' + 'b'", "'a' * 3 * 3", "1", "('a')"):
        with pytest.raises((ValueError, SyntaxError)):
            literal(text)


def test_the_victim_has_its_secret_neither_in_its_text_nor_in_its_stdin(clean: str) -> None:
    neighbours = Neighbours(clean)
    victim = neighbours.victim(0)
    secret = neighbours.expected[victim.id][1][2:15]
    assert secret.startswith("SECRET-")
    assert secret not in VICTIM + victim.stdin
