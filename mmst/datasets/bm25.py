"""BM25: which texts of a set have the most to do with another one, by the words that they share. Pure and exact.

Robertson and Zaragoza (2009), with the idf that is never negative (Lucene's). Equal scores stand in the order of the
texts themselves, so the order in which they were given changes nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

K1, B = 1.2, 0.75
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _WORD.findall(text.casefold())


class BM25:
    """An index of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], dtype=np.float64)
        norms = K1 * (1 - B + B * lengths / max(sum(count.total() for count in counts) / max(len(counts), 1), 1.0))
        where: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for at, count in enumerate(counts):
            for word, n in count.items():
                places, times = where[word]
                places.append(at)
                times.append(n)
        self._weights = {}
        for word, (places, times) in where.items():
            here, often = np.array(places), np.array(times, dtype=np.float64)
            idf = math.log(1 + (len(texts) - len(places) + 0.5) / (len(places) + 0.5))
            self._weights[word] = here, idf * often * (K1 + 1) / (often + norms[here])

    def top(self, query: str, most: int) -> list[int]:
        """The positions of the `most` best texts, the best first; fewer if fewer share a word with the query."""
        scores = np.zeros(len(self._texts))
        for word in sorted({word for word in words(query) if word in self._weights}):
            at, weights = self._weights[word]
            scores[at] += weights
        least = np.partition(scores, -most)[-most] if 0 < most < len(scores) else 0.0
        best = np.flatnonzero((scores >= least) & (scores > 0)).tolist()
        return sorted(best, key=lambda at: (-scores[at], self._texts[at]))[:most]
