"""What a program's names stand for, with bounds in place of values."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from mmst.harmless import bounds
from mmst.harmless.bounds import UNKNOWN, Items, Number, Text, Value

Env: TypeAlias = "dict[str, Value | Function]"


@dataclass
class Names:
    """What the names stand for at a place of the program; in a function also the module's."""

    own: Env
    module: Env | None = None
    local: frozenset[str] = frozenset()

    def get(self, name: str) -> Value | Function | None:
        """What a name stands for; None when the program has not given it a meaning."""
        if self.module is None or name in self.local:
            return self.own.get(name)
        return self.module.get(name)

    def copy(self) -> Names:
        """The same, to follow one of several ways."""
        return Names(dict(self.own), self.module, self.local)

    def become(self, others: list[Names]) -> bool:
        """Take on what holds in all of the others; False when there is none."""
        if not others:
            return False
        names = reduce(lambda a, b: a | b, (set(o.own) for o in others))
        self.own = {n: reduce(_either, (o.own.get(n, UNKNOWN) for o in others)) for n in names}
        return True


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the program defines."""

    node: ast.FunctionDef
    local: frozenset[str]


def _either(a: Value | Function, b: Value | Function) -> Value | Function:
    if isinstance(a, Function) or isinstance(b, Function):
        return a if a == b else UNKNOWN
    return bounds.join(a, b)


def state_of(names: Names) -> object:
    """All that the rest of a program depends on, when it is known exactly; else None."""
    for value in names.own.values():
        exact = value.exact if isinstance(value, Number) else not isinstance(value, Text | Items) and value != UNKNOWN
        if not exact:
            return None
    return frozenset(names.own.items())
