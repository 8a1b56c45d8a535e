"""What `mlflow.pyfunc.load_model("models:/NAME@champion")` runs: the champion as a function from questions to answers.

    model = mlflow.pyfunc.load_model("models:/mmst@champion")
    model.predict(["Ann has 3 apples and buys 4. How many now?"])

        question      method  solution                      answer  reason
        Ann has 3 …   text    3 + 4 = 7 .\\nThe answer is 7  7
        Ann has 3 …   code    print(3 + 4)                  7

A list of questions, or a table with a column `question`, gives a row per question and method; with
a column `method` too, a row per row. Programs run in gVisor. Where that is missing they are not
run: `answer` is None and `reason` says why. Only a consumer who asks for it runs them unconfined:

    mlflow.pyfunc.load_model(uri, model_config={"check": {"sandbox": "subprocess"}})

A checkpoint that is too large for the registry is only referred to there (`mmst.registry.reference`): loading
such a version fetches it from the run's bucket, or uses the run's folder where it stands.

This module is loaded in the consumer's process, where `mmst[model,registry]` is installed; as the
command line does, it connects the providers through `wiring`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmst import wiring
from mmst.core.config import Config, parse
from mmst.core.errors import ConfigError, DataError, MmstError, ModelError
from mmst.core.manifest import Manifest
from mmst.core.ports import Execution, Limits, Program, Request
from mmst.core.records import from_json
from mmst.core.stored import load
from mmst.core.weights import checkpoint_folder
from mmst.methods import method
from mmst.methods.prompts import solve_prompt, stop_strings
from mmst.observe.progress import Quiet
from mmst.registry import reference

if TYPE_CHECKING:
    import pandas

COLUMNS = ("question", "method", "solution", "answer", "reason")


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

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> pandas.DataFrame:
        """A DataFrame with `COLUMNS` for a list of questions or a table; called by MLflow."""
        import pandas

        answers = self.solve(self._asked(data))
        return pandas.DataFrame([dataclasses.asdict(a) for a in answers], columns=list(COLUMNS), dtype=object)

    def solve(self, asked: Sequence[tuple[str, str]]) -> list[Answer]:
        """Answers to (question, method) pairs, in order; greedy, so the same every time."""
        config, p, files = self.config, self.config.prompt, self.config.filed
        render = self._engines.renderer(self._checkpoint) if p.style == "chat" else None
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
            )
            for i, (question, by) in enumerate(asked)
        ]
        with self._engines.sampler(self._checkpoint) as sampler:
            completions = sampler.sample(requests, lambda _: None)
        solutions = [method(by, files).solution(c[0].text) for (_, by), c in zip(asked, completions, strict=True)]
        programs = {
            str(i): Program(id=str(i), source=solution)
            for i, ((_, by), solution) in enumerate(zip(asked, solutions, strict=True))
            if method(by, files).executes and solution and not completions[i][0].failure
        }
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
            with self._engines.sandbox() as box:
                return {e.id: e for e in box.run(programs, limits)}, ""
        except MmstError as e:
            return {}, f"program not run: {e}"

    def _asked(self, data: Any) -> list[tuple[str, str]]:
        if hasattr(data, "columns"):
            if "question" not in data.columns:
                raise DataError("the table has no column 'question'", value=list(data.columns))
            questions = [str(q) for q in data["question"]]
            if "method" in data.columns:
                return list(zip(questions, (self._known(str(m)) for m in data["method"]), strict=True))
        else:
            questions = [data] if isinstance(data, str) else [str(q) for q in data]
        return [(question, by) for question in questions for by in self.config.methods]

    def _known(self, name: str) -> str:
        if name not in self.config.methods:
            raise ConfigError("this model was not trained for this method", value=name, remedy=str(self.config.methods))
        return name


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
    return Solver(_referred(at) if at.name == reference.FILE else at, parse(dict(model_config or {})))
