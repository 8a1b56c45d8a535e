"""Who a teacher is of whose model nothing is here: a server's model, or a file of completions.

It stands in the checkpoint's place. A server is what it states (a digest, as `mmst serve` does), else what the recipe
declares: a name and a revision. Where it is does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mmst.core.config import Config
from mmst.core.errors import ConfigError, SamplerError
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines
from mmst.core.results import Base
from mmst.core.served import STAGE, Served, recorded_sha256
from mmst.core.stage import QUIET, Job, Made, Stage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is stated or declared of a server's model, or the hash of a file."""

    served: Served | None = field(default=None, metadata=QUIET)
    recorded: str = field(default="", metadata=QUIET)


class ServedModel(Stage[Settings]):
    """State who a teacher is: the model of a server, or a file of completions.

    Example:

      mmst served-model -r demo --set 'teachers.big={backend: openai, url: http://127.0.0.1:9000/v1}' --arm teacher:big
    """

    name, version = STAGE, 1

    def settings(self, config: Config, place: Place) -> Settings:
        """What the recipe declares; the file's hash. `ConfigError` when there is no such file, or no server."""
        s = config.sampling
        if s.backend == "recorded":
            return Settings(recorded=recorded_sha256(s))
        if s.backend != "openai":
            raise ConfigError(
                "a model that is here states itself", value=s.backend, remedy="`mmst base-model` takes it"
            )
        return Settings(served=Served(model=s.served_model if s.revision else "", revision=s.revision))

    def seen(self, settings: Settings, engines: Engines, inputs: Mapping[str, Manifest]) -> Settings:
        """With what the server states; `ConfigError` when nobody says which model it serves."""
        if settings.served is None:
            return settings
        known = replace(settings.served, digest=_stated(settings.served, engines))
        if not known.digest and not known.revision:
            raise ConfigError(
                "the server does not state which model it serves, and no revision says it",
                value=engines.config.sampling.url,
                remedy="--set sampling.revision=COMMIT and sampling.served_model=NAME",
            )
        return replace(settings, served=known)

    def work(self, job: Job[Settings]) -> Made:
        """Nothing is made: all that there is to say stands in the settings."""
        known, recorded = job.settings.served, job.settings.recorded
        return Made(result=known or Base(origin={"recorded": recorded}))


def _stated(declared: Served, engines: Engines) -> str:
    """The digest that the server states; "" of one that is gone and declared: what it wrote is still in the store."""
    try:
        return engines.served_digest()
    except SamplerError as e:
        if not declared.revision:
            raise
        log.warning("%s; it is taken for %s, as the recipe declares", e.what, declared)
        return ""
