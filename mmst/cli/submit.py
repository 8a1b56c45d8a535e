"""`mmst submit` and `mmst trigger`: run a recipe on Kubeflow Pipelines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmst.cli.options import ClusterNamespace, Json, Recipe, RecipeOut, Settings, configured, console, emit
from mmst.core import addresses
from mmst.core.errors import ConfigError, MmstError, PlatformError, SetupError, Stopped

if TYPE_CHECKING:
    from mmst.core.config import Config
    from mmst.kubernetes.run_status import Seen
    from mmst.pipelines.kubeflow import Kubeflow
    from mmst.retrain.trigger import Triggered

LOOK_EVERY = 5.0


def _endpoint(url: str) -> str:
    if url:
        addresses.web(url, "--endpoint", "http://localhost:8888")
    return url


Endpoint = Annotated[
    str,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="Address of Kubeflow Pipelines.",
        envvar="KFP_ENDPOINT",
        show_default="none",
        callback=_endpoint,
    ),
]


def submit(
    recipe: Recipe,
    settings: Settings,
    out: RecipeOut = "",
    cluster: ClusterNamespace = "",
    endpoint: Endpoint = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until the run has ended.")] = False,
    json: Json = False,
) -> None:
    """Run a recipe on Kubeflow Pipelines, or attach to its run if it is in progress or has succeeded.

    To continue a failed run, submit it again: stages that are complete in the store are kept. Ctrl-C leaves the run
    going.

    Examples:

      mmst submit --recipe demo --cluster mmst --wait

      mmst submit -r my.yaml --cluster mmst --endpoint http://localhost:8888
    """
    from mmst.core.config import run_id
    from mmst.preflight.recipe import for_cluster

    config = configured(recipe, settings, out, cluster)
    for_cluster(config)
    kubeflow, name = reached(endpoint, config), run_id(config)
    _, version = kubeflow.publish()
    done = attached(kubeflow, config, version)
    run, said = done.run, "submitted" if done.made else f"found ({done.state})"
    result = {"name": name, "run": run, "version": version, "link": kubeflow.link(run), "found": not done.made}
    if not json:
        emit(result, False, f"{name}  {said}\n{kubeflow.link(run)}")
    if wait:
        result["state"] = watch(kubeflow, config, run, quiet=json)
    elif not json:
        emit(result, False, f"To see its progress: `mmst status {name}`, or this command with --wait.")
    if json:
        emit(result, True)


def trigger(
    recipe: Recipe,
    settings: Settings,
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAMESPACE", help="Namespace of the installed release.")],
    out: RecipeOut = "",
    endpoint: Endpoint = "",
    json: Json = False,
) -> None:
    """Ensure that there is exactly one run of this recipe and code, without waiting for it; for use from Git.

    The same content is one run, however often and by however many callers it is triggered. ConfigMap retrain-<key>
    records it.

    Example:

      mmst trigger --recipe retrain.yaml --cluster mmst --endpoint http://ml-pipeline.kubeflow:8888
    """
    from mmst import wiring
    from mmst.core.config import run_id
    from mmst.preflight.recipe import for_cluster
    from mmst.retrain import trigger as triggers

    config = configured(recipe, settings, out, cluster)
    for_cluster(config)
    kubeflow = reached(endpoint, config)
    _, version = kubeflow.publish()
    records, submitted = wiring.records(config.cluster.namespace), run_id(config)
    done = triggers.ensure(triggers.name_of(config), records, kubeflow, time, submitted=submitted, version=version)
    state = done.state or f"no longer in Kubeflow; `kubectl delete configmap {done.name}` lets it run again"
    said = f"{done.name}  {'submitted' if done.made else 'found'} ({state})"
    emit(
        {"name": done.name, "run": done.run, "state": done.state, "made": done.made, "link": kubeflow.link(done.run)},
        json,
        f"{said}\n{kubeflow.link(done.run)}",
    )


def reached(endpoint: str, config: Config) -> Kubeflow:
    """Kubeflow Pipelines at this address."""
    if not endpoint:
        raise ConfigError(
            "the address of Kubeflow Pipelines is not set",
            remedy="set --endpoint URL or KFP_ENDPOINT; `kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8888:80` "
            "makes it http://localhost:8888",
        )
    from mmst.pipelines.kubeflow import Kubeflow

    return Kubeflow(endpoint, config)


def attached(kubeflow: Kubeflow, config: Config, version: str) -> Triggered:
    """The run of this recipe that stands, or a new one; under the lease of `mmst trigger` where that can be had."""
    from mmst import wiring
    from mmst.core.config import run_id
    from mmst.retrain import trigger as triggers

    name, submitted = triggers.name_of(config), run_id(config)
    try:
        records = wiring.records(config.cluster.namespace)
        records.read(name)
    except (SetupError, PlatformError):
        # From here only Kubeflow can be reached: whoever submits the same in the same second makes a second run.
        found = triggers.standing([*kubeflow.named(name), *kubeflow.named(submitted)], version)
        run = found.id if found else kubeflow.create(submitted)
        return triggers.Triggered(name=name, run=run, state=found.state if found else "", made=not found)
    return triggers.attach(name, records, kubeflow, time, submitted=submitted, version=version)


def watch(kubeflow: Kubeflow, config: Config, run: str, *, quiet: bool = False) -> str:
    """Show a run until it has ended, and return its state; raise why it failed or why its pods cannot start."""
    shown: set[object] = set()

    def tell(key: object, line: str) -> None:
        if key not in shown and not quiet:
            console().print(line, highlight=False, soft_wrap=True, markup=False)
        shown.add(key)

    try:
        while True:
            now, tasks = kubeflow.look(run, workflow_nodes(config, run))
            for task in tasks:
                seconds = f"  {task.ended - task.started:.0f} s" if task.ended and task.started else ""
                tell((task.name, task.started, task.state), f"{clock()}  {task.name:<24} {task.state.lower()}{seconds}")
            if not now.live and now.state != "CANCELING":
                break
            for seen in troubled(config, run):
                tell((seen.name, seen.trouble), f"{clock()}  {seen.kind} {seen.name}: {seen.trouble}")
                # One that failed is no reason to leave: Argo tries again, or the run ends and says why.
                starting = seen.kind == "Pod" and seen.state == "Pending"
                if starting and seen.lasting and seen.component.partition(" ")[0] in ("stage", ""):
                    raise PlatformError(
                        f"{seen.kind} {seen.name} cannot start: {seen.trouble} (the run is waiting: fix this and "
                        f"enter the same command to continue, or end the run: {kubeflow.link(run)})"
                    )
            time.sleep(LOOK_EVERY)
    except Stopped:
        raise Stopped(
            f"no longer watching; the run goes on: {kubeflow.link(run)}. The same command attaches again"
        ) from None
    if now.state != "SUCCEEDED":
        began = min((t.started for t in tasks if t.started), default=time.time())
        raise ended(config, now.state, began, kubeflow.link(run))
    return str(now.state)


def workflow_nodes(config: Config, kfp_run: str) -> list[Any]:
    """The nodes of the run's Workflow; none if the cluster cannot be reached."""
    from mmst import wiring

    try:
        return wiring.workflow_nodes(config.cluster, kfp_run)
    except (SetupError, PlatformError):
        return []


def troubled(config: Config, kfp_run: str) -> Iterator[Seen]:
    """Problems of the run in the cluster; none if the cluster cannot be reached."""
    from mmst import wiring
    from mmst.core.config import run_id

    try:
        found = wiring.in_cluster(config.cluster, run_id(config), kfp_run)
    except (SetupError, PlatformError):
        return
    yield from (seen for seen in found if seen.trouble)


def ended(config: Config, state: str, began: float, link: str) -> MmstError:
    """The error of the stage that failed since `began`, read from its Event."""
    from mmst import wiring
    from mmst.core.config import run_id

    try:
        said = wiring.failures(config.cluster, run_id(config), began)
    except (SetupError, PlatformError):
        said = []
    error = said[-1] if said else PlatformError("no stage left a reason", remedy=f"see {link}")
    error.place = f"the run ended as {state}" + (f": {error.place}" if error.place else "")
    return error


def clock() -> str:
    """The time of day, for a line of progress."""
    return time.strftime("%H:%M:%S")
