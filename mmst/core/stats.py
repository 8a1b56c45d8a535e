"""The statistics behind every number that MMST shows or decides by. Pure, standard library only.

The unit is always the held-out problem: intervals are across problems, and comparisons are
paired on them, so that two methods' results on one problem never count as two problems.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson(rate: float, n: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval (95 % by default) of a success rate over `n` problems.

    `rate` may be a mean of several 0/1 results a problem: such a mean varies at most as much
    as one result does, so the interval is then on the safe (wide) side. (0, 1) when n is 0.
    Source: E. B. Wilson, JASA 22 (1927).

    >>> [round(x, 3) for x in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    if n == 0:
        return 0.0, 1.0
    scale = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Without the outer min and max rounding leaves 1.1e-17 where the bound is 0.
    return min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased chance that one of `k` samples passes, of `n` drawn of which `correct` passed.

    1 - C(n - correct, k) / C(n, k), for 1 <= k <= n. Source: Chen et al. 2021, arXiv 2107.03374.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not (1 <= k <= n and 0 <= correct <= n):
        raise ValueError(f"pass_at_k needs 1 <= k <= n and 0 <= correct <= n, got n={n}, correct={correct}, k={k}")
    return (math.comb(n, k) - math.comb(n - correct, k)) / math.comb(n, k)


def majority(answers: Sequence[str | None]) -> str | None:
    """The commonest answer, the earliest among equally common ones; None when nobody answered.

    >>> majority(["7", None, "8", "8", None, None])
    '8'
    """
    votes = Counter(a for a in answers if a is not None)
    return max(votes, key=votes.__getitem__) if votes else None


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test: the p-value of `gained` against `lost` discordant pairs.

    >>> mcnemar(8, 1)
    0.0390625
    """
    return sign_flip([1] * gained + [-1] * lost)


def sign_flip(differences: Sequence[int]) -> float:
    """Two-sided exact paired permutation test: the p-value of the differences' sum.

    A difference is a problem's passes (over all methods) now minus its passes before. Were
    both checkpoints equally good, each difference could as well have the other sign; p is the
    share of all sign patterns whose sum is at least as far from 0. With one method (differences
    of -1, 0, 1) this is McNemar's exact test. Exact integers throughout, no sampling.
    """
    sizes = Counter(abs(d) for d in differences if d)
    # ways[s] = in how many sign patterns the positive ones sum to s; the total sum is 2 s - whole.
    ways = {0: 1}
    whole = 0
    for size, count in sorted(sizes.items()):
        whole += size * count
        choose = [math.comb(count, i) for i in range(count + 1)]
        wider: dict[int, int] = {}
        for s, w in ways.items():
            for i, c in enumerate(choose):
                wider[s + size * i] = wider.get(s + size * i, 0) + w * c
        ways = wider
    observed = abs(sum(differences))
    as_far = sum(w for s, w in ways.items() if abs(2 * s - whole) >= observed)
    return as_far / (1 << sum(sizes.values()))


def bootstrap(differences: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean difference, resampling problems (paired).

    Seeded: the same differences give the same interval. (0, 0) of no differences.
    """
    if not differences:
        return 0.0, 0.0
    rng, n = random.Random(seed), len(differences)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(resamples))
    return means[int(0.025 * (resamples - 1))], means[math.ceil(0.975 * (resamples - 1))]
