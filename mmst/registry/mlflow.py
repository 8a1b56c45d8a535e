"""Tracking and registry with MLflow: SQLite beside the run's store, or any MLflow server.

An MLflow run per MMST run (tag `mmst.run`), its metrics at step = round. A model version per
checkpoint (tag `mmst.checkpoint`), whose artifacts are:

    MLmodel, requirements.txt …   loads with mlflow.pyfunc (see `mmst.pyfunc`)
    checkpoint/                   the Hugging Face folder, for `from_pretrained`; or
    checkpoint.json               where it is, for one that is too large to be copied (tag `mmst.source`)

Both are artifacts of the run, the only kind of source that every server accepts: servers refuse local paths over
HTTP and cannot read other buckets.

Every request may be repeated, because it finds what was made before; while MLflow is away, it is repeated
(`mmst.registry.mlflow_calls`). With SQLite, all writers of a machine take turns under a file lock. This also
prevents two processes from creating the database at once (one of them would crash).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mmst.core import private
from mmst.core.errors import RegistryError
from mmst.core.extras import install
from mmst.core.ports import DataSet, Progress
from mmst.core.redaction import redacted
from mmst.observe.progress import Quiet
from mmst.registry import flavor, moved, shown
from mmst.registry.mlflow_calls import PATIENCE, Patient, patiently, reach, translated, unless
from mmst.registry.reference import Reference

T = TypeVar("T")

ALIAS = "champion"
_LONGEST_PARAM = 6000
_LONGEST_TAG = 5000
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # What fails is asked again in one place, `mlflow_calls`.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


class MlflowRegistry:
    """Fulfils `ports.Registry`. Nothing is imported or contacted before the first call.

    Args:
        uri: the address; `sqlite:///path` for a file.
        experiment: the experiment's name.
        patience: seconds that each call waits for a problem to pass.
        progress: where a wait is shown.
    """

    def __init__(
        self, uri: str, experiment: str = "mmst", *, patience: float = PATIENCE, progress: Progress | None = None
    ) -> None:
        self.uri, self.experiment = uri, experiment
        self.patience, self.progress = patience, progress or Quiet()
        path = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else ""
        self._database = Path(path).absolute() if path else None

    def log_round(
        self,
        run: str,
        round: int,
        *,
        about: str,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        curves: Mapping[str, Mapping[int, float]],
        data: Sequence[DataSet],
        artifacts: Mapping[str, bytes],
        tags: Mapping[str, str],
    ) -> str:
        """Log one round; see `ports.Registry.log_round`. Artifacts are below `round-NN/`."""
        files = {f"round-{round:02d}/{name}": data for name, data in artifacts.items()}

        def log(client: Any) -> str:
            from mlflow.entities import Metric, Param, RunTag

            found = self._run(client, run)
            run_id: str = found.info.run_id
            # The same time for the same round: a point that is logged twice is stored once.
            at = found.info.start_time + 1000 * round
            points = [Metric(name, value, at, round) for name, value in metrics.items()]
            points += [Metric(name, v, at, step) for name, curve in curves.items() for step, v in curve.items()]
            pairs = [Param(name[:250], _short(value, _LONGEST_PARAM)) for name, value in params.items()]
            told = {**tags, **shown.code(), **shown.description(about)}
            labels = [RunTag(name, _short(value, _LONGEST_TAG)) for name, value in told.items()]
            for i in range(0, max(len(points), len(pairs)), 100):
                client.log_batch(run_id, points[i : i + 100], pairs[i : i + 100])
            client.log_batch(run_id, tags=labels)
            client.log_inputs(run_id, [shown.data_set(each) for each in data])
            _put(client, run_id, files)
            client.set_terminated(run_id)
            return run_id

        return self.call(log)

    def register(
        self,
        name: str,
        source: Path | str,
        *,
        run: str,
        checkpoint: str,
        ref: str,
        about: str,
        tags: Mapping[str, str],
        answering: Mapping[str, Any],
    ) -> str:
        """The version of this checkpoint; see `ports.Registry.register`."""
        labels = {**tags, "mmst.checkpoint": checkpoint, "mmst.ref": ref, "mmst.run": run}
        if isinstance(source, str):
            labels["mmst.source"] = source
        labels = {k: _short(v, _LONGEST_TAG) for k, v in labels.items()}
        about = _short(about, _LONGEST_TAG)
        reference = None if isinstance(source, Path) else Reference(source=source, ref=ref, checkpoint=checkpoint)

        def version(client: Any) -> str:
            found = self._version(client, name, checkpoint)
            if found is None:
                self._create_model(client, name)
                run_id = self._run(client, run).info.run_id
                at = _folder(checkpoint)
                if isinstance(source, Path):
                    _upload(client, run_id, source, f"{at}/checkpoint")
                with tempfile.TemporaryDirectory() as scratch:
                    flavor.write(Path(scratch) / "model", answering, reference)
                    _upload(client, run_id, Path(scratch) / "model", at)
                client.create_model_version(name, f"runs:/{run_id}/{at}", run_id=run_id, tags=labels)
                found = self._version(client, name, checkpoint)
                if found is None:
                    raise RegistryError(
                        f"MLflow at {redacted(self.uri)} does not find the version of {name} that was just created"
                    )
            for key, value in labels.items():
                if found.tags.get(key) != value:
                    client.set_model_version_tag(name, found.version, key, value)
            if (found.description or "") != about:
                client.update_model_version(name, found.version, about)
            return str(found.version)

        return self.call(version)

    def answering(self, name: str, version: str) -> dict[str, Any]:
        """What `register` was given of how the model is asked; `RegistryError` where a version has none of it."""
        of = f"version {version} of '{name}'"

        def read(client: Any) -> Any:
            from mlflow.models import Model

            found = client.get_model_version(name, version)
            with tempfile.TemporaryDirectory() as folder:
                at = f"{_folder(found.tags.get('mmst.checkpoint', ''))}/MLmodel"
                flavors = Model.load(client.download_artifacts(found.run_id, at, folder)).flavors or {}
            return flavors.get("python_function", {}).get("config")

        config = self.call(read, f"MMST keeps how {of} is asked in the file MLmodel of its run")
        if not config:
            raise RegistryError(
                f"{of} does not say how it is asked",
                why="it was registered by another program, or an old MMST",
                remedy="promote it again with this version, or point the alias at a version of this one",
            )
        return dict(config)

    def point(self, name: str, version: str) -> None:
        """Point the alias `champion` at this version, if it does not already."""

        def set_alias(client: Any) -> None:
            aliases = client.get_registered_model(name).aliases
            if str(aliases.get(ALIAS, "")) != version:
                client.set_registered_model_alias(name, ALIAS, version)

        self.call(set_alias, f"champion {name} version {version} must have been registered at this address")

    def rehearse(self, name: str, run: str) -> None:
        """Do everything that promotion will do except create a version, so that a refusal comes now."""

        def rehearsal(client: Any) -> None:
            run_id = self._run(client, run).info.run_id
            _put(client, run_id, {"rehearsal.txt": b"Written at the start, to see that artifacts can be.\n"})
            self._create_model(client, name)
            client.set_registered_model_tag(name, "mmst.experiment", self.experiment)

        self.call(rehearsal)

    def _run(self, client: Any, run: str) -> Any:
        """The MLflow run of an MMST run; the oldest if two machines created one at once."""
        experiment = self._experiment
        where = f"tags.`mmst.run` = {_quoted(run)}"
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        found = client.search_runs([experiment], where, max_results=1, order_by=order)
        if found:
            return found[0]
        made = client.create_run(experiment, run_name=run, tags={"mmst.run": run})
        oldest = client.search_runs([experiment], where, max_results=1, order_by=order)[0]
        if oldest.info.run_id != made.info.run_id:
            client.delete_run(made.info.run_id)
        return oldest

    def _version(self, client: Any, name: str, checkpoint: str) -> Any | None:
        """The first version of a checkpoint; later ones, created elsewhere at the same time, are removed."""
        where = f"name = {_quoted(name)} and tags.`mmst.checkpoint` = {_quoted(checkpoint)}"
        first, *doubles = sorted(client.search_model_versions(where), key=lambda v: int(v.version)) or [None]
        for double in doubles:
            with unless("RESOURCE_DOES_NOT_EXIST"):  # another process removes it too
                client.delete_model_version(name, double.version)
        return first

    def _create_model(self, client: Any, name: str) -> None:
        with unless("RESOURCE_ALREADY_EXISTS"):
            client.create_registered_model(name, description="Made by MMST. The alias `champion` is the one to use.")

    @cached_property
    def _client(self) -> Any:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        reach(self.uri, attempts=1)
        try:
            import mlflow
        except ImportError as e:
            raise RegistryError(f"MLflow is not installed ({e})", remedy=install("registry")) from e

        for logger in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        # Warns of every environment without pip, such as those that uv makes.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        uri = self.uri
        if self._database is not None:
            moved.follow(self._database)
            uri = f"sqlite:///{self._database}"
        # Also for the artifact store, which asks for the address by itself.
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient(uri, uri)

    @cached_property
    def _experiment(self) -> str:
        """The experiment's id; created at the first call. Beside SQLite, its artifacts are in a folder."""
        client = Patient(self._client, self._ask)
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            root = None
            if self._database is not None:
                folder = self._database.parent / moved.FOLDER / self.experiment
                private.folder(folder)
                root = folder.as_uri()
            with unless("RESOURCE_ALREADY_EXISTS"):  # another machine made it meanwhile
                client.create_experiment(self.experiment, artifact_location=root)
            found = client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage == "deleted":
            raise RegistryError(
                f"MLflow experiment '{self.experiment}' at {redacted(self.uri)} was deleted or cannot be created",
                remedy="restore it in the MLflow UI, or --set promote.experiment=another-name",
            )
        return str(found.experiment_id)

    def call(self, operation: Callable[[Any], T], hint: str = "") -> T:
        """The result of an operation on the client; with SQLite, it runs alone on this machine.

        Each of its requests is repeated while MLflow is away. Every error of MLflow becomes a `RegistryError`;
        `hint` is added to its text.
        """
        with contextlib.ExitStack() as held:
            if self._database is not None:
                held.enter_context(_lock(self._database.with_name(self._database.name + ".lock")))
            with translated(self.uri, hint):
                return operation(Patient(self._ask(lambda: self._client), self._ask))

    def _ask(self, attempt: Callable[[], T]) -> T:
        return patiently(attempt, self.uri, self.patience, self.progress)


def _folder(checkpoint: str) -> str:
    """Where in a run's artifacts a version's files are."""
    return f"candidates/{checkpoint[7:23]}"


def _upload(client: Any, run_id: str, folder: Path, at: str = "") -> None:
    """Log a folder's files one by one, so that a failure does not send the others again."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        below = path.parent.relative_to(folder).as_posix()
        client.log_artifact(run_id, str(path), "/".join(part for part in (at, below) if part not in ("", ".")) or None)


def _put(client: Any, run_id: str, files: Mapping[str, bytes]) -> None:
    """Log files under their names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        _upload(client, run_id, Path(folder))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        private.folder(path.parent)
        # The database itself too, before SQLite makes it for all to read.
        for each in (path, path.with_suffix("")):
            os.close(os.open(each, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, private.FILE))
        file = path.open("ab")
    except OSError as e:
        remedy = "make the folder writable, or choose another with --out"
        raise RegistryError(f"cannot use {path.with_suffix('')}: {e}", remedy=remedy) from e
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _short(value: str, limit: int) -> str:
    value = redacted(value)
    return value if len(value) <= limit else value[: limit - 1] + "…"
