"""The container images as they are written down; tests/cluster/node/test_images.py builds and runs them."""

import re
import shlex
from pathlib import Path

import pytest

from mmst.sandbox.providers import gvisor_root

NAMES = ("checker", "model", "pipeline", "server", "trainer")
FINAL = ("checker", "pipeline", "server", "trainer")


def lines(repo_root: Path, name: str) -> list[str]:
    """The instructions of a Containerfile, continued lines joined, comments left out."""
    text = (repo_root / "images" / name / "Containerfile").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_checker_has_the_environment_of_the_local_sandbox(repo_root: Path) -> None:
    (found,) = (line for line in lines(repo_root, "checker") if line.startswith("ENV "))
    local = gvisor_root._oci_config()["process"]["env"]
    assert set(shlex.split(found.removeprefix("ENV "))) == set(local)


@pytest.mark.parametrize("name", NAMES)
def test_every_image_starts_from_an_argument(repo_root: Path, name: str) -> None:
    """Nothing but the argument's default names a registry."""
    stages = {line.rsplit(" AS ", 1)[1] for line in lines(repo_root, name) if " AS " in line}
    for line in lines(repo_root, name):
        if line.startswith("FROM "):
            assert re.match(r"FROM (\$\{(BASE|MODEL)\}|scratch|(" + "|".join(stages or {"-"}) + r"))( AS \w+)?$", line)
        elif not line.startswith("ARG "):
            assert "docker.io" not in line


@pytest.mark.parametrize("name", FINAL)
def test_every_image_runs_as_a_number_and_starts_its_program_itself(repo_root: Path, name: str) -> None:
    found = lines(repo_root, name)
    users = [line for line in found if line.startswith("USER ")]
    assert users[-1] == ("USER 0:0" if name == "checker" else "USER 65532:65532")
    (entry,) = (line for line in found if line.startswith("ENTRYPOINT "))
    assert entry.startswith('ENTRYPOINT ["')
    assert any("org.opencontainers.image.title" in line for line in found)


@pytest.mark.parametrize("name", ["model", "pipeline"])
def test_locked_packages_are_installed_before_the_source_is_there(repo_root: Path, name: str) -> None:
    found = lines(repo_root, name)
    install = [i for i, line in enumerate(found) if "uv pip install" in line]
    source = next(i for i, line in enumerate(found) if line == "COPY mmst mmst")
    assert install[0] < source < install[-1]
    assert all("constraints.txt" in found[i] for i in install)
