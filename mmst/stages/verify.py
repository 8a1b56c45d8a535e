"""The stage that says which samples are right: run what is to be run, compare answers.

Expected answers never enter the sandbox. Identical programs of a shard run once; those that pass
run a second time, unless they were evaluated, which knows neither time nor chance: what then prints
something else depends on them, and is not to be learned from.

Of a problem without an answer the samples are `unlabelled`, if they give one. They may be called right later, so their
programs run a second time too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

from mmst import grading
from mmst.core import metrics, plugin_keys
from mmst.core.config import CheckConfig, Config
from mmst.core.errors import DataError, SandboxError
from mmst.core.manifest import Manifest, Place
from mmst.core.method_files import MethodFile
from mmst.core.ports import Algebra, Evaluation, Execution, Limits, Program, Sandbox
from mmst.core.records import CheckedSample, Problem, Sample, Verdict, short_id
from mmst.core.results import VerifyCounts
from mmst.core.stage import QUIET, Job, Made, Stage, effective
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.methods import method
from mmst.stages.counting import Counting
from mmst.stages.reads import PROBLEMS, Problems, Samples

SANDBOX_TRIES = 2
_GRADES = {True: Verdict.PASSED, False: Verdict.WRONG, None: Verdict.UNDECIDED}
_MAY_TEACH = (Verdict.PASSED, Verdict.UNLABELLED)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CheckConfig):
    """The limits and packages of programs, and the methods that stand in files."""

    method_files: tuple[MethodFile, ...] = field(default=(), metadata=QUIET)


class Verify(Stage[Settings]):
    """Run the programs in the sandbox and compare every answer with the gold one.

    Example:

      mmst verify -r demo --problems stages/prepare/3f… --samples stages/sample/77…
    """

    name, version = "verify", 7
    steps: ClassVar = {
        "verify": "of samples to train on",
        "verify-translations": "of translations, as which what `mmst translate` made is known",
        "verify-heldout": "of samples held out",
    }
    writes: ClassVar = {"shard": CheckedSample}

    def settings(self, config: Config, place: Place) -> Settings:
        """See `Settings`."""
        check = effective(config.check)
        return Settings(**{f.name: getattr(check, f.name) for f in fields(check)}, method_files=config.filed)

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of methods and sandbox."""
        return plugin_keys.of_verdicts(config)

    def step(self, refs: Mapping[str, str]) -> str:
        """Known by what is checked."""
        return "verify-translations" if "stages/translate/" in refs.get("samples", "") else "verify"

    def work(self, job: Job[Settings], problems: Problems, samples: Samples) -> Made:
        """Check `samples` (or translations) against the answers of `problems`.

        Shards are in the samples' order, `check.shard` samples each.
        """
        settings, ports, folder = job.settings, job.ports, job.folder
        filed = settings.method_files
        counting, ran = Counting(), Counter[str]()
        known = {p.id: p for p in records(ports.store, problems, Problem, PROBLEMS)}
        limits = Limits(timeout=settings.timeout, memory_mib=settings.memory_mib, output_kib=settings.output_kib)
        there, names = folder.files(), []
        with ExitStack() as stack, ports.progress.task("verify", _size(samples), "samples") as task:
            sandbox: Sandbox | None = None
            algebra = stack.enter_context(ports.algebra())
            for name, shard in sharded(records(ports.store, samples, Sample), settings.shard):
                names.append(name)
                if name in there:
                    counting.add(folder.read_records(name, CheckedSample))
                    task.found(len(shard))
                    continue
                asked = [_problem(known, s) for s in shard]
                solutions = ["" if s.failed else method(s.method, filed).solution(s.completion) for s in shard]
                programs = to_run(shard, solutions, filed)
                executions: dict[str, Execution] = {}
                if programs:
                    sandbox = sandbox or stack.enter_context(ports.sandbox())
                    for execution in _execute(sandbox, programs, limits):
                        executions[execution.id] = execution
                        task.advance()
                task.advance(len(shard) - len(programs))
                judged = zip(shard, solutions, asked, strict=True)
                checked = [judge(s, c, p, executions, filed) for s, c, p in judged]
                checked = settle(checked, asked, algebra)
                again = to_repeat(checked, executions, filed)
                if again and sandbox:
                    repeated = {execution.id: execution for execution in _execute(sandbox, again, limits)}
                    checked = [compare(c, executions, repeated) for c in checked]
                folder.write_records(name, checked)
                counting.add(checked)
                ran.update(programs=len(programs) + len(again), evaluated=sum(map(_evaluated, executions.values())))
        return Made(shards=names, counts=counting.counts(), measured=ran)

    def publish(self, counts: VerifyCounts) -> None:
        """The verdicts of each method."""
        metrics.verdicts({name: tally.verdicts for name, tally in counts.methods.items()})


def to_run(samples: Sequence[Sample], solutions: Sequence[str], files: Sequence[MethodFile] = ()) -> list[Program]:
    """The different programs among the solutions, each once; its id is its source's hash."""
    sources = {c: None for s, c in zip(samples, solutions, strict=True) if c and method(s.method, files).executes}
    return [Program(id=program_id(source), source=source) for source in sources]


def to_repeat(
    checked: Iterable[CheckedSample], executions: Mapping[str, Execution], files: Sequence[MethodFile] = ()
) -> list[Program]:
    """The different programs that passed, or may yet, and whose output may depend on more than their text."""
    sources = {c.solution: None for c in checked if c.verdict in _MAY_TEACH and method(c.sample.method, files).executes}
    programs = [Program(id=program_id(source), source=source) for source in sources]
    return [program for program in programs if not _evaluated(executions[program.id])]


def compare(c: CheckedSample, first: Mapping[str, Execution], second: Mapping[str, Execution]) -> CheckedSample:
    """The checked sample, marked `nondeterministic` when its program ended in another way the second time."""
    name = program_id(c.solution)
    if c.verdict not in _MAY_TEACH or name not in second:
        return c
    once, again = first[name], second[name]
    if again.exit_status == "ok" and steady(once.stdout) == steady(again.stdout):
        return c
    what = f"printed {steady(again.stdout)[-80:]!r}" if again.exit_status == "ok" else again.exit_status
    return replace(c, nondeterministic=True, detail=f"nondeterministic: run again, it {what}")


def program_id(source: str) -> str:
    """The name under which a solution's execution is found."""
    return short_id("x", source)


def judge(
    sample: Sample,
    solution: str,
    problem: Problem,
    executions: Mapping[str, Execution],
    files: Sequence[MethodFile] = (),
) -> CheckedSample:
    """The verdict on one sample, from its solution and (for programs) what running it gave."""
    if sample.failed:
        return CheckedSample(
            sample=sample, verdict=Verdict.FAILED, solution="", answer=None, detail=sample.failure[:200]
        )
    by, stdout, contradicted = method(sample.method, files), None, False
    if by.executes and not solution:
        detail = "the completion holds no program"
        return CheckedSample(sample=sample, verdict=Verdict.NO_PROGRAM, solution="", answer=None, detail=detail)
    if by.executes:
        execution = executions[program_id(solution)]
        contradicted = execution.evaluation is Evaluation.CONTRADICTED
        if execution.exit_status != "ok":
            return CheckedSample(
                sample=sample,
                verdict=Verdict(execution.exit_status),
                solution=solution,
                answer=None,
                detail=steady(execution.detail),
                contradicted=contradicted,
            )
        stdout = steady(execution.stdout)
    answer = by.answer(solution, stdout)
    if answer is None:
        verdict, detail = Verdict.NO_ANSWER, "printed no answer" if by.executes else "states no answer"
    else:
        verdict, detail = Verdict.UNLABELLED, ""
        if problem.answer:
            verdict = _GRADES[grading.compare(problem.answer, answer, problem.question, problem.options).equal]
        if problem.options:  # one spelling, so that samples that name the same option agree
            answer = grading.choice(problem.options, answer, problem.question) or answer
        if problem.answer:
            detail = "" if verdict is Verdict.PASSED else f"answered {answer[:80]}, gold {problem.answer[:80]}"
    return CheckedSample(
        sample=sample, verdict=verdict, solution=solution, answer=answer, detail=detail, contradicted=contradicted
    )


def settle(checked: Sequence[CheckedSample], problems: Sequence[Problem], algebra: Algebra) -> list[CheckedSample]:
    """The checked samples; what comparing left undecided, the algebra engine decides where it can.

    Which of a question's options was meant, it cannot.
    """
    open_ones = [c.verdict is Verdict.UNDECIDED and not p.options for c, p in zip(checked, problems, strict=True)]
    pairs = {(p.answer, c.answer): None for c, p, still in zip(checked, problems, open_ones, strict=True) if still}
    asked = [(gold, answer) for gold, answer in pairs if answer is not None]
    decided = dict(zip(asked, algebra.decide(asked), strict=True)) if asked else {}
    settled = []
    for c, p, still in zip(checked, problems, open_ones, strict=True):
        verdict = _GRADES[decided[p.answer, c.answer]] if still and c.answer else c.verdict
        settled.append(replace(c, verdict=verdict, detail="" if verdict is Verdict.PASSED else c.detail))
    return settled


def steady(text: str) -> str:
    """Output without the memory addresses in it, which differ from run to run.

    >>> steady("<function f at 0x7f21c0>")
    '<function f at 0x…>'
    """
    return _ADDRESS.sub("at 0x…", text)


def _execute(sandbox: Sandbox, programs: Sequence[Program], limits: Limits) -> Iterator[Execution]:
    """Run a shard's programs, and once more those that a failing sandbox left unanswered."""
    left = {p.id: p for p in programs}
    for tries_left in reversed(range(SANDBOX_TRIES)):
        try:
            for execution in sandbox.run(list(left.values()), limits):
                del left[execution.id]
                yield execution
            return
        except SandboxError:
            if not tries_left:
                raise


def _evaluated(execution: Execution) -> bool:
    """Whether it is known to depend on nothing but the program's text."""
    return execution.evaluation in (Evaluation.FINISHED, Evaluation.CONFIRMED)


def _problem(known: Mapping[str, Problem], sample: Sample) -> Problem:
    if sample.problem_id not in known:
        raise DataError(
            f"sample {sample.id} is of a problem that is not in the problem set",
            value=sample.problem_id,
            remedy="check samples against the problems that they were drawn for",
        )
    return known[sample.problem_id]


def _size(samples: Manifest) -> int:
    return sum(f.records for f in samples.files if f.name.endswith(".jsonl"))
