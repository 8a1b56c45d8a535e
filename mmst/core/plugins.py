"""The code that a recipe names: methods, problem formats, sandboxes and samplers, ours and other packages'.

Each has an entry: a name, the object, and the package that brings it. Ours are the table `OURS`; an installed
package declares its own as entry points in the same form (docs/extending.md):

    [project.entry-points."mmst.methods"]
    equation = "acme.equation:METHOD"

An entry is loaded when it is first used, so a broken package stops only the recipes that name it. A name that two
packages claim is refused: to prefer either would run code that the user did not mean.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mmst.core.errors import ConfigError, MmstError, PlatformError, SetupError, did_you_mean
from mmst.core.method_files import NAME as METHOD_NAME
from mmst.core.sections import ROLES
from mmst.version import __version__

if TYPE_CHECKING:
    from mmst.core.config import Config

T = TypeVar("T")

METHODS, DATASETS, SANDBOXES, SAMPLERS = "mmst.methods", "mmst.datasets", "mmst.sandboxes", "mmst.samplers"

OURS: Mapping[str, Mapping[str, str]] = {
    METHODS: {
        "text": "mmst.methods.text:METHOD",
        "code": "mmst.methods.code:METHOD",
    },
    DATASETS: {
        "generated": "mmst.datasets.generated:generate",
        "gsm8k": "mmst.datasets.gsm8k:problem",
        "svamp": "mmst.datasets.svamp:problem",
        "asdiv": "mmst.datasets.asdiv:problem",
        "mawps": "mmst.datasets.mawps:problem",
        "mawps-csv": "mmst.datasets.mawps_csv:problem",
        "math": "mmst.datasets.math:problem",
        "mathqa": "mmst.datasets.mathqa:problem",
        "strategyqa": "mmst.datasets.strategyqa:problem",
        "commonsenseqa": "mmst.datasets.commonsenseqa:problem",
        "jsonl": "mmst.datasets.jsonl:problem",
    },
    SANDBOXES: {
        "gvisor": "mmst.wiring.sandboxes:gvisor",
        "gvisor_job": "mmst.wiring.sandboxes:gvisor_job",
        "subprocess": "mmst.wiring.sandboxes:subprocess",
    },
    SAMPLERS: {
        "local": "mmst.wiring.samplers:local",
        "ctranslate2": "mmst.wiring.samplers:ctranslate2",
        "server": "mmst.wiring.samplers:server",
        "kserve": "mmst.wiring.samplers:kserve",
        "openai": "mmst.wiring.samplers:openai",
        "recorded": "mmst.wiring.samplers:recorded",
    },
}
"""Entry-point group → name → `module:object`; docs/extending.md says what the objects of each group are."""

NOUNS = {METHODS: "method", DATASETS: "problem format", SANDBOXES: "sandbox", SAMPLERS: "sampler"}

NAME = {METHODS: METHOD_NAME}
"""Names that can be used, `_NAME` in the other groups."""
_NAME = r"[a-z][a-z0-9]*([_-][a-z0-9]+)*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name, the object (`module:object`), and the package that brings it."""

    group: str
    name: str
    at: str
    package: str = "mmst"
    version: str = __version__
    ours: bool = False
    """Whether it stands in `OURS`. A package may have any name, so its name does not say it."""

    @property
    def source(self) -> str:
        """`equation (acme 1.2)`."""
        return f"{self.name} ({self.package} {self.version})"

    def __str__(self) -> str:
        where = f"{self.package} {self.version}, entry point {self.group}: {self.name} = {self.at}"
        return f"the {NOUNS[self.group]} '{self.name}' ({where})"


def entries(group: str) -> dict[str, list[Entry]]:
    """Every entry of a group by name, ours first; several entries where packages claim the same name."""
    found = {name: [Entry(group=group, name=name, at=at, ours=True)] for name, at in OURS[group].items()}
    for entry in installed()[0]:
        if entry.group == group:
            found.setdefault(entry.name, []).append(entry)
    return found


def names(group: str) -> list[str]:
    """Every name of a group, ours first."""
    return list(entries(group))


@functools.cache
def installed() -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """What other packages add, and what is wrong with those whose entry points cannot be read.

    Only reads metadata; no code of these packages runs.
    """
    import importlib.metadata

    found, unreadable, seen = list[Entry](), list[str](), set[str]()
    for package in importlib.metadata.distributions():
        try:
            if "[mmst." not in (package.read_text("entry_points.txt") or ""):
                continue
            name, version = str(package.metadata["Name"]), str(package.version)
            points = [point for point in package.entry_points if point.group in OURS]
        except Exception as e:  # their files, whatever is in them
            unreadable.append(f"the entry points of {getattr(package, '_path', 'a package')}: {type(e).__name__}: {e}")
            continue
        # As in `import`, the first on the path is the one that counts.
        if (normal := re.sub(r"[-_.]+", "-", name).lower()) not in seen:
            seen.add(normal)
            found += [
                Entry(group=p.group, name=p.name, at=p.value.partition("[")[0].strip(), package=name, version=version)
                for p in points
            ]
    return tuple(sorted(found, key=lambda e: (e.package, e.group, e.name))), tuple(unreadable)


def find(group: str, name: str) -> Entry:
    """The one entry of this name.

    `ConfigError` lists the names that there are; `SetupError` where several packages claim it or it cannot be used.
    """
    noun, known = NOUNS[group], entries(group)
    if name not in known:
        listed = f"one of {', '.join(known)}" + "".join(f"; not readable: {why}" for why in installed()[1])
        raise ConfigError(f"unknown {noun}", value=name, remedy=did_you_mean(name, known) + listed)
    first, *others = known[name]
    if others:
        theirs = " or ".join(dict.fromkeys(e.package for e in (first, *others) if not e.ours))
        raise SetupError(
            f"several packages add a {noun} '{name}'",
            why="; ".join(map(str, (first, *others))),
            remedy=f"pip uninstall {theirs}, or rename its entry point",
        )
    if not re.fullmatch(form := NAME.get(group, _NAME), name):
        raise SetupError(
            f"{first} has a name that cannot be used", why=f"it must be {form}", remedy="rename the entry point"
        )
    return first


def load(group: str, name: str, usable: Callable[[Entry, Any], T]) -> T:
    """What stands behind a name, as `usable` makes it of the loaded object; loaded once.

    `usable` raises `TypeError` for an object of the wrong shape. Errors: those of `find`, and `SetupError` when it
    cannot be loaded or has the wrong shape.
    """
    found: T = _loaded(group, name, usable)
    return found


@functools.cache
def _loaded(group: str, name: str, usable: Callable[[Entry, Any], Any]) -> Any:
    entry = find(group, name)
    remedy = f"pip install --upgrade {entry.package}, or report it to its authors; or choose another {NOUNS[group]}"
    try:
        module, _, path = entry.at.partition(":")
        found = functools.reduce(getattr, filter(None, path.split(".")), importlib.import_module(module))
    except (Exception, SystemExit) as e:
        if entry.ours:
            raise
        raise SetupError(f"{entry} cannot be loaded", why=said(e), remedy=remedy) from e
    try:
        return usable(entry, found)
    except (Exception, SystemExit) as e:  # theirs may raise anything when it is looked at
        if entry.ours:
            raise
        why = str(e) if isinstance(e, TypeError) else said(e)
        raise SetupError(f"{entry} has the wrong shape", why=why, remedy=remedy) from e


def forget() -> None:
    """Look again at what is installed: for who changes `sys.path`."""
    importlib.invalidate_caches()
    for cached in (installed, _loaded):
        cached.cache_clear()


def named(config: Config) -> Iterator[tuple[str, str, str]]:
    """What a recipe names, as (key, group, name)."""
    yield from (("methods", METHODS, name) for name in coded(config))
    for role in ROLES:
        for i, source in enumerate(getattr(config.problems, role)):
            if source.format:
                yield f"problems.{role}.{i}.format", DATASETS, source.format
    yield "sampling.backend", SAMPLERS, config.sampling.backend
    for name, teacher in config.teachers.items():
        if teacher.backend:
            yield f"teachers.{name}.backend", SAMPLERS, teacher.backend
    yield "check.sandbox", SANDBOXES, config.check.sandbox


def coded(config: Config) -> list[str]:
    """A recipe's methods that are code: ours, or an installed package's."""
    filed = {file.name for file in config.method_files}
    return [name for name in config.methods if name not in filed]


def check(config: Config) -> None:
    """`ConfigError` or `SetupError` for a name in a recipe that nothing, or more than one package, stands behind."""
    known = entries(METHODS) if config.method_files else {}
    for i, file in enumerate(config.method_files):
        if file.name in known:
            whose = "we have" if known[file.name][0].ours else "an installed package adds"
            what = f"method_files[{i}]: {whose} a method of this name"
            raise ConfigError(what, value=file.name, remedy="give it another name")
    for key, group, name in named(config):
        try:
            find(group, name)
        except MmstError as e:
            e.what = f"{key}: {e.what}"
            raise


KEYS = {
    METHODS: ("methods",),
    DATASETS: tuple(f"problems.{role}" for role in ROLES),
    SANDBOXES: ("check.sandbox",),
    SAMPLERS: ("sampling.backend", "teachers.NAME.backend"),
}
"""Where a recipe names an entry of each group."""


def added_to(key: str) -> list[Entry]:
    """The entries of other packages that a recipe's key may name."""
    return [entry for group, keys in KEYS.items() if key in keys for entry in installed()[0] if entry.group == group]


def summary(group: str, name: str) -> str:
    """What an entry is, in the first line of its module; of another package with its name, or with what is wrong."""
    try:
        entry = find(group, name)
        doc = (importlib.import_module(entry.at.partition(":")[0]).__doc__ or "").strip().split("\n")[0]
    except (Exception, SystemExit) as e:
        return str(e) if isinstance(e, MmstError) else f"{entry} cannot be loaded: {said(e)}"
    return doc if entry.ours else f"{doc} ({entry.package} {entry.version})"


@contextlib.contextmanager
def blamed(entry: Entry, doing: str) -> Iterator[None]:
    """What another package's code raises, our own errors aside, becomes a `PlatformError` that names it.

    It is no verdict on what it was doing at the time, and an exit is no end of ours: `sys.exit(0)` would be a success.
    """
    try:
        yield
    except (MmstError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as e:
        if entry.ours:
            raise
        raise PlatformError(
            f"{entry} failed while {doing}", why=said(e), remedy=f"report it to the authors of {entry.package}"
        ) from e


def said(error: BaseException) -> str:
    """An exception's kind and words, cut to what a message takes."""
    return f"{type(error).__name__}: {error}"[:300]
