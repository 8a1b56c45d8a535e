"""Arms: what a model may be trained on, as data. The built-in ones are a table; a recipe adds its own.

    arms:
      one-rationale: {methods: [text], origins: [own], per_problem: 1}
      unfiltered:    {keep: any, equal_to: mmst}

An arm that says nothing is `mmst`: the model's own correct solutions and their translations, of every method.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mmst.core.errors import ConfigError, did_you_mean
from mmst.core.options import option

if TYPE_CHECKING:
    from mmst.core.config import Config

SELF = "self"
"""The writer that is the model itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Which solutions an arm trains on. Every field leaves something out, but for `keep`, which lets more in.

    Example:
        {"methods": ["code"], "origins": ["own"], "per_problem": 1}
    """

    writers: tuple[str, ...] = option((), "who wrote them: self, names of teachers (empty: everybody)")
    methods: tuple[str, ...] = option((), "by which methods (empty: every one of the recipe)")
    origins: tuple[Literal["own", "translation"], ...] = option(
        (), "own (asked for by that method), translation (empty: both)"
    )
    directions: tuple[str, ...] = option((), "which translations, e.g. text-to-code (empty: all)")
    keep: Literal["passed", "unverified", "any"] = option(
        "passed",
        "passed (right), unverified (also translations, of right solutions, that failed their check), or any (own "
        "samples too, whatever their verdict)",
    )
    solved_by: Literal["any", "one", "several", "all"] = option(
        "any", "only problems that one method (of one writer) alone solved, several, or all methods; any: every problem"
    )
    sound: bool = option(False, "only solutions in which no equation is false (mmst/methods/soundness.py)", quiet=True)
    per_problem: int = option(0, "at most this many of a problem and method (0: trainset.cap)", low=0)
    equal_to: tuple[str, ...] = option(
        (), "cut to at most the counts of these arms, the largest of them (an arm that they cut counts as uncut)"
    )
    equal: Literal["method", "total"] = option("method", "equal_to compares each method's count, or the total")
    annotated: Literal["replay", "only", "none"] = option(
        "replay", "annotated examples: replay (trainset.annotated_share), only (nothing new), none"
    )

    @property
    def verified(self) -> bool:
        """Whether all that it trains on was found right."""
        return self.keep == "passed"


def built_in(methods: Sequence[str]) -> Mapping[str, Arm]:
    """The arms that every recipe with these methods has.

    >>> list(built_in(["text", "code"]))[8:]
    ['own-text', 'own-code', 'text-to-code', 'code-to-text']
    """
    singles = {f"own-{m}": Arm(methods=(m,), origins=("own",)) for m in methods}
    directions = [f"{a}-to-{b}" for a, b in itertools.permutations(methods, 2)]
    return {
        "mmst": Arm(),
        "no-translation": Arm(origins=("own",)),
        "equal-data": Arm(equal_to=("no-translation",)),
        "equal-total": Arm(equal_to=tuple(singles), equal="total"),
        "unverified": Arm(keep="unverified"),
        "solved-by-one": Arm(solved_by="one", equal_to=("solved-by-all",)),
        "solved-by-all": Arm(solved_by="all", equal_to=("solved-by-one",)),
        "annotated-only": Arm(annotated="only"),
        **singles,
        **{name: Arm(directions=(name,)) for name in directions},
    }


def of(config: Config) -> Mapping[str, Arm]:
    """All arms of a recipe by name, the built-in ones first."""
    return {**built_in(config.methods), **config.arms}


RENAMED = {"seed-only": "annotated-only"}
"""Arms of older recipes, and what they are called now."""
TAKEN = ("base", SELF)
LONGEST = 40


def check(config: Config) -> None:
    """`ConfigError` unless the recipe's arms can be, and `loop` names those that there are."""
    known = of(config)
    for name, arm in config.arms.items():
        _check_name(name, built_in(config.methods))
        _check_arm(config, f"arms.{name}", arm)
        _check_equal(name, arm, known)
    for key, wanted in (("arm", (config.loop.arm,)), ("controls", config.loop.controls)):
        for name in wanted:
            if name not in known:
                now = RENAMED.get(name)
                remedy = f"it is called {now} now" if now else f"{did_you_mean(name, known)}see docs/concepts.md"
                raise ConfigError(f"loop.{key} must be of {', '.join(known)}", value=name, remedy=remedy)
    if len({config.loop.arm, *config.loop.controls}) <= len(config.loop.controls):
        raise ConfigError(
            "loop.controls must name other arms than loop.arm, each once",
            value=list(config.loop.controls),
            remedy=f"leave out '{config.loop.arm}', or name another loop.arm",
        )
    if config.loop.arm in config.arms and not config.arms[config.loop.arm].verified:
        raise ConfigError(
            f"loop.arm trains on solutions that nobody verified (arms.{config.loop.arm}.keep), and would be promoted",
            value=config.arms[config.loop.arm].keep,
            remedy=f"--set loop.arm=mmst --set 'loop.controls=[{config.loop.arm}]'",
        )


def _check_name(name: str, ours: Mapping[str, Arm]) -> None:
    if name in ours or name in TAKEN:
        raise ConfigError("arms: this name is taken", value=name, remedy="name it otherwise")
    if len(name) > LONGEST or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        what = f"arms: a name must be 1 to {LONGEST} of a-z, 0-9 and '-'"
        raise ConfigError(what, value=name, remedy="e.g. half-data")


def _check_arm(config: Config, key: str, arm: Arm) -> None:
    directions = [f"{a}-to-{b}" for a, b in itertools.permutations(config.methods, 2)]
    for field, named, known in (
        ("methods", arm.methods, config.methods),
        ("directions", arm.directions, directions),
    ):
        _check_among(f"{key}.{field}", named, known)
    for name in arm.writers:
        if name not in (SELF, *config.teachers):
            near = did_you_mean(name, (SELF, *config.teachers))
            what = f"{key}.writers names nobody who writes: they are {', '.join((SELF, *config.teachers))}"
            raise ConfigError(what, value=name, remedy=f"{near}name the teacher under `teachers` (docs/teachers.md)")
    if arm.directions and arm.origins == ("own",):
        remedy = f"leave out {key}.origins or {key}.directions"
        raise ConfigError(f"{key}.directions are of translations, which origins leave out", remedy=remedy)


def _check_among(key: str, named: Iterable[str], known: Iterable[str]) -> None:
    for name in named:
        if name not in known:
            remedy = did_you_mean(name, known) + "see docs/concepts.md"
            raise ConfigError(f"{key} must be of {', '.join(known)}", value=name, remedy=remedy)


def _check_equal(name: str, arm: Arm, known: Mapping[str, Arm]) -> None:
    _check_among(f"arms.{name}.equal_to", arm.equal_to, known)
    if name in arm.equal_to:
        raise ConfigError(f"arms.{name}.equal_to names the arm itself", remedy="name the arm to compare with")
    for other in arm.equal_to:
        if beyond := [o for o in known[other].equal_to if o != name]:
            raise ConfigError(
                f"arms.{name}.equal_to names an arm that is cut to '{beyond[0]}' itself",
                value=other,
                remedy=f"name '{beyond[0]}', or let the two arms name each other",
            )
