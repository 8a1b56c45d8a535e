"""The container images, really built, and what is in them. Needs docker, podman, or buildah and root.

Where no registry can be reached, BASE names a Debian 12 image that is here; without it the one is
taken that $MMST_TEST_DATA/cluster/images.sh leaves in its `img` folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst import __version__
from mmst.core.records import to_json
from mmst.sandbox.providers import gvisor_root
from tests.support.s3_server import free_port
from tests.support.training import task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]
NAMES = ("checker", "pipeline", "server", "trainer")


def image(name: str) -> str:
    return f"docker.io/mmst/{name}:{__version__}"


def sh(*command: str | Path, timeout: float = 300.0, **kwargs: object) -> str:
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=timeout, check=False, **kwargs
    )  # type: ignore[call-overload]
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return str(done.stdout)


class Engine:
    """Whatever builds and runs containers here."""

    def __init__(self) -> None:
        for name in ("docker", "podman", "buildah"):
            try:
                if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
                    self.name = name
                    return
            except FileNotFoundError:
                continue
        pytest.fail("no docker (with its daemon), podman or buildah works here: apt-get install buildah, as root")

    def config(self, name: str) -> dict[str, object]:
        """The image's configuration: User, Entrypoint, Env, Labels."""
        if self.name == "buildah":
            found = json.loads(sh("buildah", "inspect", "--type", "image", image(name)))
            return dict(found["OCIv1"]["config"])
        return dict(json.loads(sh(self.name, "image", "inspect", image(name)))[0]["Config"])

    def run(self, name: str, *command: str, mount: Path | None = None) -> str:
        """What a command in the image prints."""
        volume = ["--volume", f"{mount}:{mount}"] if mount else []
        if self.name != "buildah":
            return sh(self.name, "run", "--rm", *volume, "--entrypoint", command[0], image(name), *command[1:])
        container = sh("buildah", "from", "--pull-never", image(name)).strip()
        try:
            return sh("buildah", "run", "--isolation", "chroot", *volume, container, "--", *command)
        finally:
            sh("buildah", "rm", container)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="session")
def built(engine: Engine, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All images, built by the script, and the folder with their archives."""
    environment = dict(os.environ)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "test-cluster"
    base = Path(os.environ.get("CLUSTER_ROOT", cache)) / "img" / "base.tar"
    if "BASE" not in environment and base.is_file():
        load = {"buildah": ["pull", f"docker-archive:{base}"]}.get(engine.name, ["load", "--input", str(base)])
        environment["BASE"] = sh(engine.name, *load).split()[-1]  # its id or its name, as the engine knows it
    folder = tmp_path_factory.mktemp("archives")
    sh(repo_root / "scripts/images.sh", "--archive", folder, timeout=2900.0, env=environment)
    yield folder
    shutil.rmtree(folder)  # gigabytes


def test_a_node_can_import_every_image_and_torch_is_in_one_archive_only(built: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in built.iterdir()}
    assert sizes.keys() == {"checker.tar", "pipeline.tar", "model.tar"}
    assert sizes["checker.tar"] < 100e6 < sizes["pipeline.tar"] < 1.5e9 < sizes["model.tar"] < 7e9


@pytest.mark.parametrize("name", NAMES)
def test_labels_and_user_are_as_promised(built: Path, engine: Engine, name: str) -> None:
    config = engine.config(name)
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.title"] == f"mmst/{name}"
    assert labels["org.opencontainers.image.version"] == __version__
    assert config["User"] == ("0:0" if name == "checker" else "65532:65532")
    assert isinstance(config["Entrypoint"], list)


def test_the_checker_holds_the_fork_server_and_nothing_else_of_ours(built: Path, engine: Engine) -> None:
    program = (
        "import os; print(sorted(os.path.join(d, f) for d, _, fs in os.walk('/opt') for f in fs if f[-3:] == '.py'))"
    )
    found = engine.run("checker", "/usr/bin/python3", "-c", program)
    guest = sorted(f"/opt/mmst/sandbox/guest/{p.name}" for p in gvisor_root._GUEST.glob("*.py"))
    assert found.strip() == str(sorted(["/opt/mmst/__init__.py", "/opt/mmst/sandbox/__init__.py", *guest]))
    program = "import os; print([p for d in ('/bin', '/usr/bin') if os.path.isdir(d) for p in os.listdir(d)])"
    assert engine.run("checker", "/usr/bin/python3", "-c", program).strip() == "['python3']"


def test_the_checker_runs_python_as_the_local_sandbox_does(built: Path, engine: Engine) -> None:
    entry = engine.config("checker")["Entrypoint"]
    assert isinstance(entry, list)
    program = (
        "import os, sys, decimal, fractions, sqlite3, ctypes; print(os.path.isfile(sys.argv[1]), sys.flags.utf8_mode)"
    )
    assert engine.run("checker", "/usr/bin/python3", "-c", program, entry[-1]).split() == ["True", "1"]


def test_the_pipeline_image_has_every_client_and_no_torch(built: Path, engine: Engine) -> None:
    program = (
        "import boto3, httptools, kfp, kfp.kubernetes, kubernetes, mlflow, orjson, os, sympy, transformers;"
        "import importlib.util as u;"
        "import mmst.components, mmst.pipelines.graph; print(os.getuid(), u.find_spec('torch'))"
    )
    assert engine.run("pipeline", "python3", "-c", program).split()[-2:] == ["65532", "None"]
    assert engine.run("pipeline", "mmst", "--version").strip() == __version__


def test_the_trainer_trains_under_zero_without_a_compiler(built: Path, engine: Engine, tmp_path: Path) -> None:
    spec = task(tmp_path, ranks=2, zero=2)
    Path(spec.scratch).mkdir(parents=True)
    (tmp_path / "spec.json").write_text(to_json(spec))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o711)
    port = str(free_port())  # buildah's containers share this machine's network
    where = ["--nnodes", "1", "--master-addr", "127.0.0.1", "--master-port", port, "--nproc-per-node", "2"]
    start = ["--module", "mmst.training.worker", str(tmp_path / "spec.json")]
    engine.run("trainer", "torchrun", *where, *start, mount=tmp_path)
    assert (Path(spec.out) / "model.safetensors").is_file()
    program = (
        "import shutil, deepspeed.git_version_info as v; print(*map(shutil.which, ('cc', 'g++')), v.installed_ops)"
    )
    found = engine.run("trainer", "python3", "-c", program)
    assert "None None" in found
    assert "'deepspeed_shm_comm': 1" in found
    assert "'pin_memory': 1" in found


def test_the_server_serves_the_shipped_model(built: Path, engine: Engine) -> None:
    """That it serves is shown on a node; here, that it finds all it needs."""
    program = (
        "import kserve, boto3, torch; from mmst.models import model_folder;"
        "from mmst.inference.providers.transformers import *;"
        "m = LocalModel(model_folder('mmst:tiny'), dtype='float32', batch=1, trust_remote_code=False).__enter__();"
        "print('loaded', m.context)"
    )
    assert engine.run("server", "python3", "-c", program).split()[-2] == "loaded"
