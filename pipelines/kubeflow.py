"""A Kubeflow Pipelines server through its official client: publish the graph, make runs, look at them.

Everything is get-or-create by name. A pipeline version is named after its content, a run after
what it computes. Requests time out, since the client itself would wait for ever. In a multi-user
Kubeflow the release's namespace is the profile; else pods run where Kubeflow Pipelines itself is
installed, so the release has to be installed there too (docs/kubeflow.md).

API: https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
import warnings
from calendar import timegm
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from mmst.core.config import Config
from mmst.core.errors import ClusterError, SetupError
from mmst.core.redaction import redacted
from mmst.pipelines.compile import compile_to
from mmst.pipelines.graph import pipeline_name
from mmst.retrain.trigger import Run

SERVICE_ACCOUNT = "mmst-stage"
TIMEOUT = (5, 20)
"""Seconds to connect and to wait for an answer; together less than `mmst.retrain.trigger.HOLD`."""
INNER = re.compile(r"root|executor|.*-driver|.*\.onExit|.*\(\d+\)")
"""What Kubeflow lists besides the graph's tasks: Argo's steps in them, and every attempt at one (`sample(0)`)."""
FINISHED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED", "ERROR")
OMITTED = "OMITTED"
"""Argo's word for a task that will not come, since one before it failed; Kubeflow says only when it ended."""
TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Where a pod of a multi-user Kubeflow finds the token for this server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of a run, as the server knows it; times are seconds since 1970, 0 where there is none yet."""

    name: str
    state: str
    started: float = 0.0
    ended: float = 0.0
    error: str = ""


class Kubeflow:
    """Fulfils `trigger.Runs` for one configuration. Errors: `ClusterError`, or `SetupError` for a refusal."""

    def __init__(self, endpoint: str, config: Config) -> None:
        self.endpoint, self.config = endpoint.rstrip("/"), config
        credentials = kfp.client.ServiceAccountTokenVolumeCredentials(str(TOKEN)) if TOKEN.exists() else None
        with warnings.catch_warnings(), self._trouble("connect"):
            warnings.simplefilter("ignore", FutureWarning)
            # A namespace of its own spares the constructor's endless look at the server's health.
            self._client = kfp.Client(self.endpoint, namespace=config.cluster.namespace, credentials=credentials)
            health = self._client.healthzs.healthz_service_get_healthz(_request_timeout=TIMEOUT)
        self.namespace = config.cluster.namespace if health.multi_user else None
        self._version: tuple[str, str] | None = None

    def publish(self) -> tuple[str, str]:
        """The ids of this graph's pipeline and version, uploaded unless they are there."""
        if self._version is None:
            with tempfile.TemporaryDirectory() as folder, self._trouble("publish the pipeline"):
                path = Path(folder) / "pipeline.yaml"
                name = compile_to(path, self.config)
                pipeline = self._get_or_create(self._find_pipeline, self._create_pipeline)
                version = self._get_or_create(
                    lambda: self._find_version(pipeline, name), lambda: self._upload(pipeline, name, path)
                )
                self._version = (pipeline, version)
        return self._version

    def named(self, name: str) -> list[Run]:
        """The runs of this display name, the oldest first."""
        with self._trouble("list runs"):
            found = self._all(
                self._client.runs.run_service_list_runs, "runs", name, sort_by="created_at", namespace=self.namespace
            )
        return [_run(r) for r in found]

    def create(self, name: str) -> str:
        """A run of the published graph; its id."""
        pipeline, version = self.publish()
        with self._trouble("create a run"):
            experiment = self._get_or_create(self._find_experiment, self._create_experiment)
            body = kfp_server_api.V2beta1Run(
                experiment_id=experiment,
                display_name=name,
                pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
                    pipeline_id=pipeline, pipeline_version_id=version
                ),
                runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters={}),
                service_account=SERVICE_ACCOUNT,
            )
            return str(self._client.runs.run_service_create_run(run=body, _request_timeout=TIMEOUT).run_id)

    def look(self, run: str, nodes: Iterable[Mapping[str, Any]] = ()) -> tuple[Run, list[Task]]:
        """A run and those tasks of its graph that have begun, in order of their beginning.

        `nodes` are those of its Argo Workflow, where they can be read (`kubernetes.run_status.workflow_nodes`):
        Kubeflow's own list stands still as soon as the Workflow is so large that Argo compresses
        it, which one round is.
        """
        with self._trouble("look at the run"):
            found = self._client.runs.run_service_get_run(run_id=run, _request_timeout=TIMEOUT)
        details = (found.run_details.task_details if found.run_details else None) or []
        tasks = [_argo_task(n) for n in nodes] or [_task(t) for t in details]
        workflow = f"{pipeline_name(self.config)}-"  # the first node is the whole, and has Argo's name for it
        tasks = [t for t in tasks if not INNER.fullmatch(t.name) and not t.name.startswith(workflow)]
        return _run(found), sorted(tasks, key=lambda t: (t.started or float("inf"), t.name))

    def terminate(self, run: str) -> None:
        """End a run; nothing happens when it has ended."""
        with self._trouble("end a run"):
            try:
                self._client.runs.run_service_terminate_run(run_id=run, _request_timeout=TIMEOUT)
            except kfp_server_api.ApiException:
                if self.look(run)[0].live:  # the server refuses (400) to end what has ended
                    raise

    def link(self, run: str) -> str:
        """The page of a run in the UI: at the endpoint, unless `$KF_PIPELINES_UI_ENDPOINT` names another address."""
        address = os.environ.get("KF_PIPELINES_UI_ENDPOINT", self.endpoint)
        return f"{redacted(address.rstrip('/'))}/#/runs/details/{run}"

    def _find_pipeline(self) -> str | None:
        listing = self._client.pipelines.pipeline_service_list_pipelines
        found = self._all(listing, "pipelines", pipeline_name(self.config), namespace=self.namespace)
        return str(found[0].pipeline_id) if found else None

    def _create_pipeline(self) -> str:
        name = pipeline_name(self.config)
        body = kfp_server_api.V2beta1Pipeline(
            name=name, display_name=name, description=self.config.title or None, namespace=self.namespace
        )
        made = self._client.pipelines.pipeline_service_create_pipeline(pipeline=body, _request_timeout=TIMEOUT)
        return str(made.pipeline_id)

    def _find_version(self, pipeline: str, name: str) -> str | None:
        listing = self._client.pipelines.pipeline_service_list_pipeline_versions
        found = self._all(listing, "pipeline_versions", name, pipeline_id=pipeline)
        return str(found[0].pipeline_version_id) if found else None

    def _upload(self, pipeline: str, name: str, path: Path) -> str:
        made = self._client.pipeline_uploads.upload_pipeline_version(
            str(path), name=name, display_name=name, pipelineid=pipeline, _request_timeout=TIMEOUT
        )
        return str(made.pipeline_version_id)

    def _find_experiment(self) -> str | None:
        listing = self._client.experiments.experiment_service_list_experiments
        found = self._all(listing, "experiments", self.config.promote.experiment, namespace=self.namespace)
        return str(found[0].experiment_id) if found else None

    def _create_experiment(self) -> str:
        body = kfp_server_api.V2beta1Experiment(display_name=self.config.promote.experiment, namespace=self.namespace)
        made = self._client.experiments.experiment_service_create_experiment(experiment=body, _request_timeout=TIMEOUT)
        return str(made.experiment_id)

    def _all(self, listing: Any, field: str, name: str, **where: Any) -> list[Any]:
        """Everything of this display name, page by page."""
        wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]}
        where = {k: v for k, v in where.items() if v is not None}
        found: list[Any] = []
        token = ""
        while True:
            page = listing(
                filter=json.dumps(wanted), page_size=100, page_token=token, _request_timeout=TIMEOUT, **where
            )
            found += getattr(page, field) or []
            token = page.next_page_token or ""
            if not token:
                return found

    @staticmethod
    def _get_or_create(find: Any, create: Any) -> str:
        found = find()
        if found is None:
            try:
                return str(create())
            except kfp_server_api.ApiException as e:
                found = find() if e.status == 409 else None  # another was faster
                if found is None:
                    raise
        return str(found)

    @contextlib.contextmanager
    def _trouble(self, doing: str) -> Iterator[None]:
        try:
            yield
        except kfp_server_api.ApiException as e:
            said = _said(e)
            if e.status in (401, 403):
                remedy = "give this user or service account access to Kubeflow Pipelines (docs/kubeflow.md)"
                raise SetupError(f"Kubeflow Pipelines does not permit to {doing}", why=said, remedy=remedy) from None
            raise ClusterError(f"Kubeflow Pipelines at {self.endpoint} could not {doing}: {said}") from None
        except (urllib3.exceptions.HTTPError, OSError) as e:
            remedy = "correct --endpoint or $KFP_ENDPOINT (docs/kubeflow.md says how to reach it)"
            raise ClusterError(
                f"Kubeflow Pipelines at {self.endpoint} does not answer, so MMST could not {doing}: {e}",
                remedy=remedy,
            ) from None


def _run(found: Any) -> Run:
    state = str(found.state or "PENDING")
    reference = found.pipeline_version_reference
    return Run(
        id=str(found.run_id),
        live=state not in (*FINISHED, "CANCELING"),
        state=state,
        version=str(reference.pipeline_version_id) if reference else "",
    )


def _task(found: Any) -> Task:
    return Task(
        name=str(found.display_name),
        state=str(found.state or (OMITTED if _seconds(found.end_time) else "PENDING")),
        started=_seconds(found.start_time),
        ended=_seconds(found.end_time),
        error=str(found.error.message) if found.error and found.error.message else "",
    )


def _argo_task(node: Mapping[str, Any]) -> Task:
    moments = [node.get(key) for key in ("startedAt", "finishedAt")]
    began, ended = (timegm(time.strptime(m, "%Y-%m-%dT%H:%M:%SZ")) if m else 0.0 for m in moments)
    state = str(node.get("phase") or "Pending").upper()
    said = str(node.get("message", ""))
    return Task(name=str(node["displayName"]), state=state, started=began, ended=ended, error=said)


def _seconds(moment: Any) -> float:
    """Kubeflow writes the year 1970 (or 1) where there is no time."""
    return moment.timestamp() if moment is not None and moment.year > 1970 else 0.0


def _said(error: kfp_server_api.ApiException) -> str:
    """The server's own words."""
    try:
        body = json.loads(error.body)
        said = body.get("message") or body.get("error_message") or body.get("error")  # uploads say it otherwise
        return f"{said} (HTTP {error.status})"[:600]
    except (ValueError, TypeError, AttributeError):
        return f"{error.reason} (HTTP {error.status})"
