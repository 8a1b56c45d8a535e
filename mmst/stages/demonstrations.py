"""Which worked examples stand in a few-shot prompt (`prompt.demonstrations`).

built-in    the method's own: the same in every prompt
annotated   annotated problems with a solution by the method, drawn for each problem by its id
nearest     those whose questions have the most to do with the problem's (BM25), the nearest last

For a problem, neither itself is shown nor a near duplicate of it (`problems.near_duplicate`). To translate, annotated
problems with solutions by both methods are shown; where there is none, the two methods' own examples.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mmst.core.config import PromptConfig
from mmst.core.errors import UserError
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import Problem, digest, seed_of
from mmst.core.stored import records
from mmst.datasets.near import grams
from mmst.methods.prompts import Worked

if TYPE_CHECKING:
    from mmst.datasets.bm25 import BM25

BUILT_IN = "built-in"
_SPARE = 8
"""How many more of the nearest are looked at than are wanted: some may be near duplicates."""


class Demonstrations:
    """The annotated problems, of which each problem gets its own worked examples."""

    def __init__(self, annotated: Iterable[Problem], prompt: PromptConfig, near: float, methods: Sequence[str]) -> None:
        """`UserError` where no annotated problem has a solution by one of the `methods`."""
        self._all = sorted((p for p in annotated if p.solutions), key=lambda p: p.id)
        self._prompt, self._near, self._methods = prompt, near, methods
        self._pool = functools.cache(self._with)
        self._index = functools.cache(self._indexed)
        self._grams = functools.cache(grams)
        for name in methods:
            if not self._pool((name,)):
                raise UserError(
                    f"prompt.demonstrations={prompt.demonstrations} needs annotated problems with a solution by every "
                    "method, and there is none for one",
                    value=name,
                    remedy=f"add solutions by {name} to problems.annotated, or --set prompt.demonstrations={BUILT_IN}",
                )

    @property
    def digest(self) -> str:
        """Of all that can be shown: reports with other demonstrations do not compare."""
        shown = [[p.id, {name: p.solutions.get(name) for name in sorted(self._methods)}] for p in self._all]
        return digest([self._near, shown])

    def of(self, problem_id: str, question: str, *methods: str) -> Sequence[Worked] | None:
        """The examples for a problem, each a question and its solution by each of the `methods`.

        None: the methods' own, because no annotated problem has solutions by all of them.
        """
        pool = self._pool(methods)
        if not pool:
            return None
        own = self._grams(question)

        def other(p: Problem) -> bool:
            theirs = self._grams(p.question)
            common = len(own & theirs)
            return p.id != problem_id and not 0 < common >= self._near * max(len(own), len(theirs)) - 1e-9

        at = itertools.chain(self._nearest(question, methods), _drawn(len(pool), seed_of(problem_id, *methods)))
        chosen: dict[int, Problem] = {}
        for i in at:
            if len(chosen) == self._prompt.shots:
                break
            if i not in chosen and other(pool[i]):
                chosen[i] = pool[i]
        shown = list(chosen.values())
        if self._prompt.demonstrations == "nearest":
            shown.reverse()
        return [(p.question, *(p.solutions[name] for name in methods)) for p in shown]

    def _with(self, methods: tuple[str, ...]) -> list[Problem]:
        return [p for p in self._all if all(p.solutions.get(name, "").strip() for name in methods)]

    def _nearest(self, question: str, methods: tuple[str, ...]) -> Iterable[int]:
        if self._prompt.demonstrations != "nearest":
            return ()
        return self._index(methods).top(question, self._prompt.shots + _SPARE)

    def _indexed(self, methods: tuple[str, ...]) -> BM25:
        from mmst.datasets.bm25 import BM25  # numpy takes a while to import, and few recipes need it

        return BM25([p.question for p in self._pool(methods)])


def stored(
    store: Store, problems: Manifest, prompt: PromptConfig, near: float | None, methods: Sequence[str]
) -> Demonstrations | None:
    """Those of a recipe's annotated problems; None if the methods' own are shown."""
    return of(records(store, problems, Problem, "annotated-"), prompt, near, methods)


def of(
    annotated: Iterable[Problem], prompt: PromptConfig, near: float | None, methods: Sequence[str]
) -> Demonstrations | None:
    """As `stored`, of these problems."""
    return None if near is None else Demonstrations(annotated, prompt, near, methods)


def _drawn(n: int, seed: int) -> Iterator[int]:
    """The numbers below `n` in the order of a seed, as many as are asked for."""
    draw, moved = random.Random(seed), dict[int, int]()
    for i in range(n):
        j = draw.randrange(i, n)
        yield moved.get(j, j)
        moved[j] = moved.get(i, i)
