"""What the stages need from the outside, as protocols; providers fulfil them.

A stage's work gets `Ports` and asks them for what it needs. They know no recipe: that is `Engines`, which
`wiring.connect(config)` builds, and of which each stage is shown its settings alone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mmst.core.config import Config
from mmst.core.errors import SamplerError
from mmst.core.limits import Limits as Limits
from mmst.core.manifest import Manifest
from mmst.core.provenance import Provenance
from mmst.core.records import FAILED

# --- storage ----------------------------------------------------------------------------------


class Store(Protocol):
    """A folder or an S3 prefix. Names are relative, `/`-separated. Failures: `StoreError`.

    Every write is whole or absent: a reader never sees half a file, also after kill -9.
    """

    uri: str

    def read(self, name: str) -> bytes | None:
        """The content, or None when there is no such name."""

    def write(self, name: str, data: bytes) -> None:
        """Write or overwrite."""

    def create(self, name: str, data: bytes) -> bool:
        """Write only if absent, atomically among processes; False when the name exists."""

    def replace(self, name: str, data: bytes, expected: bytes | None) -> bool:
        """Compare-and-set: write only while the content is `expected` (None: absent)."""

    def names(self, prefix: str) -> Iterator[str]:
        """All names that start with `prefix`, sorted; paged, never held as one list call."""

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The same names in the same order, each with its bytes."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove these; one that is not there is no error. No stage deletes: only `mmst clean` does."""

    def put_file(self, name: str, path: Path) -> None:
        """Store a local file of any size, streamed."""

    def get_file(self, name: str, path: Path) -> None:
        """Fetch into a local file, streamed; whole or absent. Missing: `StoreError`."""

    def folder(self, prefix: str) -> Path | None:
        """The local folder that is `prefix`, when the store is one; None for a bucket."""

    def probe(self) -> None:
        """Prove that it can be written to, also on conditions (`create`), and leave nothing behind."""

    def scratch(self, prefix: str) -> Path:
        """A private local folder for work in progress under this name; survives a restart."""


# --- sampling ---------------------------------------------------------------------------------


Message = Mapping[str, str]
"""A chat message: {"role": "user" | "assistant" | "system", "content": …}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Draw `n` completions of one prompt.

    The j-th completion depends only on the model, this request and `seed` with j, never on
    what else was asked at the same time. `problem_id`, `question` and `method` say what the
    prompt is about: recorded completions are found by them. Many prompts begin with the same
    `shared` characters (instruction, worked examples): a sampler may read those once. `messages`
    are those that the prompt was rendered from by a chat template, none for any other prompt.
    """

    id: str
    prompt: str
    n: int
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...]
    problem_id: str = ""
    question: str = ""
    method: str = ""
    shared: int = 0
    messages: tuple[Message, ...] = field(default=(), hash=False)


FINISHES = ("stop", "length", FAILED)
"""Every `Completion.finish`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One completion; `finish` is `stop` (end token or stop string, cut off), `length`, or `failed`.

    A failed one has no text, and `failure` says why: a kind, and mostly a colon and details
    ("HTTP 400: the prompt is longer than the context").
    """

    text: str
    finish: str
    prompt_tokens: int
    tokens: int
    failure: str = ""


def failed(why: str) -> Completion:
    """A completion that there is not, since its request alone failed for good."""
    return Completion(text="", finish=FAILED, prompt_tokens=0, tokens=0, failure=why)


class Unfinished(SamplerError):
    """The model failed under way; `answers` holds what each request got, None for those without an answer."""

    def __init__(
        self, what: str, answers: Sequence[list[Completion] | None] = (), *, why: str = "", remedy: str = ""
    ) -> None:
        super().__init__(what, why=why, remedy=remedy)
        self.answers = answers


class Sampler(Protocol):
    """A model that completes prompts. Trouble raises `SamplerError`, never an empty text.

    A request that fails while others succeed, as one that the server refuses for its prompt, gets
    completions that `failed`. `Unfinished` where a failure leaves others' answers of worth.
    """

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = ...,
        on_tokens: Callable[[int], None] = ...,
    ) -> list[list[Completion]]:
        """For each request, in order, its `n` completions (fewer only for recorded ones).

        `on_done(m)` is called as m more completions are there, and `on_tokens(m)` as m more tokens are: as they are
        drawn if the model is in this process, else with the answer.
        """


@runtime_checkable
class Stating(Protocol):
    """A sampler that asks somebody else's model."""

    def stated(self) -> Mapping[str, str]:
        """What the server says that it is so far: `model`, `fingerprint`, `checkpoint`, where it says so."""


# --- code checks ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A Python program to run; `id` is unique among the programs of one call."""

    id: str
    source: str
    stdin: str = ""


class Evaluation(enum.StrEnum):
    """What an evaluator had to do with a program's execution."""

    NONE = ""
    """Nothing: it was not asked, or did not finish it. CPython ran it."""
    FINISHED = "finished"
    """It finished it; nothing was run."""
    CONFIRMED = "confirmed"
    """It finished it, and CPython came to the same."""
    CONTRADICTED = "contradicted"
    """It finished it, and CPython came to something else, which counts."""


ExitStatus = Literal["ok", "crashed", "timed_out", "out_of_memory", "output_limit"]
"""Every `Execution.exit_status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What became of a program.

    `exit_status` is `ok`, `crashed`, `timed_out`, `out_of_memory` or `output_limit`; `stderr` is
    its end; a `crashed` one's `detail` names exception and line ("ValueError, line 3: …");
    `peak_mib` is 0 where the engine cannot know it.
    """

    id: str
    exit_status: str
    stdout: str
    stderr: str
    detail: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    evaluation: Evaluation = Evaluation.NONE


class Sandbox(Protocol):
    """Runs untrusted programs. Each id is answered exactly once or `SandboxError` is raised."""

    name: str

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """Execute all programs; results in any order."""


# --- comparing answers ------------------------------------------------------------------------


class Algebra(Protocol):
    """Decides whether answers are the same that `mmst.grading.compare` leaves undecided."""

    def decide(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """For each (gold, answer) whether they are the same, None where it found no decision in its time.

        Bounded in time and memory for any texts. Trouble of the engine itself raises `PlatformError`.
        """


# --- training ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """All that a training worker (`mmst.training.worker`) needs; travels as JSON.

    `model`, `examples`, `out` and `scratch` are local paths: a Hugging Face folder, a JSONL of
    `Example` in training order, the folder to write, and where resumable checkpoints stand.
    """

    model: str
    examples: str
    out: str
    scratch: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    trust_remote_code: bool = False


class Trainer(Protocol):
    """Runs the training worker. Trouble raises `TrainingError` with the failing rank's log."""

    def train(self, spec: TrainSpec, on_step: Callable[[int, float], None] = ...) -> Mapping[str, float]:
        """Train until `spec.out` holds a loadable folder; returns final figures (loss, tokens).

        `on_step(step, loss)` is called as steps are done. Run again after a kill, it goes on
        from the last whole checkpoint in `spec.scratch`.
        """


# --- registry ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The checkpoint that stands: its digest, its manifest's reference, its registry version."""

    checkpoint: str
    ref: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Records that a round read: the digest of their content, where they are, and their number.

    `context` is what they were read for, `training` or `evaluation`.
    """

    name: str
    digest: str
    source: str
    context: str
    records: int


class Registry(Protocol):
    """Experiment tracking and the model registry (MLflow). Trouble raises `RegistryError`.

    Every call may be repeated after a kill: it finds what it made before.
    """

    def log_round(
        self,
        run: str,
        round: int,
        *,
        about: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        curves: Mapping[str, Mapping[int, float]],
        data: Sequence[DataSet],
        artifacts: Mapping[str, bytes],
        tags: Mapping[str, str],
    ) -> str:
        """Log one round of the run named `run`; returns the MLflow run id.

        The step of a metric is the round; `curves` are metrics by steps of their own. `about` describes the run in
        Markdown, as it stands after this round.
        """

    def register(
        self,
        name: str,
        source: Path | str,
        *,
        run: str,
        checkpoint: str,
        ref: str,
        about: str,
        tags: Mapping[str, str],
        answering: Mapping[str, Any],
    ) -> str:
        """A version of model `name` for this checkpoint digest, made once; returns it.

        A `source` folder is copied; a text (the URI or path of the stage in its store) is only referred
        to. Either answers problems by itself (`answering` says how: a part of a recipe). Again, it sets
        the tags and the description (`about`) anew.
        """

    def point(self, name: str, version: str) -> None:
        """Make the alias `champion` point at this version."""


# --- progress ---------------------------------------------------------------------------------


class Task(Protocol):
    """Work under way."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """`n` more items are done; `note` is a short live remark, e.g. the loss."""

    def found(self, n: int) -> None:
        """`n` items had been done before this work began; they count as done, and in no rate."""


class Progress(Protocol):
    """Shows what is being done: stage, items a second, time left."""

    def task(self, name: str, total: int, unit: str) -> AbstractContextManager[Task]:
        """Start work on `total` items called `unit` ("samples", "programs", "steps")."""


# --- all of them ------------------------------------------------------------------------------


class Ports(Protocol):
    """The engines that a configuration selects; each is made when first asked for."""

    @property
    def store(self) -> Store:
        """The run's store."""

    @property
    def progress(self) -> Progress:
        """Where progress is told."""

    @property
    def provenance(self) -> Provenance:
        """Which run this is, for the registry."""

    @property
    def failures(self) -> float:
        """The share of a stage's completions that may fail for good; more stop it."""

    @property
    def most_tokens(self) -> int:
        """The most tokens that a stage may have written; 0 for any number."""

    def served_digest(self) -> str:
        """The digest that the server of `sampling.url` states of what it serves; "" where it states none."""

    def sampler(self, checkpoint: Manifest, *, recorded: bool = False) -> AbstractContextManager[Sampler]:
        """The sampler of a checkpoint. Recorded completions only where `recorded` is true."""

    def renderer(self, checkpoint: Manifest) -> Callable[[Sequence[Message]], str]:
        """The checkpoint's chat template as a function; `ModelError` when it has none."""

    def sandbox(self) -> AbstractContextManager[Sandbox]:
        """The code sandbox."""

    def algebra(self) -> AbstractContextManager[Algebra]:
        """The algebra engine; it costs nothing until it is asked something."""

    def trainer(self) -> Trainer:
        """The trainer."""

    def registry(self) -> Registry:
        """The registry."""


class Engines(Ports, Protocol):
    """The ports, and the configuration that they are of."""

    @property
    def config(self) -> Config:
        """The configuration."""
