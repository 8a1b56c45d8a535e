"""Random small programs: arithmetic, branches, loops, functions, prints; many of them fail somewhere."""

from __future__ import annotations

import random

NAMES = ("a", "b", "c", "total", "items")
_BINARY = ("+", "-", "*", "+", "-", "*", "/", "//", "%", "**")
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_CALLS = ("int", "float", "abs", "round", "min", "max", "int", "abs", "round", "max", "str", "bool", "sum", "len")
_SPECS = ("", ":.2f", ":>8", ":05d", ":,", ":.1%", ":e")


def program(seed: int) -> str:
    """A program; the same for the same seed."""
    return Writer(random.Random(seed)).program()


class Writer:
    """Writes one program, statement by statement."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.known = ["a"]
        self.functions: list[tuple[str, int]] = []
        self.math = False
        self.count = False

    def program(self) -> str:
        lines = [f"a = {self.r.randint(0, 50)}"]
        if self.r.random() < 0.2:
            lines.append(self.r.choice(("import math", "import math", "from math import sqrt, floor")))
            self.math = True
        if self.r.random() < 0.1:
            lines.append("from itertools import count")
            self.count = True
        for _ in range(self.r.randint(1, 7)):
            lines += self.statement(0)
        return "\n".join([*lines, f"print({self.expression(2)})"])

    def statement(self, depth: int) -> list[str]:
        r, pad = self.r, "    "
        kind = r.random()
        if kind < 0.45 or depth > 2:
            name = r.choice(NAMES)
            line = f"{name} = {self.expression(3)}"
            self.known.append(name)
            return [line]
        if kind < 0.55:
            return [f"{self.name()} {r.choice(('+', '-', '*', '//', '/'))}= {self.expression(1)}"]
        if kind < 0.7:
            ends = r.choice(("", ", sep=''", ", end='; '"))
            return [f"print({', '.join(self.expression(2) for _ in range(r.randint(1, 3)))}{ends})"]
        if kind < 0.8:
            body = self.block(depth)
            other = ["else:", *(pad + s for s in self.block(depth))] if r.random() < 0.5 else []
            return [f"if {self.test()}:", *(pad + s for s in body), *other]
        if kind < 0.9:
            self.known.append("i")
            if self.count and r.random() < 0.7:
                body = [*self.block(depth), f"if {self.test()}:", pad + r.choice(("break", "break", "continue"))]
                return [f"for i in count({self.name()}):", *(pad + s for s in body)]
            over = r.choice((f"range({r.randint(0, 12)})", f"range(1, {self.name()})", "[1, 2.5, 4]", "(3, a)"))
            body = self.block(depth) + r.choice(([], [], [f"if {self.test()}:", pad + r.choice(("break", "continue"))]))
            return [f"for i in {over}:", *(pad + s for s in body)]
        if kind < 0.95:
            n = self.name()
            step = r.choice(("+= 1", "+= 3", "-= 2", "*= 2"))
            body = [*self.block(depth), f"{n} {step}"]
            return [f"while {n} {r.choice(_COMPARE)} {r.randint(0, 60)}:", *(pad + s for s in body)]
        name, many = f"f{len(self.functions)}", r.randint(0, 2)
        before, self.known = self.known, [*self.known, *("xy"[:many])]
        body = self.block(2)
        ending = [f"return {self.expression(2)}"] if r.random() < 0.8 else []
        self.known = before
        self.functions.append((name, many))
        return [f"def {name}({', '.join('xy'[:many])}):", *(pad + s for s in [*body, *ending])]

    def block(self, depth: int) -> list[str]:
        return [s for _ in range(self.r.randint(1, 2)) for s in self.statement(depth + 1)]

    def test(self) -> str:
        r = self.r
        one = f"{self.expression(1)} {r.choice(_COMPARE)} {self.expression(1)}"
        return r.choice((one, one, f"not {self.name()}", f"{one} and {self.name()}", f"{self.name()} or {one}"))

    def name(self) -> str:
        return self.r.choice(self.known) if self.r.random() < 0.97 else self.r.choice(NAMES)

    def expression(self, depth: int) -> str:
        r = self.r
        kind = r.random()
        if depth == 0 or kind < 0.3:
            if r.random() < 0.04:
                return r.choice((repr(r.choice(("", "x", "12", "été", "\ud800", "a\nb"))), "None", "[1, 2, 3]"))
            small, large = str(r.randint(0, 9)), str(r.randint(0, 10**6))
            real = f"{r.random() * 20:.2f}"
            return r.choice((self.name(), self.name(), self.name(), small, small, large, real, "-1"))
        if kind < 0.65:
            left, right = self.expression(depth - 1), self.expression(depth - 1)
            return f"({left} {r.choice(_BINARY)} {right})"
        inside = self.expression(depth - 1)
        if kind < 0.67:
            return f"f'{{{self.name()}{r.choice(_SPECS)}}}'"
        if kind < 0.78:
            return f"({inside} if {self.test()} else {self.expression(depth - 1)})"
        if kind < 0.82 and self.functions:
            name, n = r.choice(self.functions)
            return f"{name}({', '.join(self.expression(1) for _ in range(n))})"
        if kind < 0.86 and self.math:
            return f"{r.choice(('math.sqrt', 'math.floor', 'math.gcd', 'sqrt', 'math.factorial'))}({inside})"
        if kind < 0.88:
            return (
                f"sum({r.choice(('x * 2', 'x', self.name()))} for x in {r.choice(('range(4)', '[1, 2]', self.name()))})"
            )
        if kind < 0.9:
            return f"[{inside}, {self.expression(depth - 1)}][{r.choice(('0', '-1', 'a', '2'))}]"
        call = r.choice(_CALLS)
        second = f", {self.expression(0)}" if call in ("min", "max") or r.random() < 0.1 else ""
        return f"{call}({inside}{second})"
