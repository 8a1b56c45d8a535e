"""A run's verified examples, and pairs of a right and a wrong solution, in the formats of other trainers.

    trl       {"prompt", "completion"}; pairs {"prompt", "chosen", "rejected"}; as messages if the run's style is chat
    sharegpt  {"conversations": [{"from": "human", "value"}, {"from": "gpt", "value"}]}; pairs: "chosen", "rejected"
    openai    {"messages": [{"role": "user", "content"}, {"role": "assistant", "content"}]}; pairs: "input",
              "preferred_output", "non_preferred_output"

An example is one that an arm was trained on and whose answer is the gold one, or the label of an unlabelled problem;
its lineage says which. The rejected solution of a pair answers the same prompt, and its answer is another one: a
program that ended badly or too late, or an answer that nobody could decide, says too little of the solution. No problem
that was held out is ever among them.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

from mmst.core.config import Config, LabelConfig, PromptConfig
from mmst.core.errors import ConfigError, LeakError, UserError, did_you_mean
from mmst.core.manifest import Manifest
from mmst.core.method_files import MethodFile
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, Example, Label, Labelling, Problem, Verdict, rank
from mmst.core.stored import made, records
from mmst.methods import method
from mmst.methods.prompts import solve_messages
from mmst.runs.summary import StageState, recorded_config, stages
from mmst.stages import STEPS, stage
from mmst.stages.reads import CHECKED, LEARNT
from mmst.stages.selection import form_of

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The training set of an arm in a round, and what it was chosen from.

    `messages`: prompts are filled-in chat templates, all of them, so that messages say the same. `rule` is that of the
    run's labels.
    """

    run: str
    round: int
    arm: str
    trainset: Manifest
    problems: Manifest
    checked: tuple[Manifest, ...]
    prompt: PromptConfig
    messages: bool = False
    rule: str = ""
    files: tuple[MethodFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an export: what is learned from, and where it comes from."""

    data: Json
    lineage: Json


@dataclass(frozen=True, slots=True)
class Format:
    """How an example and a pair are written; `prompt` is the text that the model was asked with, or its messages."""

    example: Callable[[Any, str], dict[str, Any]]
    pair: Callable[[Any, str, str], dict[str, Any]]


def _messages(prompt: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _trl(prompt: Any, text: str) -> Any:
    """A completion in the form that its prompt has."""
    return text if isinstance(prompt, str) else _said(text)


def _turns(prompt: Any) -> list[dict[str, str]]:
    return [{"from": "human", "value": m["content"]} for m in _messages(prompt)]


def _gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


FORMATS: Mapping[str, Format] = {
    "trl": Format(
        lambda prompt, text: {"prompt": prompt, "completion": _trl(prompt, text)},
        lambda prompt, right, wrong: {"prompt": prompt, "chosen": _trl(prompt, right), "rejected": _trl(prompt, wrong)},
    ),
    "sharegpt": Format(
        lambda prompt, text: {"conversations": [*_turns(prompt), _gpt(text)]},
        lambda prompt, right, wrong: {
            "conversations": _turns(prompt), "chosen": _gpt(right), "rejected": _gpt(wrong),
        },
    ),
    "openai": Format(
        lambda prompt, text: {"messages": [*_messages(prompt), *_said(text)]},
        lambda prompt, right, wrong: {
            "input": {"messages": _messages(prompt)},
            "preferred_output": _said(right),
            "non_preferred_output": _said(wrong),
        },
    ),
}  # fmt: skip
CLOSED = ("openai",)
"""Formats that have no room for a field of ours: their lineage stands beside."""


def format_of(name: str) -> Format:
    """The format of this name; `ConfigError` lists those that there are."""
    if name not in FORMATS:
        remedy = f"{did_you_mean(name, FORMATS)}--format {', '.join(FORMATS)}"
        raise ConfigError("unknown export format", value=name, remedy=remedy)
    return FORMATS[name]


def find(store: Store, run: str, arm: str = "", round: int | None = None) -> Source:
    """The training set of an arm (the run's own) in a round (the last); `UserError` if there is none."""
    found = list(stages(store, run))
    config = recorded_config(store, run)
    built = [s for s in found if s.place.step == "build_trainset" and s.manifest is not None]
    if not built or config is None:
        raise UserError(
            f"run {run} has no training set" + (" yet" if config else ": its recipe was not recorded"),
            remedy=f"mmst status {run} shows how far it is; the command that started it continues it",
        )
    wanted = arm or config.loop.arm
    of_arm = [s for s in built if s.place.arm == wanted]
    if not of_arm:
        arms = sorted({s.place.arm for s in built})
        raise UserError(f"run {run} trained no such arm", value=wanted, remedy=f"--arm {' or '.join(arms)}")
    rounds = sorted({s.place.round for s in of_arm})
    if round is not None and round not in rounds:
        remedy = f"--round {' or '.join(map(str, rounds))}"
        raise UserError(f"run {run} has no training set of '{wanted}' in this round", value=round, remedy=remedy)
    chosen = next(s for s in of_arm if s.place.round == (rounds[-1] if round is None else round))
    return _source(store, run, chosen, config)


def _source(store: Store, run: str, state: StageState, config: Config) -> Source:
    assert state.manifest is not None, "only complete stages are chosen"
    inputs = {name: _complete(store, ref) for name, ref in state.inputs.items()}
    declared = {s.stored or s.name: s for s in map(stage, STEPS)}
    checked = tuple(
        m for m in inputs.values() if m.stage in declared and CheckedSample in declared[m.stage].writes.values()
    )
    return Source(
        run=run,
        round=state.place.round,
        arm=state.place.arm,
        trainset=state.manifest,
        problems=inputs["problems"],
        checked=checked,
        prompt=config.prompt,
        messages={*(config.trainset.prompts or (config.prompt.style,))} == {"chat"},
        rule=(config.label or LabelConfig()).rule,
        files=config.filed,
    )


def _complete(store: Store, ref: str) -> Manifest:
    if (found := made(store, ref)) is None:
        remedy = "the command that started the run makes it again"
        raise UserError("a stage that the training set was made of is not in the store", value=ref, remedy=remedy)
    return found


def rows(store: Store, source: Source, format: Format, counts: Counter[str], *, pairs: bool = False) -> Iterator[Row]:
    """The rows in the order of the training set; `counts` says afterwards how many, and what was left out.

    In memory are ids and verdicts, about 300 bytes an example; texts are read shard by shard, or wait in a file.
    """
    with ExitStack() as stack:
        questions = stack.enter_context(_Texts())
        if source.messages:
            for problem in records(store, source.problems, Problem, LEARNT):
                questions.put(problem.id, problem.question)
        wrong = stack.enter_context(_Texts())
        about, shares = _verdicts(store, source), _shares(store, source)
        rejected = _rejected(store, source, about, wrong, counts) if pairs else {}
        for example in _examples(store, source, about, counts):
            told, prompt = about[example.lineage[0]], _prompt(example, source, questions)
            lineage = _lineage(source, example, told, shares.get(example.problem_id))
            if not pairs:
                counts["examples"] += 1
                yield Row(format.example(prompt, _whole(example.completion)), lineage)
            elif waiting := rejected.get(_key(example.problem_id, example.method)):
                other = waiting.pop()
                counts["pairs"] += 1
                data = format.pair(prompt, _whole(example.completion), _whole(wrong.get(other.id)))
                against = {"samples": [other.id], "model": other.model, "verdict": str(other.verdict)}
                yield Row(data, lineage | {"rejected": against})
            else:
                counts["without_a_wrong_one"] += 1


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of a sample without its texts."""

    id: str
    model: str
    verdict: Verdict


def _examples(store: Store, source: Source, about: Mapping[str, _Told], counts: Counter[str]) -> Iterator[Example]:
    """The new examples of the training set whose answers are right; `LeakError` if one is of a held-out problem."""
    heldout = {p.id for p in records(store, source.problems, Problem, "heldout-")}
    for example in records(store, source.trainset, Example, "new-"):
        if example.problem_id in heldout:
            raise LeakError(
                "an example is of a problem in this run's own test set",
                value=example.problem_id,
                remedy="run it again: a training set with such an example is refused",
            )
        if about[example.lineage[0]].verdict is Verdict.PASSED:
            yield example
        else:
            counts["not_verified"] += 1


def _verdicts(store: Store, source: Source) -> dict[str, _Told]:
    """What is known of the samples that were trained on."""
    wanted = {e.lineage[0] for e in records(store, source.trainset, Example, "new-")}
    about = {c.sample.id: _told(c) for c in _samples(store, source.checked) if c.sample.id in wanted}
    if missing := wanted - about.keys():
        raise UserError(
            f"{len(missing)} examples come from samples that are not in the store",
            value=min(missing),
            remedy=f"mmst status {source.run}",
        )
    return about


def _shares(store: Store, source: Source) -> dict[str, float]:
    """Of the problems that were labelled, the share of the votes that their label has."""
    found = (label for m in source.checked for label in records(store, m, Label, "label-"))
    return {label.problem_id: label.share for label in found if label.outcome is Labelling.LABELLED}


def _rejected(
    store: Store, source: Source, about: Mapping[str, _Told], texts: _Texts, counts: Counter[str]
) -> dict[bytes, list[_Told]]:
    """The wrong solutions that an example can be paired with, each thing said once; in an order that is as good as
    random, the same each time."""
    wanted = {
        _key(e.problem_id, e.method)
        for e in records(store, source.trainset, Example, "new-")
        if about[e.lineage[0]].verdict is Verdict.PASSED
    }
    found: dict[bytes, dict[bytes, _Told]] = defaultdict(dict)
    for c in _samples(store, source.checked):
        s = c.sample
        if s.source_sample or c.passed:
            continue
        if c.verdict is not Verdict.WRONG or c.contradicted or c.nondeterministic or not c.solution.strip():
            counts["not_clearly_wrong"] += 1
            continue
        key = _key(s.problem_id, s.method)
        form = form_of(method(s.method, source.files), c.solution)[:8]
        if key in wanted and form not in found[key]:
            found[key][form] = _told(c)
            texts.put(s.id, c.solution)
    return {key: sorted(said.values(), key=lambda told: rank(told.id)) for key, said in found.items()}


def _samples(store: Store, checked: Iterable[Manifest]) -> Iterator[CheckedSample]:
    for manifest in checked:
        yield from records(store, manifest, CheckedSample, CHECKED)


def _told(c: CheckedSample) -> _Told:
    return _Told(c.sample.id, sys.intern(c.sample.model), c.verdict)


def _key(problem_id: str, by: str) -> bytes:
    return hashlib.sha256(f"{problem_id}\0{by}".encode("utf-8", "surrogatepass")).digest()[:16]


def _prompt(example: Example, source: Source, questions: _Texts) -> Any:
    """What the model is asked: the text, or in the style chat the messages that its template was filled with."""
    if not source.messages:
        return _whole(example.prompt)
    question = _whole(questions.get(example.problem_id))
    return [dict(m) for m in solve_messages(method(example.method, source.files), question, source.prompt.phrasing)]


def _lineage(source: Source, example: Example, told: _Told, share: float | None) -> dict[str, Any]:
    judged = {"judged_by": "gold"} if share is None else {"judged_by": source.rule, "share": share}
    return {
        "run": source.run,
        "round": source.round,
        "arm": source.arm,
        "problem": example.problem_id,
        "method": example.method,
        "origin": example.origin,
        "samples": list(example.lineage),
        "model": told.model,
        "verdict": str(told.verdict),
        **judged,
    }


def _whole(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which no other reader takes."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class _Texts:
    """Texts by key, kept in a file until they are asked for."""

    def __init__(self) -> None:
        self._at: dict[str, tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        self._end = 0

    def __enter__(self) -> _Texts:
        self._file = tempfile.TemporaryFile(prefix="mmst-")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def put(self, key: str, text: str) -> None:
        """Keep a text."""
        assert self._file, "use it inside `with`"
        data = text.encode("utf-8", "surrogatepass")
        self._file.seek(self._end)
        self._file.write(data)
        self._at[key] = (self._end, len(data))
        self._end += len(data)

    def get(self, key: str) -> str:
        """The text that was kept."""
        assert self._file, "use it inside `with`"
        start, length = self._at[key]
        self._file.seek(start)
        return self._file.read(length).decode("utf-8", "surrogatepass")
