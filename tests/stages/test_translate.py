"""Which solutions are translated, and what the translations remember."""

from collections.abc import Mapping

from mmst.core.config import parse
from mmst.core.ports import Completion
from mmst.core.records import CheckedSample, Sample, Verdict
from mmst.stages.translate import Settings, requests, translated

QUESTIONS = {"p-1": "Ann has 3 apples and buys 4. How many now?", "p-2": "What is 5 times 6?"}


def checked(
    solution: str, method: str = "code", verdict: Verdict = Verdict.PASSED, index: int = 0, problem: str = "p-1"
) -> CheckedSample:
    sample = Sample(
        id=f"s-{problem}-{method}-{index}",
        problem_id=problem,
        method=method,
        index=index,
        prompt="?",
        completion=solution,
        finish="stop",
        prompt_tokens=1,
        tokens=1,
        seed=index,
        model="m",
    )
    return CheckedSample(sample=sample, verdict=verdict, solution=solution, answer="7")


def config(**translate: int) -> Settings:
    settings: Mapping[str, object] = {"translate": translate}
    return Settings.of(parse(settings))


def test_only_correct_solutions_are_translated() -> None:
    jobs = list(
        requests([checked("print(7)"), checked("print(8)", verdict=Verdict.WRONG, index=1)], QUESTIONS, config(), None)
    )
    assert [job.source.sample.id for job in jobs] == ["s-p-1-code-0"]


def test_a_solution_goes_into_every_other_method_and_not_into_its_own() -> None:
    jobs = list(
        requests([checked("print(7)"), checked("3 + 4 = 7 .\nThe answer is 7", "text")], QUESTIONS, config(), None)
    )
    assert [(job.source.sample.method, job.target) for job in jobs] == [("code", "text"), ("text", "code")]


def test_solutions_that_differ_only_in_layout_are_translated_once() -> None:
    jobs = list(
        requests([checked("print(3 + 4)"), checked("print( 3+4 )", index=1)], QUESTIONS, config(sources=2), None)
    )
    assert len(jobs) == 1


def test_at_most_the_sources_asked_for_are_translated_per_problem_and_method() -> None:
    many = [checked(f"print({n})", index=n, problem=p) for p in QUESTIONS for n in range(5)]
    jobs = list(requests(many, QUESTIONS, config(sources=3), None))
    assert [job.source.sample.problem_id for job in jobs] == ["p-1"] * 3 + ["p-2"] * 3


def test_the_prompt_shows_question_and_source_and_ends_with_the_target_s_label() -> None:
    (job,) = requests([checked("print(7)")], QUESTIONS, config(), None)
    assert job.request.prompt == f"Question: {QUESTIONS['p-1']}\nPython:\nprint(7)\nText:\n"


def test_a_translation_carries_its_lineage_and_the_prompt_it_is_trained_under() -> None:
    jobs = list(requests([checked("print(7)")], QUESTIONS, config(n=2), None))
    a, b = (Completion(text=t, finish="stop", prompt_tokens=9, tokens=3) for t in ("a", "b"))
    first, second = translated(jobs[0], 0, a, "sha256:m"), translated(jobs[0], 1, b, "sha256:m")
    assert (first.source_sample, first.source_method, first.method) == ("s-p-1-code-0", "code", "text")
    assert first.target_prompt == f"Question: {QUESTIONS['p-1']}\nText:\n"
    assert first.id != second.id


def test_a_request_s_seed_depends_only_on_its_source_and_target() -> None:
    one = next(iter(requests([checked("print(7)")], QUESTIONS, config(), None)))
    among = list(requests([checked("print(9)", problem="p-2"), checked("print(7)")], QUESTIONS, config(), None))[1]
    assert one.request == among.request
