"""Who answers: the checkpoint, or a server that cannot prove that it serves it.

`sampling.backend=openai` asks a server for what the base model says. One that states a digest must state that model's,
and what it says is the model's own. One that states none is what the recipe declares, a name and a revision: its
samples are stored under both, so that no run of the model itself takes them as the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmst.core.config import Config
from mmst.core.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model behind a server that states no digest: its name there, and what its user says which one it is."""

    model: str
    revision: str

    def __str__(self) -> str:
        return f"{self.model}@{self.revision}"


def asks_server(config: Config, checkpoint: Manifest) -> bool:
    """Whether a server of the user's is asked: it serves the base, and no checkpoint that a run makes."""
    return config.sampling.backend == "openai" and checkpoint.stage == "base"


def served(config: Config, checkpoint: Manifest) -> Served | None:
    """Who answers in the checkpoint's place; None where what answers is the checkpoint."""
    s = config.sampling
    return Served(model=s.served_model, revision=s.revision) if s.revision and asks_server(config, checkpoint) else None
