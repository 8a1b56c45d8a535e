"""Intervals and p-values that count both kinds of luck: which problems were held out, and which seeds were drawn.

Problems and seeds are crossed: every seed's model meets the same held-out problems. A resample
draws problems and seeds, each with replacement, and takes the mean over both (the bootstrap for
crossed random effects: Owen 2007, Annals of Applied Statistics 1(2), "the pigeonhole bootstrap").
With few seeds a bootstrap over seeds is too narrow by √((S - 1)/S); the seeds' share of every
resample is widened by that factor. One seed alone says nothing of seeds: then the interval is
over problems only, and whoever shows it must say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval, two-sided p-value against 0, and the value of each seed."""

    value: float
    low: float
    high: float
    p: float
    seeds: tuple[float, ...]


def mean_difference(differences: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of `differences` [seeds, items] (one arm's passes minus another's, paired).

    >>> mean_difference(np.ones((3, 50))).low
    1.0
    """
    by_seed = _shares(differences.shape[1], resamples, seed) @ differences.T
    resampled = _over_seeds(by_seed, np.random.default_rng([seed, 1]))
    return _estimate(float(differences.mean()), resampled, differences.mean(axis=1))


def rank_correlation(
    gains: Array, disagreement: Array, families: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Spearman's correlation, over families and methods, of gain with disagreement.

    `gains` [seeds, methods, items] and `disagreement` [methods, items]; `families` names each
    item's. A resample draws problems within each family, and seeds.
    """
    rng = np.random.default_rng(seed)
    index = {family: i for i, family in enumerate(dict.fromkeys(families))}
    groups = [np.flatnonzero([index[f] == i for f in families]) for i in index.values()]

    def correlation(gains: Array, chosen: Sequence[npt.NDArray[np.int64]]) -> float:
        gained = np.array([gains[:, g].mean(axis=1) for g in chosen])
        apart = np.array([disagreement[:, g].mean(axis=1) for g in chosen])
        return spearman(gained.ravel(), apart.ravel())

    whole = correlation(gains.mean(axis=0), groups)
    found = np.empty(resamples)
    for i in range(resamples):
        chosen = [rng.choice(g, len(g)) for g in groups]
        found[i] = correlation(gains[rng.choice(len(gains), len(gains))].mean(axis=0), chosen)
    return _estimate(whole, found, np.array([correlation(g, groups) for g in gains]))


def spearman(a: Array, b: Array) -> float:
    """Spearman's rank correlation; 0 where one of the two does not vary.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0]))
    0.5
    """
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of claims (Holm 1979, Scandinavian Journal of Statistics 6(2)).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for position, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[i]))
        adjusted[i] = highest
    return adjusted


@lru_cache(maxsize=4)
def _shares(items: int, resamples: int, seed: int) -> Array:
    """How much of each resample every item is [resamples, items]; the same for all that is compared."""
    drawn = np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=resamples)
    return np.asarray(drawn / items)


def _over_seeds(by_seed: Array, rng: np.random.Generator) -> Array:
    """Means over drawn seeds of `by_seed` [resamples, seeds]."""
    resamples, seeds = by_seed.shape
    middle: Array = by_seed.mean(axis=1)
    if seeds == 1:
        return middle
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    return np.asarray(middle + math.sqrt(seeds / (seeds - 1)) * ((drawn * by_seed).sum(axis=1) - middle))


def _estimate(value: float, resampled: Array, seeds: Array) -> Estimate:
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2], method="nearest")
    # A resample at 0 counts for both sides, and so does one that was never drawn.
    sides: list[Callable[[Array, float], npt.NDArray[np.bool_]]] = [np.less_equal, np.greater_equal]
    p = min(1.0, 2 * min((int(side(resampled, 0.0).sum()) + 1) / (len(resampled) + 1) for side in sides))
    return Estimate(value=value, low=float(low), high=float(high), p=p, seeds=tuple(float(s) for s in seeds))


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
