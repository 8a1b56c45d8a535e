"""When a training run has diverged, by its losses alone; measured curves and made-up ones."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import TrainConfig
from mmst.core.errors import DivergedError
from mmst.training.guard import FLOOR, JUDGED, RUNNING, Guard

S = TrainConfig(lr=0.5)


def stops_at(losses: list[float], start: float = 1.0, s: TrainConfig = S, resumed_at: int = 0) -> int:
    """The step at which it stops; 0 when it does not."""
    guard = Guard(s, start, losses[:resumed_at])
    for step, loss in enumerate(losses[resumed_at:], resumed_at + 1):
        try:
            guard.check(loss)
        except DivergedError:
            return step
    return 0


def noisy(level: float, steps: int, seed: int = 1, spread: float = 0.5) -> list[float]:
    rng = random.Random(seed)
    return [level * math.exp(rng.gauss(0, spread)) for _ in range(steps)]


# Measured: the shipped small model, its own kind of problems, no warm-up or a tenth (bench by hand; losses thinned).
HIGH_RATE = [0.12, 17.992, 37.844, 60.0, 122.0, 194.015, 150.0, 101.0, 80.2, 70.1, 52.3, 30.0, 15.289, *[15.3] * 4]
TURNED = [0.12, 0.159, 0.123, 0.9, 2.2, 5.962, 4.1, 3.9, 3.2, 2.8, 2.6, 2.4, 2.1, 1.9, *[1.86] * 6]

DIVERGED = {
    "from the second step": (0.12, HIGH_RATE),
    "within the warm-up": (0.12, TURNED),
    "the issue's": (0.03, [0.03, 0.03, *[28.7] * 20]),
    "after it had learnt": (
        9.0,
        [9.0, 6.0, 3.0, *noisy(1.0, 60, spread=0.2), *noisy(9.0, 20, spread=0.2)],
    ),
    "slowly": (1.0, [1.0 * 1.1**n for n in range(40)]),
    "from a best mean below the start": (2.0, [*[2.0] * 10, *[0.2] * 40, *[1.5] * 20]),
    "and stays at the level of guessing": (0.3, [0.3, *noisy(6.2, 30, spread=0.3)]),
    "far above, in noise": (1.0, [1.0, *noisy(60.0, 30, spread=0.8)]),
    "after a loss near zero": (0.001, [*[0.001] * 50, *[0.7] * 20]),
    "with a low first batch": (0.5, [0.001, *[4.0] * 20]),
}


@pytest.mark.parametrize("what", DIVERGED)
def test_a_divergence_stops(what: str) -> None:
    start, losses = DIVERGED[what]
    assert stops_at(losses, start)


def bimodal(hard: float, easy: float, share: float, steps: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [hard if rng.random() < share else easy for _ in range(steps)]


USUAL = {
    "falls": (9.0, [9.0 * 0.95**n for n in range(100)]),
    "falls to zero": (9.0, [9.0 * 0.5**n for n in range(100)]),
    "begins at zero": (0.0, [0.0] * 50),
    "begins near zero and wavers": (0.003, noisy(0.01, 300, spread=1.5)),
    "level": (3.0, [3.0] * 100),
    "gets a little worse": (1.0, [1.0 + n / 50 for n in range(100)]),
    "noise of single examples": (1.0, noisy(1.0, 3000, spread=1.2)),
    "noise while it falls": (6.0, [n * 0.997**i for i, n in enumerate(noisy(6.0, 1000, spread=0.8))]),
    "one hard batch": (1.0, [*[1.0] * 30, 99.0, *[1.0] * 30]),
    "some hard batches": (1.0, [*[1.0] * 30, *[99.0] * (JUDGED - 1), *[1.0] * 30]),
    "a hard batch first": (1.0, [99.0, *[1.0] * 30]),
    "a bump of the warm-up": (1.0, [1.0, 1.0, 2.0, 3.5, 3.9, 3.5, 3.0, *[2.0] * 10, *[1.0] * 50]),
    "a long bump below the limit": (1.0, [*[1.0] * 5, *[3.9] * 40, *[1.0] * 40]),
    "at the floor": (0.0, [*[0.0] * 40, *[3.9 * FLOOR] * 40]),
    "just begun": (0.1, [50.0] * (JUDGED - 1)),
    "harder after an easy stretch": (1.5, [*[1.5] * 20, *[0.5] * 40, *[1.9] * 40]),
    "very high at the start": (50.0, [50.0 * 0.9**n for n in range(60)]),
    **{f"{share:.0%} hard": (3.0 * share, bimodal(3.0, 0.001, share, 3000, 7)) for share in (0.1, 0.3, 0.5, 0.6)},
}


@pytest.mark.parametrize("what", USUAL)
def test_usual_training_goes_on(what: str) -> None:
    start, losses = USUAL[what]
    assert stops_at(losses, start) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("spike", [0.0, 4.0])
def test_a_loss_that_is_no_number_stops_at_once(bad: float, spike: float) -> None:
    s = TrainConfig(spike=spike)
    assert stops_at([1.0, 1.0, bad], s=s) == 3
    assert stops_at([bad], s=s) == 1
    with pytest.raises(DivergedError, match="the loss before training is"):
        Guard(s, bad)
    with pytest.raises(DivergedError, match="after 0 steps is"):
        Guard(s, 1.0).check_end(bad)


def test_a_spike_of_0_never_stops() -> None:
    s = TrainConfig(spike=0.0)
    assert stops_at([0.1, *[1e6] * 100], 0.1, s) == 0
    Guard(s, 0.1).check_end(1e6)


@given(st.sampled_from(sorted(DIVERGED)), st.data())
def test_a_resumed_run_stops_where_an_undisturbed_one_does(what: str, data: st.DataObject) -> None:
    start, losses = DIVERGED[what]
    whole = stops_at(losses, start)
    assert stops_at(losses, start, resumed_at=data.draw(st.integers(0, whole - 1))) == whole


@pytest.mark.parametrize(("end", "stops"), [(3.99, False), (4.01, True), (0.0, False), (1e9, True)])
def test_the_end_is_judged_on_the_batches_of_the_start(end: float, stops: bool) -> None:
    guard = Guard(S, 1.0)
    if not stops:
        guard.check_end(end)
        return
    with pytest.raises(DivergedError, match=f"after 0 steps is {end:.3f}, above 4.000"):
        guard.check_end(end)


def test_the_end_is_judged_by_the_best_mean_too() -> None:
    guard = Guard(S, 5.0, [0.5] * (RUNNING + JUDGED))
    guard.check_end(1.9)
    with pytest.raises(DivergedError, match=r"4 times the best running mean \(0\.500\)"):
        guard.check_end(2.1)


def test_the_message_says_what_the_values_and_the_remedy() -> None:
    guard = Guard(S, 0.03, [0.03, *[28.7] * (JUDGED - 1)])
    with pytest.raises(DivergedError) as raised:
        guard.check(28.7)
    assert str(raised.value) == (
        "training diverged: the loss of steps 2 to 17 was never below 28.700, above 0.400, which is train.spike=4 "
        "times the loss before training (0.030, counted as 0.1). Remedy: lower train.lr=0.5, e.g. --set train.lr=0.05, "
        "raise train.warmup, or look at the data (mmst show)"
    )
    assert raised.value.exit_code != 0
