"""`mmst preflight` where pods really run: gVisor is what says so itself, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmst.cli.options import released
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import RUNTIME_CLASS
from mmst.preflight.cluster import examine
from tests.cluster.release import release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def here() -> Iterator[Cluster]:
    with release(sampling={"backend": "kserve"}, train={"launcher": "pytorchjob"}) as cluster:
        yield cluster


@pytest.mark.parametrize(("handler", "ok"), [("runsc", True), ("runc", False)])
def test_a_runtime_class_is_gvisor_only_when_its_kernel_says_so(here: Cluster, handler: str, ok: bool) -> None:
    name = f"{here.namespace}-{handler}"
    here.create(RUNTIME_CLASS, {"metadata": {"name": name}, "handler": handler})
    (found,) = examine(released(here.namespace, [f"cluster.runtime_class={name}"]), ["gvisor"])
    here.delete(RUNTIME_CLASS, name)
    assert found.ok == ok, found.found
    assert ("Starting gVisor" in found.found) == ok


def test_images_that_are_there_are_found(here: Cluster) -> None:
    name = f"{here.namespace}-runsc"
    here.create(RUNTIME_CLASS, {"metadata": {"name": name}, "handler": "runsc"})
    findings = list(examine(released(here.namespace, [f"cluster.runtime_class={name}"]), ["images"]))
    here.delete(RUNTIME_CLASS, name)
    images = [f"{name} image" for name in ("pipeline", "trainer", "server", "checker")]
    assert {f.what: f.ok for f in findings} == dict.fromkeys(images, True)
