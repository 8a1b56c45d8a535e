"""Tracking and registry on MLflow: SQLite beside the run's store, or any MLflow server.

An MLflow run per MMST run (tag `mmst.run`), its metrics at step = round. A model version per
checkpoint (tag `mmst.checkpoint`), whose artifacts are:

    MLmodel, requirements.txt …   loads with mlflow.pyfunc (see `mmst.mlflow_model`)
    checkpoint/                   the Hugging Face folder, for `from_pretrained`

Everything may be repeated: what was made before is found. On SQLite all writers of a machine take
turns under a file lock, which also keeps two processes from creating the database at once (one
of them would crash).
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import logging
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from mmst import __version__
from mmst.errors import RegistryError

ALIAS = "champion"
LOADER = "mmst.mlflow_model"
_LONGEST_PARAM = 6000
_LONGEST_TAG = 5000
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_UV_AUTO_DETECT": "false",
    # A request that fails is tried again after 0, 2 and 4 s, not for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}


class MlflowRegistry:
    """Fulfils `ports.Registry`. Nothing is imported or reached before the first call."""

    def __init__(self, uri: str, experiment: str = "mmst") -> None:
        self.uri, self.experiment = uri, experiment
        path = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else ""
        self._database = Path(path).absolute() if path else None

    def log_round(
        self,
        run: str,
        round: int,
        *,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        artifacts: Mapping[str, bytes],
        tags: Mapping[str, str],
    ) -> str:
        """Log one round; see `ports.Registry.log_round`. Artifacts stand below `round-NN/`."""
        with self.client() as client, tempfile.TemporaryDirectory() as folder:
            from mlflow.entities import Metric, Param, RunTag

            found = self._run(client, run)
            run_id: str = found.info.run_id
            # The same time for the same round: a point that is logged twice is stored once.
            at = found.info.start_time + 1000 * round
            points = [Metric(name, value, at, round) for name, value in metrics.items()]
            pairs = [Param(name[:250], _short(value, _LONGEST_PARAM)) for name, value in params.items()]
            labels = [RunTag(name, _short(value, _LONGEST_TAG)) for name, value in tags.items()]
            for i in range(0, max(len(points), len(pairs)), 100):
                client.log_batch(run_id, points[i : i + 100], pairs[i : i + 100])
            client.log_batch(run_id, tags=labels)
            for name, data in artifacts.items():
                (Path(folder) / name).write_bytes(data)
            client.log_artifacts(run_id, folder, f"round-{round:02d}")
            client.set_terminated(run_id)
            return run_id

    def register(
        self,
        name: str,
        source: Path | str,
        *,
        run: str,
        checkpoint: str,
        ref: str,
        tags: Mapping[str, str],
        answering: Mapping[str, Any],
    ) -> str:
        """The version of this checkpoint; see `ports.Registry.register`."""
        labels = {**tags, "mmst.checkpoint": checkpoint, "mmst.ref": ref, "mmst.run": run}
        labels = {k: _short(v, _LONGEST_TAG) for k, v in labels.items()}
        with self.client() as client:
            found = self._version(client, name, checkpoint)
            if found is None:
                self._create_model(client, name)
                run_id = self._run(client, run).info.run_id
                at = f"candidates/{checkpoint[7:23]}"
                if isinstance(source, Path):
                    self._upload(client, run_id, source, at, answering)
                client.create_model_version(
                    name, f"runs:/{run_id}/{at}" if isinstance(source, Path) else source, run_id=run_id, tags=labels
                )
                found = self._version(client, name, checkpoint)
                assert found is not None, "a version that was just made is found"
            for key, value in labels.items():
                if found.tags.get(key) != value:
                    client.set_model_version_tag(name, found.version, key, value)
            return str(found.version)

    def point(self, name: str, version: str) -> None:
        """Make the alias `champion` point at this version; quiet when it does."""
        with self.client(f"champion {name} version {version} must have been registered at this address") as client:
            aliases = client.get_registered_model(name).aliases
            if str(aliases.get(ALIAS, "")) != version:
                client.set_registered_model_alias(name, ALIAS, version)

    def _run(self, client: Any, run: str) -> Any:
        """The MLflow run of an MMST run, the oldest if two machines made one at once."""
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
        """The first version of a checkpoint; later ones, made at the same time elsewhere, are removed."""
        where = f"name = {_quoted(name)} and tags.`mmst.checkpoint` = {_quoted(checkpoint)}"
        first, *doubles = sorted(client.search_model_versions(where), key=lambda v: int(v.version)) or [None]
        for double in doubles:
            client.delete_model_version(name, double.version)
        return first

    def _create_model(self, client: Any, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(name, description="Made by MMST. The alias `champion` is the one to use.")
        except MlflowException as e:
            if e.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _upload(self, client: Any, run_id: str, folder: Path, at: str, answering: Mapping[str, Any]) -> None:
        """Store a checkpoint folder as a pyfunc model, without a second copy of the weights on the way."""
        from mlflow import pyfunc
        from mlflow.models import Model

        model = Model()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model"
            pyfunc.save_model(
                path,
                loader_module=LOADER,
                mlflow_model=model,
                model_config=dict(answering),
                pip_requirements=[f"mmst[model,registry]=={__version__}"],
            )
            model.flavors["python_function"]["data"] = "checkpoint"
            model.save(path / "MLmodel")
            client.log_artifacts(run_id, folder, f"{at}/checkpoint")
            client.log_artifacts(run_id, path, at)

    @cached_property
    def _client(self) -> Any:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        if self._database is None:
            reach(self.uri)
        import mlflow

        for logger in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        # Warns of every environment without pip, such as those that uv makes.
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
        uri = f"sqlite:///{self._database}" if self._database else self.uri
        # Also for the artifact store, which asks for the address by itself.
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient(uri, uri)

    @cached_property
    def _experiment(self) -> str:
        """The experiment's id; made at the first call. Beside SQLite its artifacts stand in a folder."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            root = None
            if self._database is not None:
                root = (self._database.parent / "mlflow-artifacts" / self.experiment).as_uri()
            with contextlib.suppress(MlflowException):  # another machine made it meanwhile
                self._client.create_experiment(self.experiment, artifact_location=root)
            found = self._client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage == "deleted":
            raise RegistryError(
                f"MLflow experiment '{self.experiment}' at {self.uri} was deleted or cannot be made. "
                f"Remedy: restore it in the MLflow UI, or --set promote.experiment=another-name"
            )
        return str(found.experiment_id)

    @contextlib.contextmanager
    def client(self, hint: str = "") -> Iterator[Any]:
        """The client, under the machine's lock; whatever goes wrong with MLflow is a `RegistryError`."""
        with contextlib.ExitStack() as held:
            try:
                if self._database is not None:
                    held.enter_context(_lock(self._database.with_name(self._database.name + ".lock")))
                client = self._client
            except ImportError as e:
                raise RegistryError(f"MLflow is not installed ({e}). Remedy: pip install 'mmst[registry]'") from e
            except OSError as e:
                raise RegistryError(f"cannot use {self._database}: {e}") from e
            except RegistryError:
                raise
            except Exception as e:
                raise RegistryError(f"MLflow at {self.uri}: {_line(e)}") from e
            from mlflow.exceptions import MlflowException

            try:
                yield client
            except (MlflowException, OSError) as e:
                raise RegistryError(f"MLflow at {self.uri}: {_line(e)}" + (f" ({hint})" if hint else "")) from e


def reach(uri: str, attempts: int = 3, seconds: float = 2.5) -> None:
    """Return if an MLflow server answers at `uri`, else `RegistryError`, within about 10 s.

    Anything but `http(s)://` passes. Any HTTP answer counts: a proxy may hide `/health`.
    """
    if not uri.startswith(("http://", "https://")):
        return
    for left in reversed(range(attempts)):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=seconds).close()
            return
        except urllib.error.HTTPError:
            return
        except (OSError, http.client.HTTPException) as e:
            if not left:
                raise RegistryError(
                    f"no MLflow server answers at {uri} ({getattr(e, 'reason', e)}). Remedy: start it, or leave "
                    "promote.tracking_uri and MLFLOW_TRACKING_URI empty for SQLite"
                ) from e
            time.sleep(0.5)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _short(value: str, limit: int) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
