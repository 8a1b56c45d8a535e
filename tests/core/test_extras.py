"""What is not installed: which extra has it, and the words that say how to get it."""

import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from mmst.core import extras
from mmst.core.errors import SetupError
from tests.house.test_layers import imports

CORE = {"typer", "rich", "yaml", "pydantic", "pydantic_core", "numpy"}
"""The packages that every environment has."""
IN_SANDBOX = "mmst/sandbox/guest/"


def test_every_extra_is_one_of_the_project(repo_root: Path) -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.EXTRAS) == set(project["optional-dependencies"]) - {"all", "dev"}


def test_every_package_that_is_imported_is_of_an_extra(repo_root: Path) -> None:
    known = CORE | {package for _, packages in extras.EXTRAS.values() for package in packages}
    files = [path for folder in ("mmst", "components", "pipelines") for path in (repo_root / folder).rglob("*.py")]
    used = {
        name.partition(".")[0]
        for path in files
        if not path.relative_to(repo_root).as_posix().startswith(IN_SANDBOX)
        for name in imports(path)
    }
    assert {"torch", "kfp", "mlflow"} < used
    assert used - set(sys.stdlib_module_names) - {"mmst"} - known == set()


def test_a_package_that_is_not_there_is_named_with_its_extra() -> None:
    with pytest.raises(SetupError, match="kserve is not installed") as said, extras.named():
        raise ModuleNotFoundError("No module named 'kserve.model'", name="kserve.model")
    assert said.value.remedy == extras.install("serve")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package of an extra, that needs one that is not there."""
    (tmp_path / "gguf.py").write_text("import no_such_part_of_it", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gguf", raising=False)
    yield
    sys.modules.pop("gguf", None)


@pytest.mark.usefixtures("broken")
def test_a_package_that_does_not_load_says_why() -> None:
    with pytest.raises(SetupError, match="gguf cannot be loaded") as said, extras.named():
        import gguf  # noqa: F401
    assert said.value.why == "No module named 'no_such_part_of_it'"
    assert said.value.remedy == extras.install("gguf")


@pytest.mark.parametrize(("package", "extra"), [("kserve", "serve"), ("orjson", "serve"), ("torch", "model")])
def test_what_is_needed_for_one_extra_and_is_of_another_is_named_with_that(package: str, extra: str) -> None:
    with pytest.raises(SetupError) as said, extras.needed("serve", "the server cannot be loaded"):
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    assert said.value.remedy == extras.install(extra)


@pytest.mark.parametrize("name", ["mmst.no_such_module", "no_such_package", None])
def test_another_import_that_fails_is_left_as_it_is(name: str | None) -> None:
    with pytest.raises(ImportError, match="it broke"), extras.named():
        raise ImportError("it broke", name=name)


class Installed:
    """What the installer has written of where MMST came from."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read_text(self, name: str) -> str | None:
        return f'{{"url": "{self.url}", "archive_info": {{}}}}' if self.url else None


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that MMST was installed from, in an environment without a checkout."""
    file = tmp_path / "my wheels" / "mmst-0.1.0-py3-none-any.whl"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "site-packages/mmst/core/extras.py"))
    monkeypatch.setattr(extras, "_source", extras._source.__wrapped__)
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(file.as_uri()))
    return file


def test_the_remedy_of_a_checkout_names_it(repo_root: Path) -> None:
    assert extras.install("model") == f"pip install -e '{repo_root}[model]'"


def test_the_remedy_of_a_wheel_names_it(wheel: Path) -> None:
    assert extras.install("model") == f"pip install '{wheel}[model]'"


@pytest.mark.parametrize("gone", [True, False])
def test_the_remedy_says_what_to_look_for_where_the_wheel_is_gone(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    wheel.unlink()
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(wheel.as_uri() if gone else ""))
    assert extras.install("model").startswith("pip install 'WHEEL[model]', where WHEEL is the mmst-")
