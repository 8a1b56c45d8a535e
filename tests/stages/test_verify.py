"""The verify stage: verdicts, identical programs once, resume, and trouble that is no verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import parse
from mmst.core.errors import DataError, SandboxError
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Evaluation, Execution, Limits, Program, Sandbox
from mmst.core.records import CheckedSample, Problem, Sample, Split, Translation, Verdict
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.core.stored import records
from mmst.stages import verify
from mmst.stages.counting import LACKS, Counting
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes, Oracle, Scripted

PLACE = Place(run="r", round=1, arm="mmst", step="verify")


class Wired(Fakes):
    """Engines of which the verify stage may use the store, the progress and the sandbox."""

    def __init__(self, folder: Path, box: Sandbox | None = None, **settings: Any) -> None:
        super().__init__(parse({"check": settings}), FolderStore(folder))
        self.box = box

    def algebra(self) -> contextlib.AbstractContextManager[Oracle]:
        return contextlib.nullcontext(Oracle())

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        assert self.box, "no program is there to be run"
        yield self.box


def sample(i: int, method: str, completion: str, problem: str = "p-1") -> Sample:
    return Sample(
        id=f"s-{i}", problem_id=problem, method=method, index=i, prompt="", completion=completion,
        finish="stop", prompt_tokens=1, tokens=1, seed=0, model="m",
    )  # fmt: skip


def inputs(engines: Wired, samples: Iterable[Sample], answer: str = "") -> tuple[Manifest, Manifest]:
    problems = [
        Problem(id=f"p-{n}", question=f"{n}?", answer=answer or str(n), source="t", split=Split.TRAIN) for n in (1, 7)
    ]
    made = []
    for name, shard, content in (("problems", "train-00000.jsonl", problems), ("sample", shard_name(0), samples)):
        stage = StageFolder.open(engines.store, name, version=1, config=0, inputs={})
        stage.write_records(shard, content)
        made.append(stage.finish(shards=[shard]))
    return made[0], made[1]


def run(engines: Wired, problems: Manifest, samples: Manifest) -> Manifest:
    return verify.Verify().run(engines, PLACE, {"problems": problems, "samples": samples})


def checked(engines: Wired, manifest: Manifest) -> list[CheckedSample]:
    return list(records(engines.store, manifest, CheckedSample))


ASKED = [
    sample(0, "code", "print(7)", "p-7"),
    sample(1, "code", "print(8)", "p-7"),
    sample(2, "code", "print()", "p-7"),
    sample(3, "code", "crashed()", "p-7"),
    sample(4, "code", "timed_out()", "p-7"),
    sample(5, "code", "out_of_memory()", "p-7"),
    sample(6, "code", "output_limit()", "p-7"),
    sample(7, "text", "3 + 4 = 7 .\nThe answer is 7", "p-7"),
    sample(8, "text", "The answer is 6", "p-7"),
]
VERDICTS = [
    "passed", "wrong", "no_answer", "crashed", "timed_out", "out_of_memory", "output_limit", "passed", "wrong",
]  # fmt: skip


def test_every_outcome_becomes_its_verdict(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    found = checked(engines, run(engines, *inputs(engines, ASKED)))
    assert [c.sample for c in found] == ASKED
    assert [c.verdict.value for c in found] == VERDICTS


def test_counts_name_every_verdict_and_add_up(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    counts = run(engines, *inputs(engines, ASKED)).counts
    assert counts["asked"] == 9
    assert counts["passed"] == 2
    assert counts["text.wrong"] == 1
    for prefix in ("", "text.", "code."):
        assert sum(counts[f"{prefix}{v.value}"] for v in Verdict if v != "unlabelled") == counts[f"{prefix}asked"]
    assert counts["code.asked"] + counts["text.asked"] == 9


def test_detail_says_how_a_wrong_answer_differed(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    found = checked(engines, run(engines, *inputs(engines, ASKED)))
    assert found[1].detail == "answered 8, gold 7"
    assert found[2].detail == "printed no answer"
    assert found[3].detail == "why"


def test_identical_programs_of_a_shard_run_once(tmp_path: Path) -> None:
    box = Scripted()
    engines = Wired(tmp_path, box)
    asked = [sample(i, "code", "print(7)", p) for i, p in enumerate(("p-7", "p-1", "p-7"))]
    found = checked(engines, run(engines, *inputs(engines, asked)))
    assert box.ran == ["print(7)"]
    assert [c.passed for c in found] == [True, False, True]


def test_text_alone_needs_no_sandbox(tmp_path: Path) -> None:
    engines = Wired(tmp_path, None)
    manifest = run(engines, *inputs(engines, [sample(0, "text", "The answer is 1")]))
    assert manifest.counts["passed"] == 1


def test_no_samples_make_a_complete_empty_stage(tmp_path: Path) -> None:
    engines = Wired(tmp_path, None)
    assert run(engines, *inputs(engines, [])).counts["asked"] == 0


def test_translations_keep_their_lineage(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    fields = {f: getattr(ASKED[0], f) for f in Sample.__slots__} | {"source_sample": "s-x", "source_method": "text"}
    found = checked(engines, run(engines, *inputs(engines, [Translation(**fields)])))
    assert (found[0].sample.source_sample, found[0].verdict) == ("s-x", Verdict.PASSED)


def test_interrupted_stage_goes_on_and_is_the_same(tmp_path: Path) -> None:
    calm = Wired(tmp_path / "calm", Scripted(), shard=2)
    whole = run(calm, *inputs(calm, ASKED))

    class Killed(Exception):
        pass

    class Dying(Scripted):
        def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
            for e in super().run(programs, limits):
                if e.exit_status == "out_of_memory":
                    raise Killed
                yield e

    engines = Wired(tmp_path / "killed", Dying(), shard=2)
    given_ = inputs(engines, ASKED)
    with pytest.raises(Killed):
        run(engines, *given_)
    engines.box = second = Scripted()
    assert run(engines, *given_) == whole
    assert second.ran == ["timed_out()", "out_of_memory()", "output_limit()"]


def test_complete_stage_is_not_done_again(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    given_ = inputs(engines, ASKED)
    first = run(engines, *given_)
    engines.box = None
    assert run(engines, *given_) == first


def test_order_of_executions_changes_nothing(tmp_path: Path) -> None:
    digests = set()
    for order in (1, -1):
        box = Scripted()
        box.order = order
        engines = Wired(tmp_path / str(order), box)
        digests.add(run(engines, *inputs(engines, ASKED)).digest)
    assert len(digests) == 1


def test_workers_and_sandbox_are_no_part_of_the_key(tmp_path: Path) -> None:
    keys = set()
    changes: list[dict[str, Any]] = [{"workers": 1}, {"workers": 2, "sandbox": "subprocess"}]
    for i, settings in enumerate(changes):
        engines = Wired(tmp_path / str(i), Scripted(), **settings)
        keys.add(run(engines, *inputs(engines, ASKED)).key)
    assert len(keys) == 1


def test_a_sandbox_that_fails_once_costs_no_verdict(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted(die=1))
    found = checked(engines, run(engines, *inputs(engines, ASKED)))
    assert [c.verdict.value for c in found] == VERDICTS


def test_a_sandbox_that_fails_again_raises_and_keeps_finished_shards(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted(die=2), shard=2)
    asked = [ASKED[7], ASKED[8], *ASKED[:2]]
    with pytest.raises(SandboxError):
        run(engines, *inputs(engines, asked))
    assert [n for n in engines.store.names("stages/verify/") if n.endswith(shard_name(0))]
    assert not [n for n in engines.store.names("stages/verify/") if n.endswith((shard_name(1), "manifest.json"))]


def test_a_sample_of_an_unknown_problem_is_a_user_error(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    with pytest.raises(DataError, match="p-nowhere"):
        run(engines, *inputs(engines, [sample(0, "text", "The answer is 1", "p-nowhere")]))


def test_memory_addresses_are_left_out_of_answers(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Scripted())
    found = checked(engines, run(engines, *inputs(engines, [sample(0, "code", "print(<f at 0x7fa3>)")])))
    assert found[0].answer == "<f at 0x…>"


def problem(answer: str, question: str = "?") -> Problem:
    return Problem(id="p-1", question=question, answer=answer, source="t", split=Split.TRAIN)


def test_words_behind_a_number_count_as_its_unit_when_the_question_names_them() -> None:
    s = sample(0, "text", "The answer is 7 gizmo")
    for question, verdict in (("How many gizmo are there?", Verdict.PASSED), ("How many are there?", Verdict.WRONG)):
        assert verify.judge(s, s.completion, problem("7", question), {}).verdict is verdict


def test_packages_that_programs_lack_are_counted_and_the_most_wanted_named() -> None:
    def lacking(name: str) -> CheckedSample:
        detail = f"{name} is not in the sandbox"
        return CheckedSample(
            sample=sample(0, "code", "x"), verdict=Verdict.CRASHED, solution="x", answer=None, detail=detail
        )

    counting = Counting()
    counting.add(lacking(n) for n in ("torch", "requests", "torch", "requests", "torch", *map(chr, range(97, 123))))
    found = counting.counts()
    assert (found.lacks["torch"], found.lacks["requests"], found.total.verdicts["crashed"]) == (3, 2, 31)
    assert len(found.lacks) == LACKS


@given(st.text(max_size=40), st.text(max_size=40))
def test_judging_any_output_never_raises(stdout: str, gold: str) -> None:
    s = sample(0, "code", "x")
    done = {verify.program_id("x"): Execution(id="", exit_status="ok", stdout=stdout, stderr="")}
    assert verify.judge(s, "x", problem(gold), done).verdict in (
        Verdict.PASSED,
        Verdict.WRONG,
        Verdict.NO_ANSWER,
        Verdict.UNDECIDED,
        Verdict.UNLABELLED,
    )


def test_an_answer_to_a_problem_without_one_is_neither_right_nor_wrong() -> None:
    s = sample(0, "text", "The answer is 7")
    found = verify.judge(s, s.completion, problem(""), {})
    assert (found.verdict, found.answer) == (Verdict.UNLABELLED, "7")


def test_what_comparing_leaves_open_is_for_the_algebra_engine_and_may_stay_undecided(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    said = ["x = \\pm 1", "x = \\pm 2", "x = \\pm 7", "x = \\pm 7"]
    asked = [sample(i, "text", f"The answer is ${answer}$") for i, answer in enumerate(said)]
    problems, samples = inputs(engines, asked, answer="x^2 = 1")
    manifest = run(engines, problems, samples)
    assert [c.verdict.value for c in checked(engines, manifest)] == ["passed", "wrong", "undecided", "undecided"]
    assert [c.detail for c in checked(engines, manifest)][::2] == ["", "answered x = \\pm 7, gold x^2 = 1"]
    assert manifest.counts["undecided"] == 2


def test_a_program_whose_answer_may_yet_be_called_right_runs_a_second_time() -> None:
    found = Execution(id=verify.program_id("tick()"), exit_status="ok", stdout="1\n", stderr="")
    c = verify.judge(sample(0, "code", "tick()"), "tick()", problem(""), {found.id: found})
    assert [p.source for p in verify.to_repeat([c], {found.id: found})] == ["tick()"]
    assert verify.compare(c, {found.id: found}, {found.id: replace(found, stdout="2\n")}).nondeterministic


class Moody(Scripted):
    """A sandbox in which `tick(N)` prints N the first time and something else from then on."""

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        for p in programs:
            n = "tock" if p.source in self.ran else p.source.split("(")[1][:-1]
            self.ran.append(p.source)
            yield Execution(id=p.id, exit_status="ok", stdout=f"{n}\n", stderr="")


def test_a_solution_that_prints_something_else_the_second_time_passes_but_does_not_teach(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Moody())
    problems, samples = inputs(engines, [sample(0, "code", "tick(1)"), sample(1, "text", "The answer is 1")])
    manifest = run(engines, problems, samples)
    nondeterministic, text = checked(engines, manifest)
    assert (nondeterministic.passed, nondeterministic.teaches, nondeterministic.detail) == (
        True,
        False,
        "nondeterministic: run again, it printed 'tock\\n'",
    )
    assert text.teaches
    assert (
        manifest.counts["passed"],
        manifest.counts["nondeterministic"],
        manifest.counts["code.nondeterministic"],
    ) == (2, 1, 1)


class Evaluating(Moody):
    """A sandbox that evaluates what only prints, and contradicts itself of `print(7)`."""

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        for p in programs:
            (ran,) = super().run([p], limits)
            how = Evaluation.CONTRADICTED if "7" in p.source else Evaluation.FINISHED
            yield replace(ran, evaluation=how if "print" in p.source else Evaluation.NONE)


def test_only_what_passed_and_was_not_evaluated_runs_twice(tmp_path: Path) -> None:
    engines = Wired(tmp_path, box := Evaluating())
    asked = [sample(0, "code", "tick(1)"), sample(1, "code", "tick(2)"), sample(2, "code", "print(1)")]
    problems, samples = inputs(engines, asked)
    run(engines, problems, samples)
    assert sorted(box.ran) == ["print(1)", "tick(1)", "tick(1)", "tick(2)"]


def test_a_contradiction_is_counted_and_stays_with_its_sample(tmp_path: Path) -> None:
    engines = Wired(tmp_path, Evaluating())
    problems, samples = inputs(engines, [sample(0, "code", "print(7)"), sample(1, "code", "print(1)")])
    manifest = run(engines, problems, samples)
    assert [c.contradicted for c in checked(engines, manifest)] == [True, False]
    assert (manifest.counts["contradicted"], manifest.counts["code.contradicted"]) == (1, 1)
