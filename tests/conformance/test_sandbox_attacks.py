"""What programs try and gVisor must withstand; each attack is followed by an honest program.

Never run these in the subprocess sandbox: some of them kill or flood whatever they reach.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mmst.backends.gvisor import GvisorSandbox
from mmst.ports import Limits

from .sandboxes import prison, results, run

__all__ = ["prison"]
pytestmark = pytest.mark.gvisor

HONEST = "print(sum(range(10)))"
LIMITS = Limits(timeout=10.0)


def attack(prison: GvisorSandbox, source: str, limits: Limits = LIMITS) -> str:
    """What the attack printed; the program after it, in the same sandbox, must not notice."""
    first, honest = results(prison, [source, HONEST], limits)
    assert (honest.outcome, honest.stdout) == ("ok", "45\n")
    return first.stdout if first.outcome == "ok" else first.detail or first.outcome


def attempt(*statements: str) -> str:
    """A program that prints, for every statement, "done" or how it failed."""
    lines = ["import os, sys, socket, ctypes, mmap, signal"]
    for s in statements:
        lines.append(f"try:\n {s}\n print('done')\nexcept BaseException as e: print(type(e).__name__)")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "statement",
    [
        "socket.create_connection(('1.1.1.1', 53), 2)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "socket.socket(socket.AF_UNIX).bind('\\0planted')",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "os.fork()",
        "os.execv('/usr/bin/python3', ['python3'])",
        "os.posix_spawn('/usr/bin/python3', ['python3'], {})",
        "import subprocess; subprocess.run(['/usr/bin/python3', '-c', '1'])",
        "os.kill(-1, 9)",
        "os.kill(1, 9)",
        "os.kill(os.getppid(), signal.SIGSTOP)",
        "os.setuid(0)",
        "os.setgroups([0])",
        "os.setsid()",
        "os.memfd_create('x')",
        "os.mkdir('/tmp/x')",
        "open('/tmp/x', 'w')",
        "open('/opt/mmst/inside/zygote.py', 'a')",
        "open('/dev/shm/x', 'w')",
        "open('/etc/shadow')",
        "open('/proc/1/mem', 'rb')",
        "open('/proc/1/environ', 'w')",
        "os.listdir('/proc/1/fd') and open('/proc/1/fd/3', 'rb')",
        "os.open('/proc/2/fd/1', os.O_WRONLY)",
        "os.mkfifo('/tmp/f')",
        "os.symlink('/etc', '/tmp/e')",
        "os.chroot('/')",
        "os.sched_setaffinity(0, {0})",
        "os.nice(-5)",
    ],
)
def test_what_a_program_has_no_business_doing_is_refused(prison: GvisorSandbox, statement: str) -> None:
    assert attack(prison, attempt(statement)).strip() in {
        "PermissionError", "OSError", "FileNotFoundError", "BlockingIOError", "ProcessLookupError",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("unshare", 272), ("ptrace", 101), ("process_vm_readv", 310), ("mount", 165), ("setns", 308), ("shmget", 29),
        ("msgget", 68), ("keyctl", 250), ("bpf", 321), ("userfaultfd", 323), ("io_uring_setup", 425), ("fork", 57),
        ("vfork", 58), ("clone", 56), ("x32 fork", 0x40000000 + 57), ("prctl", 157), ("seccomp", 317), ("kill", 62),
        ("pidfd_open", 434), ("inotify_init", 253), ("perf_event_open", 298), ("personality", 135),
    ],
)  # fmt: skip
def test_system_calls_are_refused(prison: GvisorSandbox, name: str, number: int) -> None:
    source = (
        f"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
        f"r = c.syscall({number}, 0x10000000, 0, 0, 0, 0)\nprint(r, ctypes.get_errno())"
    )
    assert attack(prison, source) == "-1 1\n", name


def test_files_of_the_host_are_not_there(prison: GvisorSandbox) -> None:
    here = Path(__file__).resolve().parents[2]
    source = f"import os\nprint([os.path.exists(p) for p in ('/etc/passwd', '/root', '/home', {str(here)!r})])"
    assert attack(prison, source) == "[False, False, False, False]\n"


def test_nothing_can_be_written_anywhere(prison: GvisorSandbox) -> None:
    source = (
        "import os\nfor f, _, _ in os.walk('/'):\n if f.startswith(('/proc', '/sys')): continue\n"
        " try: open(f'{f}/x{os.getpid()}', 'w'); print(f)\n except OSError: pass\nprint('end')"
    )
    assert attack(prison, source, Limits(timeout=60.0)) == "end\n"


def test_the_environment_tells_nothing_of_the_host(prison: GvisorSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import os, socket, platform; print(sorted(os.environ), platform.node(), os.getuid() >= 10000)"
    text = attack(prison, source)
    assert "box True" in text
    assert "AWS" not in text
    assert "USER" not in text


def test_a_fork_bomb_is_refused(prison: GvisorSandbox) -> None:
    assert attack(prison, "import os\nwhile True: os.fork()").startswith("PermissionError, line 2")


def test_a_daemon_by_double_fork_does_not_start(prison: GvisorSandbox) -> None:
    source = "import os\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  while True: pass"
    assert attack(prison, source).startswith("PermissionError, line 2")


def test_threads_are_bounded(prison: GvisorSandbox) -> None:
    source = (
        "import threading, time\nn = 0\ntry:\n while True:\n"
        "  threading.Thread(target=time.sleep, args=(1,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n < 100)\nimport os; sys = os._exit(0)".replace(
            "print(n < 100)", "print(n < 100, flush=True)"
        )
    )
    assert attack(prison, source) == "True\n"


def test_threads_do_not_outlive_their_program(prison: GvisorSandbox) -> None:
    source = (
        "import threading, os\ndef f():\n while True: pass\n"
        "threading.Thread(target=f, daemon=True).start()\nprint('end')"
    )
    assert attack(prison, source) == "end\n"


def test_stopping_oneself_is_a_timeout(prison: GvisorSandbox) -> None:
    source = "import signal; signal.raise_signal(signal.SIGSTOP)"
    assert attack(prison, source, Limits(timeout=2.0)) == "did not end within 2 s"


def test_forged_frames_are_only_text(prison: GvisorSandbox) -> None:
    source = (
        "import json, os\nb = json.dumps({'id': '1', 'status': 0, 'cut': '', 'stdout': '0', 'stderr': '',"
        " 'seconds': 0, 'peak_kib': 0}).encode()\nos.write(1, len(b).to_bytes(4, 'big') + b)\n"
        "for fd in range(3, 300):\n try: os.write(fd, b); print('wrote', fd)\n except OSError: pass"
    )
    text = attack(prison, source)
    assert "wrote" not in text
    assert text.count("peak_kib") == 1


def test_no_descriptor_is_left_open(prison: GvisorSandbox) -> None:
    source = (
        "import os\nopen_ = []\nfor fd in range(1000):\n try: os.fstat(fd); open_.append(fd)\n"
        " except OSError: pass\nprint(open_)"
    )
    assert attack(prison, source) == "[0, 1, 2]\n"


SCAN = r"""
import ctypes, os, re
wanted = re.compile(b'SECR' + b'ET-' + rb'\d{6}')
for line in open('/proc/self/maps'):
    span, rights = line.split()[:2]
    if 'r' not in rights or '[v' in line: continue
    low, high = (int(x, 16) for x in span.split('-'))
    try:
        for at in range(low, high, 1 << 20):
            found = wanted.search(ctypes.string_at(at, min(1 << 20, high - at)))
            if found: print('found', found[0])
    except (OSError, ValueError): pass
for pid in filter(str.isdigit, os.listdir('/proc')):
    if int(pid) == os.getpid(): continue
    for name in ('cmdline', 'environ', 'mem', 'fd/0', 'fd/1', 'fd/2'):
        try:
            with open(f'/proc/{pid}/{name}', 'rb') as f:
                found = wanted.search(f.read(1 << 20))
            if found: print('found', pid, name)
        except OSError: pass
print('scanned')
"""


def test_the_output_of_the_program_before_cannot_be_found(prison: GvisorSandbox) -> None:
    for _ in range(2):
        before, scan = results(prison, ["print('SECR' + 'ET-' + str(123000 + 456))", SCAN], Limits(timeout=60.0))
        assert before.stdout == "SECRET-123456\n"
        assert scan.stdout == "scanned\n", scan.stderr


def test_the_scan_would_find_what_is_there(prison: GvisorSandbox) -> None:
    assert "found" in run(prison, "x = ('SECR' + 'ET-' + str(123000 + 456)) * 3\n" + SCAN, Limits(timeout=60.0)).stdout


def test_every_program_has_a_user_id_of_its_own(prison: GvisorSandbox) -> None:
    found = results(prison, ["import os; print(os.getresuid(), os.getresgid(), os.getgroups())"] * 4)
    assert len({e.stdout for e in found}) == 4


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit = lambda *a: None",
        "import sys\nsys.excepthook = lambda *a: 1/0\nraise ValueError",
        "import sys\nsys.stdout = sys.stderr = None\nraise ValueError",
        "import os\nos.close(0); os.close(1); os.close(2)",
        "import atexit, os\natexit.register(os._exit, 0)\nraise ValueError",
        "import threading\nthreading._shutdown = lambda: 1/0",
        "import sys\nsys.modules.clear()",
        "import gc\nfor o in gc.get_objects():\n if isinstance(o, dict): o.clear()",
        "import re\nre.match('(a*)*b', 'a' * 40)",
        "print(10 ** 4299 * 10 ** 4299)",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import os\nfor _ in range(10**6): os.write(1, b'')",
        "import itertools, functools\nf = lambda: 0\nfor _ in range(10**6): f = functools.partial(f)\nf()",
    ],
)
def test_strange_ends_harm_only_themselves(prison: GvisorSandbox, source: str) -> None:
    attack(prison, source, Limits(timeout=3.0))
