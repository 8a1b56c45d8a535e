"""The GitOps examples: created on the server with the controllers' own definitions; their values fit the chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import ROOT, Cluster, Object, objects, render
from tests.cluster.conftest import MakeNamespace

pytestmark = pytest.mark.cluster

FILES = sorted((ROOT / "examples/gitops").glob("*/*.yaml"))


def chart_values(o: Object) -> Any:
    """The values that an Application or a HelmRelease gives to the chart, if it does."""
    if o["kind"] == "HelmRelease":
        return o["spec"]["values"]
    return o["spec"].get("source", {}).get("helm", {}).get("valuesObject") if o["kind"] == "Application" else None


def read(path: Path) -> list[Object]:
    return objects(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_example_is_accepted_by_the_server(path: Path, cluster: Cluster, make_namespace: MakeNamespace) -> None:
    wanted = read(path)
    cluster.needs(wanted)
    namespace = make_namespace("gitops")
    for o in wanted:
        o["metadata"].pop("namespace")
        cluster.create(o, namespace=namespace)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_example_points_at_something_of_this_repository(path: Path, tmp_path: Path) -> None:
    for o in read(path):
        spec = o["spec"]
        folder = (
            spec.get("path") or spec.get("source", {}).get("path") or spec.get("chart", {}).get("spec", {}).get("chart")
        )
        if folder:
            assert any((ROOT / folder / name).is_file() for name in ("Chart.yaml", "kustomization.yaml"))
        if values := chart_values(o):
            file = tmp_path / "values.yaml"
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            assert render(file)


@pytest.mark.parametrize("controller", ["argocd", "flux"])
def test_retraining_stands_alone_and_never_cleans_itself_up(controller: str, tmp_path: Path) -> None:
    [values] = [v for o in read(ROOT / f"examples/gitops/{controller}/retrain.yaml") if (v := chart_values(o))]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    rendered = render(file)
    assert {o["kind"] for o in rendered} == {"ConfigMap", "Job"}
    [job] = [o for o in rendered if o["kind"] == "Job"]
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false"
