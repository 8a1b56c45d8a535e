"""What every sandbox must do, and what gVisor alone must withstand.

Programs that could harm the machine stand only in the gVisor part: the other sandbox is unconfined.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from bench import programs
from mmst.core.errors import UserError
from mmst.core.ports import Limits, Program, Sandbox
from mmst.sandbox.providers.gvisor import GvisorSandbox
from mmst.sandbox.providers.subprocess import SubprocessSandbox
from tests.support.sandboxes import AMPLE, box, prison, results, run

__all__ = ["box", "prison"]

SHORT = Limits(timeout=0.5)
BAD = ("endless", "bomb", "flood", "fork_bomb")


def test_prints(box: Sandbox) -> None:
    e = run(box, "print(6 * 7)")
    assert (e.exit_status, e.stdout, e.stderr, e.detail) == ("ok", "42\n", "", "")
    assert 0 < e.seconds < 20 or e.evaluation
    assert e.peak_mib < 200
    assert e.peak_mib > 1 or e.evaluation or box.name == "subprocess", "only there may it be unknown"


def test_crash_names_exception_and_line(box: Sandbox) -> None:
    e = run(box, "a = 1\nb = 0\nprint(a)\nprint(a / b)\n")
    assert (e.exit_status, e.stdout, e.detail) == ("crashed", "1\n", "ZeroDivisionError, line 4: division by zero")
    assert e.stderr.splitlines()[1:] == [
        '  File "<program>", line 4, in <module>',
        "    print(a / b)",
        "          ~~^~~",
        "ZeroDivisionError: division by zero",
    ]


def test_crash_inside_the_library_names_the_programs_own_line(box: Sandbox) -> None:
    e = run(box, "from fractions import Fraction\n\nFraction('x')")
    assert e.detail == "ValueError, line 3: Invalid literal for Fraction: 'x'"


def test_crash_without_message(box: Sandbox) -> None:
    assert run(box, "assert 0").detail == "AssertionError, line 1"


def test_syntax_error(box: Sandbox) -> None:
    e = run(box, "x = 1\ny = (")
    assert (e.exit_status, e.detail) == ("crashed", "SyntaxError, line 2: '(' was never closed")


@pytest.mark.parametrize("source", ["a\0b", "x = '\ud800'", "é = (", "\t" * 200 + "x", "(" * 5000])
def test_source_that_is_no_program_crashes(box: Sandbox, source: str) -> None:
    assert run(box, source).exit_status in ("crashed", "out_of_memory")


def test_empty_program(box: Sandbox) -> None:
    e = run(box, "")
    assert (e.exit_status, e.stdout) == ("ok", "")


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("raise SystemExit", "ok", ""),
        ("import sys; sys.exit(0)", "ok", ""),
        ("import sys; sys.exit(3)", "crashed", "exit status 3"),
        ("import sys; sys.exit('no')", "crashed", "exit status 1"),
        ("import os; os._exit(0)", "ok", ""),
        ("import os; os._exit(4)", "crashed", "exit status 4"),
        ("import os; os.abort()", "crashed", "killed by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "crashed", "killed by SIGSEGV"),
        ("import signal; signal.raise_signal(signal.SIGKILL)", "crashed", "killed by SIGKILL"),
    ],
)
def test_ways_to_end(box: Sandbox, source: str, outcome: str, detail: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.detail) == (outcome, detail)


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(99)", "input()" * 0 + "10**10**8"])
def test_endless_programs_are_stopped(box: Sandbox, source: str) -> None:
    began = time.monotonic()
    e = run(box, source, SHORT)
    assert (e.exit_status, e.detail) == ("timed_out", "did not end within 0.5 s")
    assert time.monotonic() - began < 15


def test_what_was_printed_before_a_timeout_is_kept(box: Sandbox) -> None:
    e = run(box, "print('so far', flush=True)\nwhile True: pass", Limits(timeout=2.0))
    assert (e.exit_status, e.stdout) == ("timed_out", "so far\n")


def test_ignoring_every_signal_does_not_help(box: Sandbox) -> None:
    source = (
        "import signal\nfor s in range(1, 32):\n try: signal.signal(s, signal.SIG_IGN)\n"
        " except OSError: pass\nwhile True: pass"
    )
    assert run(box, source, SHORT).exit_status == "timed_out"


@pytest.mark.parametrize("source", ["x = [0] * 10**9", "x = 'a' * 2**30", "x = []\nwhile True: x.append('a' * 10**6)"])
def test_too_much_memory(box: Sandbox, source: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.detail[:27]) == ("out_of_memory", "needed more than 256 MiB, l")


def test_memory_limit_is_the_one_asked_for(box: Sandbox) -> None:
    source = "x = bytearray(100 << 20)\nprint(len(x) >> 20)"
    assert run(box, source, Limits(timeout=20.0, memory_mib=64)).exit_status == "out_of_memory"
    assert run(box, source, Limits(timeout=20.0, memory_mib=128)).stdout == "100\n"


def test_a_caught_memory_error_is_the_programs_own_business(box: Sandbox) -> None:
    e = run(box, "try:\n x = [0] * 10**10\nexcept MemoryError:\n print('fine')")
    assert (e.exit_status, e.stdout) == ("ok", "fine\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_too_much_output(box: Sandbox, stream: str) -> None:
    e = run(box, f"import sys\nwhile True: print('a' * 1000, file=sys.{stream})", Limits(timeout=20.0, output_kib=16))
    assert (e.exit_status, e.detail) == ("output_limit", "wrote more than 16 KiB")
    assert len(e.stdout) <= 16 << 10
    assert len(e.stderr) <= 4096


def test_output_up_to_the_limit_is_whole(box: Sandbox) -> None:
    limits = Limits(timeout=20.0, output_kib=64)
    e = run(box, f"print('a' * {(64 << 10) - 1})", limits)
    assert (e.exit_status, len(e.stdout)) == ("ok", 64 << 10)
    assert run(box, f"print('a' * {64 << 10})", limits).exit_status == "output_limit"


def test_stdin(box: Sandbox) -> None:
    assert run(box, "print(input()[::-1], input())", stdin="añ€\nb\n").stdout == "€ña b\n"


def test_stdin_ends(box: Sandbox) -> None:
    assert run(box, "import sys; print(repr(sys.stdin.read()))").stdout == "''\n"
    assert run(box, "input()").detail.startswith("EOFError, line 1")


def test_large_stdin_read_and_unread(box: Sandbox) -> None:
    text = "x" * 1_000_000
    assert run(box, "import sys; print(len(sys.stdin.read()))", stdin=text).stdout == "1000000\n"
    assert run(box, "print(1)", stdin=text).stdout == "1\n"


def test_large_source(box: Sandbox) -> None:
    assert run(box, "# filler\n" * 200_000 + "print('end')").stdout == "end\n"


def test_unicode_and_nul_output(box: Sandbox) -> None:
    assert run(box, r"print('\u20ac\U0001f600\0|\r\x1b')").stdout == "€😀\0|\r\x1b\n"


def test_bytes_that_are_no_utf8(box: Sandbox) -> None:
    e = run(box, r"import sys; sys.stdout.buffer.write(b'a\xff\xfeb')")
    assert (e.exit_status, e.stdout) == ("ok", "a��b")


def test_lone_surrogate_output_crashes(box: Sandbox) -> None:
    assert run(box, r"print('\ud800')").detail.startswith("UnicodeEncodeError, line 1")


def test_recursion(box: Sandbox) -> None:
    e = run(box, "def f(n):\n    return f(n + 1)\nf(0)")
    assert (e.exit_status, e.detail) == ("crashed", "RecursionError, line 2: maximum recursion depth exceeded")


def test_the_recursion_limit_is_what_a_program_sets_and_as_deep(box: Sandbox) -> None:
    source = (
        "import sys\nprint(sys.getrecursionlimit())\nsys.setrecursionlimit(500)\nprint(sys.getrecursionlimit())\n"
        "def f(n):\n    global deepest\n    deepest = n\n    f(n + 1)\n"
        "try:\n    f(2)\nexcept RecursionError:\n    print(deepest)"
    )
    assert run(box, source).stdout == "1000\n500\n500\n"


@pytest.mark.parametrize(
    "source",
    [
        "import inspect\ndef f():\n    return 7\nprint(inspect.getsource(f), end='')",
        "import inspect\nclass A:\n    x = 7\nprint(inspect.getsource(A), end='')",
        "import traceback\ndef f():\n    1 / 0\ntry:\n    f()\nexcept Exception:\n    print(traceback.format_exc())",
    ],
)
def test_a_program_finds_its_own_lines(box: Sandbox, source: str) -> None:
    lines = source.splitlines()[1:3]
    found = run(box, source).stdout.splitlines()
    assert lines[1].strip() in map(str.strip, found)


def test_threads_are_waited_for(box: Sandbox) -> None:
    source = (
        "import threading, time\ndef f(i):\n time.sleep(.05)\n print(i, flush=True)\n"
        "for i in range(4): threading.Thread(target=f, args=(i,)).start()"
    )
    e = run(box, source)
    assert (e.exit_status, sorted(e.stdout.split())) == ("ok", list("0123"))


def test_atexit_and_buffers(box: Sandbox) -> None:
    e = run(box, "import atexit; atexit.register(print, 'bye'); print('hi', end=' ')")
    assert (e.exit_status, e.stdout) == ("ok", "hi bye\n")


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("class A:\n    def __del__(self): print('del', B)\nB = 3\na = A()\nprint('end')", "end\ndel 3\n"),
        ("class A:\n    def __init__(self): self.me = self\n    def __del__(self): print('cycle')\nA()", "cycle\n"),
        ("def g():\n    try:\n        yield 1\n    finally:\n        print('closed')\nx = g()\nnext(x)", "closed\n"),
        ("class A:\n    def __del__(self): print('out')\na = A()\nimport sys\nsys.exit(0)", "out\n"),
        ("import sys\ndel sys.modules['__main__']\nprint('gone')", "gone\n"),
    ],
)
def test_what_it_still_holds_at_its_end_is_finalized(box: Sandbox, source: str, printed: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.stdout) == ("ok", printed)


MAIN = "__name__ __doc__ __package__ __loader__ __spec__ __annotations__ __builtins__ __file__ __cached__".split()


@pytest.mark.parametrize(("deep", "outcome"), [(998, "ok"), (999, "crashed")])
def test_it_may_call_itself_as_often_as_in_an_interpreter_of_its_own(box: Sandbox, deep: int, outcome: str) -> None:
    assert run(box, f"def f(n):\n    return n and f(n - 1)\nf({deep})").exit_status == outcome


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("import io, sys\nprint(42)\nsys.stdout = io.StringIO()\nprint('hidden')", "42\n"),
        ("import sys\nprint('a')\ndel sys.stdout", "a\n"),
        ("import sys\nprint('a')\nsys.stdout.close()", "a\n"),
        ("import sys\nprint('a')\nsys.stdout = None", "a\n"),
        ("print(sorted(n for n in list(globals()) if n[:2] == '__'))", f"{sorted(MAIN)}\n"),
        ("print(__annotations__, __cached__)", "{} None\n"),
    ],
)
def test_what_was_printed_and_what_a_module_has_are_as_usual(box: Sandbox, source: str, printed: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.stdout) == ("ok", printed)


def test_asyncio(box: Sandbox) -> None:
    assert run(box, "import asyncio\nasync def f(): print(3)\nasyncio.run(f())").stdout == "3\n"


@pytest.mark.parametrize(
    "source",
    [
        "print(__name__); import sys, __main__; print(sys.argv, __main__.__name__)",
        "import decimal, statistics, itertools, heapq, json, string, datetime, cmath, bisect; print(1)",
        "class A: pass\nimport pickle, dataclasses\nprint(pickle.loads(pickle.dumps(A())).__class__ is A)",
        "from __future__ import annotations\ndef f(x: Undefined) -> None: ...\nprint(f.__annotations__)",
    ],
)
def test_it_is_python_as_usual(box: Sandbox, source: str) -> None:
    e = run(box, source)
    assert e.exit_status == "ok", e.stderr


def test_hashes_sets_and_random_are_the_same_every_time(box: Sandbox) -> None:
    source = "import random; print(hash('a'), {c for c in 'hello world'}, random.random(), random.sample(range(99), 5))"
    found = {e.stdout for e in results(box, [source, "import random; random.seed(5)", source, source])}
    assert len(found) == 2  # the same line from three runs, and the empty output of the other program


def test_one_program_leaves_nothing_for_the_next(box: Sandbox) -> None:
    spoil = (
        "import builtins, sys, math\nbuiltins.print = None\nmath.pi = 3\nsys.path.clear()\nsys.setrecursionlimit(50)"
    )
    after = "import math, sys\nprint(math.pi > 3.1, sys.getrecursionlimit(), len(sys.path) > 1)"
    for e in results(box, [spoil, after] * 3)[1::2]:
        assert e.stdout == "True 1000 True\n"


def test_ids_must_be_unique(box: Sandbox) -> None:
    with pytest.raises(UserError, match="same id"):
        list(box.run([Program(id="a", source=""), Program(id="a", source="")], AMPLE))


def test_nothing_to_run(box: Sandbox) -> None:
    assert list(box.run([], AMPLE)) == []


def test_programs_are_taken_as_they_are_needed(box: Sandbox) -> None:
    taken = []

    def endless() -> Iterator[Program]:
        while True:
            taken.append(1)
            yield Program(id=str(len(taken)), source="print(1)")

    answers = box.run(endless(), AMPLE)
    for _ in range(4):
        assert next(answers).stdout == "1\n"
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) < 300  # gVisor looks ahead for a batch to evaluate
    assert run(box, "print(2)").stdout == "2\n"


def test_many_programs_each_get_their_own_answer(box: Sandbox) -> None:
    n = 60
    for i, e in enumerate(results(box, [f"print({i} * 3)" for i in range(n)])):
        assert (e.exit_status, e.stdout) == ("ok", f"{i * 3}\n")


def test_neither_order_nor_workers_nor_neighbours_change_what_comes_out(box: Sandbox) -> None:
    sources = [case.source for case in programs.mixed(100, seed=9) if case.kind not in BAD]
    sources += ["print(hash('a'), {1, 'b', 'c'}, sorted(set('xyz')))", "import random\nprint(random.random())"]

    def ends(order: list[str], one: Sandbox) -> dict[str, tuple[str, str, str]]:
        asked = [Program(id=str(sources.index(s)), source=s) for s in order]
        return {e.id: (e.exit_status, e.stdout, e.detail) for e in one.run(asked, AMPLE)}

    first = ends(sources, box)
    assert ends(sources[::-1], box) == first
    other = GvisorSandbox(1) if isinstance(box, GvisorSandbox) else SubprocessSandbox(1)
    with other:
        assert ends(random.Random(1).sample(sources, len(sources)), other) == first


def test_good_programs_beside_bad_ones(box: Sandbox) -> None:
    bad = ["while True: pass", "x = [0] * 10**9", "1 / 0", "while True: print('a' * 999)", "import os; os.abort()"]
    limits = Limits(timeout=3.0)
    found = results(box, [s for i, b in enumerate(bad) for s in (f"print({i})", b)], limits)
    assert [e.stdout for e in found[::2]] == [f"{i}\n" for i in range(5)]
    assert [e.exit_status for e in found[1::2]] == ["timed_out", "out_of_memory", "crashed", "output_limit", "crashed"]
