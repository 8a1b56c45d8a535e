"""A stage, declared once: its name and version, the records that it reads and writes, its settings, and its work.

The settings are a view of the recipe, and the whole of what `work` sees of it; the key under which the stage
is stored is made of them. So what a stage reads and what its key says cannot differ.

    class Verify(Stage[Settings]):
        \"""Run the programs in the sandbox and compare every answer with the gold one. …\"""   the command's help

        name, version = "verify", 5
        writes = {"shard": CheckedSample}

        def settings(self, config: Config, place: Place) -> Settings: …
        def work(self, job: Job[Settings], problems: Problems, samples: Samples) -> Made: …

`Stage.run` does the rest, for every stage: it opens the folder, returns what is there, has the work done by one
process at a time, times it, counts it, and writes the manifest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from mmst.core.config import Config, identity
from mmst.core.manifest import FileEntry, Manifest, Place
from mmst.core.ports import Engines, Ports, Progress, Task
from mmst.core.records import to_data
from mmst.core.results import Counts
from mmst.core.stage_folder import StageFolder

S = TypeVar("S")
T = TypeVar("T")

QUIET = {"quiet": True}
"""Of a setting: not in the key while it has its default, so that what was stored before there was one stays valid."""
OF = "."
"""Between the name of an input and that of the teacher whom it is of."""
WHERE = {"affects": False}
"""Of a setting: it says where something is, whose content another setting holds; it is not in the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """An input of a stage: the record that its shards hold (None: a checkpoint's files), and where it comes from.

    `several`: there may be one of each writer, and `work` gets them by the writer's name, "" for the model itself.
    """

    record: type | None
    help: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class Job(Generic[S]):
    """All that a stage's work gets beside its inputs: its settings, the ports, and the folder that it fills."""

    settings: S
    ports: Ports
    folder: StageFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the work has come to: the manifest's content.

    `shards` are of the stage's folder; `files` were hashed already. `measured` (tokens, programs …) is stored
    beside the manifest with the seconds. For `location` see `Manifest`.
    """

    counts: Counts | None = None
    result: Any = None
    shards: Sequence[str] = ()
    files: Sequence[FileEntry] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    location: str = ""


class Stage(Generic[S]):
    """One kind of work on a run's way; its docstring is the help of its command.

    `steps` are its names in a run, each with what it then does, the usual one first. `stored` is its name in the
    store, where that is another. `beside` are further manifests, by name, which are told to `afterwards` alone.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    stored: ClassVar[str] = ""
    steps: ClassVar[Mapping[str, str]] = {}
    writes: ClassVar[Mapping[str, type]] = {}
    beside: ClassVar[Reads | None] = None
    work: Callable[..., Made]

    def settings(self, config: Config, place: Place) -> S:
        """What the work depends on; a `UserError` for what cannot be done. Raise `version` when the code changes."""
        raise NotImplementedError

    def seen(self, settings: S, engines: Engines, inputs: Mapping[str, Manifest]) -> S:
        """The settings, where they depend on what the inputs are too, or on what a server says that it is."""
        return settings

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Whose code, beside ours, the work runs (`plugin_keys`): a part of the key where there is any."""
        return {}

    def key(self, settings: S, config: Config) -> dict[str, Any]:
        """What its place in a store is made of, beside version and inputs."""
        added = self.added(config)
        return identity(settings) | ({"plugins": added} if added else {})

    def stands(self, folder: StageFolder) -> bool:
        """Whether what is there is complete and final."""
        return folder.manifest is not None

    def afterwards(self, job: Job[S], made: Manifest, beside: Mapping[str, Manifest], **inputs: Manifest) -> None:
        """Done each time that the stage is asked for, complete or not: what a kill may have left undone."""

    def publish(self, counts: Any) -> None:
        """Tell the metrics what was counted, once."""

    def step(self, refs: Mapping[str, str]) -> str:
        """Its name in a run where nobody says it, given the references of its inputs."""
        return next(iter(self.steps), self.name)

    @classmethod
    def reads(cls) -> dict[str, Reads]:
        """Its inputs, as `work` declares them."""
        hints = typing.get_type_hints(cls.work, include_extras=True)
        said = {name: typing.get_args(hints[name]) for name in inspect.signature(cls.work).parameters if name in hints}
        return {name: args[1] for name, args in said.items() if len(args) > 1 and isinstance(args[1], Reads)}

    def run(
        self,
        engines: Engines,
        place: Place,
        inputs: Mapping[str, Manifest],
        beside: Mapping[str, Manifest] = MappingProxyType({}),
    ) -> Manifest:
        """What the stage makes of its inputs: found, or made now."""
        settings = self.seen(self.settings(engines.config, place), engines, inputs)
        key = self.key(settings, engines.config)
        name = self.stored or self.name
        folder = StageFolder.open(engines.store, name, version=self.version, config=key, inputs=inputs, place=place)
        job = Job(settings, engines, folder)
        if not self.stands(folder):
            with _waiting(engines.progress) as waiting, folder.alone(waiting):
                if not self.stands(folder):
                    self._make(job, inputs)
        assert folder.manifest is not None
        self.afterwards(job, folder.manifest, beside, **inputs)
        return folder.manifest

    def _given(self, inputs: Mapping[str, Manifest]) -> dict[str, Any]:
        """The inputs as `work` takes them; of several, `checked.big` is what `big` wrote."""
        several = {name for name, read in self.reads().items() if read.several}
        given: dict[str, Any] = {name: {} for name in several}
        for name, manifest in inputs.items():
            input, _, writer = name.partition(OF)
            if input in several:
                given[input][writer] = manifest
            else:
                given[name] = manifest
        return given

    def _make(self, job: Job[S], inputs: Mapping[str, Manifest]) -> None:
        began = time.monotonic()
        made = self.work(job, **self._given(inputs))
        job.folder.finish(
            files=made.files,
            shards=made.shards,
            counts=made.counts.stored() if made.counts else {},
            facts=to_data(made.result) if made.result else {},
            timing={"seconds": time.monotonic() - began, **made.measured},
            location=made.location,
        )
        if made.counts:
            self.publish(made.counts)


def effective(section: T) -> T:
    """A recipe's section in which what cannot change a result has its default: all that settings may hold of it."""
    assert dataclasses.is_dataclass(section)
    assert not isinstance(section, type)
    default, named = type(section)(), (f for f in dataclasses.fields(section) if not f.metadata.get("affects", True))
    return dataclasses.replace(section, **{f.name: getattr(default, f.name) for f in named})


@contextlib.contextmanager
def _waiting(progress: Progress) -> Iterator[Callable[[str], None]]:
    """Shows who is at this stage already, in another run."""
    with contextlib.ExitStack() as stack:
        tasks: list[Task] = []

        def waiting(holder: str) -> None:
            tasks[:] = tasks or [stack.enter_context(progress.task("wait for another run", 1, "stage"))]
            tasks[0].advance(0, f"held by {holder}")

        yield waiting
