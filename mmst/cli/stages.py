"""The single stages: each on the manifests of the stages before it, given as `stages/<stage>/<key>`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmst.cli.options import DEFAULT_OUT, Json, Recipe, RecipeOut, RunName, Settings, StoreOut, configured, emit
from mmst.core.errors import ConfigError
from mmst.observe.terminal import say

if TYPE_CHECKING:
    from mmst.core.config import Config

Round = Annotated[int, typer.Option("--round", min=0, help="Which round of the run it counts as (0: the base model).")]
Arm = Annotated[
    str, typer.Option("--arm", help="Which arm: mmst or a control.", show_default="base in round 0, else the recipe's")
]


def _ref(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="REF", help=help)


Problems = Annotated[str, _ref("--problems", "What `mmst prepare` made.")]
Samples = Annotated[str, _ref("--samples", "What `mmst sample` or `mmst translate` made.")]
Checked = Annotated[str, _ref("--checked", "What `mmst verify` made of samples.")]
Translated = Annotated[str, _ref("--translated", "What `mmst verify` made of translations.")]
Checkpoint = Annotated[str, _ref("--checkpoint", "A model: what `mmst base-model` or `mmst train` made.")]
Trainset = Annotated[str, _ref("--trainset", "What `mmst build-trainset` made.")]
Evaluation = Annotated[str, _ref("--evaluation", "What `mmst evaluate` made.")]


def prepare(recipe: Recipe, settings: Settings, out: RecipeOut = "", json: Json = False) -> None:
    """Import or generate the recipe's problems; find duplicates and overlaps.

    Example:

      mmst prepare --recipe demo
    """
    _stage("prepare", configured(recipe, settings, out), json)


def base_model(recipe: Recipe, settings: Settings, out: RecipeOut = "", json: Json = False) -> None:
    """Put the model that everything starts from into the store.

    Example:

      mmst base-model --recipe demo --set model.base=/models/bloom-560m
    """
    _stage("base_model", configured(recipe, settings, out), json)


def sample(
    recipe: Recipe,
    settings: Settings,
    problems: Problems,
    checkpoint: Checkpoint,
    purpose: Annotated[str, typer.Option(help="train, or heldout (greedy, for evaluation).")] = "train",
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Draw solutions of the problems from a model, by every method.

    Example:

      mmst sample -r demo --problems stages/prepare/3f… --checkpoint stages/base/9a… --purpose train
    """
    if purpose not in ("train", "heldout"):
        raise ConfigError("--purpose must be train or heldout", value=purpose, remedy="--purpose train")
    step = "sample" if purpose == "train" else "sample-heldout"
    refs = {"problems": problems, "checkpoint": checkpoint}
    _stage("sample", configured(recipe, settings, out), json, round, arm, step, refs, purpose=purpose)


def verify(
    recipe: Recipe,
    settings: Settings,
    problems: Problems,
    samples: Samples,
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    step: Annotated[
        str, typer.Option(help="Its name in the run: verify, verify-translations or verify-heldout.")
    ] = "verify",
    json: Json = False,
) -> None:
    """Run the programs in the sandbox and compare every answer with the gold one.

    Example:

      mmst verify -r demo --problems stages/prepare/3f… --samples stages/sample/77…
    """
    refs = {"problems": problems, "samples": samples}
    if step == "verify" and "stages/translate/" in samples:
        step = "verify-translations"
    _stage("verify", configured(recipe, settings, out), json, round, arm, step, refs)


def translate(
    recipe: Recipe,
    settings: Settings,
    problems: Problems,
    checked: Checked,
    checkpoint: Checkpoint,
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Let the model rewrite correct solutions of one method into the others.

    Example:

      mmst translate -r demo --problems stages/prepare/3f… --checked stages/verify/c1… --checkpoint stages/base/9a…
    """
    refs = {"problems": problems, "checked": checked, "checkpoint": checkpoint}
    _stage("translate", configured(recipe, settings, out), json, round, arm, "translate", refs)


def build_trainset(
    recipe: Recipe,
    settings: Settings,
    problems: Problems,
    checked: Checked,
    translated: Translated,
    checkpoint: Checkpoint,
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Choose the training examples from verified solutions and translations.

    Example:

      mmst build-trainset -r demo --arm own-text --problems stages/prepare/3f… --checked stages/verify/c1… \\
      --translated stages/verify/d2… --checkpoint stages/base/9a…
    """
    refs = {"problems": problems, "checked": checked, "translated": translated, "checkpoint": checkpoint}
    _stage("build_trainset", configured(recipe, settings, out), json, round, arm, "build_trainset", refs)


def train(
    recipe: Recipe,
    settings: Settings,
    trainset: Trainset,
    checkpoint: Checkpoint,
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Fine-tune a model on a training set.

    Example:

      mmst train -r demo --trainset stages/build_trainset/e4… --checkpoint stages/base/9a… --set train.lora_rank=8
    """
    refs = {"trainset": trainset, "checkpoint": checkpoint}
    _stage("train", configured(recipe, settings, out), json, round, arm, "train", refs)


def evaluate(
    recipe: Recipe,
    settings: Settings,
    problems: Problems,
    checked: Checked,
    checkpoint: Checkpoint,
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Measure a model: accuracy per method and task with 95 % intervals.

    Example:

      mmst evaluate -r demo --problems stages/prepare/3f… --checked stages/verify/f0… --checkpoint stages/train/b7…
    """
    refs = {"problems": problems, "checked": checked, "checkpoint": checkpoint}
    _stage("evaluate", configured(recipe, settings, out), json, round, arm, "evaluate", refs)


def promote(
    recipe: Recipe,
    settings: Settings,
    evaluation: Evaluation,
    checkpoint: Checkpoint,
    control: Annotated[
        list[str],
        typer.Option(
            "--control", metavar="NAME=REF", default_factory=list, help="A control's evaluation, logged beside it."
        ),
    ],
    out: RecipeOut = "",
    round: Round = 1,
    arm: Arm = "",
    json: Json = False,
) -> None:
    """Decide whether a model becomes the champion, and carry that out in the registry.

    Example:

      mmst promote -r demo --evaluation stages/evaluate/a8… --checkpoint stages/train/b7… \\
      --control annotated-only=stages/evaluate/c9…
    """
    from mmst.core.stage import load
    from mmst.wiring import open_store

    config = configured(recipe, settings, out)
    named: dict[str, Any] = {}
    for item in control:
        name, equals, ref = item.partition("=")
        if not equals:
            raise ConfigError(
                "--control takes NAME=REF", value=item, remedy="--control annotated-only=stages/evaluate/c9…"
            )
        named[name] = load(open_store(config.out), ref)
    extra = {"controls": named} if named else {}
    refs = {"evaluation": evaluation, "checkpoint": checkpoint}
    _stage("promote", config, json, round, arm, "promote", refs, **extra)


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
    _stage("report", dataclasses.replace(recorded, out=out), json, 0, "base")
    if not json:
        say(f"{out.rstrip('/')}/runs/{name}/report.html")


def _stage(
    stage: str,
    config: Config,
    as_json: bool,
    round: int = 0,
    arm: str = "",
    step: str = "",
    refs: dict[str, str] | None = None,
    **settings: Any,
) -> None:
    """Run a stage here and print what it made."""
    from mmst.core.config import run_id
    from mmst.runner import run_stage
    from mmst.runs import summary
    from mmst.wiring import open_store

    summary.record_config(open_store(config.out), config)
    arm = arm or ("base" if round == 0 else config.loop.arm)
    made = run_stage.run(stage, config, round=round, arm=arm, step=step, refs=refs or {}, **settings)
    result = {"ref": made.ref, "digest": made.digest, "run": run_id(config), "manifest": made}
    counts = ", ".join(f"{name} {n}" for name, n in made.counts.items()) or "none"
    emit(result, as_json, f"ref     {made.ref}", f"digest  {made.digest}", f"counts  {counts}")
