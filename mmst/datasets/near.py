"""Near duplicates: questions that share most of their word 5-grams. Pure and exact, no hashing.

Numbers count as words. Two problems of one template with other numbers are different problems: every 5-gram over a
changed number differs, so they are well below the usual threshold. A copied question with one word changed or a
clause reordered is above it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mmst.datasets import normalise_question

N = 5


def grams(question: str) -> frozenset[tuple[str, ...]]:
    """The word 5-grams of a question; for fewer words, all its words as one gram."""
    words = [t for t in normalise_question(question).split() if any(c.isalnum() for c in t)]
    n = min(N, len(words))
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) if words else frozenset()


@dataclass(slots=True)
class NearIndex:
    """An index of questions, searched for near duplicates.

    `share` of two questions is the number of common grams over that of the one that has more.
    To reach `threshold` t, a question with m grams must share one of its ⌊(1 - t) m⌋ + 1 rarest
    with the other: only those are looked up, so that phrases which occur in every problem cost nothing.
    """

    threshold: float
    _questions: list[str] = field(default_factory=list)
    _grams: list[frozenset[int]] = field(default_factory=list)
    _ids: dict[tuple[str, ...], int] = field(default_factory=dict)
    _where: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, questions: Iterable[str]) -> None:
        """Add questions."""
        for question in questions:
            ids = frozenset(self._ids.setdefault(g, len(self._ids)) for g in grams(question))
            for g in ids:
                self._where[g].append(len(self._questions))
            self._questions.append(question)
            self._grams.append(ids)

    def nearest(self, question: str) -> tuple[str, float] | None:
        """The most similar question in the index and its share, if that reaches the threshold."""
        own = grams(question)
        known = frozenset(self._ids[g] for g in own if g in self._ids)
        need = max(math.ceil(self.threshold * len(own) - 1e-9), 1)
        if len(known) < need:
            return None
        rarest = sorted(known, key=lambda g: (len(self._where[g]), g))[: len(known) - need + 1]
        best: tuple[float, int] | None = None
        for at in sorted({at for g in rarest for at in self._where[g]}):
            share = len(known & self._grams[at]) / max(len(own), len(self._grams[at]))
            if share >= self.threshold - 1e-9 and (best is None or share > best[0]):
                best = share, at
        return (self._questions[best[1]], best[0]) if best else None
