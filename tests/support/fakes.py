"""Stand-ins of engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from mmst.core.config import Config
from mmst.core.errors import SamplerError, SandboxError
from mmst.core.manifest import Manifest
from mmst.core.ports import (
    Algebra,
    Completion,
    Evaluation,
    Execution,
    Limits,
    Message,
    Program,
    Progress,
    Registry,
    Request,
    Sampler,
    Sandbox,
    Store,
    Trainer,
)
from mmst.core.provenance import Provenance
from mmst.observe.progress import Quiet


class Fakes:
    """`ports.Engines` of which a test gives those that its stage may use; asking for another one fails."""

    def __init__(self, config: Config, store: Store, progress: Progress | None = None) -> None:
        self.config, self.store = config, store
        self.progress: Progress = progress or Quiet()

    @property
    def provenance(self) -> Provenance:
        return Provenance.of(self.config)

    @property
    def failures(self) -> float:
        return self.config.sampling.failures

    @property
    def most_tokens(self) -> int:
        return self.config.teacher.most_tokens if self.config.teacher else 0

    def served_digest(self) -> str:
        raise AssertionError("no server is there to be asked")

    def sampler(self, checkpoint: Manifest, *, recorded: bool = False) -> AbstractContextManager[Sampler]:
        raise AssertionError("no model is there to be asked")

    def renderer(self, checkpoint: Manifest) -> Callable[[Sequence[Message]], str]:
        raise AssertionError("no chat template is there")

    def sandbox(self) -> AbstractContextManager[Sandbox]:
        raise AssertionError("no program is there to be run")

    def algebra(self) -> AbstractContextManager[Algebra]:
        raise AssertionError("no algebra is there to be asked")

    def trainer(self) -> Trainer:
        raise AssertionError("nothing is there to be trained")

    def registry(self) -> Registry:
        raise AssertionError("this test has no registry")


class Echo:
    """A sampler whose j-th completion says what was asked; fails after `most` calls."""

    def __init__(self, most: int = 99) -> None:
        self.calls: list[list[Request]] = []
        self.most = most

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        if len(self.calls) == self.most:
            raise SamplerError("gone")
        self.calls.append(list(requests))
        return [
            [Completion(text=f"{r.seed}.{j}", finish="stop", prompt_tokens=5, tokens=2) for j in range(r.n)]
            for r in requests
        ]


class Scripted:
    """A sandbox that answers `print(N)` with N, and other programs by their first word."""

    name = "scripted"

    def __init__(self, die: int = 0) -> None:
        self.die, self.ran, self.order = die, list[str](), 1

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        for p in list(programs)[:: self.order]:
            if self.die:
                self.die -= 1
                raise SandboxError("the sandbox died")
            self.ran.append(p.source)
            word = p.source.split("(")[0]
            ok = word == "print"
            out = p.source[6:-1] + "\n" if ok else ""
            how = Evaluation.FINISHED if ok else Evaluation.NONE
            outcome, detail = ("ok", "") if ok else (word, "why")
            yield Execution(id=p.id, exit_status=outcome, stdout=out, stderr="", detail=detail, evaluation=how)


class Oracle:
    """An algebra engine that knows one equation."""

    def decide(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        return ["pm 1" in answer or (None if "7" in answer else False) for _, answer in pairs]
