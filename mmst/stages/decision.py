"""The decision: whether a challenger should become champion. Pure: outcomes in, a `Decision` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmst.core import stats
from mmst.core.config import PromoteConfig
from mmst.core.records import Decision, Outcome, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A checkpoint's report with its per-item outcomes."""

    report: Report
    outcomes: Sequence[Outcome]


def decide(challenger: Evaluated, champion: Evaluated | None, rule: PromoteConfig) -> Decision:
    """Promote only what is better on the main task by the paired test, and nowhere clearly worse.

    Better: over all methods, more of the main task's problems solved, with p < `alpha` in the
    exact paired permutation test across problems (McNemar's when there is one method). Nowhere
    worse: no (task, method) loses more than `tolerance`. Without a champion: promoted. A problem for
    which a request failed, on either side, is left out of the comparisons that it would be in.
    """
    report = challenger.report

    def verdict(promote: bool, reason: str, gain: float = 0.0, p: float = 1.0, checks: Sequence[str] = ()) -> Decision:
        return Decision(
            promote=promote,
            challenger=report.checkpoint,
            champion=champion.report.checkpoint if champion else "",
            round=report.round,
            reason=reason,
            gain=gain,
            p_value=p,
            checks=tuple(checks),
        )

    if champion is None:
        return verdict(True, "the first champion: there is none to compare with")
    if champion.report.checkpoint == report.checkpoint:
        return verdict(False, "it is the champion already")
    now, before = _passes(challenger), _passes(champion)
    if report.heldout != champion.report.heldout or now.keys() != before.keys():
        return verdict(False, "not comparable: the champion was measured on other problems or by other methods")
    main = _differences(now, before, "main")
    if not main:
        return verdict(False, "nothing to decide by: no held-out problem of the main task")
    methods = sum(task == "main" for task, _, _ in now) / len({problem for task, _, problem in now if task == "main"})
    gain, p = sum(main) / (len(main) * methods), stats.sign_flip(main)
    low, high = (x / methods for x in stats.bootstrap(main))
    better = gain > 0 and p < rule.alpha
    left_out = len({problem for task, _, problem in now if task == "main"}) - len(main)
    unknown = f"; {left_out} more left out, since requests failed" if left_out else ""
    checks = [
        f"main, all methods: {_points(gain)} (95 % interval {_points(low)} to {_points(high)}), p = {p:.2g} "
        f"in the exact paired test over {len(main)} problems{unknown}; needs a gain with p < {rule.alpha:g}: "
        f"{_word(better)}"
    ]
    worse = []
    for task, method in sorted({(t, m) for t, m, _ in now}, key=lambda c: (c[0] != "main", c)):
        change = _differences(now, before, task, method)
        if not change:
            checks.append(f"{task}, {method}: no problem that both answered: {_word(False)}")
            worse.append(f"{method} on {task}, of which nothing is known")
            continue
        mean = sum(change) / len(change)
        holds = mean >= -rule.tolerance
        checks.append(
            f"{task}, {method}: {_points(mean)} ({change.count(1)} gained, {change.count(-1)} lost of {len(change)} "
            f"problems); not below {-100 * rule.tolerance:+.1f}: {_word(holds)}"
        )
        if not holds:
            worse.append(f"{method} on {task} by {abs(100 * mean):.1f} points")
    limit = f"tolerance {100 * rule.tolerance:.1f}"
    if better and not worse:
        return verdict(True, f"better by {_points(gain)} (p = {p:.2g}); nothing worse than {limit}", gain, p, checks)
    if better:
        return verdict(
            False, f"better by {_points(gain)}, but worse in {' and '.join(worse)} ({limit})", gain, p, checks
        )
    reason = f"not better: {_points(gain)}, p = {p:.2g} (needs a gain with p < {rule.alpha:g})"
    return verdict(False, reason + (f"; worse in {' and '.join(worse)}" if worse else ""), gain, p, checks)


Passes = Mapping[tuple[str, str, str], bool | None]
"""(task, method, problem) → whether the greedy sample passed; None where its request failed."""


def _passes(evaluated: Evaluated) -> Passes:
    return {(o.task, o.method, o.problem_id): o.passed for o in evaluated.outcomes}


def _differences(now: Passes, before: Passes, task: str, method: str = "") -> list[int]:
    """Per problem, sorted by id: passes now minus passes before, over one method or all; where all are known."""
    change: dict[str, int] = {}
    unknown: set[str] = set()
    for (t, m, problem), passed in now.items():
        if t == task and method in ("", m):
            was = before[t, m, problem]
            if passed is None or was is None:
                unknown.add(problem)
            else:
                change[problem] = change.get(problem, 0) + passed - was
    return [change[problem] for problem in sorted(change.keys() - unknown)]


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f} points"


def _word(holds: bool) -> str:
    return "yes" if holds else "NO"
