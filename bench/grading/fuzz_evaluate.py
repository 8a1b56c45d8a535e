"""Random programs through the evaluator and through CPython: what it finishes must have printed the same.

    PYTHONHASHSEED=0 nice -n 19 python -m bench.grading.fuzz_evaluate 100000 [FIRST SEED]

Each program also runs in a child that is forked for it, as `mmst.sandbox.guest.program` runs it. Prints every
difference, and ends with how many there were.
"""

from __future__ import annotations

import inspect
import os
import resource
import signal
import sys
import time

from bench.random_programs import program
from mmst.sandbox.guest.evaluate import evaluate

SECONDS = 60


def alone(source: str) -> str | None:
    """What it prints in a process of its own; None when it fails or says something on stderr."""
    out, into = os.pipe()
    errors, errors_into = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(source, into, errors_into)
    os.close(into)
    os.close(errors_into)
    with open(out, "rb") as o, open(errors, "rb") as e:  # noqa: PTH123
        printed, said = o.read(), e.read()
    _, status = os.waitpid(pid, 0)
    return printed.decode() if status == 0 and not said else None


def _child(source: str, out: int, errors: int) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(errors, 2)
        most = _address_space() + (1 << 30)  # a test process may have torch loaded
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.alarm(SECONDS)
        sys.setrecursionlimit(1000 + len(inspect.stack(0)))  # as deep as from a process's first line
        sys.stdout = open(1, "w", encoding="utf-8", errors="strict", newline="\n", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        try:
            exec(compile(source.encode(), "<program>", "exec", dont_inherit=True), {"__name__": "__main__"})
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as e:
            sys.stdout.flush()
            os._exit(0 if e.code is None else 1)
        os._exit(0)
    finally:
        os._exit(1)


def _address_space() -> int:
    """Bytes of this process's address space."""
    with open("/proc/self/statm", encoding="ascii") as f:  # noqa: PTH123
        return int(f.read().split()[0]) * resource.getpagesize()


def main(count: int, first: int = 0) -> int:
    """Try `count` programs; how many differed."""
    finished = differed = 0
    spent = slowest = 0.0
    for seed in range(first, first + count):
        source = program(seed)
        began = time.process_time()
        found = evaluate(source)
        took = time.process_time() - began
        spent, slowest = spent + took, max(slowest, took)
        if found is None:
            continue
        finished += 1
        right = alone(source)
        if found != right:
            differed += 1
            print(f"--- seed {seed}\n{source}\n--- evaluated\n{found!r}\n--- CPython\n{right!r}", flush=True)
    print(
        f"{count} programs, {finished} finished, {differed} differed; "
        f"{spent / count * 1e3:.2f} CPU-ms each, slowest {slowest:.2f} s"
    )
    return differed


if __name__ == "__main__":
    assert os.environ.get("PYTHONHASHSEED") == "0", "the order of sets of texts hangs on it"
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
