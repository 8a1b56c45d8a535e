"""Who runs before, beside and after an attack: each knows exactly how it must end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmst.core.ports import Execution, Program

VICTIM = """
import json, math, random, sys, time
number, rest = sys.stdin.readline().split()
secret = 'SECR' + 'ET-' + f'{pow(3, int(number), 999979):06}'
time.sleep(float(rest))
print(json.dumps([secret, sum(range(10)), sorted({3, 1, 2}), math.floor(2.5), random.random(), sys.stdin.read()]))
"""
"""Makes a secret from its stdin, keeps it a while and prints it: a text that no source holds."""
CRASH = "import sys\nraise ValueError(int(sys.stdin.readline().split()[0]) + 1)"
FLOOD = "print('x' * 80_000)"

PROBE = """
import builtins, os, resource, signal, sys
def text(path):
    try:
        with open(path) as f: return f.read()
    except OSError as e: return type(e).__name__
def listed(path):
    try: return sorted((n, os.lstat(f'{path}/{n}').st_mode) for n in os.listdir(path) if path != '/proc' or not n.isdigit())
    except OSError as e: return type(e).__name__
def process(pid):
    lines = text(f'/proc/{pid}/status').splitlines()
    return tuple(l.split()[1] for l in lines if l.startswith(('Name:', 'Uid:')))
me = os.getpid()
others = [process(p) for p in sorted(int(p) for p in os.listdir('/proc') if p.isdigit()) if p != me]
twins = others.count(('python3', '0')) - 2  # each with a pair of sockets; there from the first program that needs it on
print('processes', others[:2], {*others[2:]} - {('python3', '0')})
print('environment', sorted(os.environ.items()), sys.argv, os.getcwd(), os.umask(0))
print('files', sorted(map(int, os.listdir('/proc/self/fd')))[:-1])
print('python', sys.path, sorted(sys.modules), sys.meta_path, len(sys.path_hooks), sys.gettrace(), sys.getrecursionlimit())
print('names', [(n, type(v).__name__) for n, v in sorted(vars(builtins).items())])
print('signals', [(n, signal.getsignal(n)) for n in range(1, 65) if signal.getsignal(n)], signal.pthread_sigmask(0, []))
print('timers', [signal.getitimer(n) for n in range(3)])
print('limits', [resource.getrlimit(n) for n in range(16) if n not in (resource.RLIMIT_AS, resource.RLIMIT_CPU)])
print('sockets', len(text('/proc/net/unix').splitlines()) - 2 * twins, text('/proc/sysvipc/shm'), text('/proc/mounts'))
for d in ('/', '/dev', '/dev/shm', '/dev/pts', '/dev/mqueue', '/etc', '/opt', '/opt/mmst', '/proc', '/run', '/sys', '/tmp', '/var'):
    print(d, listed(d))
for n in ('kernel/hostname', 'kernel/shmmax', 'vm/overcommit_memory', 'vm/mmap_min_addr', 'net/ipv4/tcp_sack'):
    print(n, text(f'/proc/sys/{n}').strip())
print('end')
"""  # noqa: E501
"""What the next program finds in its sandbox; the same before and after every attack."""


@dataclass
class Neighbours:
    """Makes the neighbours of one attack and says what is wrong with how they ended."""

    clean: str
    """What `PROBE` prints in a sandbox in which nothing has run yet."""
    expected: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def victim(self, rest: float) -> Program:
        """A program that computes and prints its secret, `rest` seconds later."""
        n = self._number()
        # 0.844… is the first random number of a fresh interpreter with seed 0.
        said = [f"SECRET-{pow(3, n, 999979):06}", 45, [1, 2, 3], 2, 0.8444218515250481, f"tail {n}"]
        return self._add("victim", VICTIM, f"{n} {rest}\ntail {n}", "ok", json.dumps(said) + "\n", "")

    def probe(self) -> Program:
        """A program that looks for what others have left."""
        return self._add("probe", PROBE, "", "ok", self.clean, "")

    def others(self) -> Iterator[Program]:
        """Programs whose verdicts are not `ok`, and one more that is."""
        n = self._number()
        yield self._add("crash", CRASH, f"{n} 0\n", "crashed", "", f"ValueError, line 2: {n + 1}")
        yield self._add("flood", FLOOD, "", "output_limit", "", "wrote more than ")
        yield self.victim(0)

    def complaints(self, found: dict[str, Execution]) -> Iterator[str]:
        """What is wrong with those that ended; nothing when all did as they must."""
        for name, (outcome, stdout, detail) in self.expected.items():
            e = found.get(name)
            if e is None:
                yield f"{name} was not answered"
            elif e.exit_status != outcome or not e.detail.startswith(detail):
                yield f"{name} ended {e.exit_status} ({e.detail}), not {outcome} ({detail}): {e.stderr[-500:]!r}"
            elif outcome != "output_limit" and e.stdout != stdout:
                yield f"{name} printed {_difference(e.stdout, stdout)}"

    def _number(self) -> int:
        return 1000 + 17 * len(self.expected)

    def _add(self, kind: str, source: str, stdin: str, outcome: str, stdout: str, detail: str) -> Program:
        name = f"{kind}-{len(self.expected)}"
        self.expected[name] = outcome, stdout, detail
        return Program(id=name, source=source, stdin=stdin)


def _difference(found: str, expected: str) -> str:
    pairs = list(zip(found.splitlines(), expected.splitlines(), strict=False))
    return "; ".join(f"{f!r}, not {e!r}" for f, e in pairs if f != e) or f"{found!r}, not {expected!r}"
