"""Who answers: the checkpoint, or a server that cannot prove that it serves it.

`sampling.backend=openai` asks a server for what the base model says. One that states a digest must state that model's,
and what it says is the model's own. One that states none is what the recipe declares, a name and a revision: its
samples are stored under both, so that no run of the model itself takes them as the model's. Of a teacher whose model
is not here, `served_model` stands in the checkpoint's place and says what was stated, or declared, of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmst.core.config import Config, SamplingConfig
from mmst.core.errors import ConfigError
from mmst.core.hashes import file_sha256
from mmst.core.manifest import Manifest

STAGE = "served_model"
"""The stage that states who a teacher is of whose model nothing is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model behind a server: its name there and what its user says which one it is, or the digest that it states."""

    model: str
    revision: str
    digest: str = field(default="", metadata={"if_any": True, "quiet": True})

    def __str__(self) -> str:
        return self.digest or f"{self.model}@{self.revision}"


def asks_server(config: Config, checkpoint: Manifest) -> bool:
    """Whether a server of the user's is asked: it serves the base, or a teacher, and no checkpoint that a run makes."""
    return config.sampling.backend == "openai" and (bool(config.writer) or checkpoint.stage == "base")


def served(config: Config, checkpoint: Manifest) -> Served | None:
    """Who answers in the checkpoint's place; None where what answers is the checkpoint."""
    if not asks_server(config, checkpoint):
        return None
    if checkpoint.stage == STAGE:
        return checkpoint.result(Served)
    s = config.sampling
    return Served(model=s.served_model, revision=s.revision) if s.revision else None


def recorded_sha256(sampling: SamplingConfig) -> str:
    """The hash of the file of completions that stands in a model's place; `ConfigError` when there is none."""
    path = Path(sampling.recorded)
    if not path.is_file():
        raise ConfigError("sampling.recorded is not a file", value=sampling.recorded, remedy="check the path")
    return file_sha256(path)


def asked_by(config: Config) -> str:
    """`chat` where a teacher's prompts go to its server as messages; "" where a prompt is what is completed."""
    teacher = config.teacher
    return "chat" if teacher and teacher.protocol == "chat" else ""
