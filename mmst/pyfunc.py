"""What `mlflow.pyfunc.load_model("models:/NAME@champion")` runs: the champion as a function from questions to answers.

    model = mlflow.pyfunc.load_model("models:/mmst@champion")
    model.predict({"question": ["Ann has 3 apples and buys 4. How many now?"]})

        question      method  solution                      answer  reason
        Ann has 3 …   text    3 + 4 = 7 .\\nThe answer is 7  7
        Ann has 3 …   code    print(3 + 4)                  7

A table with a column `question` (a DataFrame, a mapping of columns, or a list of mappings) gives a row per question
and method; with a column `method` too, a row per row. That is the model's signature (`mmst.registry.flavor`), by which
MLflow refuses anything else before it comes here. What is refused here is MLflow's `INVALID_PARAMETER_VALUE`, which its
server answers with 400. The weights are loaded with the model, the sandbox is started by the first program, and both
are kept. Programs run in gVisor. Where that is missing they are not run: `answer` is None and `reason` says why. Only a
consumer who asks for it runs them unconfined:

    mlflow.pyfunc.load_model(uri, model_config={"check": {"sandbox": "subprocess"}})

A checkpoint that is too large for the registry is only referred to there (`mmst.registry.reference`): loading
such a version fetches it from the run's bucket, or uses the run's folder where it stands.

This module is loaded in the consumer's process, where `mmst[model,registry]` is installed; as the
command line does, it connects the providers through `wiring`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mmst import wiring
from mmst.core.config import Config, parse
from mmst.core.errors import ConfigError, DataError, MmstError, ModelError
from mmst.core.manifest import Manifest
from mmst.core.ports import Execution, Limits, Program, Request
from mmst.core.records import from_json
from mmst.core.stored import load
from mmst.core.weights import checkpoint_folder
from mmst.methods import method
from mmst.methods.prompts import solve_head, solve_prompt, stop_strings
from mmst.observe.progress import Quiet
from mmst.registry import flavor, reference

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

COLUMNS = tuple(flavor.ANSWERED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One row of the result. `reason` says why there is no `answer`; empty when there is one."""

    question: str
    method: str
    solution: str
    answer: str | None
    reason: str


class Solver:
    """A checkpoint folder that answers questions by the methods that it was trained on."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.config = config
        self._checkpoint = Manifest(stage="registry", key="", inputs={}, files=(), location=str(folder))
        self._engines = wiring.connect(config, Quiet())
        self._alone = threading.Lock()
        self._sampler = _Kept(lambda: self._engines.sampler(self._checkpoint))
        self._sandbox = _Kept(self._engines.sandbox)
        weakref.finalize(self, _close, self._sampler.stack, self._sandbox.stack)

    def load(self) -> None:
        """Load the weights now, so that no question waits for them: MLflow's server gives up on one after 60 s."""
        self._sampler.opened()

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pandas.DataFrame:
        """A DataFrame with `COLUMNS` for a table or a list of questions; called by MLflow, and raises its errors.

        To a list, which the signature refuses, MLflow comes with versions that were registered without one.
        """
        import pandas
        from mlflow.exceptions import MlflowException

        try:
            answers = self.solve(self._asked(data))
        except (ConfigError, DataError) as e:
            raise MlflowException.invalid_parameter_value(str(e)) from e
        except MmstError as e:
            raise MlflowException(str(e)) from e
        return pandas.DataFrame([dataclasses.asdict(a) for a in answers], columns=list(COLUMNS), dtype=object)

    def solve(self, asked: Sequence[tuple[str, str]]) -> list[Answer]:
        """Answers to (question, method) pairs, in order; greedy, so the same every time."""
        config, p, files = self.config, self.config.prompt, self.config.filed
        render = self._engines.renderer(self._checkpoint) if p.style == "chat" else None
        named = {by for _, by in asked}
        shared = {by: len(solve_head(method(by, files), p.style, p.shots, p.phrasing)) for by in named}
        requests = [
            Request(
                id=str(i),
                prompt=solve_prompt(method(by, files), question, p.style, p.shots, render, p.phrasing),
                n=1,
                seed=0,
                temperature=0.0,
                top_p=1.0,
                max_tokens=config.sampling.max_tokens,
                stop=stop_strings(p.style, p.stop),
                question=question,
                method=by,
                shared=shared[by],
            )
            for i, (question, by) in enumerate(asked)
        ]
        with self._alone:
            completions = self._sampler.opened().sample(requests, lambda _: None) if requests else []
        solutions = [method(by, files).solution(c[0].text) for (_, by), c in zip(asked, completions, strict=True)]
        programs = {
            str(i): Program(id=str(i), source=solution)
            for i, ((_, by), solution) in enumerate(zip(asked, solutions, strict=True))
            if method(by, files).executes and solution and not completions[i][0].failure
        }
        with self._alone:
            executed, trouble = self._execute(list(programs.values()))
        answers = []
        for i, ((question, by), solution) in enumerate(zip(asked, solutions, strict=True)):
            done, reason, failure = executed.get(str(i)), "", completions[i][0].failure
            if failure:
                answer, reason = None, f"request failed: {failure}"
            elif method(by, files).executes and not solution:
                answer, reason = None, "no program in the completion"
            elif str(i) in programs and (done is None or done.exit_status != "ok"):
                answer, reason = None, trouble if done is None else done.detail or done.exit_status
            else:
                answer = method(by, files).answer(solution, None if done is None else done.stdout)
                reason = "" if answer is not None else "no answer in the solution"
            answers.append(Answer(question=question, method=by, solution=solution, answer=answer, reason=reason))
        return answers

    def _execute(self, programs: Sequence[Program]) -> tuple[dict[str, Execution], str]:
        """What became of the programs; of none, with the reason, when the sandbox cannot run here."""
        if not programs:
            return {}, ""
        c = self.config.check
        limits = Limits(timeout=c.timeout, memory_mib=c.memory_mib, output_kib=c.output_kib)
        try:
            return {e.id: e for e in self._sandbox.opened().run(programs, limits)}, ""
        except MmstError as e:
            self._sandbox.stack.close()
            return {}, f"program not run: {e}"

    def _asked(self, data: Any) -> list[tuple[str, str]]:
        return [
            (question, by)
            for question, named in _rows(data)
            for by in (self.config.methods if named is None else (self._known(named),))
        ]

    def _known(self, name: str) -> str:
        if name not in self.config.methods:
            raise ConfigError("this model was not trained for this method", value=name, remedy=str(self.config.methods))
        return name


class _Kept(Generic[T]):
    """What is opened when it is first asked for, and stays open; after `stack.close()`, it is opened anew."""

    def __init__(self, make: Callable[[], contextlib.AbstractContextManager[T]]) -> None:
        self.stack = contextlib.ExitStack()
        self._make = make
        self._found: list[T] = []

    def opened(self) -> T:
        if not self._found:
            self._found.append(self.stack.enter_context(self._make()))
            self.stack.callback(self._found.clear)
        return self._found[0]


def _close(*stacks: contextlib.ExitStack) -> None:
    for stack in stacks:
        stack.close()


def _rows(data: Any) -> Iterator[tuple[str, str | None]]:
    """Question and, where one is named, method of each row; `DataError` for anything that is no question."""
    if hasattr(data, "columns"):
        data = {str(name): list(data[name]) for name in data.columns}
    if isinstance(data, str):
        data = [data]
    if isinstance(data, Mapping):
        yield from _columns(data)
        return
    if not isinstance(data, Iterable):
        raise DataError("predict takes questions, or a table with a column 'question'", value=data)
    for i, row in enumerate(data):
        if isinstance(row, Mapping):
            yield from _columns(row, f"row {i}: ")
        else:
            yield _text(row, f"row {i}"), None


def _columns(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str | None]]:
    if "question" not in table:
        raise DataError(f"{where}the table has no column 'question'", value=list(table))
    questions = _listed(table["question"])
    methods = _listed(table["method"]) if "method" in table else [None] * len(questions)
    if len(methods) != len(questions):
        raise DataError(f"{where}there are {len(questions)} questions and {len(methods)} methods")
    for i, question in enumerate(questions):
        at = f"{where}question {i}" if len(questions) > 1 else f"{where}question"
        named = methods[i]
        # Of rows among which only some name a method, MLflow makes a table with NaN in the others.
        unnamed = named is None or (isinstance(named, float) and math.isnan(named))
        yield _text(question, at), None if unnamed else _text(named, at.replace("question", "method"))


def _listed(column: Any) -> list[Any]:
    found = list(column) if isinstance(column, Iterable) and not isinstance(column, str) else [column]
    # Of a mapping of lists, MLflow makes a table with one row, in which the lists are.
    return list(found[0]) if len(found) == 1 and isinstance(found[0], list) else found


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where} is no text", value=value)
    return str(value)


def folder(version: Path | str) -> Path:
    """The checkpoint's folder, for `from_pretrained`, of a version that MLflow has downloaded: copied, or referred to.

    Files in a bucket are fetched into `$MMST_SCRATCH`, or the user's cache, and verified. `ModelError`
    when they cannot be had here.

    >>> folder(mlflow.artifacts.download_artifacts("models:/mmst@champion"))  # doctest: +SKIP
    """
    return _checkpoint(Path(version) / "checkpoint") or _referred(Path(version) / reference.FILE)


def _checkpoint(path: Path) -> Path | None:
    return path if path.is_dir() else None


def _referred(file: Path) -> Path:
    """The folder of a checkpoint that a file refers to."""
    if not file.is_file():
        raise ModelError("this is not a version of a model that MMST registered", value=str(file.parent))
    to = from_json(reference.Reference, file.read_bytes())
    away = "run this where the run's store is mounted at the same path, or keep the store in a bucket (--out s3://…)"
    if not to.store.startswith("s3://") and not Path(to.store).is_dir():
        raise ModelError("the champion's store is not on this machine", value=to.store, remedy=away)
    store = wiring.open_store(to.store)
    manifest = load(store, to.ref)
    if manifest.digest != to.checkpoint:
        remedy = "promote it again: `mmst promote`, with the checkpoint that is there"
        raise ModelError(f"there is another checkpoint than {to.checkpoint}", value=to.source, remedy=remedy)
    found = checkpoint_folder(store, manifest)
    for entry in manifest.files:
        path = found / entry.name
        if not path.is_file():
            raise ModelError("a file of the champion is not on this machine", value=str(path), remedy=away)
        if path.stat().st_size != entry.bytes:
            raise ModelError(
                f"a file of the champion has {path.stat().st_size} bytes, not {entry.bytes}", value=str(path)
            )
    return found


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Solver:
    """Called by MLflow with the checkpoint's folder, or the file that refers to it, and how to ask it."""
    at = Path(path)
    solver = Solver(_referred(at) if at.name == reference.FILE else at, parse(dict(model_config or {})))
    solver.load()
    return solver
