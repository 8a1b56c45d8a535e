"""Requests that failed for good: one record each, counted apart, asked again, never a wrong answer."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmst.core import stats
from mmst.core.config import PromoteConfig, parse
from mmst.core.errors import ConfigError, DamagedError, SamplerError, SetupError
from mmst.core.manifest import Manifest
from mmst.core.ports import Completion, Request, Unfinished, failed
from mmst.core.records import CheckedSample, Outcome, Report, Sample, Verdict, digest, from_json, to_json
from mmst.core.results import Measured
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import load, records
from mmst.runs.summary import RoundSummary, RunSummary, _notes
from mmst.stages import selection, translate
from mmst.stages.decision import Evaluated, decide
from mmst.storage.folder import FolderStore
from mmst.wiring import api_key
from tests.stages import test_sample, test_verify
from tests.support.fakes import Echo, Scripted
from tests.support.promotion import candidate, checkpoint, engines, prepared, problem
from tests.support.promotion import evaluated as evaluation

MAIN = [problem(n) for n in range(10)]


class Failing(Echo):
    """Echoes, but for requests that it fails; after `most` requests the server is gone."""

    def __init__(self, fails: Callable[[Request], str] = lambda r: "", most: int = 10**6) -> None:
        super().__init__()
        self.fails, self.left = fails, most

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        answers: list[list[Completion] | None] = []
        echoed = super().sample(requests, on_done)
        for r, answer in zip(requests, echoed, strict=True):
            self.left -= 1
            why = self.fails(r)
            answers.append(None if self.left < 0 else [failed(why)] * r.n if why else answer)
        if None in answers:
            raise Unfinished("gone", answers)
        return [answer for answer in answers if answer is not None]


def asked(model: Echo) -> list[str]:
    return [r.id for call in model.calls for r in call]


def drawn(folder: Path) -> list[Sample]:
    lines = itertools.chain.from_iterable(p.read_bytes().splitlines() for p in sorted(folder.rglob("shard-*.jsonl")))
    return [from_json(Sample, line) for line in lines]


def sampled(folder: Path, model: Echo, *, share: float = 1.0, purpose: str = "train") -> Manifest:
    return test_sample.run(test_sample.engines(folder, model, failures=share), purpose)


def first_of(kind: str, n: int) -> Callable[[Request], str]:
    """Fails n different requests."""
    seen: dict[str, int] = {}
    return lambda r: kind if seen.setdefault(r.id, len(seen)) < n else ""


@pytest.mark.parametrize("purpose", ["train", "heldout"])
@pytest.mark.parametrize("n", [0, 1, 2, 10])
def test_every_completion_that_is_asked_for_has_one_record(tmp_path: Path, n: int, purpose: str) -> None:
    made = sampled(tmp_path, Failing(first_of("HTTP 400: too long", n)), purpose=purpose)
    found = list(records(FolderStore(tmp_path), made, Sample))
    assert len({(s.problem_id, s.method, s.index) for s in found}) == len(found) == made.counts["asked"]
    counted = Counter(s.failed for s in found)
    assert (made.counts["samples"], made.counts["failed"]) == (counted[False], counted[True])
    assert made.counts["text.samples"] + made.counts["code.samples"] == made.counts["samples"]
    assert {s.failure for s in found if s.failed} <= {"HTTP 400: too long"}
    assert all((s.completion == "") == s.failed == bool(s.failure) for s in found)


def test_more_failures_than_allowed_stop_the_stage_with_kinds_problems_and_remedy(tmp_path: Path) -> None:
    why = {"0": "HTTP 400: the prompt is longer than 4096", "1": "content filter: withheld"}
    counter = itertools.count()
    model = Failing(lambda r: why.get(str(next(counter)), ""))
    with pytest.raises(SamplerError) as e:
        sampled(tmp_path, model, share=0.01)
    said = str(e.value)
    (first, second) = [s.problem_id for s in drawn(tmp_path) if s.failed][::2]
    assert "4 of 20 completions failed" in said
    assert "allows 0" in said
    assert f"2 × HTTP 400 (the prompt is longer than 4096), e.g. problem {first}" in said
    assert f"2 × content filter (withheld), e.g. problem {second}" in said
    assert "Remedy: " in said
    assert "--set sampling.failures=0.4" in said
    assert len(model.calls) == 1, "it stops as soon as it is too much"


@pytest.mark.parametrize(("share", "stops"), [(0.0, True), (0.05, True), (0.0999, True), (0.1, False), (1.0, False)])
def test_the_share_is_of_all_that_the_stage_asks_for(tmp_path: Path, share: float, stops: bool) -> None:
    model = Failing(first_of("HTTP 400: no", 1))  # 2 of 20
    if stops:
        with pytest.raises(SamplerError):
            sampled(tmp_path, model, share=share)
    else:
        assert sampled(tmp_path, model, share=share).counts["failed"] == 2


def test_the_same_command_again_asks_for_what_failed_alone_and_ends_as_if_nothing_had(tmp_path: Path) -> None:
    whole = sampled(tmp_path / "whole", Echo())
    with pytest.raises(SamplerError):
        sampled(tmp_path / "again", Failing(first_of("HTTP 400: no", 1)), share=0.0)
    (gone,) = {s.id for s in drawn(tmp_path / "again") if s.failed and s.index == 0}
    second = Echo()
    made = sampled(tmp_path / "again", second, share=0.0)
    assert made.digest == whole.digest
    first_shard = [r for r in second.calls[0]]
    assert len(first_shard) == 1
    assert gone in {s.id for s in drawn(tmp_path / "again") if s.seed == first_shard[0].seed and not s.failed}


def test_a_completion_that_a_filter_took_leaves_the_others_of_its_request_as_they_are(tmp_path: Path) -> None:
    class Filtered(Echo):
        def sample(self, requests: Any, on_done: Any = None, on_tokens: Any = None) -> list[list[Completion]]:
            answers = super().sample(requests)
            answers[0][1] = failed("content filter: withheld")
            return answers

    with pytest.raises(SamplerError, match="1 of 20"):
        sampled(tmp_path, Filtered(), share=0.01)
    before = {s.id: s for s in drawn(tmp_path)}

    class Other(Echo):
        def sample(self, requests: Any, on_done: Any = None, on_tokens: Any = None) -> list[list[Completion]]:
            return [[Completion(text="new", finish="stop", prompt_tokens=1, tokens=1)] * r.n for r in requests]

    sampled(tmp_path, Other())
    changed = [s for s in drawn(tmp_path) if before.get(s.id, s) != s]
    assert [(before[s.id].failed, s.completion) for s in changed] == [(True, "new")]


def test_what_was_answered_before_the_server_went_is_kept(tmp_path: Path) -> None:
    whole = sampled(tmp_path / "whole", Echo())
    first = Failing(most=7)
    with pytest.raises(Unfinished, match="gone"):
        sampled(tmp_path / "again", first, share=0.0)
    second = Echo()
    assert sampled(tmp_path / "again", second, share=0.0).digest == whole.digest
    assert len(asked(second)) == 10 - 7
    assert not set(asked(second)) & set(asked(first)[:7])


def test_a_server_that_goes_at_once_leaves_no_shard(tmp_path: Path) -> None:
    with pytest.raises(Unfinished):
        sampled(tmp_path, Failing(most=0))
    assert drawn(tmp_path) == []


class Told(Failing):
    """Also says what it is."""

    def __init__(self, most: int = 10**6, **said: str) -> None:
        super().__init__(most=most)
        self.said = said

    def stated(self) -> dict[str, str]:
        return self.said


def told(name: str, what: str) -> dict[str, Any]:
    return {name: what}


@pytest.mark.parametrize("name", ["model", "fingerprint", "checkpoint"])
def test_a_stage_that_was_begun_with_one_server_does_not_go_on_with_another(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unfinished):
        sampled(tmp_path, Told(most=5, **told(name, "a")))
    before = drawn(tmp_path)
    with pytest.raises(SamplerError, match=f"{name} 'a', and this one says 'b'.*Remedy"):
        sampled(tmp_path, Told(**told(name, "b")))
    assert drawn(tmp_path) == before
    assert sampled(tmp_path, Told(**told(name, "a"))).counts["failed"] == 0


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"model": "b"}', b"[" * 100_000, b"\xff"])
def test_what_is_kept_of_the_server_is_believed_only_as_it_was_written(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(Unfinished):
        sampled(tmp_path, Told(most=5, model="a"))
    [kept] = tmp_path.rglob("server.json")
    kept.write_bytes(damage)
    for name in ("a", "b"):
        with pytest.raises(DamagedError, match=r"server\.json .*Remedy: delete it, if the server is still the same"):
            sampled(tmp_path, Told(model=name))
    kept.unlink()
    assert sampled(tmp_path, Told(model="a")).counts["failed"] == 0


@pytest.mark.parametrize("said", [{}, {"model": "m"}, {"model": "m", "fingerprint": "f"}])
def test_a_server_that_says_less_or_more_than_before_goes_on(tmp_path: Path, said: dict[str, str]) -> None:
    with pytest.raises(Unfinished):
        sampled(tmp_path / "again", Told(most=5, model="m"))
    whole = sampled(tmp_path / "whole", Echo())
    assert sampled(tmp_path / "again", Told(**dict[str, Any](said))).digest == whole.digest


def test_a_complete_stage_does_not_ask_again_for_what_failed(tmp_path: Path) -> None:
    made = sampled(tmp_path, Failing(first_of("HTTP 400: no", 1)))
    again = Echo()
    assert sampled(tmp_path, again).digest == made.digest
    assert again.calls == []


def test_a_failed_sample_is_neither_run_nor_judged(tmp_path: Path) -> None:
    lost = [
        replace(s, completion="", finish="failed", tokens=0, failure="HTTP 400: too long")
        for s in (test_verify.ASKED[0], test_verify.ASKED[-1])
    ]
    box = Scripted()
    world = test_verify.Wired(tmp_path, box)
    manifest = test_verify.run(world, *test_verify.inputs(world, [lost[0], *test_verify.ASKED[1:-1], lost[1]]))
    found = test_verify.checked(world, manifest)
    assert [(c.verdict, c.answer, c.detail) for c in (found[0], found[-1])] == 2 * [
        (Verdict.FAILED, None, "HTTP 400: too long")
    ]
    assert not any(c.passed or c.teaches for c in (found[0], found[-1]))
    assert "" not in box.ran
    assert (manifest.counts["failed"], manifest.counts["code.failed"], manifest.counts["text.failed"]) == (2, 1, 1)
    for prefix in ("", "text.", "code."):
        assert sum(manifest.counts.get(f"{prefix}{v.value}", 0) for v in Verdict) == manifest.counts[f"{prefix}asked"]


def failing(sample: CheckedSample) -> CheckedSample:
    gone = replace(sample.sample, completion="", finish="failed", failure="HTTP 400: no")
    return replace(sample, sample=gone, verdict=Verdict.FAILED, answer=None, solution="")


def measured(
    world: Any, passes: Callable[[Any, str, int], bool], fails: Callable[[str, str, int], bool], name: str = "m"
) -> Manifest:
    """An evaluation in which the samples fail of which `fails(problem, method, index)` is true."""
    _, made = candidate(world, name, passes, MAIN)
    samples = list(records(world.store, _checked(world, made), CheckedSample))
    samples = [failing(c) if fails(c.sample.problem_id, c.sample.method, c.sample.index) else c for c in samples]
    stage = StageFolder.open(world.store, "verify", version=2, config=[to_json(c) for c in samples], inputs={})
    stage.write_records("shard-00000.jsonl", samples)
    results = stage.finish(shards=["shard-00000.jsonl"])
    return evaluation(world, prepared(world.store, heldout=MAIN), results, checkpoint(world.store, name))


def _checked(world: Any, made: Manifest) -> Manifest:
    names = (n for n in world.store.names("stages/verify/") if n.endswith("manifest.json"))
    return next(m for m in (load(world.store, n) for n in names) if m.digest == made.inputs["checked"])


def result(world: Any, made: Manifest) -> tuple[dict[tuple[str, str], Any], list[Outcome]]:
    report = made.result(Measured).report
    return {(s.task, s.method): s for s in report.scores}, list(records(world.store, made, Outcome))


def test_a_failed_greedy_sample_is_left_out_of_the_accuracy_and_counted(tmp_path: Path) -> None:
    world = engines(tmp_path)
    right, lost = {p.id for p in MAIN[:6]}, {MAIN[0].id, MAIN[9].id}
    made = measured(world, lambda p, m, i: p.id in right, lambda p, m, i: p in lost and m == "code")
    scores, outcomes = result(world, made)
    code, text, mean = (scores["main", m] for m in ("code", "text", "*"))
    assert (code.n, code.failed, code.pass_at_1) == (8, 2, 5 / 8)
    assert (code.low, code.high) == stats.wilson(5 / 8, 8)
    assert (text.n, text.failed, text.pass_at_1) == (10, 0, 0.6)
    assert (mean.n, mean.failed, mean.pass_at_1) == (8, 2, (5 / 8 + 0.6) / 2)
    assert sum(n for _, n in made.result(Measured).families.values()) == 18
    counts = made.counts
    assert (counts["outcomes"], counts["passed"], counts["failed"]) == (20, 11, 2)
    assert sum(o.passed is False for o in outcomes) == 20 - 11 - 2


@pytest.mark.parametrize("k", [0, 1, 4])
def test_outcomes_add_up_to_what_was_asked(tmp_path: Path, k: int) -> None:
    world = engines(tmp_path, evaluate__k=k)
    made = measured(world, lambda p, m, i: i % 2 == 0, lambda p, m, i: int(digest([p, m, i])[7:9], 16) % 3 == 0)
    _, outcomes = result(world, made)
    assert any(o.failed for o in outcomes)
    assert all((o.passed is not None) + o.sampled + o.failed == 1 + k for o in outcomes)
    assert all(o.correct <= o.sampled for o in outcomes)


def test_pass_at_k_takes_only_problems_whose_samples_were_drawn(tmp_path: Path) -> None:
    world = engines(tmp_path, evaluate__k=4)
    lost, right = MAIN[0].id, {p.id for p in MAIN[:4]}
    made = measured(world, lambda p, m, i: p.id in right, lambda p, m, i: p == lost and i > 0)
    scores, outcomes = result(world, made)
    assert scores["main", "text"].pass_at_k == {k: pytest.approx(3 / 9) for k in ("1", "2", "4")}
    assert scores["main", "text"].majority == pytest.approx(3 / 9)
    assert scores["main", "text"].pass_at_1 == 0.4
    assert [(o.sampled, o.majority) for o in outcomes if o.problem_id == lost] == 2 * [(0, None)]


def test_a_method_whose_greedy_samples_all_failed_has_no_accuracy_but_an_interval_of_everything(tmp_path: Path) -> None:
    world = engines(tmp_path)
    made = measured(world, lambda p, m, i: True, lambda p, m, i: m == "code")
    scores, _ = result(world, made)
    assert (scores["main", "code"].n, scores["main", "code"].low, scores["main", "code"].high) == (0, 0.0, 1.0)


def evaluated(name: str, passes: Sequence[bool | None], methods: Sequence[str] = ("text",)) -> Evaluated:
    outcomes = [
        Outcome(problem_id=f"p{i}", task="main", family="", method=m, passed=passed)
        for m in methods
        for i, passed in enumerate(passes)
    ]
    return Evaluated(report=Report(checkpoint=name, heldout="h", round=1, arm="mmst", scores=()), outcomes=outcomes)


def test_the_paired_test_is_over_the_problems_that_both_have_answered() -> None:
    both = [True] * 12 + [False] * 8
    now, before = evaluated("b", [None, *both[1:]]), evaluated("a", [False] * 19 + [None])
    whole = decide(evaluated("b", both[1:-1]), evaluated("a", [False] * 18), PromoteConfig())
    found = decide(now, before, PromoteConfig())
    assert (found.promote, found.gain, found.p_value) == (True, whole.gain, whole.p_value)
    assert "18 problems; 2 more left out, since requests failed" in found.checks[0]


def test_failures_alone_promote_nothing() -> None:
    now, before = evaluated("b", [None] * 20), evaluated("a", [False] * 20)
    found = decide(now, before, PromoteConfig())
    assert not found.promote
    assert "nothing to decide by" in found.reason


def test_a_related_task_of_which_nothing_is_known_stops_a_promotion() -> None:
    def with_related(e: Evaluated, passed: bool | None) -> Evaluated:
        return replace(e, outcomes=[*e.outcomes, replace(e.outcomes[0], problem_id="r", task="related", passed=passed)])

    now = with_related(evaluated("b", [True] * 20), None)
    found = decide(now, with_related(evaluated("a", [False] * 20), True), PromoteConfig())
    assert not found.promote
    assert "of which nothing is known" in found.reason


def test_failed_samples_are_neither_translated_nor_trained_on() -> None:
    from tests.stages.test_translate import QUESTIONS, checked, config

    lost = failing(checked("print(7)"))
    assert list(translate.requests([lost], QUESTIONS, config(), None)) == []
    counts = Counter[str]()
    assert list(selection.candidates([lost, checked("print(7)", index=1)], counts)) != []
    assert (counts["asked"], counts["passed"]) == (2, 1)


def test_the_summary_says_how_many_problems_are_left_out(tmp_path: Path) -> None:
    world = engines(tmp_path)
    made = measured(world, lambda p, m, i: True, lambda p, m, i: m == "code" and p == MAIN[0].id)
    empty: dict[str, Any] = {name: {} for name in ("funnel", "funnels", "verdicts", "families", "timings")}
    r = RoundSummary(
        round=1, arms={"mmst": made.result(Measured).report}, decision=None, stopped="", stages=(), **empty
    )
    (note, *_) = _notes(RunSummary(run="r", config=None, rounds=(r,)))
    assert "main by code: 1 of 10 problems are left out" in note


@pytest.mark.parametrize("value", ["sk-abc123", "key", "MY KEY", "1KEY", "K=v", "$KEY", "A" * 65, "KEY\n", "КЛЮЧ"])
def test_what_is_no_name_of_a_variable_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ConfigError, match="api_key_env must name") as e:
        parse({"sampling": {"api_key_env": value}})
    assert value.strip() not in str(e.value).replace("KEY", "") or value.strip() == "key"


@pytest.mark.parametrize("value", ["", "KEY", "OPENAI_API_KEY", "_K2"])
def test_names_of_variables_are_taken(value: str) -> None:
    assert parse({"sampling": {"api_key_env": value}}).sampling.api_key_env == value


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "line\nbreak", "naïve", "tab\t1", "nul\x7f"])
def test_a_variable_without_a_key_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("MMST_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MMST_TEST_KEY", value)
    with pytest.raises(SetupError, match="MMST_TEST_KEY") as e:
        api_key("MMST_TEST_KEY")
    assert not value or not value.strip() or value.strip() not in str(e.value)


def test_a_key_is_taken_without_the_line_end_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMST_TEST_KEY", "sk-1\n")
    assert (api_key("MMST_TEST_KEY"), api_key("")) == ("sk-1", "")
