"""Checked samples as tests of what is learned from need them."""

from __future__ import annotations

from mmst.core.records import CheckedSample, Sample, Verdict


def sample(
    n: int, method: str = "code", *, passed: bool = True, of: str = "", problem_id: str = "p-train"
) -> CheckedSample:
    made = Sample(
        id=f"{'t' if of else 's'}-{n}",
        problem_id="p-train",
        method=method,
        index=n,
        prompt="asked",
        completion="chatter",
        finish="stop",
        prompt_tokens=1,
        tokens=1,
        seed=n,
        model="m",
        source_sample=of,
        target_prompt="solve directly" if of else "",
    )
    verdict = Verdict.PASSED if passed else Verdict.WRONG
    return CheckedSample(sample=made, verdict=verdict, solution=f"print({n})", answer="7")
