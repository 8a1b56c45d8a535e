"""What flows through MMST: frozen records, one JSON object a line on disk.

    Problem → Sample → CheckedSample → Translation (→ CheckedSample) → Example → Report → Decision

Every record reads and writes itself: `to_json(record)` and `from_json(Sample, line)`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmst.core.codec import digest as digest
from mmst.core.codec import from_data as from_data
from mmst.core.codec import from_json as from_json
from mmst.core.codec import rank as rank
from mmst.core.codec import seed_of as seed_of
from mmst.core.codec import sha256 as sha256
from mmst.core.codec import short_id as short_id
from mmst.core.codec import to_data as to_data
from mmst.core.codec import to_json as to_json

FAILED = "failed"
"""The `finish` of a sample whose request failed for good."""


class Split(enum.StrEnum):
    """Which part of a problem set a problem belongs to; fixed by its content."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


class Verdict(enum.StrEnum):
    """What the verify stage says of a sample. Platform trouble is none of these: it raises."""

    PASSED = "passed"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    NO_PROGRAM = "no_program"
    """The completion holds no program, where one was asked for: nothing was run."""
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    UNDECIDED = "undecided"
    """Whether the answer is the gold one was not found out in time: neither right nor wrong."""
    FAILED = "failed"
    """There is no completion, since its request failed for good: neither right nor wrong."""
    UNLABELLED = "unlabelled"
    """It gave an answer, and nothing is known to compare it with: neither right nor wrong."""


class Labelling(enum.StrEnum):
    """What became of a problem without a gold answer, whose samples vote for one."""

    LABELLED = "labelled"
    ONE_SIDED = "one_sided"
    """No answer was given by more than one method."""
    TIE = "tie"
    """Two different answers have the most votes."""
    BELOW = "below"
    """The best answer has too small a share of the votes."""
    NONE = "none"
    """No sample gave an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with its gold answer, and the annotated solutions that came with it.

    Only an unlabelled problem has no answer; the label stage writes it with its label as the answer.

    `id` is the content hash of the normalised question (`problem_id`), so the same question
    has the same id in every file; `split` follows from the id. `solutions` holds annotated
    solutions by method name (GSM8K rationales → `text`, SVAMP equations → `code`).
    `options` are the choices that the question offers, text by label; then `answer` is one of the labels.
    `methods` are the only ones that the problem is solved by; none named: all of the recipe. `further` is
    what else the problem's file says of it, by that file's own names, its id among them; nothing is
    computed from it. None of these three is written where there is none.

    Example:
        {"id": "p-5d1c0f2b9a7e4c31", "question": "Ann has 3 apples and buys 4. How many now?",
         "answer": "7", "source": "generated", "split": "train", "task": "main",
         "family": "add", "solutions": {"text": "3 + 4 = 7 .\\nThe answer is 7"}}
    """

    id: str
    question: str
    answer: str
    source: str
    split: Split
    task: str = "main"
    family: str = ""
    solutions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, metadata={"if_any": True})
    methods: tuple[str, ...] = field(default=(), metadata={"if_any": True})
    further: Mapping[str, Any] = field(default_factory=dict, metadata={"if_any": True})

    def by(self, methods: Iterable[str]) -> list[str]:
        """Those of the recipe's methods by which the problem is solved, in their order."""
        return [m for m in methods if not self.methods or m in self.methods]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One completion of one problem by one method; the unit that is checked.

    `index` counts the samples of a (problem, method); `seed` is the request's seed;
    `model` is the digest of the checkpoint that wrote it ("recorded" for a file's), and `writer` the name of
    the teacher that this is; "", and not written, if it is the model that is trained.
    `source_sample` and `source_method` are empty unless the sample is a `Translation`.
    `failure` says why there is no completion (then `finish` is `failed`); else it is empty.

    Example:
        {"id": "s-0c9a…", "problem_id": "p-5d1c…", "method": "code", "index": 0,
         "prompt": "Question: …\\nPython:\\n", "completion": "print(3 + 4)", "finish": "stop",
         "prompt_tokens": 18, "tokens": 7, "seed": 9120, "model": "sha256:…"}
    """

    id: str
    problem_id: str
    method: str
    index: int
    prompt: str
    completion: str
    finish: str
    prompt_tokens: int
    tokens: int
    seed: int
    model: str
    temperature: float = 0.0
    source_sample: str = ""
    source_method: str = ""
    target_prompt: str = ""
    failure: str = ""
    writer: str = field(default="", metadata={"if_any": True})

    @property
    def failed(self) -> bool:
        """True when its request failed for good: nothing can be said of the model by it."""
        return self.finish == FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation(Sample):
    """A sample that rewrites a correct solution of another method; carries its lineage.

    `source_sample` is the id of the solution it was made from and `source_method` that
    solution's method; `target_prompt` is the prompt that solves the problem directly by
    `method`, under which the solution is trained. The verify stage treats it as any sample.

    Example:
        {"id": "s-77b1…", "method": "text", "source_sample": "s-0c9a…", "source_method": "code",
         "target_prompt": "Question: …\\nText:\\n", …}
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSample:
    """A sample with its verdict: what was executed, what it answered, what came of it.

    `solution` is the part of the completion that counts, `answer` what was cut out of it (or
    of what its program printed), `detail` a line for people (exception and line, or how the
    answer differed). `nondeterministic`: it passed, but its program printed something else when it was
    run again; nothing is learned from it. `contradicted`: the evaluator said that its program prints
    something else than CPython printed, which counts; a fault of ours. `share` is the share of the votes that
    the label has which it was judged by, 0 of what was judged by a gold answer.

    Example:
        {"sample": {…}, "verdict": "passed", "solution": "print(3 + 4)", "answer": "7",
         "detail": ""}
    """

    sample: Sample
    verdict: Verdict
    solution: str
    answer: str | None
    detail: str = ""
    nondeterministic: bool = False
    contradicted: bool = False
    share: float = field(default=0.0, metadata={"if_any": True})

    @property
    def passed(self) -> bool:
        """True when the sample's answer equals the gold answer, or the label in its place."""
        return self.verdict is Verdict.PASSED

    @property
    def teaches(self) -> bool:
        """True when a model may learn from it: it passed, and would again."""
        return self.passed and not self.nondeterministic


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """How many samples of each method gave an answer."""

    answer: str
    by: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What the samples of a problem without a gold answer say that its answer is.

    `answer` is empty unless it is `labelled`; `share` (0 to 1) is that of the votes which the best answer has, also
    where it is no label. `votes` are all that were cast, by answer, the most frequent first.

    Example:
        {"problem_id": "p-5d1c…", "outcome": "labelled", "answer": "7", "share": 0.75,
         "votes": [{"answer": "7", "by": {"code": 1, "text": 2}}, {"answer": "8", "by": {"text": 1}}]}
    """

    problem_id: str
    outcome: Labelling
    answer: str = ""
    share: float = 0.0
    votes: tuple[Votes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLabel:
    """A label beside the gold answer that was kept aside for it; `right` is None where the two could not be compared.

    Example:
        {"problem_id": "p-5d1c…", "answer": "7", "share": 0.75, "gold": "7", "right": true}
    """

    problem_id: str
    answer: str
    share: float
    gold: str
    right: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training example: loss on `completion` only, given `prompt`.

    `origin` is `own` (a sample of the same method), `translation`, `seed` (annotated), or
    `pair` (an annotated translation pair); `lineage` the sample ids it came from.

    Example:
        {"problem_id": "p-5d1c…", "method": "text", "prompt": "Question: …\\nText:\\n",
         "completion": "3 + 4 = 7 .\\nThe answer is 7", "origin": "translation",
         "lineage": ["s-77b1…", "s-0c9a…"]}
    """

    problem_id: str
    method: str
    prompt: str
    completion: str
    origin: str
    lineage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one method did on one held-out problem: the item of every paired test.

    `passed` is the greedy sample's verdict, None where its request failed; `correct` of `sampled`
    counts the samples drawn at a temperature (0 of 0 when none were asked for); `majority` the
    vote among them; `failed` counts all samples, greedy or not, whose requests failed.

    Example:
        {"problem_id": "p-12…", "task": "main", "family": "add", "method": "code",
         "passed": true, "sampled": 4, "correct": 3, "majority": true}
    """

    problem_id: str
    task: str
    family: str
    method: str
    passed: bool | None
    sampled: int = 0
    correct: int = 0
    majority: bool | None = None
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An accuracy over `n` held-out problems with its 95 % interval (fractions, not percent).

    `failed` more problems are left out, since their greedy requests failed. `pass_at_k` and
    `majority` are over the problems whose samples were drawn.

    Example:
        {"task": "main", "method": "code", "n": 400, "pass_at_1": 0.52, "low": 0.47,
         "high": 0.57, "pass_at_k": {"4": 0.66}, "majority": 0.55}
    """

    task: str
    method: str
    n: int
    pass_at_1: float
    low: float
    high: float
    pass_at_k: Mapping[str, float] = field(default_factory=dict)
    majority: float | None = None
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What evaluation says of one checkpoint on one held-out set.

    `heldout` is the digest of the held-out problems: only reports with the same one may be
    compared. `arm` is `mmst`, `base`, or the name of a control. Per-item outcomes stand in the
    evaluate stage's shards.

    Example:
        {"checkpoint": "sha256:…", "heldout": "sha256:…", "round": 1, "arm": "mmst",
         "scores": [{"task": "main", "method": "code", …}, …]}
    """

    checkpoint: str
    heldout: str
    round: int
    arm: str
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Promote or not, why, and against whom.

    `champion` is the checkpoint digest that the challenger was compared with ("" for none);
    the promotion is carried out only while that is still the champion.

    Example:
        {"promote": true, "challenger": "sha256:…", "champion": "sha256:…", "round": 1,
         "reason": "better by 6.2 points (McNemar p = 0.003); nothing worse than 2 points",
         "gain": 0.062, "p_value": 0.003}
    """

    promote: bool
    challenger: str
    champion: str
    round: int
    reason: str
    gain: float
    p_value: float
    checks: tuple[str, ...] = ()
