"""What an experiment compares and claims: a YAML file that is written before anything runs.

name: paper-small
recipe: paper-small                     # a shipped recipe or a file
seeds: 5
vary: {sampling.seed: 100}              # key → value for seed 1, one more for each further seed
dev: {problems.test.0.split: dev}       # laid over the recipe by --dev: where choices are made
arms:
  base: {}
  annotated-only: {arm: annotated-only, asks: is it just more training?}
  mmst: {arm: mmst}
  mmst-3: {arm: mmst, rounds: 3}
claims:
  - {says: the weaker method gains, paper: up to +30 %, of: mmst, over: base, method: text}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmst import recipes
from mmst.core.config import Config, check_name, override, parse, tasks, what_counts
from mmst.core.errors import ConfigError, DataError
from mmst.core.records import digest, from_data, to_data
from mmst.core.yaml import Shipped

SHIPPED = Shipped("experiment", recipes.SHIPPED.folder / "experiments")
BASE = "base"
COUNTS = "examples"
MEASURES = ("accuracy", COUNTS, "disagreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that is measured: `rounds` rounds of training on `arm`; without an arm, the base model.

    `set` are recipe keys that this arm changes; `asks` is the question that it answers.
    """

    arm: str = ""
    rounds: int = 1
    asks: str = ""
    set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence that is true if arm `of` has more than arm `over`.

    measure: `accuracy` (held-out pass@1 by `method`, or the mean of `all`, on `task`), `examples`
    (how many new examples were trained on, by `method` or `all`), or `disagreement` (the gain, per
    family and method, rises with the share of problems that only other methods solve at the
    base). `paper` is what the paper found.
    """

    says: str
    of: str
    over: str
    method: str = "all"
    task: str = "main"
    measure: str = "accuracy"
    paper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Arms, seeds and claims; `recipe` is plain recipe data, `choices` says what was chosen where."""

    name: str
    title: str = ""
    recipe: Mapping[str, Any]
    seeds: int = 5
    vary: Mapping[str, int] = field(default_factory=dict)
    dev: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Arm]
    claims: tuple[Claim, ...] = ()
    choices: str = ""

    @property
    def tested(self) -> tuple[Claim, ...]:
        """The claims about arms that are run."""
        return tuple(claim for claim in self.claims if {claim.of, claim.over} <= self.arms.keys())

    @property
    def waiting(self) -> tuple[Claim, ...]:
        """The other claims."""
        return tuple(claim for claim in self.claims if not {claim.of, claim.over} <= self.arms.keys())

    def only(self, arms: Sequence[str]) -> Experiment:
        """The same with these arms, the base, and those whose runs they are controls of; claims about others wait.

        So an arm has the same stages whichever others are run with it. `ConfigError` for an unknown one.
        """
        for name in arms:
            if name not in self.arms:
                raise ConfigError("unknown arm", value=name, remedy=f"--arm of {', '.join(self.arms)}")
        kept = {BASE, *arms}
        for config, yielded in self.runs(1):
            if not kept.isdisjoint(yielded.keys() - {BASE}):
                kept |= {name for name, (_, arm) in yielded.items() if arm == config.loop.arm}
        return replace(self, arms={name: arm for name, arm in self.arms.items() if name in kept})

    @property
    def id(self) -> str:
        """Its name in a store: name and digest of all that can change its results, but how many seeds."""
        config = parse(self.recipe)
        return f"{self.name}-{digest([what_counts(config), to_data(self.arms), dict(self.vary)])[7:15]}"

    def runs(self, seed: int) -> Iterator[tuple[Config, Mapping[str, tuple[int, str]]]]:
        """The runs of a seed, each with the arms that it yields: name → round and arm in that run.

        Arms of one round that set the same keys are one run's arm and controls; an arm of several
        rounds has a run of its own, whose first round is found in the store.
        """
        groups: dict[str, dict[str, Arm]] = {}
        for name, arm in self.arms.items():
            groups.setdefault(digest(to_data(arm.set)), {})[name] = arm
        for group in groups.values():
            single = {name: arm for name, arm in group.items() if arm.arm and arm.rounds == 1}
            trained = list(dict.fromkeys(arm.arm for arm in single.values()))
            main = "mmst" if "mmst" in trained or not trained else trained[0]
            yielded = {name: (1, arm.arm) for name, arm in single.items()}
            yielded |= {name: (0, BASE) for name, arm in group.items() if not arm.arm}
            yield self._run(seed, group, main, 1, [a for a in trained if a != main]), yielded
            for line in dict.fromkeys(arm.arm for arm in group.values() if arm.rounds > 1):
                longer = {name: arm for name, arm in group.items() if arm.arm == line and arm.rounds > 1}
                most = max(arm.rounds for arm in longer.values())
                yield self._run(seed, group, line, most, []), {n: (a.rounds, line) for n, a in longer.items()}

    def _run(self, seed: int, group: Mapping[str, Arm], arm: str, rounds: int, controls: Sequence[str]) -> Config:
        varied = {key: first + seed - 1 for key, first in self.vary.items()}
        named = {"name": self.name, "promote.name": f"{self.name}-{seed}"}
        loop = {"arm": arm, "rounds": rounds, "controls": list(controls), "min_new": 0, "plateau": "continue"}
        looped = {f"loop.{key}": value for key, value in loop.items()}
        made = override(self.recipe, {**varied, **named, **next(iter(group.values())).set, **looped})
        return parse(recipes.whole(made))


def load(name_or_file: str, settings: Sequence[str] = (), *, dev: bool = False, release: str = "") -> Experiment:
    """The experiment with `key=value` settings laid over its recipe, and with `dev` the development set.

    `release` is an installed release's settings (YAML text), laid over the recipe before them.

    Raises `ConfigError` for an unknown experiment, key, arm or claim, before anything runs.
    """
    data = SHIPPED.read(name_or_file)
    if not isinstance(data.get("recipe"), str):
        raise ConfigError("an experiment must name its recipe", value=data.get("recipe"), remedy="recipe: demo")
    recipe = recipes.read(data["recipe"])
    if dev:
        recipe = override(recipe, data.get("dev") or {})
        data["name"] = f"{data['name']}-dev"
    data["recipe"] = recipes.override_all(recipes.lay_over(recipe, release), settings)
    try:
        experiment = from_data(Experiment, data, "experiment")
    except DataError as e:
        raise ConfigError(e.what, value=e.value, remedy="see docs/experiments.md") from None
    _check(experiment)
    return experiment


def _check(experiment: Experiment) -> None:
    check_name(experiment.name, "an experiment's name")
    if BASE not in experiment.arms or experiment.arms[BASE].arm:
        raise ConfigError("an experiment must also measure the base model", remedy="arms: {base: {}, …}")
    if experiment.seeds < 1:
        raise ConfigError("seeds must be at least 1", value=experiment.seeds)
    for name, arm in experiment.arms.items():
        if not 1 <= arm.rounds <= 10:
            raise ConfigError(f"arm '{name}': rounds must be 1 to 10", value=arm.rounds)
    if not experiment.vary:
        remedy = "vary: {sampling.seed: 100}"
        raise ConfigError("nothing differs between the seeds", value=dict(experiment.vary), remedy=remedy)
    list(experiment.runs(1))  # every run's recipe is parsed
    config = parse(experiment.recipe)
    measured = tasks(config)
    for claim in experiment.claims:
        for what, value, known in (
            ("arm", claim.of, experiment.arms),
            ("arm", claim.over, experiment.arms),
            ("method", claim.method, ("all", *config.methods)),
            ("measure", claim.measure, MEASURES),
            ("task", claim.task, measured),
        ):
            if value not in known:
                raise ConfigError(f"claim '{claim.says}': unknown {what}", value=value, remedy=f"of {', '.join(known)}")
        _check_measured(claim, measured[claim.task], config.methods)


def _check_measured(claim: Claim, measured: Sequence[str], methods: Sequence[str]) -> None:
    """What a claim compares is measured on its task."""
    if claim.measure == "accuracy" and claim.method not in ("all", *measured):
        what = f"claim '{claim.says}': {claim.task} is measured by {', '.join(measured)} alone"
        raise ConfigError(what, value=claim.method, remedy=f"method: {measured[0]}, or another task")
    if claim.measure == "disagreement" and set(measured) != set(methods):
        what = f"claim '{claim.says}': only tasks that every method is measured on have a disagreement"
        raise ConfigError(what, value=claim.task, remedy="task: main, or another measure")


def first_config(experiment: Experiment) -> Config:
    """The first run of the first seed: for what all runs have in common."""
    config, _ = next(iter(experiment.runs(1)))
    return config


__all__ = ["BASE", "Arm", "Claim", "Experiment", "first_config", "load"]
