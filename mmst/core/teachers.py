"""Teachers: somebody else than the model that is trained, who writes solutions for it to learn from.

A teacher's stages see the recipe as if it were the model: `seen_by` puts its model, its prompt and its way of being
asked in the place of the recipe's own. So nothing that samples, translates or serves knows of teachers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mmst.core import arms
from mmst.core.arms import Arm
from mmst.core.codec import seed_of
from mmst.core.config import Config
from mmst.core.errors import ConfigError, MmstError, did_you_mean
from mmst.core.sections import ModelConfig, Teacher

SELF = ""
"""The writer that is the model itself."""
PLACE = "teacher:"
"""What the arm begins with at which a teacher's stages stand in a run; no arm's own name has a colon."""
TAKEN = ("self", "any")
LONGEST = 40
FOLDERLESS = ("openai", "recorded")
"""Backends of teachers of whose model nothing is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught(Config):
    """A recipe as a teacher's stages see it; `of` is the recipe itself."""

    by: str
    of: Config

    @property
    def writer(self) -> str:
        """See `Config.writer`."""
        return self.by

    @property
    def teacher(self) -> Teacher | None:
        """See `Config.teacher`."""
        return self.of.teachers[self.by]

    @property
    def whole(self) -> Config:
        """See `Config.whole`."""
        return self.of


def seen_by(config: Config, name: str, round: int = 1) -> Taught:
    """The recipe as the stages of a teacher see it in a round; each teacher draws anew, and in each round."""
    t, s = config.teachers[name], config.sampling
    sampling = replace(
        s,
        backend=t.backend or ("local" if s.backend in FOLDERLESS else s.backend),
        k=s.k if t.k is None else t.k,
        temperature=s.temperature if t.temperature is None else t.temperature,
        top_p=s.top_p if t.top_p is None else t.top_p,
        max_tokens=s.max_tokens if t.max_tokens is None else t.max_tokens,
        seed=seed_of(s.seed, "teacher", name, round),
        server=t.server or s.server,
        url=t.url,
        served_model=t.served_model,
        answered_model=t.answered_model,
        revision=t.revision,
        api_key_env=t.api_key_env,
        recorded=t.recorded,
    )
    model = ModelConfig(base=t.base, trust_remote_code=t.trust_remote_code, dtype=t.dtype or config.model.dtype)
    fields = {f: getattr(config, f) for f in Config.__dataclass_fields__}
    fields |= {
        "model": model,
        "prompt": t.prompt or config.prompt,
        "sampling": sampling,
        "methods": _taken(config, name),
    }
    return Taught(**fields, by=name, of=config)


def place_of(writer: str) -> str:
    """The arm at which a teacher's stages stand in a run."""
    return f"{PLACE}{writer}"


def writer_at(arm: str) -> str:
    """The teacher whose stages stand at an arm; `SELF` at those of the run.

    >>> writer_at("teacher:big"), writer_at("mmst")
    ('big', '')
    """
    return arm.removeprefix(PLACE) if arm.startswith(PLACE) else SELF


def seen_at(config: Config, arm: str, round: int) -> Config:
    """The recipe as the stages at a place of the run see it; `ConfigError` for a teacher that it does not have."""
    writer = writer_at(arm)
    if not writer:
        return config
    if writer not in config.teachers:
        known = ", ".join(config.teachers) or "none"
        remedy = f"{did_you_mean(writer, config.teachers)}its teachers: {known}"
        raise ConfigError("the recipe has no such teacher", value=writer, remedy=remedy)
    return seen_by(config, writer, round)


def views(config: Config) -> Iterator[Config]:
    """The recipe, and as each of its teachers sees it: whatever may be asked in a run."""
    yield config
    for name in config.teachers:
        yield seen_by(config, name)


def served_in_cluster(config: Config) -> bool:
    """Whether any model of a run, or of a teacher, gets a server in the cluster."""
    return any(seen.sampling.backend == "kserve" for seen in views(config))


def writers(config: Config, round: int) -> tuple[str, ...]:
    """Who writes solutions in a round: the model itself (`SELF`) and the teachers that are not done yet, as far as an
    arm of the run learns from them."""
    wanted = {writer for arm in _learning(config) for writer in arm.writers or (arms.SELF, *config.teachers)}
    there = tuple(name for name, t in sorted(config.teachers.items()) if round <= t.rounds and name in wanted)
    return (SELF, *there) if arms.SELF in wanted or not there else there


def rounds_of(config: Config, writer: str) -> tuple[int, ...]:
    """The rounds of a run in which somebody writes solutions."""
    return tuple(number for number in range(1, config.loop.rounds + 1) if writer in writers(config, number))


def _taken(config: Config, writer: str) -> tuple[str, ...]:
    """The methods by which a teacher is asked: those of which an arm takes its solutions. All of them, if an arm
    takes translations, which may come from any, or looks at who solved a problem."""
    learning = [arm for arm in _learning(config) if not arm.writers or writer in arm.writers]
    if any(arm.solved_by != "any" or arm.origins != ("own",) or not arm.methods for arm in learning):
        return config.methods
    taken = {name for arm in learning for name in arm.methods}
    return tuple(name for name in config.methods if name in taken) or config.methods


def _learning(config: Config) -> list[Arm]:
    """The arms of a run, and those that they are cut to, that learn from what is written."""
    config = config.whole
    known = arms.of(config)
    named = [known[name] for name in (config.loop.arm, *config.loop.controls)]
    return [a for arm in named for a in (arm, *(known[name] for name in arm.equal_to)) if a.annotated != "only"]


def has_folder(config: Config) -> bool:
    """Whether what writes is a model that is here, not somebody else's server or a file."""
    return bool(config.model.base)


def translates(config: Config) -> bool:
    """Whether who writes rewrites what it wrote: a file of completions cannot, and a teacher need not if no arm learns
    from its translations."""
    if not config.writer or config.sampling.backend == "recorded":
        return not config.writer
    learning = [arm for arm in _learning(config) if not arm.writers or config.writer in arm.writers]
    return any("translation" in (arm.origins or ("translation",)) for arm in learning)


def check(config: Config, engine: Callable[[Config], None]) -> None:
    """`ConfigError` unless each teacher can be asked; `engine` checks what the recipe's own model must fulfil too."""
    for name in config.teachers:
        if name in TAKEN or len(name) > LONGEST or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
            raise ConfigError(
                f"teachers: a name must be 1 to {LONGEST} of a-z, 0-9 and '-', begin with a letter, and be none of "
                f"{', '.join(TAKEN)}",
                value=name,
                remedy="e.g. big",
            )
        seen = seen_by(config, name)
        _check_model(seen, f"teachers.{name}")
        with about(seen):
            engine(seen)


def _check_model(seen: Taught, key: str) -> None:
    t, backend = seen.of.teachers[seen.by], seen.sampling.backend
    if not t.base and backend not in FOLDERLESS:
        raise ConfigError(
            f"{key} says neither which model it is nor who serves it",
            remedy=f"--set {key}.base=MODEL, or {key}.backend=openai with {key}.url",
        )
    if t.base and backend == "recorded":
        raise ConfigError(f"{key}: what a file holds is of no model here", value=t.base, remedy=f"leave out {key}.base")
    if t.protocol == "chat" and backend != "openai":
        remedy = f"--set {key}.backend=openai, or for a model here {key}.prompt.style=chat"
        raise ConfigError(f"{key}.protocol=chat is about servers", value=backend, remedy=remedy)
    if not t.base and backend == "openai" and seen.prompt.style == "chat":
        raise ConfigError(
            f"{key}: the style chat is a tokenizer's template, and this teacher's is not here",
            value=f"{key}.prompt.style=chat",
            remedy=f"--set {key}.protocol=chat --set {key}.prompt.style=instruct",
        )


@contextlib.contextmanager
def about(seen: Config) -> Iterator[None]:
    """Errors about who writes by this view of a recipe name the keys of the recipe itself."""
    try:
        yield
    except MmstError as e:
        if seen.writer:
            e.reword(lambda text: named(text, f"teachers.{seen.writer}"))
        raise


def named(text: str, key: str) -> str:
    """A message about the recipe's own model, about the teacher under this key.

    >>> named("--set sampling.url=… and prompt.stop", "teachers.api")
    '--set teachers.api.url=… and teachers.api.prompt.stop'
    """
    text = re.sub(r"(?<![\w.])(sampling|model)\.(?=[a-z])", f"{key}.", text)
    return re.sub(r"(?<![\w.])prompt\.(?=[a-z])", f"{key}.prompt.", text)
