"""What programs in the subprocess sandbox try on the process that runs them, as root and as an ordinary user.

They aim at a driver that the test makes for this purpose, so that they can be run without gVisor.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.sandbox.guest import landlock

FOLDER = Path(__file__).parent / "driver"
ROOT = Path(__file__).parents[2]
ATTACKS = sorted(path.stem for path in FOLDER.glob("*.attack"))
LANDLOCK_ONLY = {"input_file", "neighbours"}
"""What an ordinary user's own programs are kept from by Landlock alone; `warning` says so where there is none."""

DRIVER = """
import ctypes, json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from mmst.sandbox.providers import subprocess
from mmst.sandbox.guest import privileges
from mmst.core.ports import Limits, Program
secret = ctypes.create_string_buffer(b"SECRET in memory")
held = open("secret.txt", "r+")
if {runner!r}:
    subprocess._RUNNER = Path({runner!r})
    privileges.dumpable = {dumpable}
before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
source = Path({attack!r}).read_text()
stdin = f"{{ctypes.addressof(secret)}}\\n{{os.path.abspath('secret.txt')}}\\n"
found = None
with subprocess.SubprocessSandbox(2) as box:
    programs = [Program(id="attack", source=source, stdin=stdin)]
    programs += [Program(id=str(i), source="print(1)") for i in range({beside})]
    for e in box.run(programs, Limits(timeout=30.0)):
        assert e.id == "attack" or e.stdout == "1\\n", e
        found = e if e.id == "attack" else found
after = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(json.dumps([found.exit_status, found.stdout, found.stderr, secret.value.decode(), before, after]))
"""

RUNNER = """
import sys
sys.path.insert(0, {root!r})
from mmst.sandbox.guest import alone, landlock, privileges, seccomp
for name in {off!r}:
    where, what = name.split(".")
    setattr(globals()[where], what, lambda *_, **__: None)
sys.path.remove({root!r})
alone.main(*sys.argv[1:])
"""

NOTHING_OFF: tuple[str, ...] = ()
NO_LANDLOCK = ("landlock.restrict",)
ALL_OFF = ("landlock.restrict", "privileges.drop", "seccomp.install")


@functools.cache
def python_for_all() -> str:
    """An interpreter that any user may run; skips where there is none."""
    again = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', '']).returncode)"
    for found in (sys.executable, *(shutil.which(f"python3.{n}", path="/usr/bin") for n in (11, 12))):
        if found and subprocess.run([*ordinary(), found, "-c", again], capture_output=True).returncode == 0:
            return found
    pytest.skip("an ordinary user can run no Python 3.11 here")


def ordinary() -> list[str]:
    """The words before a command that make it an ordinary user's."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not here")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.fixture(params=["root", "ordinary user"])
def who(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """A command's first words: who runs it, and the interpreter."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        yield [sys.executable]
    else:
        yield [*ordinary(), python_for_all()]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user reaches; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="mmst-attacked-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o777)
        yield Path(made)


def attacked(who: list[str], name: str, folder: Path, off: tuple[str, ...] = NOTHING_OFF) -> list[str]:
    """What the attack printed on a driver of this user's; what it holds is still there."""
    place = folder / "place"
    place.mkdir()
    (place / "secret.txt").write_text("SECRET in a file")
    runner = folder / "a" / "b" / "runner.py"
    runner.parent.mkdir(parents=True)
    runner.write_text(RUNNER.format(root=str(ROOT), off=off))
    if os.geteuid() == 0 and len(who) > 1:
        for path in (place, place / "secret.txt"):
            os.chown(path, 65534, 65534)
    text = DRIVER.format(
        root=str(ROOT), runner=str(runner) if off else "", attack=str(FOLDER / f"{name}.attack"),
        dumpable="lambda wanted: 1" if off == ALL_OFF else "privileges.dumpable",
        beside=40 if name == "neighbours" else 0,
    )  # fmt: skip
    environment = {"SECRET": "SECRET in the environment", "PATH": os.environ["PATH"]}
    done = subprocess.run([*who, "-c", text], cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outcome, stdout, stderr, secret, before, after = json.loads(done.stdout.splitlines()[-1])
    assert outcome == "ok", stderr
    assert before == after, "the driver's own setting is not restored"
    if off != ALL_OFF:
        assert secret == "SECRET in memory"
        assert (place / "secret.txt").read_text() == "SECRET in a file"
        assert [p.name for p in place.iterdir()] == ["secret.txt"]
    return str(stdout).splitlines()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_driver_is_refused(who: list[str], name: str, folder: Path) -> None:
    if name in LANDLOCK_ONLY and not landlock.version():
        pytest.skip("no Landlock in this kernel")
    assert attacked(who, name, folder) == ["refused"]


@pytest.mark.parametrize("name", [n for n in ATTACKS if n not in LANDLOCK_ONLY])
def test_it_is_refused_also_where_the_kernel_has_no_landlock(who: list[str], name: str, folder: Path) -> None:
    found = attacked(who, name, folder, NO_LANDLOCK)
    assert found == ["refused"], found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
@pytest.mark.parametrize("name", ATTACKS)
def test_without_any_of_it_the_attack_gets_what_it_wants(name: str, who: list[str], folder: Path) -> None:
    assert any(line.startswith("GOT") for line in attacked(who, name, folder, ALL_OFF))


def test_root_s_programs_are_another_user_without_any_right() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    from mmst.core.ports import Limits, Program
    from mmst.sandbox.providers.subprocess import FIRST_ID, SubprocessSandbox

    source = "import os\nprint(*os.getresuid(), *os.getresgid(), os.getgroups())\nfor s in open('/proc/self/status'):\n"
    source += (
        "    if s.startswith(('CapPrm', 'CapEff', 'CapInh', 'CapAmb', 'NoNewPrivs')): print(int(s.split()[1], 16))"
    )
    with SubprocessSandbox(1) as box:
        [e] = box.run([Program(id="a", source=source)], Limits(timeout=20.0))
    ids, *rights = e.stdout.splitlines()
    assert ids == " ".join([str(FIRST_ID)] * 6) + " []"
    inherited, permitted, effective, ambient, no_new_privileges = map(int, rights)
    assert (inherited, ambient, no_new_privileges) == (0, 0, 1)
    assert permitted == effective
    assert permitted in (0, 4), "at most CAP_DAC_READ_SEARCH, where the interpreter stands in a closed folder"


VARIABLES = "LANG MALLOC_ARENA_MAX OMP_NUM_THREADS OPENBLAS_NUM_THREADS TMPDIR TZ USER"


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("import os; print(sorted(e for e in os.environ if e[:6] != 'PYTHON'))", VARIABLES),
        ("print(open('/dev/stdin').read())", "given"),
        ("open('/dev/stdout', 'w').write('given')", "given"),
        ("print(open(0).read())", "given"),
        ("open('/dev/null', 'w').write('x'); print('given')", "given"),
        ("import os; open('x', 'w').close(); print(*sorted(os.listdir()))", "program.py x"),
        ("import decimal, json, sqlite3, ctypes, zoneinfo; print('given')", "given"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1)); print('given')", "given"),
    ],
)  # fmt: skip
def test_a_program_has_what_is_its_own(source: str, printed: str) -> None:
    from mmst.core.ports import Limits, Program
    from mmst.sandbox.providers.subprocess import SubprocessSandbox

    with SubprocessSandbox(1) as box:
        [e] = box.run([Program(id="a", source=source, stdin="given")], Limits(timeout=20.0))
    assert (e.exit_status, e.stdout.translate({ord(c): None for c in "[],'"}).strip()) == ("ok", printed), e.stderr
