"""The single stages: each a command made of its declaration, on the manifests of the stages before it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmst.cli.options import DEFAULT_OUT, Json, Recipe, RecipeOut, RunName, Settings, StoreOut, configured, emit
from mmst.core.errors import ConfigError
from mmst.observe.terminal import say
from mmst.stages import STEPS, stage

if TYPE_CHECKING:
    from mmst.core.config import Config
    from mmst.core.stage import Stage

WITHIN = ("enough", "another", "report")
"""Stages without a command of their kind: what they say only a run asks; `report` is of a whole run."""
MODELS = ("base_model", "served_model")
"""Stages that take a model, or a teacher's, and nothing before them."""
_FIRST = {at: step for step, at in reversed(STEPS.items())}
"""Where a stage is declared → the first step that it is, which is its name."""
NAMES = {step.replace("_", "-"): step for step, at in STEPS.items() if step == _FIRST[at] and step not in WITHIN}
"""The commands of single stages, in the order of a run, each with its stage's name."""
SUMMARIES = {
    "prepare": "Import or generate the recipe's problems; find duplicates and overlaps.",
    "base-model": "Put the model that everything starts from into the store.",
    "served-model": "State who a teacher is: the model of a server, or a file of completions.",
    "sample": "Draw solutions of the problems from a model, by every method.",
    "verify": "Run the programs in the sandbox and compare every answer with the gold one.",
    "label": "Label problems without gold answers by the votes of their samples, and judge the samples by the labels.",
    "measure-labels": "Compare labels with the answers that the files of the unlabelled problems hold, if they do.",
    "translate": "Let the model rewrite correct solutions of one method into the others.",
    "build-trainset": "Choose the training examples from verified solutions and translations.",
    "train": "Fine-tune a model on a training set.",
    "evaluate": "Measure a model: accuracy per method and task with 95 % intervals.",
    "promote": "Decide whether a model becomes the champion, and carry that out in the registry.",
}
"""The beginning of each one's help, so that the list of all commands loads no stage."""

Round = Annotated[int, typer.Option("--round", min=0, help="Which round of the run it counts as (0: the base model).")]
Arm = Annotated[
    str,
    typer.Option(
        "--arm", help="Which arm: mmst, a control, or teacher:NAME.", show_default="base in round 0, else the recipe's"
    ),
]


def single(name: str) -> Callable[..., None]:
    """What the command of a single stage does; its declaration is loaded for it."""
    return _command(stage(NAMES[name]))


def report(
    run: RunName = "",
    out: StoreOut = DEFAULT_OUT,
    named: Annotated[str, typer.Option("--run", metavar="RUN", hidden=True)] = "",
    json: Json = False,
) -> None:
    """Write the HTML report of a run, complete or not.

    Example:

      mmst report demo
    """
    from mmst.runs import summary
    from mmst.wiring import open_store

    store = open_store(out)
    name = summary.find_run(store, run or named)
    recorded = summary.recorded_config(store, name)
    if recorded is None:
        raise ConfigError("the run has no recorded recipe", value=name, remedy="start it with `mmst run`")
    _run("report", dataclasses.replace(recorded, out=out), json)
    if not json:
        say(f"{out.rstrip('/')}/runs/{name}/report.html")


def _command(declared: Stage[Any]) -> Callable[..., None]:
    """A function with the options that a stage's declaration asks for; what has no inputs is of round 0."""
    reads, needed = declared.reads(), inspect.Parameter.empty
    options: dict[str, tuple[Any, Any]] = {"recipe": (Recipe, needed), "settings": (Settings, needed)}
    options |= {name: (Annotated[str, _option(name, "REF", read.help)], needed) for name, read in reads.items()}
    if declared.beside:
        option = _option("control", "NAME=REF", declared.beside.help, default_factory=list, show_default=False)
        options["control"] = Annotated[list[str], option], needed
    if declared.steps:
        listed = "; ".join(f"{step}, {what}" for step, what in declared.steps.items())
        options["step"] = (
            Annotated[str, _option("step", "STEP", f"Its name in a run: {listed}.", show_default=False)],
            "",
        )
    options["out"] = RecipeOut, ""
    if reads:
        options |= {"round": (Round, 1), "arm": (Arm, "")}
    elif declared.name in MODELS:
        options["arm"] = Arm, ""
    options["json"] = Json, False

    def command(recipe: str, settings: list[str], out: str, json: bool, **given: Any) -> None:
        refs = {name: given[name] for name in reads}
        step = given.get("step") or declared.step(refs)
        if step not in (declared.steps or {declared.name}):
            first, known = next(iter(declared.steps)), ", ".join(declared.steps)
            raise ConfigError(f"--step must be one of {known}", value=step, remedy=f"--step {first}")
        beside = dict(map(_named, given.get("control", ())))
        at = {"round": given.get("round", 0), "arm": given.get("arm", "")}
        _run(declared.name, configured(recipe, settings, out), json, **at, step=step, refs=refs, beside=beside)

    command.__name__, command.__doc__ = declared.name, declared.__doc__
    command.__annotations__ = {name: kind for name, (kind, _) in options.items()}
    parameters = (
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    )
    command.__signature__ = inspect.Signature(list(parameters))  # type: ignore[attr-defined]
    return command


def _option(name: str, metavar: str, help: str, **more: Any) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=help, **more)


def _named(item: str) -> tuple[str, str]:
    name, equals, ref = item.partition("=")
    if not equals:
        raise ConfigError("--control takes NAME=REF", value=item, remedy="--control annotated-only=stages/evaluate/c9…")
    return name, ref


def _run(
    name: str,
    config: Config,
    as_json: bool,
    *,
    round: int = 0,
    arm: str = "",
    step: str = "",
    refs: Mapping[str, str] | None = None,
    beside: Mapping[str, str] | None = None,
) -> None:
    """Run a stage here and print what it made."""
    from mmst.core.config import run_id
    from mmst.runner import run_stage
    from mmst.runs import summary
    from mmst.wiring import open_store

    summary.record_config(open_store(config.out), config)
    arm = arm or ("base" if round == 0 else config.loop.arm)
    made = run_stage.run(name, config, round=round, arm=arm, step=step, refs=refs or {}, beside=beside or {})
    result = {"ref": made.ref, "digest": made.digest, "run": run_id(config), "manifest": made}
    counts = ", ".join(f"{name} {n}" for name, n in made.counts.items()) or "none"
    emit(result, as_json, f"ref     {made.ref}", f"digest  {made.digest}", f"counts  {counts}")
