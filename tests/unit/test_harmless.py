"""Proofs of harmlessness: what is proven, what is not, and that bounds hold."""

from __future__ import annotations

import builtins
import contextlib
import io
import math
import sys
import time
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmst.harmless import OUTPUT, STEPS, Proof, proof
from tests.programs import program

ENDS, NEVER = Proof.ENDS, Proof.NEVER_ENDS


@pytest.mark.parametrize(
    "source",
    [
        "",
        "print(3 * 4)",
        "a = 3\nb = a ** 2 / 7\nprint(f'{b:.2f}', 'apples')",
        "x = y = 2\nx, y = y, x + 1\nprint(x, y, sep='', end='!')",
        "total = 0\nfor i in range(1, 50):\n    total += i\nprint(total)",
        "n = 100\nwhile n > 1:\n    n //= 2\nprint(n)",
        "def area(w: int, h: int) -> int:\n    return w * h\nprint(area(3, 4))",
        "def fact(n):\n    return 1 if n < 2 else n * fact(n - 1)\nprint(fact(10))",
        "import math\nprint(math.ceil(7 / 2), math.pi, math.sqrt(2))",
        "from math import gcd as g\nprint(g(12, 18))",
        "prices = [1.5, 2.0, 3.0]\nprint(sum(prices), max(prices), len(prices), sorted(prices)[0])",
        "if __name__ == '__main__':\n    print(1)",
        "print(1 / 0)",
        "print(int('x'))",
        "x = 100\nfor i in range(5):\n    if x > 50:\n        x -= 20\n        continue\n    break\nprint(x)",
        "print(sum(p * 2 for p in [1, 2, 3]), [x ** 2 for x in range(9) if x % 2][-1])",
        "print('a' * 10 + 'b', (1, 2) + (3,), True, None)",
        "import itertools\nfor i in itertools.count(1):\n    if i * i > 500:\n        break\nprint(i)",
        "from itertools import count as c\ndef f(n):\n    for i in c():\n        if i > n:\n            return i\n"
        "print(f(3), f(4))",
        "n = 0\nwhile n < 900:\n    n += 1\nprint(n)",
    ],
)
def test_plain_arithmetic_is_proven_to_end(source: str) -> None:
    assert proof(source) is ENDS


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "n = 3\nwhile True:\n    n += 1",
        "total = 1\ndays = 0\nwhile total < 100:\n    days += 1\nprint(days)",
        "x = 5\nwhile x > 0:\n    x += 2\nprint(x)",
        "x = 4\nwhile x != 9:\n    x += 2",
        "def f(n):\n    while n:\n        n = n if n == 3 else n - 1\n    return n\nprint(f(20))",
        "a = 1\nwhile a < 10:\n    if a > 20:\n        a = 50\n    b = a",
        "n = 5\nwhile n:\n    n //= 1",
        "def main():\n    n = 3\n    while n != 2:\n        n += 1\nif __name__ == '__main__':\n    main()",
        "low = 0\nhigh = 50\nwhile low < high:\n    mid = (low + high) // 2\n    if mid < 8:\n        low = mid\n"
        "    else:\n        high = mid - 1",
        "x = 22\nwhile x != 1177:\n    x += 2 if x % 2 == 0 else 4\nprint(x)",
        "import itertools\nfor i in itertools.count(46):\n    if i * i < 0:\n        break\nprint(i)",
        "from itertools import count\nfor i in count():\n    for j in count(i):\n        if j < i: break",
        "from itertools import count\ntotal = 3\nfor i in count(1):\n    total += i\n    if total == 4:\n"
        "        continue\n    i = 0",
        "from itertools import count\ndef f(n):\n    for i in count(n):\n        if i < n: return i\nprint(f(3))",
    ],
)
def test_a_loop_that_nothing_ends_is_proven_endless(source: str) -> None:
    assert proof(source) is NEVER


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(733)",
        "from time import sleep as nap\nprint('good night')\nnap(60 * 60)",
        "import time\ndef wait(n):\n    time.sleep(n)\nwait(100)",
    ],
)
def test_a_sleep_beyond_every_time_limit_counts_as_endless(source: str) -> None:
    assert proof(source) is NEVER


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(2)",  # shorter than a limit may be
        "import time\ntime.sleep(10 ** 12)",  # OverflowError
        "import time\ntime.sleep(-100)",  # ValueError
        "import time\ntime.sleep(100.0)",  # a float may be NaN
        "import time\ntime.sleep()",
        "import time\ntime.sleep(secs=100)",
        "import time\nx = int('7')\ntime.sleep(100)",  # perhaps never reached
        "import time\nif len('ab') > 1:\n    time.sleep(100)",
        "import time\ntime.sleep = print\ntime.sleep(100)",
        "import time\nprint(time.time())",
        "from time import monotonic\nprint(monotonic())",
    ],
)
def test_a_sleep_that_may_not_come_or_not_last_proves_nothing(source: str) -> None:
    assert proof(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "print(9 ** 9 ** 9)",
        "x = 2\nfor i in range(100):\n    x *= x",
        "x = 'a'\nfor i in range(100):\n    x += x",
        "x = 'a' * 10 ** 9",
        "x = [0] * 10 ** 9",
        "for i in range(10 ** 9): pass",
        "n = 10 ** 6\nwhile n:\n    n -= 1",
        "def f():\n    f()\nf()",
        "def f(n):\n    return f(n + 1)\nprint(f(0))",
        "print('x' * 1900)\nprint('x' * 1900)\nprint('x' * 1900)",
        "import math\nprint(math.factorial(10 ** 6))",
        "print(f'{1:999999999}')",
        "print(1 << 10 ** 9)",
        "x = 1.5\nprint(int(x ** 700))",
        "from itertools import count\nprint(list(count(3)))",
        "from itertools import count\nfor i in count(0):\n    if i > 10 ** 8: break",
    ],
)
def test_what_may_explode_is_not_proven(source: str) -> None:
    assert proof(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import math as m, os",
        "from math import *",
        "from os import path",
        "print(open('x'))",
        "print(().__class__)",
        "x = 1\nx.real = 3",
        "import math\nmath.pi = 3",
        "import math\nmath.__dict__",
        "print(eval('1'))",
        "print(getattr(1, 'real'))",
        "print(globals())",
        "global x\nx = 1",
        "del print",
        "class A: pass",
        "f = lambda: 1",
        "def f():\n    return 1\n    yield\nprint(f())",
        "x = 10 ** 90 if __name__ else 0.5\nfor i in range(60):\n    x = x * x",
        "x = max(10 ** 90, 0.5)\nfor i in range(60):\n    x = x * x",
        "x = [[0] * 2000] * 2000\nprint(len(str(x)))",
        "print('\\ud800')",
        "x = 10 ** 90\ndef f():\n    return x\ny = [f() for x in [1]][0]\nfor i in range(60):\n    y = y * y",
        "print(x for x in range(3))",
        "g = (x for x in range(3))\nprint(sum(g), sum(g))",
        "print([x for x in range(3) for y in range(3)])",
        "print([x for x in range(10 ** 9)])",
        "print({x for x in range(3)})",
        "try:\n    x = 1\nexcept Exception:\n    pass",
        "with open('x') as f: pass",
        "raise ValueError",
        "assert 1",
        "print(1, file=3)",
        "print(*[1, 2])",
        "x = [1]\nx[0] = 2",
        "x = [1]\ny = x\nx += [2]",
        "def f(x=[]): return x",
        "@print\ndef f(): pass",
        "def f():\n    import math",
        "def f():\n    def g(): pass",
        "async def f(): pass",
        "x: int = 3",
        "(x := 3)",
        "print(input())",
        "from itertools import count\nc = count(3)\nfor i in c:\n    break\nprint(i)",
        "from itertools import count\nprint(count(3))",
        "from itertools import count\nfor i in count('a'):\n    break",
        "from itertools import count\nfor i in count(0.5):\n    break",
        "from itertools import count\nfor i in count(1, 2):\n    break",
        "from itertools import count\nfor i in count(start=1):\n    break",
        "from itertools import count\nfor i in count(*[1]):\n    break",
        "from itertools import repeat\nfor i in repeat(1):\n    break",
        "import itertools\nitertools.count = range\nfor i in itertools.count(1):\n    break",
        "print(id(1))",
        "print(hash('a'))",
        "import random\nprint(random.random())",
        "print(print)",
        "print(__file__)",
        "__builtins__ = 3\nprint(1)",
        "def f(__class__): return 1\nprint(f(1))",
        "print(1 is 1)",
        "x = b'a'",
        "x = 1j",
        "print((-8) ** 0.5)",
        "match 1:\n    case 1: pass",
        "print(",
        "\0",
        "# -*- coding: utf-7 -*-\nprint(1)",
        "\ufeffprint(1)",
        "1 " + "+ 1 " * 900,
        "x = " + "(" * 150 + "1" + ")" * 150,
        "a" * 5000,
    ],
)
def test_whatever_reaches_beyond_its_own_numbers_is_not_proven(source: str) -> None:
    assert proof(source) is None or source.startswith(("1 ", "x = ((("))


@pytest.mark.parametrize(
    "source",
    [
        "x = 1 / 0\nwhile True: pass",
        "while True: pass\nx = *y",
        "while True: pass\nreturn 3",
        "if __name__ == 'main':\n    while True: pass",
        "__name__ = 'x'\nif __name__ == '__main__':\n    while True: pass",
        "if __name__ > '__main__':\n    while True: pass",
        "x = 7\nif x / 2 > 3.4999:\n    while True: pass",
        "print(y)\nwhile True: pass",
        "while True:\n    break",
        "n = 1\nwhile n > 0:\n    n -= 1",
        "n = 1\nwhile True:\n    n += 1\n    if n > 10 ** 8: break",
        "n = 1\nwhile True:\n    n *= 2",
        "n = 5\nwhile True:\n    n %= 0",
        "n = 3\nwhile True:\n    n = n if n * n < 2 else n * n",
        "n = 3\nwhile n * n * n > 2:\n    n += n",
        "n = 1\nwhile n * n != 4:\n    n += 1",
        "n = -9\nwhile n * n > 3:\n    n += 1",
        "m = 0\nn = -5\nwhile n * m <= 0:\n    n += 1\n    m += 1",
        "from itertools import count\nfor i in count(3):\n    if i == 10 ** 6: break",
        "from itertools import count\nfor i in count(3):\n    if i * i > 10 ** 12: break",
        "from itertools import count\nfor i in count(3):\n    print(i)",
        "from itertools import count\nn = 0\nfor i in count(3):\n    n += 1.5",
        "while True: print(1)",
        "x = 'a'\nwhile True:\n    x += 'a'",
        "x, y = 1, 0.5\nwhile True:\n    x += x\n    z = x + y",
        "print('\\ud800')\nwhile True: pass",
    ],
)
def test_a_loop_that_may_be_left_or_not_reached_is_not_proven_endless(source: str) -> None:
    assert proof(source) is not NEVER


@given(st.text())
@example("if 1:\n\tx = 1")
def test_any_text_has_an_answer(text: str) -> None:
    assert proof(text) in (None, ENDS, NEVER)


class Counted(Exception):
    """A program took more lines than its proof allows."""


def _run(source: str) -> tuple[int, str]:
    """Run a proven program here (it is harmless): lines executed, and its output."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename == "<program>" and event == "line":
            lines += 1
            if lines > STEPS:
                raise Counted
        return trace

    out, names = io.StringIO(), {"__name__": "__main__", "__builtins__": builtins}
    with contextlib.redirect_stdout(out):
        sys.settrace(trace)
        try:
            exec(compile(source, "<program>", "exec"), names)
        except (ArithmeticError, ValueError, TypeError, LookupError, NameError):
            pass
        finally:
            sys.settrace(None)
    for value in names.values():
        if isinstance(value, float | int) and math.isfinite(value):
            assert abs(value) < 10**310
    return lines, out.getvalue()


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_proven_program_keeps_to_its_bounds(seed: int) -> None:
    source = program(seed)
    if proof(source) is ENDS:
        lines, out = _run(source)
        assert lines <= STEPS
        assert len(out) <= OUTPUT


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_a_proof_takes_milliseconds(seed: int) -> None:
    began = time.process_time()
    proof(program(seed))
    assert time.process_time() - began < 1.0
