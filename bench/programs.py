"""Programs to measure code checks by: what models write for word problems, and what they write when they fail.

Every program is made anew from a seed with numbers and names of its own, so that no two are the same
but where that is said. `mixed` has the shares of a real sample of model-written programs that went bad
often: 88 % good, 5 % endless, 3 % memory bombs, 2 % crashes, 1 % fork bombs, 1 % floods.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Make = Callable[[random.Random], tuple[str, str]]
"""Seeded chance → a program and what it prints (good ones only)."""


@dataclass(frozen=True, slots=True)
class Case:
    """A program with the outcome and, for good ones, the output that it must have."""

    id: str
    kind: str
    source: str
    exit_status: str
    stdout: str | None = None


_THINGS = ("apples", "books", "coins", "tickets", "pens", "boxes", "cards", "eggs", "seats", "cups")


def straight(r: random.Random) -> tuple[str, str]:
    """Straight-line arithmetic, as most solutions of word problems are."""
    thing = r.choice(_THINGS)
    a, b, c, d = (r.randint(2, 400) for _ in range(4))
    body = r.choice(
        (
            (f"{thing} = {a}\nbought = {b}\ngiven = {c}\nleft = {thing} + bought - given\nprint(left)", a + b - c),
            (f"{thing} = {a}\nprice = {b}\ntotal = {thing} * price\nchange = total - {c}\nprint(change)", a * b - c),
            (f"a = {a}\nb = {b}\n# each of them\nc = (a + b) * {c}\nd = c // {d}\nprint(d)", (a + b) * c // d),
            (f"{thing}_per_day = {a}\ndays = {b}\nprint({thing}_per_day * days % {d})", a * b % d),
            (f"speed = {a}\nhours = {b}\nkm = speed * hours\nprint(f'{{km}}')", a * b),
            (f"x = {a}\nif x > {b}:\n    y = x - {b}\nelse:\n    y = {b} - x\nprint(y + {c})", abs(a - b) + c),
        )
    )
    return f"# {r.getrandbits(40):x}\n{body[0]}", f"{body[1]}\n"


def function(r: random.Random) -> tuple[str, str]:
    """A function that is called once: the program-aided style."""
    a, b, c = (r.randint(2, 90) for _ in range(3))
    return (
        f'def solution():\n    """{a} {r.choice(_THINGS)} of {b} grams."""\n    first = {a} * {b}\n'
        f"    second = first + {c}\n    result = second\n    return result\n\nprint(solution())",
        f"{a * b + c}\n",
    )


def loop(r: random.Random) -> tuple[str, str]:
    """A small loop."""
    n, step = r.randint(5, 60), r.randint(2, 9)
    return f"total = 0\nfor day in range(1, {n}):\n    total += day * {step}\nprint(total)", (
        f"{sum(d * step for d in range(1, n))}\n"
    )


def search(r: random.Random) -> tuple[str, str]:
    """A search by a while loop that ends."""
    a, b = r.randint(3, 40), r.randint(200, 3000)
    return f"n = 0\ncount = 0\nwhile n < {b}:\n    n += {a}\n    count += 1\nprint(count)", f"{-(-b // a)}\n"


def library(r: random.Random) -> tuple[str, str]:
    """The standard library, as solutions use it."""
    a, b, c = (r.randint(2, 60) for _ in range(3))
    import datetime
    import math
    from fractions import Fraction
    from itertools import combinations

    return r.choice(
        (
            (f"from fractions import Fraction\nprint(Fraction({a}, {b}) + {c})", f"{Fraction(a, b) + c}\n"),
            (f"import math\nprint(math.ceil({a * b} / {c}))", f"{math.ceil(a * b / c)}\n"),
            (
                f"from datetime import date, timedelta\nd = date(2024, 3, 1) + timedelta(days={a})\nprint(d.day)",
                f"{(datetime.date(2024, 3, 1) + datetime.timedelta(days=a)).day}\n",
            ),
            (
                f"from itertools import combinations\nitems = list(range({a % 9 + 3}))\n"
                f"print(sum(1 for x, y in combinations(items, 2) if (x + y) % {c % 5 + 2} == 0))",
                f"{sum(1 for x, y in combinations(range(a % 9 + 3), 2) if (x + y) % (c % 5 + 2) == 0)}\n",
            ),
            (
                f"from collections import Counter\nwords = 'a b a c {r.choice(_THINGS)}'.split()\n"
                f"print(Counter(words).most_common(1)[0][1] + {a})",
                f"{2 + a}\n",
            ),
        )
    )


def data(r: random.Random) -> tuple[str, str]:
    """Lists, dictionaries, comprehensions, strings."""
    a, b = r.randint(2, 30), r.randint(2, 30)
    return r.choice(
        (
            (f"prices = [{a}, {b}, {a + b}]\nprint(sum(p * 2 for p in prices))", f"{4 * (a + b)}\n"),
            (f"ages = {{'Ann': {a}, 'Bob': {b}}}\nages['Cy'] = {a}\nprint(max(ages.values()))", f"{max(a, b)}\n"),
            (
                f"squares = [x ** 2 for x in range({a}) if x % 2]\nprint(len(squares), squares[-1])",
                f"{a // 2} {(a - 1 - (a % 2)) ** 2 if a % 2 else (a - 1) ** 2}\n",
            ),
            (f"text = '{a}-{b}'\nleft, right = text.split('-')\nprint(int(left) * int(right))", f"{a * b}\n"),
            (
                f"class Box:\n    def __init__(self, n):\n        self.n = n\nboxes = [Box({a}), Box({b})]\n"
                "print(sum(box.n for box in boxes))",
                f"{a + b}\n",
            ),
            (
                f"def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib({a % 8 + 6}))",
                f"{_fib(a % 8 + 6)}\n",
            ),
        )
    )


def _fib(n: int) -> int:
    return n if n < 2 else _fib(n - 1) + _fib(n - 2)


def endless(r: random.Random) -> str:
    """Programs that never end, as models write them: a wrong test, a wrong step, a forgotten change."""
    a, b = r.randint(3, 50), r.randint(100, 900)
    return r.choice(
        (
            f"n = {a}\nwhile True:\n    n += 1",
            f"total = {a}\ndays = 0\nwhile total < {b}:\n    days += 1\nprint(days)",
            f"x = {a}\nwhile x != {b * 2 + 1}:\n    x += 2 if x % 2 == 0 else 4\nprint(x)" if a % 2 == 0 else
            f"x = {a}\nwhile x > 0:\n    x += {b}\nprint(x)",
            f"import itertools\nfor i in itertools.count({a}):\n    if i * i < 0:\n        break\nprint(i)",
            f"def f(n):\n    while n:\n        n = n if n == {a} else n - 1\n    return n\nprint(f({b}))",
            f"items = [{a}]\nfor item in items:\n    items[0] = item\n    items.append({b})\n    items.pop(0)\n"
            "    items.insert(0, 1)",
            f"import time\ntime.sleep({b})",
        )
    )  # fmt: skip


def bomb(r: random.Random) -> str:
    """Programs that want more memory than there is."""
    n = r.randint(5, 90)
    return r.choice(
        (
            f"x = [0] * {10**9 + n}\nprint(len(x))",
            f"x = 'a' * {2 * 10**9 + n}\nprint(len(x))",
            f"x = [{n}]\nwhile True:\n    x += x",
            f"x = bytearray({600 + n} << 20)\nprint(len(x))",
            f"rows = []\nwhile True:\n    rows.append([{n}] * 100_000)",
        )
    )


def crash(r: random.Random) -> str:
    """Programs that fail."""
    a = r.randint(2, 99)
    return r.choice(
        (
            f"total = {a}\nprint(totl)",
            f"print({a} / 0)",
            f"prices = [{a}]\nprint(prices[3])",
            f"print('{a}' + {a})",
            f"print(({a}",
        )
    )


def fork_bomb(r: random.Random) -> str:
    """Programs that multiply."""
    return f"import os\n# {r.getrandbits(30)}\nwhile True:\n    os.fork()"


def flood(r: random.Random) -> str:
    """Programs that print without end."""
    return f"while True:\n    print('{r.choice(_THINGS)} ' * {r.randint(20, 60)})"


GOOD: tuple[tuple[Make, float], ...] = (
    (straight, 0.45), (function, 0.10), (loop, 0.08), (search, 0.07), (library, 0.15), (data, 0.15),
)  # fmt: skip
"""Shares among good programs."""


def good(n: int, seed: int) -> list[Case]:
    """`n` good programs in the shares of `GOOD`."""
    r = random.Random(seed)
    makes = r.choices([m for m, _ in GOOD], [share for _, share in GOOD], k=n)
    return [_good(f"good-{i}", make, r) for i, make in enumerate(makes)]


def only(make: Make, n: int, seed: int) -> list[Case]:
    """`n` good programs of one kind."""
    r = random.Random(seed)
    return [_good(f"{make.__name__}-{i}", make, r) for i in range(n)]


def _good(name: str, make: Make, r: random.Random) -> Case:
    source, stdout = make(r)
    return Case(name, make.__name__, source, "ok", stdout)


def mixed(n: int = 500, seed: int = 0) -> list[Case]:
    """The mixed set, shuffled."""
    r = random.Random(seed)
    cases = good(n * 88 // 100, seed)
    bad = ((endless, 5, "timed_out"), (bomb, 3, "out_of_memory"), (crash, 2, "crashed"), (fork_bomb, 1, "crashed"),
           (flood, 1, "output_limit"))  # fmt: skip
    for make, percent, outcome in bad:
        cases += [Case(f"{make.__name__}-{i}", make.__name__, make(r), outcome) for i in range(n * percent // 100)]
    r.shuffle(cases)
    return cases
