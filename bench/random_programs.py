"""Random programs that use most of what the evaluator knows, and fail somewhere as often as not.

    program(seed)       the same for the same seed

Values are floats (with infinities, NaN, -0.0), rounding and formatting, texts, lists, dictionaries, sets; names are
bound in every way: assignment, augmented, starred, walrus, for, with, except, import, def, class, lambda, del, match,
global, nonlocal, comprehensions.
"""

from __future__ import annotations

import random

_NAMES = ("a", "b", "c", "d", "xs", "s", "t", "n", "i", "total")
_BINARY = "+ + + - - * * / // % ** << >> & | ^".split()
_COMPARE = "< <= > >= == != in not-in is is-not".split()
_ONE = (
    "int", "float", "str", "bool", "abs", "round", "len", "sum", "min", "max", "sorted", "list", "tuple", "set", "repr",
    "any", "all", "dict", "reversed", "enumerate", "iter", "next", "range", "ord", "chr", "bin", "hex", "frozenset",
)  # fmt: skip
_SPECS = (
    "", ".2f", ">8", "05d", ",", ".1%", "e", "g", "x", "^10", "<6", "+", "_", "b", ".3", "08.3f", "s", "c", "#x", "{n}",
    ">{n}", ".{n}f", "%Y", "*^9",
)  # fmt: skip
_TEXT_METHODS = (
    "upper()", "lower()", "strip()", "split()", "title()", "isdigit()", "split(',')", "replace('a', 'bb')",
    "count('a')",
    "find('b')", "index('a')", "join(['x', 'y'])", "join(xs)", "zfill(5)", "center(9, '*')", "startswith('a')",
    "ljust(4)", "rjust(n)", "partition('a')", "splitlines()", "format(1, n)", "capitalize()", "swapcase()", "isalpha()",
)  # fmt: skip
_LIST_METHODS = (
    "append({})", "extend([{}, 1])", "pop()", "pop(0)", "insert(0, {})", "remove({})", "index({})", "count({})",
    "sort()",
    "reverse()", "copy()", "sort(key=str)", "sort(key=lambda v: -v)", "clear()", "extend(a)", "sort(reverse=True)",
)  # fmt: skip
_DICT_METHODS = (
    "get({})", "get({}, 0)", "keys()", "values()", "items()", "pop({})", "setdefault({}, [])", "update({{1: 2}})",
    "copy()", "pop({}, None)", "popitem()", "clear()",
)  # fmt: skip
_SET_METHODS = (
    "add({})", "discard({})", "union([1, {}])", "intersection([{}])", "difference(xs)", "update([{}, 7])", "pop()",
    "issubset({{1, 2}})", "remove({})", "symmetric_difference([1, 9])",
)  # fmt: skip
_MATH = (
    "sqrt", "floor", "ceil", "factorial", "gcd", "lcm", "log", "exp", "sin", "isqrt", "comb", "hypot", "prod", "fsum",
    "log10", "trunc", "fabs", "pow", "atan2", "isclose",
)  # fmt: skip
_ERRORS = "ZeroDivisionError ValueError TypeError KeyError IndexError Exception ArithmeticError OverflowError".split()
_LIBRARY = (
    "Fraction({}, {})", "Fraction({})", "Fraction(3, 7) + {}", "Decimal('1.10') * {}", "Decimal({})", "Counter({})",
    "list(combinations({}, 2))", "list(permutations({}))", "list(product({}, [0, 1]))", "list(accumulate({}))",
    "reduce(lambda p, q: p + q, {})", "Counter({}).most_common(2)", "deque({})", "date(2024, 2, {})",
    "date(2023, 12, 31) + timedelta(days={})", "list(islice(count({}), 4))", "list(chain({}, [1]))",
    "list(zip_longest({}, 'ab'))", "[(k, list(g)) for k, g in groupby({})]", "defaultdict(int, {{1: {}}})",
    "mean({})", "median({})", "list(pairwise({}))", "date(2024, 1, 15).strftime('%d/%m/%y')",
    "list(takewhile(lambda v: v < 3, {}))", "sum(Fraction(1, k) for k in range(1, 9))",
    "Fraction({}).limit_denominator(9)",
)  # fmt: skip
_IMPORTS = (
    "from fractions import Fraction", "from decimal import Decimal", "from datetime import date, timedelta",
    "from collections import Counter, defaultdict, deque", "from functools import reduce",
    "from itertools import combinations, permutations, product, accumulate, islice, count, chain, zip_longest, "
    "groupby, "
    "pairwise, takewhile", "from statistics import mean, median",
)  # fmt: skip


def program(seed: int) -> str:
    """A program; the same for the same seed."""
    return Writer(random.Random(seed)).program()


class Writer:
    """Writes one program, statement by statement."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.known = {"a": "int", "xs": "list", "s": "str", "n": "int"}
        self.functions: list[tuple[str, int]] = []
        self.in_loop = self.in_function = False
        self.math = self.library = False
        self.wild = r.random() < 0.4

    def program(self) -> str:
        r = self.r
        lines = [
            f"a = {r.randint(0, 50)}",
            f"xs = {r.choice(('[1, 2, 3]', '[3, 1, 2, 2]', '[]', '[0.5, 2, -1.0]', '[[1], [2, 3]]', '[5]'))}",
            f"s = {r.choice(('abc', '12', '', 'a,b', 'Hello World', '3.5'))!r}",
            f"n = {r.randint(0, 6)}",
        ]
        if r.random() < 0.3:
            self.math = True
            lines.append("import math")
        if r.random() < 0.25:
            self.library = True
            lines += _IMPORTS
        lines += ["b = c = d = i = total = 1", "t = (1, 'z')"]
        self.known |= {name: "int" for name in ("b", "c", "d", "i", "total")} | {"t": "tuple"}
        guarded = r.random() < 0.8
        for _ in range(r.randint(2, 9)):
            lines += self.guarded(self.statement(0)) if guarded else self.statement(0)
        shown = [f"print({name})" for name in self.known if r.random() < 0.3]
        shown.append(f"print({self.expression(2)})")
        return "\n".join([*lines, *(self.guarded(shown) if guarded else shown)])

    def guarded(self, lines: list[str]) -> list[str]:
        """Lines whose error, if any, is printed, so that most programs run to their end."""
        error = self.r.choice(("ArithmeticError", "Exception", "Exception", "Exception", "(TypeError, ValueError)"))
        return ["try:", *("    " + line for line in lines), f"except {error} as e:", "    print(e)"]

    def body(self, depth: int, loop: bool = False) -> list[str]:
        before, self.in_loop = self.in_loop, self.in_loop or loop
        lines = [s for _ in range(self.r.randint(1, 2)) for s in self.statement(depth + 1)]
        self.in_loop = before
        return ["    " + s for s in lines]

    def statement(self, depth: int) -> list[str]:
        r = self.r
        if depth > 2 or r.random() < 0.5:
            return [self.simple()]
        makes = (
            self.branch, self.branch, self.loop, self.loop, self.while_, self.attempt, self.function, self.function,
            self.unusual, self.class_, self.closure,
        )  # fmt: skip
        return r.choice(makes)(depth)

    def bind(self, kind: str = "any") -> str:
        name = self.r.choice(_NAMES)
        self.known[name] = kind
        return name

    def simple(self) -> str:
        r = self.r
        kind = r.random()
        if kind < 0.3:
            value, type_ = self.typed(3)
            return f"{self.bind(type_)} = {value}"
        if kind < 0.42:
            op = r.choice(("+", "-", "*", "//", "/", "%", "**", "|", "&"))
            return f"{self.name()} {op}= {self.expression(1)}"
        if kind < 0.6:
            ends = r.choice(("", "", "", ", sep=''", ", end='; '", ", sep='-', end='\\n\\n'"))
            return f"print({', '.join(self.expression(2) for _ in range(r.randint(1, 3)))}{ends})"
        if kind < 0.68:
            return f"xs.{r.choice(_LIST_METHODS).format(self.expression(1))}"
        if kind < 0.72:
            return r.choice((
                f"xs[{self.index()}] = {self.expression(1)}", f"xs[{self.index()}] += {self.expression(1)}",
                f"xs[{self.index()}:{self.index()}] = [{self.expression(1)}]", f"del xs[{self.index()}]",
                f"{self.name()}[{self.index()}] = {self.expression(1)}",
            ))  # fmt: skip
        if kind < 0.78:
            first, second = self.bind(), self.bind()
            return r.choice((
                f"{first}, {second} = {self.expression(1)}, {self.expression(1)}",
                f"{first}, {second} = {second}, {first}",
                f"{first}, *{second} = {self.typed_as('list', 2)}", f"{first} = {second} = {self.expression(2)}",
                f"({first}, {second}), i = ({self.expression(1)}, 2), 3", f"*{first}, {second} = xs",
            ))  # fmt: skip
        if kind < 0.81:
            return f"del {self.name()}"
        if kind < 0.84:
            return f"assert {self.test()}, 'no'"
        if kind < 0.87 and self.in_loop:
            return r.choice(("break", "continue"))
        if kind < 0.9 and self.in_function:
            return f"return {self.expression(2)}"
        if kind < 0.92:
            error = r.choice(_ERRORS)
            return f"raise {error}({r.choice(('', repr('x'), '1, 2'))})" if r.random() < 0.5 else f"raise {error}"
        if kind < 0.95:
            return f"print({self.expression(3)})"
        return self.expression(3)

    def branch(self, depth: int) -> list[str]:
        lines = [f"if {self.test()}:", *self.body(depth)]
        if self.r.random() < 0.3:
            lines += [f"elif {self.test()}:", *self.body(depth)]
        return [*lines, "else:", *self.body(depth)] if self.r.random() < 0.5 else lines

    def loop(self, depth: int) -> list[str]:
        r = self.r
        over = r.choice((
            f"range({r.randint(0, 6)})", f"range({self.expression(0)})", "xs", "s", "enumerate(xs)", "zip(xs, s)",
            "[1, 2.5, 'x']", self.expression(1), "list(xs)", "{'a': 1, 'b': 2}.items()", "reversed(xs)",
            f"map({r.choice(('str', 'int', 'lambda v: v * 2', 'abs'))}, {self.expression(1)})",
            f"set({self.expression(1)})",
        ))  # fmt: skip
        target = f"{self.bind()}, {self.bind()}" if over.startswith(("enum", "zip", "{")) else self.bind()
        lines = [f"for {target} in {over}:", *self.body(depth, loop=True)]
        return [*lines, "else:", *self.body(depth)] if r.random() < 0.2 else lines

    def while_(self, depth: int) -> list[str]:
        step = self.r.choice(("i += 1", "i += 2", "i = i * 2 + 1"))
        return ["i = 0", f"while i < {self.r.randint(0, 9)}:", f"    {step}", *self.body(depth, loop=True)]

    def attempt(self, depth: int) -> list[str]:
        r = self.r
        lines = ["try:", *self.body(depth)]
        for _ in range(r.randint(0, 2)):
            error = r.choice((*_ERRORS, "(ValueError, TypeError)"))
            name = f" as {self.bind()}" if r.random() < 0.6 else ""
            lines += [f"except {error}{name}:", *self.body(depth)]
            if name and r.random() < 0.7:
                shown = name.split()[-1]
                lines.append(f"    print({r.choice((shown, f'str({shown})', f'repr({shown})'))})")
        caught = len(lines) > 1 and any(line.startswith("except") for line in lines)
        if caught and r.random() < 0.2:
            lines += ["else:", *self.body(depth)]
        if not caught or r.random() < 0.2:
            lines += ["finally:", *self.body(depth)]
        return lines

    def function(self, depth: int) -> list[str]:
        r = self.r
        if len(self.functions) > 2:
            return [self.simple()]
        name, n = f"f{len(self.functions)}", r.randint(0, 2)
        before, inside = dict(self.known), (self.in_function, self.in_loop)
        self.in_function, self.in_loop = True, False
        parameters = ["x", "y"][:n]
        for p in parameters:
            self.known[p] = "int"
        shown = [p if r.random() < 0.7 else f"{p}={self.expression(0)}" for p in parameters]
        if len(shown) == 2 and "=" in shown[0] and "=" not in shown[1]:
            shown[1] += "=1"
        if r.random() < 0.15:
            shown.append(r.choice(("*rest", "**named", "*, k=2")))
        head = f"def {name}({', '.join(shown)}):"
        start = r.choice(([], [], ["    global total", "    total = 5"], ["    '''Doc.'''"], ["    n = 1"]))
        body = self.body(max(depth, 1))
        end = [f"    return {self.expression(2)}"] if r.random() < 0.8 else []
        self.known = before
        self.in_function, self.in_loop = inside
        self.functions.append((name, n))
        return [head, *start, *body, *end]

    def closure(self, depth: int) -> list[str]:
        r = self.r
        return r.choice((
            ["def outer(k):", "    total = k", "    def add(v):", "        nonlocal total",
             f"        total += v * {self.expression(0)}",
             "        return total", "    return add", "add = outer(3)", "print(add(1), add(2))"],
            ["fs = [lambda v, k=k: v + k for k in range(3)]", f"print([f({self.expression(1)}) for f in fs])"],
            ["fs = [lambda v: v + k for k in range(3)]", "print([f(1) for f in fs])"],
            ["def fact(k):", "    return 1 if k < 2 else k * fact(k - 1)", f"print(fact({r.randint(0, 12)}))"],
            ["def apply(f, *args, **kw):", "    return f(*args, **kw)", f"print(apply(max, {self.expression(1)}, 3))",
             "print(apply(lambda p, q=2: (p, q), 1, q=4))"],
            ["g = (v * 2 for v in xs)", "print(next(g, None), list(g), list(g))"],
            ["t = [(v, w) for v in range(3) for w in range(v) if (v + w) % 2]", "print(t, {v: w for v, w in t})"],
            ["it = iter(xs)", "print(next(it, 0), list(zip(it, it)))"],
            ["if (m := len(xs)) > 1:", "    print(m)", "print([last := v for v in xs], m)"],
        ))  # fmt: skip

    def class_(self, depth: int) -> list[str]:
        return [
            "class Box:", "    count = 0", "    def __init__(self, v, w=2):", "        self.v = v",
            "        self.w = w",
            "        Box.count += 1", "    def area(self):", f"        return self.v * self.w + {self.expression(0)}",
            "    def grow(self, by=1):", "        self.v += by", "        return self",
            f"box = Box({self.expression(1)})",
            "print(box.grow(2).area(), box.v, Box.count)",
        ]  # fmt: skip

    def unusual(self, depth: int) -> list[str]:
        r = self.r
        return r.choice((
            [f"match {self.expression(1)}:", "    case 1:", "        c = 1", "    case [p, *q]:", "        print(p, q)",
             "    case d:", "        print(d)"],
            ["import math as m", "print(m.floor(2.5))"], ["from math import sqrt as root, pi", "print(root(2), pi)"],
            [f"{r.choice(('sum', 'len', 'print', 'str', 'max'))} = {self.expression(1)}"],
            ["try:", "    1 / 0", "except ZeroDivisionError as a:", "    print(a)"],
            ["x: int = 3", "print(x)"], ["def gen():", "    yield 1", "print(list(gen()))"],
            ["for i in range(3):", "    pass", "else:", "    print(i)"], ["with open('x') as f:", "    pass"],
            [f"print('%s %d %.2f' % ({self.expression(1)}, {self.expression(0)}, {self.expression(1)}))"],
            [f"print('{{}} {{:.2f}} {{x}}'.format({self.expression(1)}, {self.expression(1)}, "
             f"x={self.expression(0)}))"],
            ["def f(n: int, m: float = 2.0) -> float:", "    return n / m", "print(f(3))"],
            [f"print({{{', '.join(self.constant() for _ in range(r.randint(1, 7)))}}})"],
            [f"print(set({self.expression(2)}) {r.choice('|&-^')} {{1, 2, 'a'}})"],
            ["while True:", "    n += 1", "    if n > 7: break", "print(n)"],
        ))  # fmt: skip

    def constant(self) -> str:
        r = self.r
        return r.choice(
            (
                str(r.randint(-9, 99)),
                str(r.randint(0, 2000)),
                repr(r.choice("abcdefgh") * r.randint(1, 3)),
                f"{r.random() * 9:.1f}",
            )
        )

    def test(self) -> str:
        r = self.r
        op = r.choice(_COMPARE).replace("-", " ")
        right = r.choice(("None", "None", "True", self.name())) if op.startswith("is") else self.expression(1)
        one = f"{self.expression(1) if op[:2] != 'is' else self.name()} {op} {right}"
        two = f"{self.expression(0)} <= {self.expression(1)} < {self.expression(0)}"
        return r.choice((one, one, f"not {self.name()}", f"{one} and {self.name()}", f"{self.name()} or {one}", two))

    def name(self) -> str:
        return self.r.choice(list(self.known)) if self.r.random() < 0.98 else self.r.choice(_NAMES)

    def index(self) -> str:
        return self.r.choice(("0", "-1", "1", "n", "2", self.expression(0)))

    def typed_as(self, kind: str, depth: int) -> str:
        r = self.r
        names = [n for n, k in self.known.items() if k == kind]
        if names and r.random() < 0.5:
            return r.choice(names)
        if kind == "int":
            return r.choice(
                (str(r.randint(0, 9)), str(r.randint(0, 10**6)), "len(s)", "-1", str(2 ** r.randint(20, 70)))
            )
        if kind == "float":
            return r.choice(
                (
                    f"{r.random() * 20:.2f}",
                    "0.1",
                    "2.675",
                    "1e16",
                    "-0.0",
                    "1e-7",
                    "0.5",
                    "2.5",
                    "float('inf')",
                    "1e308",
                    "float('nan')",
                )
            )
        if kind == "str":
            return r.choice((repr(r.choice(("", "x", "12", "été", "a b c", "a\nb", "ab" * 3))), "str(n)", "s"))
        if kind == "list":
            inside = ", ".join(self.expression(max(0, depth - 1)) for _ in range(r.randint(0, 4)))
            return r.choice(
                (
                    f"[{inside}]",
                    f"[{inside}]",
                    "xs",
                    f"list(range({r.randint(0, 8)}))",
                    "[v * 2 for v in xs]",
                    "[*xs, 1]",
                )
            )
        if kind == "dict":
            pairs = ", ".join(
                f"{self.constant()}: {self.expression(max(0, depth - 1))}" for _ in range(r.randint(0, 4))
            )
            return r.choice((f"{{{pairs}}}", f"{{{pairs}}}", "dict(zip(s, xs))", "{v: i for i, v in enumerate(s)}"))
        if kind == "set":
            return r.choice(
                (
                    f"{{{', '.join(self.constant() for _ in range(r.randint(1, 6)))}}}",
                    "set(xs)",
                    "set(s)",
                    "{v % 7 for v in range(20)}",
                    f"{{{self.name()}, 1, 2}}",
                )
            )
        if kind == "tuple":
            return r.choice((f"({self.expression(0)}, {self.expression(0)})", "tuple(xs)", "()", "(1,)"))
        return self.expression(depth)

    def typed(self, depth: int) -> tuple[str, str]:
        r = self.r
        kind = r.choice(("int", "int", "float", "str", "list", "list", "dict", "set", "tuple", "any"))
        return self.typed_as(kind, depth), kind

    def expression(self, depth: int) -> str:
        r = self.r
        kind = r.random()
        if depth <= 0 or kind < 0.2:
            roll = r.random()
            if roll < 0.5:
                return self.name()
            if roll < 0.8:
                return self.typed_as(r.choice(("int", "int", "float", "float", "str")), 0)
            return r.choice(("None", "True", "False", "[1, 2, 3]", "'a'", "(1, 2)", "{}", "0")) if self.wild else "2"
        deeper = depth - 1
        if kind < 0.42:
            numbers = not self.wild or r.random() < 0.5
            left = self.typed_as(r.choice(("int", "float")), deeper) if numbers else self.expression(deeper)
            right = self.typed_as(r.choice(("int", "float")), deeper) if numbers else self.expression(deeper)
            return f"({left} {r.choice(_BINARY[:11] if numbers else _BINARY)} {right})"
        if kind < 0.5:
            call = r.choice(_ONE)
            more = r.choice(("", "", "", "", "", f", {self.expression(0)}", ", key=str", ", 2"))
            if call in ("len", "str", "abs", "bool", "repr", "any", "all", "ord", "chr") and r.random() < 0.95:
                more = ""
            return f"{call}({self.expression(deeper)}{more})"
        if kind < 0.57:
            value = self.expression(deeper).replace("'", '"')
            if "\\" in value or "{" in value or "\n" in value or '"' in value:
                value = self.name()
            how, spec = r.choice(("", "", "!r", "!s", "!a")), r.choice(_SPECS)
            return f"f'v={{{value}{how}{':' + spec if spec else ''}}}'"
        if kind < 0.62:
            return f"({self.expression(deeper)} if {self.test()} else {self.expression(deeper)})"
        if kind < 0.66 and self.functions:
            name, n = r.choice(self.functions)
            return f"{name}({', '.join(self.expression(deeper) for _ in range(n if r.random() < 0.95 else n + 1))})"
        if kind < 0.7 and self.math:
            more = r.choice(("", "", f", {self.expression(0)}"))
            return f"math.{r.choice(_MATH)}({self.expression(deeper)}{more})"
        if kind < 0.74:
            over = r.choice(("range(4)", "xs", self.expression(deeper), "s"))
            what = r.choice(("v * 2", "v", "str(v)", "v + n", "(v, 1)", "v ** 2", self.expression(0)))
            test = r.choice(("", "", " if v", " if v != 1"))
            form = r.choice(
                (
                    "[{}]",
                    "sum({})",
                    "max({}, default=0)",
                    "list({})",
                    "{{{}}}",
                    "','.join({})",
                    "any({})",
                    "sorted({})",
                    "tuple({})",
                    "set({})",
                )
            )
            return form.format(
                f"{what} for v in {over}{test}"
                if "={}" not in form and "default" not in form
                else f"({what} for v in {over}{test})"
            )
        if kind < 0.77:
            return f"{self.typed_as('str', 0)}.{r.choice(_TEXT_METHODS)}"
        if kind < 0.8:
            return f"{self.typed_as('dict', deeper)}.{r.choice(_DICT_METHODS).format(self.expression(0))}"
        if kind < 0.82:
            return f"{self.typed_as('set', deeper)}.{r.choice(_SET_METHODS).format(self.expression(0))}"
        if kind < 0.86:
            i = r.choice(
                (self.index(), f"{self.index()}:", f":{self.index()}", "::-1", f"{self.index()}:{self.index()}:2")
            )
            return f"{self.typed_as(r.choice(('list', 'str', 'tuple', 'dict', 'list')), deeper)}[{i}]"
        if kind < 0.89:
            return self.typed(deeper)[0]
        if kind < 0.92:
            return f"round({self.typed_as('float', 0)}{r.choice(('', ', 1', ', 2', ', n', ', -1'))})"
        if kind < 0.95 and self.library:
            form = r.choice(_LIBRARY)
            return form.format(
                *(self.typed_as(r.choice(("int", "list", "list", "float")), deeper) for _ in range(form.count("{}")))
            )
        if kind < 0.97:
            return f"({self.test()})"
        return f"({r.choice('-+~')}{self.expression(deeper)})" if r.random() < 0.5 else f"(not {self.name()})"
