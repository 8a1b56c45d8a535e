"""Programs with which an outsider made the evaluator print something else than CPython, or take too long."""

from __future__ import annotations

import time

import pytest

from mmst.sandbox.guest.evaluate import evaluate

F = "def f(x):\n    if x == 2:\n        raise ValueError('two')\n    return x\n"
CASES = [
    ("x = 1\nd = {0: lambda: x, (lambda: (x := 5))(): x}\nprint(x, d[5])", "1 1\n"),
    ("x = 1\ndef g():\n    return {'a': (lambda: x), (lambda: (x := 9))(): 0}\ng()\nprint(x)", "1\n"),
    (F + "z = zip(map(f, [1, 2, 3]))\nprint(next(z))\ntry:\n    next(z)\nexcept ValueError as e:\n    print(e)\n"
     "print(next(z, None))", "(1,)\ntwo\n(3,)\n"),
    (F + "e = enumerate(map(f, [1, 2, 3]))\nnext(e)\ntry:\n    next(e)\nexcept ValueError:\n    pass\nprint(next(e))",
     "(1, 3)\n"),
    ("def f(x):\n    if x == 2:\n        raise StopIteration\n    return x\nz = zip(map(f, [1, 2, 3]))\n"
     "print(list(z), list(z))", "[(1,)] [(3,)]\n"),
    ("d = {1: 1}\ne = enumerate(iter(d))\nd[2] = 2\nfor _ in range(3):\n    try:\n        print(next(e, 'end'))\n"
     "    except RuntimeError:\n        print('changed')", "changed\nchanged\nchanged\n"),
    ("def f(x):\n    if x == 1:\n        return next(z)\n    return x\na = map(f, [1, 2, 3])\nz = zip(a)\n"
     "try:\n    print(next(z))\nexcept ValueError as e:\n    print('no', e)", "((2,),)\n"),
    ("import statistics\nclass A:\n    m = statistics.mean\na = A()\nprint(a.m([1, 2]))", None),
    ("import functools\nclass A:\n    c = functools.cache\na = A()\nf = a.c(lambda x: x)\nprint(f(2))", None),
    ("from typing import List, Optional\ndef f(x: List[Optional]):\n    return x\nprint(f(1))", None),
    ("print('{0}'.format(**{'0': 5}))", None),
    ("print('{a[b]}'.format(**{'a[b]': 1}))", None),
    ("try:\n    print('{a.b}'.format(**{'a.b': 1}))\nexcept Exception:\n    print('no')", "no\n"),
]  # fmt: skip
COSTLY = [
    "h = 'a' * 60000\nn = 'a' * 15000 + 'b' + 'a' * 15000\nfor i in range(100):\n    h.rfind(n)\nprint(1)",
    "import itertools\nprint(len(list(itertools.product(*[[0, 1]] * 20, repeat=100))))",
    "import itertools\nprint(len(list(itertools.combinations(range(1000), 990))))",
    "x = 'a' * 250000 + 'b'\ny = 'a' * 250000 + 'c'\nfor i in range(35):\n    y in [x] * 8000\nprint(1)",
]


@pytest.mark.parametrize(("source", "printed"), CASES)
def test_it_prints_what_cpython_prints_or_gives_up(source: str, printed: str | None) -> None:
    assert evaluate(source) in (None, printed)


@pytest.mark.parametrize("source", COSTLY)
def test_what_costs_more_than_it_seems_is_given_up_soon(source: str) -> None:
    began = time.process_time()
    assert evaluate(source) is None
    assert time.process_time() - began < 0.8
