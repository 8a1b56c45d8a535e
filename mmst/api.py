"""The public API: what `import mmst` offers (docs/python.md). Everything here is also a command.

Dependencies are imported when they are first used: grading and checking programs needs neither torch nor kfp.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from mmst import grading
from mmst.core.config import Config
from mmst.core.errors import ConfigError
from mmst.core.errors import MmstError as MmstError
from mmst.core.limits import MEMORY_MIB, OUTPUT_KIB, TIMEOUT, Limits
from mmst.core.ports import Algebra, Execution, Program
from mmst.core.ports import Sandbox as Engine
from mmst.core.records import Report as Report
from mmst.grading import Comparison
from mmst.methods import method
from mmst.runs.summary import RunSummary
from mmst.sandbox.guest.packages import DEFAULT

_LIMITS = Limits()


def grade(gold: str, answer: str, question: str = "", options: Mapping[str, str] = grading.NO_OPTIONS) -> Comparison:
    """Compare an answer with the gold answer: `equal` is True, False, or None if this could not be decided.

    `how` names the rule that decided (docs/grading.md). Nouns in the question count as units. Pairs that need
    algebra go to sympy, in a process that starts with the first such pair and ends with this process. If the question
    offers `options`, text by label, both answers name one of these.

    >>> grade("1/2", "0.5"), grade("12 apples", "13")
    (Comparison(equal=True, how='number'), Comparison(equal=False, how='number'))
    >>> grade("B", "38", options={"A": "36", "B": "38"})
    Comparison(equal=True, how='choice')
    """
    _texts(gold=gold, answer=answer, question=question, **dict(options))
    [comparison] = grading.settle([(gold, answer)], lambda pairs: _algebra().decide(pairs), [question], [options])
    return comparison


def extract(solution: str, by: str = "text", stdout: str | None = None) -> str | None:
    """The answer that a solution commits to, or None; for a program, the answer is read from its output `stdout`.

    >>> extract("3 + 4 = 7, so the answer is 7."), extract("It depends.")
    ('7', None)
    """
    _texts(solution=solution)
    if stdout is not None:
        _texts(stdout=stdout)
    chosen = method(by)
    return chosen.answer(chosen.solution(solution), stdout)


class Sandbox:
    """Runs untrusted Python programs in gVisor, each alone: no network, no files, limited time, memory and output.

    Programs may import the standard library and `packages`. `backend="subprocess"` is for machines without
    gVisor, and only for code that you would run yourself. `SetupError` if there is no usable gVisor.

    >>> with Sandbox() as sandbox:                                          # doctest: +SKIP
    ...     [done.stdout for done in sandbox.check(["print(6 * 7)"])]
    ['42\\n']
    """

    def __init__(self, *, workers: int = 0, packages: Sequence[str] = DEFAULT, backend: str = "gvisor") -> None:
        """Use `workers` sandboxes at once (0: one per core)."""
        from mmst import wiring

        if backend not in (known := wiring.sandboxes_here()):
            raise ConfigError("unknown sandbox", value=backend, remedy=f"backend: {' or '.join(known)}")
        self._opened: AbstractContextManager[Engine] = wiring.sandbox(backend, workers, packages)
        self._engine: Engine | None = None

    def __enter__(self) -> Sandbox:
        self._engine = self._opened.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._engine = None
        self._opened.__exit__(kind, error, at)

    def check(
        self,
        programs: Iterable[str],
        *,
        timeout: float = _LIMITS.timeout,
        memory_mib: int = _LIMITS.memory_mib,
        output_kib: int = _LIMITS.output_kib,
    ) -> list[Execution]:
        """Run the programs; returns the result of each, in their order.

        `timeout` is in seconds of CPU time. If the sandbox itself fails, it raises `SandboxError`.
        """
        assert self._engine, "use a sandbox inside `with`"
        limits = _limits(timeout, memory_mib, output_kib)
        asked = (Program(id=str(i), source=source) for i, source in enumerate(_several(programs)))
        return sorted(self._engine.run(asked, limits), key=lambda done: int(done.id))


def check_programs(
    programs: Iterable[str],
    *,
    timeout: float = _LIMITS.timeout,
    memory_mib: int = _LIMITS.memory_mib,
    output_kib: int = _LIMITS.output_kib,
) -> list[Execution]:
    """Run the programs in a sandbox of their own; see `Sandbox`."""
    _limits(timeout, memory_mib, output_kib)
    programs = _several(programs)
    with Sandbox() as sandbox:
        return sandbox.check(programs, timeout=timeout, memory_mib=memory_mib, output_kib=output_kib)


def load_recipe(name_or_file: str, settings: Sequence[str] = ()) -> Config:
    """A shipped recipe by its name, or a file, with settings applied; `ConfigError` names a wrong key.

    >>> load_recipe("demo", ["sampling.k=8"]).sampling.k
    8
    """
    from mmst import recipes

    return recipes.load(name_or_file, settings)


def run(recipe: Config) -> RunSummary:
    """Run a whole recipe on this machine, as `mmst run` does, and return its summary; complete stages are kept."""
    from mmst import wiring
    from mmst.cli.run import run_here
    from mmst.core import config
    from mmst.runs import summary

    run_here(recipe)
    return summary.summarise(wiring.open_store(recipe.out), config.run_id(recipe))


def load_run(name: str, out: str = Config().out) -> RunSummary:
    """The summary of a run, finished or not; `name` is its name or the beginning of it, `out` the store."""
    from mmst import wiring
    from mmst.runs import summary

    store = wiring.open_store(out)
    return summary.summarise(store, summary.find_run(store, name))


def _texts(**given: object) -> None:
    """Refuse what is no text, by its name: a number that Python has read no longer has its digits."""
    for name, value in given.items():
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be a text", value=value, remedy=f"{name}={str(value)[:40]!r}")


def _several(programs: Iterable[str]) -> list[str]:
    """The programs; a single text is refused, for its characters would be taken for programs."""
    if isinstance(programs, str | bytes):
        raise ConfigError("programs must be a list of texts", value=programs, remedy="[program]")
    listed = list(programs)
    for number, program in enumerate(listed):
        _texts(**{f"programs[{number}]": program})
    return listed


def _limits(timeout: float, memory_mib: int, output_kib: int) -> Limits:
    """The limits of a program, within the bounds of `mmst check-programs`."""
    for name, value, (low, high) in (
        ("timeout", timeout, TIMEOUT), ("memory_mib", memory_mib, MEMORY_MIB), ("output_kib", output_kib, OUTPUT_KIB),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ConfigError(f"{name} must be from {low:,} to {high:,}", value=value, remedy=f"{name}={low}")
    return Limits(timeout=timeout, memory_mib=memory_mib, output_kib=output_kib)


@functools.cache
def _algebra() -> Algebra:
    from mmst import wiring

    opened = wiring.algebra()
    engine = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    return engine
