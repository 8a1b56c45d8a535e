"""The cluster, namespaces that go away again, and the list of what was not run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Object, eventually, overlay, run, unique

NO_CLUSTER = "no cluster: KUBECONFIG is not set (`make test-cluster` brings one up where MMST_TEST_DATA has cluster/)"

MakeNamespace = Callable[..., str]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that KUBECONFIG names; one that is named but does not answer is an error, not a skip."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip(NO_CLUSTER)
    run("kubectl", "version", "--request-timeout=20s")
    return Cluster()


@pytest.fixture
def make_namespace(cluster: Cluster) -> Iterator[MakeNamespace]:
    """Makes namespaces of this test's own: `make_namespace("release", {label: value})`."""
    made: list[Object] = []

    def make(stem: str, labels: dict[str, str] | None = None) -> str:
        made.append(cluster.make_namespace(unique(f"mmst-{stem}"), labels))
        return str(made[-1]["metadata"]["name"])

    yield make
    cluster.delete(made)


@pytest.fixture(scope="session")
def installed(cluster: Cluster, repo_root: Path) -> Iterator[None]:
    """The overlay `kind` is on the cluster, its admission policy at work."""
    base = overlay(repo_root / "manifests/overlays/kind")
    there = [f"{o['kind']} {o['metadata']['name']}" for o in base if cluster.there(o)]
    if there:
        pytest.skip(f"the cluster has them already, and they may be in use: {', '.join(there)}")
    cluster.create_all(base, namespace="default")
    for name in (o["metadata"]["name"] for o in base if o["kind"] == "Namespace"):
        cluster.kubectl("create", "serviceaccount", "default", "--namespace", name, check=False)
    probe = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": "mmst-sandbox"},
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    }
    refused = eventually(lambda: "run under gVisor" in cluster.create(probe, "--dry-run=server", check=False))
    assert refused, "the admission policy did not come into force"
    yield
    cluster.delete(base)


@pytest.hookimpl(tryfirst=True)  # before pytest itself goes by the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is below this folder needs a cluster, also where its file does not say so."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nothing is left out silently: what did not run is listed with its reason."""
    left_out: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        left_out.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    if left_out:
        terminalreporter.section("not run")
        for reason, tests in left_out.items():
            terminalreporter.write_line(f"{reason}")
            for test in tests:
                terminalreporter.write_line(f"    {test}")
