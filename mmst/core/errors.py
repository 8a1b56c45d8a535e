"""The errors of MMST, as a tree.

    MmstError
    ├── UserError (ValueError)        the input is wrong; trying again won't help      exit 2
    │   ├── ConfigError               a recipe key or its value
    │   ├── DataError                 a line of a problem or completion file
    │   ├── ModelError                a model folder that cannot be used
    │   │   └── PromptError           a prompt that this model cannot take
    │   └── LeakError                 a training problem that stands in the test set
    ├── SetupError                    this machine lacks something                     exit 3
    ├── PlatformError (RuntimeError)  an engine failed; trying again may help          exit 4
    │   ├── SandboxError              a code sandbox died, hung or could not start
    │   ├── SamplerError              a model server or the model in process failed
    │   ├── StoreError                a folder or bucket could not be read or written
    │   │   └── DamagedError          a file in it is not as it was written
    │   ├── TrainingError             a training worker failed
    │   │   └── DivergedError         the loss became NaN or jumped
    │   ├── RegistryError             MLflow refused or vanished
    │   └── ClusterError              Kubernetes refused, vanished, or could not run a pod
    └── Stopped                       Ctrl-C or SIGTERM; the next run continues        exit 130

A platform error is never a verdict: no sample becomes "wrong" because an engine failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from mmst.core.redaction import redacted

_ABSENT: Any = object()


class MmstError(Exception):
    """Every error that MMST raises on purpose: what, the value that it is about, why, and the remedy.

    `place` is the stage of a run that failed, and `log` the file with all that it said, where the error
    comes from another process (`from_data`). What is printed holds no credential, whoever's words it quotes.

    >>> raise ConfigError("sampling.k must be at least 1", value=-3, remedy="set sampling.k=4")
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: sampling.k must be at least 1, got -3. Remedy: set sampling.k=4
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, value: object = _ABSENT, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.value, self.why, self.remedy = what, value, why, remedy
        self.place = self.log = ""

    def __str__(self) -> str:
        told = f"{self.place}: {self.what}" if self.place else self.what
        if self.value is not _ABSENT:
            told += f", got {_short(self.value)}"
        told = sentence(told, why=self.why, remedy=self.remedy)
        return redacted(f"{told} [log: {self.log}]" if self.log else told)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def reword(self, change: Callable[[str], str]) -> None:
        """Say it in other words: a file by the name that its user knows, an option as this command calls it."""
        self.what, self.why, self.remedy = change(self.what), change(self.why), change(self.remedy)
        if isinstance(self.value, str):
            self.value = change(self.value)

    def to_data(self) -> dict[str, str]:
        """The error as text fields, which `from_data` takes in another process; without credentials."""
        fields = {name: redacted(getattr(self, name)) for name in ("what", "why", "remedy", "place")}
        shown = {} if self.value is _ABSENT else {"value": _short(self.value)}
        kind = next(k.__name__ for k in type(self).__mro__ if k.__name__ in _KINDS)
        return {"kind": kind, **fields, **shown}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> MmstError:
        """The error that `to_data` was asked for; a `PlatformError` where its kind is not known here.

        >>> MmstError.from_data(StoreError("the bucket is full", remedy="free space").to_data())
        StoreError('the bucket is full. Remedy: free space')
        """
        kind = _KINDS.get(str(data.get("kind", "")), PlatformError)
        what, why, remedy = (str(data.get(name, "")) for name in ("what", "why", "remedy"))
        error = kind(what, value=_Shown(data["value"]) if "value" in data else _ABSENT, why=why, remedy=remedy)
        error.place = str(data.get("place", ""))
        return error


class _Shown(str):
    """A value as another process printed it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class UserError(MmstError, ValueError):
    """Input that cannot be used."""

    exit_code: ClassVar[int] = 2


class ConfigError(UserError):
    """A recipe key that does not exist, or a value that it cannot take."""


class DataError(UserError):
    """A line of an input file that cannot be read; names file, line and field."""


class ModelError(UserError):
    """A model folder without what sampling or training needs."""


class PromptError(ModelError):
    """A prompt that the model cannot take: longer than its context, or without a token. Others may be well."""


class LeakError(UserError):
    """A problem that would be trained on stands in the run's own test set."""


class SetupError(MmstError):
    """The machine lacks something; the message holds what, why and the exact remedy."""

    exit_code: ClassVar[int] = 3


class PlatformError(MmstError, RuntimeError):
    """An engine failed after its own retries. Never a verdict on a sample."""

    exit_code: ClassVar[int] = 4


class SandboxError(PlatformError):
    """A code sandbox died, hung, or could not start, and the retries are used up."""


class SamplerError(PlatformError):
    """A model server, or the model in process, could not answer."""


class StoreError(PlatformError):
    """The folder or bucket that holds the run could not be read or written."""


class DamagedError(StoreError):
    """A file of the store is not as it was written; the message names it and what to do with it."""


class TrainingError(PlatformError):
    """A training worker failed; the last good checkpoint stands."""


class DivergedError(TrainingError):
    """The loss became NaN or jumped; resuming would diverge again, so lower the learning rate."""


class RegistryError(PlatformError):
    """The tracking server refused a request or could not be reached."""


class ClusterError(PlatformError):
    """The Kubernetes API refused a request or could not be reached, or a pod could not run."""


class Stopped(MmstError):
    """Ctrl-C or SIGTERM arrived; what is finished is kept and the same command continues."""

    exit_code: ClassVar[int] = 130


def sentence(what: str, *, why: str = "", remedy: str = "") -> str:
    """What, why and the remedy in the one form in which people read them.

    >>> sentence("gVisor is not installed", why="no runsc on PATH", remedy="apt-get install runsc")
    'gVisor is not installed (no runsc on PATH). Remedy: apt-get install runsc'
    """
    return what + (f" ({why})" if why else "") + (f". Remedy: {remedy}" if remedy else "")


def did_you_mean(name: str, known: Iterable[str], quote: str = "") -> str:
    """The beginning of a remedy for an unknown name; "" if no known one is near.

    >>> did_you_mean("smaple", ["sample", "train"])
    'did you mean sample? '
    """
    import difflib

    return "".join(f"did you mean {quote}{near}{quote}? " for near in difflib.get_close_matches(name, list(known), n=1))


def _short(value: object, limit: int = 120) -> str:
    text = redacted(repr(value))  # whole: of what is cut off before its @, nobody sees that it is a password
    return text if len(text) <= limit else text[:limit] + "…"


_KINDS = {kind.__name__: kind for kind in (*vars().values(),) if isinstance(kind, type) and issubclass(kind, MmstError)}
