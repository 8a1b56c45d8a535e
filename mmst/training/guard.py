"""The one rule for when fine-tuning has diverged, whatever engine trains. Pure.

    start     the mean loss of the first `MEASURED` batches, measured before anything is learnt
    best      the lowest mean of `RUNNING` losses in a row, once there are so many before the judged ones
    limit     `train.spike` times the lower of the two, or times `FLOOR` where that is higher

Training stops with `DivergedError`

1. at once when a loss is not a finite number;
2. when each of the last `JUDGED` losses is above the limit. Where a batch is a single hard or easy example,
   losses differ by factors of hundreds; but then easy ones come in between, and after a divergence none does;
3. at the end, when the batches that gave `start`, measured again, are above the limit. This sees what the
   last updates did, and what short runs do.

A model that learns nothing, or gets worse by less, has not diverged: evaluation and promotion judge it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

from mmst.core.config import TrainConfig
from mmst.core.errors import DivergedError

MEASURED = 8
RUNNING = 20
JUDGED = 16
FLOOR = 0.1
"""Mean losses below this count as this: near zero, any hard batch is a multiple of the mean."""


class Guard:
    """Judges the losses of one training run step by step; its state is `start` and the losses so far."""

    def __init__(self, s: TrainConfig, start: float, before: Iterable[float] = ()) -> None:
        """`before` are the losses of a resumed run; they have already been judged."""
        self._settings, self.start, self.best = s, start, math.inf
        self._losses: list[float] = []
        self._finite(start, "the loss before training")
        for loss in before:
            self._add(loss)

    @property
    def limit(self) -> float:
        """A loss that stays above this means that the model has diverged."""
        return self._settings.spike * max(min(self.start, self.best), FLOOR) or math.inf

    def check(self, loss: float) -> None:
        """Judge the loss of the next step."""
        self._finite(loss, f"the loss of step {len(self._losses) + 1}")
        self._add(loss)
        latest = self._losses[-JUDGED:]
        if len(latest) == JUDGED and min(latest) > self.limit:
            steps = f"{len(self._losses) - JUDGED + 1} to {len(self._losses)}"
            raise self._diverged(f"the loss of steps {steps} was never below {min(latest):.3f}")

    def check_end(self, loss: float) -> None:
        """Judge the loss of the first batches after training."""
        what = f"the loss of the first batches after {len(self._losses)} steps"
        self._finite(loss, what)
        if loss > self.limit:
            raise self._diverged(f"{what} is {loss:.3f}")

    def _add(self, loss: float) -> None:
        self._losses.append(loss)
        before = self._losses[-JUDGED - RUNNING : -JUDGED]
        if len(before) == RUNNING:
            self.best = min(self.best, fmean(before))

    def _finite(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"training diverged: {what} is {loss}", remedy=self._remedy())

    def _diverged(self, what: str) -> DivergedError:
        measure = "the best running mean" if self.best < self.start else "the loss before training"
        low = min(self.start, self.best)
        floor = f", counted as {FLOOR:g}" if low < FLOOR else ""
        return DivergedError(
            f"training diverged: {what}, above {self.limit:.3f}, which is train.spike={self._settings.spike:g} times "
            f"{measure} ({low:.3f}{floor})",
            remedy=self._remedy(),
        )

    def _remedy(self) -> str:
        lr = self._settings.lr
        lower = f"lower train.lr={lr:g}, e.g. --set train.lr={lr / 10:g}"
        return f"{lower}, raise train.warmup, or look at the data (mmst show)"
