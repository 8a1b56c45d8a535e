"""Warm fork servers: before forking, import packages and use them a little.

Standard library only: it runs inside the sandbox. A program forked afterwards must find what a
fresh interpreter would give it, only sooner. So caches are emptied again, counters and
generators set back, and modules that were imported by use alone, or by another package, are
hidden: a program gets them, ready made, when it imports them itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mmst.sandbox.guest import archive, packages

_NUMPY = """
import numpy as np
a = np.array([[1.0, 2.0], [3.0, 5.0]])
np.linalg.solve(a, np.array([1.0, 2.0])), np.linalg.inv(a), np.linalg.det(a), np.linalg.eigvals(a), a @ a
str(np.arange(10).reshape(2, 5)), np.mean(a), np.sum(a), np.prod([1, 2]), np.round(a.std(), 2), np.linspace(0, 1, 5)
np.cumsum([1, 2]), np.sqrt(2.0), np.argmax(a), np.where(a > 1), np.unique([1, 1]), str(np.float64(2.5))
np.roots([1, -3, 2])
np.random.rand(2), np.random.randint(0, 9), np.random.default_rng(0).random()
"""
_SYMPY = """
from sympy import *
x, y = symbols('x y')
solve(Eq(x + 3, 10), x), solve(x**2 - 5 * x + 6, x), solve([Eq(x + y, 10), Eq(x - 2 * y, 1)], [x, y]), solve(2**x - 8)
solve(x > 2), solveset(x**2 - 4, x, domain=S.Reals), nsolve(x**2 - 2, 1), solve(x**3 - 2 * x + 1, x)
str(simplify((x**2 - 1) / (x - 1))), str(expand((x + 1)**3)), str(factor(x**2 - 1)), latex(sqrt(x) / 2)
integrate(x * sin(x), x), integrate(x**2, (x, 0, 1)), diff(x**2 * exp(x), x), limit(sin(x) / x, x, 0)
summation(x, (x, 1, 10)), Sum(x, (x, 1, y)).doit(), Rational(1, 3) + Rational(1, 6), N(pi, 20), (sqrt(2) + 1).evalf()
factorint(360), isprime(97), gcd(12, 18), lcm(4, 6), divisors(28), binomial(10, 3), factorial(5), totient(10)
Matrix([[1, 2], [3, 4]]).det(), Matrix([[1, 2], [3, 4]]).inv(), Poly(x**2 - 1, x).all_coeffs(), nsimplify(0.5)
log(8, 2), floor(Rational(7, 2)), cos(pi / 3), trigsimp(sin(x)**2 + cos(x)**2), sympify('x + 1'), (x + y).subs(x, 1)
list(primerange(2, 20)), sqrt(8)
"""
_SCIPY = """
from scipy import integrate, interpolate, linalg, optimize, special, stats
optimize.brentq(lambda x: x - 2, 0, 5), optimize.fsolve(lambda x: x - 2, 1), integrate.quad(lambda x: x, 0, 1)
stats.norm.cdf(0), stats.binom.pmf(1, 2, 0.5), special.comb(5, 2), linalg.det([[1.0, 2.0], [3.0, 4.0]])
"""
_PANDAS = """
import pandas as pd
d = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})
str(d), d.a.sum(), d.groupby('b').a.mean(), d[d.a > 1], pd.to_datetime('2024-01-01'), d.describe()
"""
_TIMES = 3
"""Number of calls after which Python has adapted its code."""


def load(names: tuple[str, ...]) -> None:
    """Import and use these packages; exits if that has started a thread, which would not survive a fork."""
    before, late = set(sys.modules), set[str]()
    archives = [archive.Archive(packages.FOLDER)] if os.path.exists(archive.FILE) else []  # noqa: PTH110
    sys.meta_path[:0] = archives
    for name in names:
        tops = {module.partition(".")[0] for module in sys.modules}
        importlib.import_module(name)
        late |= {m for m in sys.modules if m not in before and "." in m and m.partition(".")[0] in tops}
        before = set(sys.modules)
    bound = {m: dict(vars(module)) for m, module in sys.modules.items() if hasattr(module, "__path__")}
    _use(names)
    for found in archives:
        sys.meta_path.remove(found)
        found.close()
    late |= {m for m in sys.modules if m not in before and "." in m}
    sys.meta_path.insert(0, _hide(late, bound))
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208
        raise SystemExit(f"importing {', '.join(names)} started threads")


def _use(names: tuple[str, ...]) -> None:
    """Call what programs call most, and reset what would show a program that this happened."""
    import random

    for name, calls in (("numpy", _NUMPY), ("scipy", _SCIPY), ("pandas", _PANDAS)):
        if name in names:
            _repeat(calls)
    if "sympy" in names:
        dummy, lambdify = sys.modules["sympy"].Dummy, sys.modules["sympy.utilities.lambdify"]
        counters = ((dummy, "_count"), (lambdify, "_lambdify_generated_counter"))
        before = [getattr(*counter) for counter in counters]
        _repeat(_SYMPY)
        sys.modules["sympy.core.cache"].clear_cache()
        dummy._base_dummy_index += dummy._count  # so that no symbol that is made from now on equals one of ours
        for counter, value in zip(counters, before, strict=True):
            setattr(*counter, value)
    random.seed(0)
    for module in packages.Seeds.modules:
        if module in sys.modules:
            sys.modules[module].seed(0)


def _repeat(calls: str) -> None:
    for _ in range(_TIMES):
        exec(calls, {})


def _hide(names: set[str], bound: dict[str, dict[str, Any]]) -> _Hidden:
    """Hide modules; `bound` are the names in packages before they were imported."""
    hidden = _Hidden({name: sys.modules.pop(name) for name in names})
    for name in names:
        package, _, own = name.rpartition(".")
        if package in sys.modules and package in bound:
            if own in bound[package] and bound[package][own] is not hidden.modules[name]:
                setattr(sys.modules[package], own, bound[package][own])
            else:
                vars(sys.modules[package]).pop(own, None)
    return hidden


class _Hidden:
    """Finds modules that were imported ahead of time, as if they were read from their files now."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self.modules = modules

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in self.modules:
            return None
        module = self.modules.pop(name)
        return ModuleSpec(name, self, loader_state=(module, module.__spec__))  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """See `importlib.abc.Loader`."""
        module: ModuleType = spec.loader_state[0]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed already; reset only what its import set."""
        assert module.__spec__
        module.__spec__ = module.__spec__.loader_state[1]
