"""The work of a run: samples, tokens, programs and bytes, calculated without a model.

The stages' own code really loads and cleans the problems and creates the requests, so counts and prompts are those
of the run. What depends on the model is assumed:

- a completion is as long as the annotated solutions of its method, if the problems have any;
- a share of what could be translated is solved, and so translated: `SOLVED`, unless a better figure is given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from mmst.core import arms
from mmst.core.config import Config
from mmst.core.ports import Completion
from mmst.core.records import CheckedSample, Example, Outcome, Problem, Sample, Verdict, to_json
from mmst.core.sections import ROLES
from mmst.core.teachers import SELF, rounds_of, seen_by, translates
from mmst.methods import method
from mmst.methods.prompts import Render, solve_prompt
from mmst.stages import demonstrations, prepare, sample, translate
from mmst.stages.build_trainset import annotated_examples
from mmst.stages.demonstrations import Demonstrations

Count = Callable[[Sequence[str]], list[int]]
"""Tokens of each text."""
Sums = defaultdict[str, float]
"""Sums by purpose: train, heldout or translate; or by stage."""

SOLVED = 0.75
"""Assumed share of (problem, method) with at least one right sample. The demo: 0.74."""
WITHOUT_EXAMPLES = 0.5
"""Assumed length of a completion without annotated solutions, as a share of `sampling.max_tokens`."""
CHARACTERS = 4
"""Assumed characters per token without a tokenizer: OpenAI's help says so for English."""
DIGEST = "sha256:" + 64 * "0"


@dataclass(frozen=True, slots=True)
class Typical:
    """A typical solution of a method: its tokens (with the end token), and a text of about its length."""

    tokens: float
    text: str
    annotated: int
    """Number of annotated solutions in the mean; 0 if it is assumed."""


@dataclass(slots=True)
class Work:
    """The work of one run in all its rounds and arms, by purpose."""

    problems: dict[str, int]
    typical: dict[str, Typical]
    solved: float
    """Share of (problem, method) with at least one right sample."""
    samples: Sums = field(default_factory=lambda: Sums(float))
    tokens: Sums = field(default_factory=lambda: Sums(float))
    prompt_tokens: Sums = field(default_factory=lambda: Sums(float))
    """Once per request, however many completions it asks for."""
    requests: Sums = field(default_factory=lambda: Sums(float))
    programs: Sums = field(default_factory=lambda: Sums(float))
    """Completions that are programs; identical ones run once."""
    bytes: Sums = field(default_factory=lambda: Sums(float))
    """Of shards, by stage, without checkpoints."""
    rows: list[int] = field(default_factory=list)
    """Tokens of training examples: all annotated ones, and one per training problem and method."""
    longest: int = 0
    """Tokens of the longest prompt with the longest allowed completion."""
    example: int = 0
    """Tokens of the longest training prompt with a typical completion."""
    teachers: dict[str, Work] = field(default_factory=dict)
    """What each teacher that an arm learns from writes, beside the run's own work, which has its bytes and programs."""


def work(config: Config, count: Count, solved: float) -> Work:
    """The work of a recipe. `UserError`, as from the run itself, if its problems cannot be used."""
    loaded = {role: prepare.read(role, getattr(config.problems, role)) for role in ROLES}
    solutions = [p.solutions for problems in loaded.values() for p in problems]
    typical = {name: typical_solution(config, name, solutions, count) for name in config.methods}
    sets, _ = prepare.clean(loaded, config.problems.near_duplicate)
    learnt = [*sets["train"], *sets["unlabelled"]]
    rounds, names, known = config.loop.rounds, (config.loop.arm, *config.loop.controls), arms.of(config)
    alone = len(rounds_of(config, SELF))
    render: Render | None = _joined if config.prompt.style == "chat" else None
    shown = demonstrations.of(sets["annotated"], config.prompt, config.near, config.methods)
    done = Work({name: len(problems) for name, problems in sets.items()}, typical, solved)
    done.bytes["prepare"] = sum(map(_bytes, (p for problems in sets.values() for p in problems)))
    for purpose, problems, times in (
        ("train", learnt, alone),
        ("heldout", sets["heldout"], 1 + rounds * len(names)),
    ):
        _sampling(done, config, purpose, problems, times, count, render, shown)
    _translating(done, config, learnt, alone, count, render, shown)
    outcomes = (_outcome(p, name) for p in sets["heldout"] for name in p.by(config.methods))
    done.bytes["evaluate"] = (1 + rounds * len(names)) * sum(map(_bytes, outcomes))
    examples = [
        e
        for p in sets["annotated"]
        for e in annotated_examples(p, config.methods, config.prompt, render, config.filed, shown)
    ]
    done.rows += [n + 1 for n in count([e.prompt + e.completion for e in examples])] if examples else []
    annotated = sum(map(_bytes, examples))
    new = _new_examples(done, config, learnt, render, shown)
    for name in config.teachers:
        if not (times := len(rounds_of(config, name))):
            continue
        seen = seen_by(config, name)
        theirs = demonstrations.of(sets["annotated"], seen.prompt, seen.near, seen.methods)
        done.teachers[name] = _taught(done, seen, sets["train"], times, count, theirs)
    done.bytes["build_trainset"] = rounds * sum(
        annotated + (new if known[name].annotated != "only" else 0) for name in names
    )
    return done


def _taught(
    done: Work,
    seen: Config,
    problems: Sequence[Problem],
    rounds: int,
    count: Count,
    shown: Demonstrations | None,
) -> Work:
    """What a teacher writes, in so many rounds; a file of completions costs nothing but its verification."""
    own = Work({}, done.typical, done.solved)
    render: Render | None = _joined if seen.prompt.style == "chat" else None
    if seen.sampling.backend != "recorded":
        _sampling(own, seen, "train", problems, rounds, count, render, shown)
    if translates(seen):
        _translating(own, seen, problems, rounds, count, render, shown)
    for stage, size in own.bytes.items():
        done.bytes[stage] += size
    done.programs[seen.writer] = sum(own.programs.values())
    return own


def typical_solution(config: Config, name: str, solutions: Sequence[Mapping[str, str]], count: Count) -> Typical:
    """The expected completion of a method, from its annotated solutions."""
    most = config.sampling.max_tokens
    given = [s[name] for s in solutions if name in s]
    if not given:
        tokens = WITHOUT_EXAMPLES * most
        return Typical(tokens, "x" * round(tokens * CHARACTERS), 0)
    mean = fmean(map(len, given))
    text = min(given, key=lambda s: abs(len(s) - mean))
    return Typical(fmean(min(n + 1, most) for n in count(given)), text, len(given))


def _sampling(
    done: Work,
    config: Config,
    purpose: str,
    problems: Sequence[Problem],
    times: int,
    count: Count,
    render: Render | None,
    shown: Demonstrations | None,
) -> None:
    asks = list(sample.requests(problems, sample.Settings.of(config, purpose), render, shown))
    read = count([ask.request.prompt for ask in asks])
    gold = {p.id: p.answer for p in problems}
    for ask, prompt in zip(asks, read, strict=True):
        r, typical = ask.request, done.typical[ask.request.method]
        completion = Completion(text=typical.text, finish="stop", prompt_tokens=prompt, tokens=round(typical.tokens))
        record = sample.sampled(ask, ask.first, completion, DIGEST)
        _add(done, config, purpose, record, gold[r.problem_id], r.n, times)


def _translating(
    done: Work,
    config: Config,
    problems: Sequence[Problem],
    times: int,
    count: Count,
    render: Render | None,
    shown: Demonstrations | None,
) -> None:
    right = [_solved(p, name, done.typical[name].text) for p in problems for name in config.methods]
    questions = {p.id: p.question for p in problems}
    asks = list(translate.requests(right, questions, translate.Settings.of(config), render, shown))
    read = count([ask.request.prompt for ask in asks])
    gold = {p.id: p.answer for p in problems}
    share = done.solved * config.translate.sources * times
    for ask, prompt in zip(asks, read, strict=True):
        typical = done.typical[ask.target]
        completion = Completion(text=typical.text, finish="stop", prompt_tokens=prompt, tokens=round(typical.tokens))
        record = translate.translated(ask, 0, completion, DIGEST)
        _add(done, config, "translate", record, gold[ask.request.problem_id], ask.request.n, share)


def _add(done: Work, config: Config, purpose: str, record: Sample, answer: str, n: int, times: float) -> None:
    """Count a request made `times` times, its `n` completions like this record, and their verdicts."""
    checked = CheckedSample(sample=record, verdict=Verdict.PASSED, solution=record.completion, answer=answer)
    completions = n * times
    done.samples[purpose] += completions
    done.tokens[purpose] += completions * done.typical[record.method].tokens
    done.prompt_tokens[purpose] += record.prompt_tokens * times
    done.requests[purpose] += times
    done.programs[purpose] += completions if method(record.method, config.filed).executes else 0
    done.bytes["translate" if purpose == "translate" else "sample"] += completions * _bytes(record)
    done.bytes["verify"] += completions * _bytes(checked)
    if purpose == "train":
        done.rows.append(record.prompt_tokens + record.tokens)
        done.example = max(done.example, done.rows[-1])
    done.longest = max(done.longest, record.prompt_tokens + config.sampling.max_tokens)


def _solved(problem: Problem, name: str, text: str) -> CheckedSample:
    """A correct solution of a problem, as it would come to be translated."""
    drawn = Sample(
        id="s-" + 16 * "0",
        problem_id=problem.id,
        method=name,
        index=0,
        prompt="",
        completion=text,
        finish="stop",
        prompt_tokens=0,
        tokens=0,
        seed=0,
        model=DIGEST,
    )
    return CheckedSample(sample=drawn, verdict=Verdict.PASSED, solution=text, answer=problem.answer)


def _new_examples(
    done: Work, config: Config, problems: Sequence[Problem], render: Render | None, shown: Demonstrations | None
) -> float:
    """Bytes of the examples that an arm chooses: about one for each translated solution."""
    asking = config.prompt

    def made(p: Problem, name: str) -> Example:
        by, worked = method(name, config.filed), shown.of(p.id, p.question, name) if shown else None
        prompt = solve_prompt(by, p.question, asking.style, asking.shots, render, asking.phrasing, worked)
        own = ("s-" + 16 * "0",)
        return Example(
            problem_id=p.id, method=name, prompt=prompt, completion=done.typical[name].text, origin="own", lineage=own
        )

    return (
        done.solved * config.translate.sources * sum(_bytes(made(p, name)) for p in problems for name in config.methods)
    )


def _outcome(problem: Problem, name: str) -> Outcome:
    return Outcome(problem_id=problem.id, task=problem.task, family=problem.family, method=name, passed=True)


def _bytes(record: object) -> int:
    """Bytes of a record's line."""
    return len(to_json(record).encode("utf-8", "surrogatepass")) + 1


def _joined(messages: Sequence[Mapping[str, str]]) -> str:
    """A chat prompt without the few tokens of its template."""
    return "\n".join(m["content"] for m in messages)
