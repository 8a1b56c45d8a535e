"""Doctor and early checks: what is missing is named with its remedy, before anything expensive."""

import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mmst import wiring
from mmst.core.config import Config, parse
from mmst.core.errors import ConfigError, DataError, MmstError, ModelError, SetupError
from mmst.core.extras import install
from mmst.models import model_folder
from mmst.preflight import machine, recipe


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder("mmst:tiny"), tmp_path / "model"))


@pytest.fixture(autouse=True)
def a_machine_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages, tracking and gVisor as they should be; each test breaks one thing."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(wiring, "gvisor", lambda packages=(): "runsc, platform systrap")


def config(tmp_path: Path, **changes: Any) -> Config:
    problems = tmp_path / "problems.jsonl"
    problems.write_text("{}\n")
    source = {"format": "jsonl", "path": str(problems)}
    base: dict[str, Any] = {
        "out": str(tmp_path / "out"),
        "model": {"base": str(tmp_path / "model")},
        "problems": {"train": [source], "test": [source]},
    }
    return parse(base | changes)


@pytest.fixture
def status() -> Iterator[tuple[str, list[int]]]:
    """A server's address, and the list that holds the status of its answers."""
    answers = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", answers
        server.shutdown()
        thread.join()


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
    return port


def test_a_configuration_with_all_it_names_passes(tmp_path: Path, model: Path) -> None:
    recipe.check(config(tmp_path))


def test_a_run_that_would_leave_no_checkpoint_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.export leaves none, got 'adapter'.*train\.export=both"):
        recipe.check(config(tmp_path, train={"lora_rank": 4, "export": "adapter"}))


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_a_python_outside_the_range_is_refused_with_what_to_use(version: tuple[int, int]) -> None:
    finding = machine.python(version)
    assert not finding.ok
    assert "3.11" in finding.remedy


def test_too_little_disk_names_the_place_and_what_is_free(tmp_path: Path) -> None:
    finding = machine.disk(str(tmp_path / "not" / "made" / "yet"), least_gib=1e9)
    assert not finding.ok
    assert str(tmp_path) in finding.found
    assert "--out" in finding.remedy


def test_too_little_memory_is_refused() -> None:
    assert machine.memory(free=2.0).ok is False
    assert machine.memory(free=8.0).ok is True


def test_this_machine_has_some_memory() -> None:
    assert 0.01 < machine._free_memory() < 1e6


def test_a_package_that_is_not_installed_says_how_to_get_it() -> None:
    finding = machine.package("no-such-package", "model", "for something", True)
    assert (finding.ok, finding.remedy) == (False, install("model"))


def test_gvisor_that_cannot_start_is_a_finding_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(packages: Sequence[str] = ()) -> str:
        raise SetupError("no runsc", why="not on PATH", remedy="apt-get install runsc")

    monkeypatch.setattr(wiring, "gvisor", missing)
    finding = machine.gvisor()
    assert (finding.ok, finding.found, finding.remedy) == (False, "no runsc (not on PATH)", "apt-get install runsc")


@pytest.mark.gvisor
def test_the_real_gvisor_runs_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    finding = machine.gvisor()
    assert finding.ok, finding.found
    assert "platform" in finding.found


def test_a_store_that_cannot_be_written_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not machine.store(str(tmp_path / "file")).ok
    assert machine.store(str(tmp_path / "folder")).ok


def test_everything_is_looked_at_and_every_gap_has_a_remedy(tmp_path: Path) -> None:
    findings = list(machine.examine(str(tmp_path)))
    assert {"Python", "memory", "disk", "gVisor", "store", "MLflow", "torch"} <= {f.what for f in findings}
    assert all(f.remedy for f in findings if not f.ok)


@pytest.mark.parametrize(("code", "ok"), [(200, True), (404, True), (401, True), (503, False)])
def test_a_server_is_there_when_it_answers_for_itself(status: tuple[str, list[int]], code: int, ok: bool) -> None:
    address, answers = status
    answers[0] = code
    assert machine.answering("server", address, "", "").ok is ok


def test_a_model_server_that_is_not_there_is_refused_at_once(tmp_path: Path, model: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}/openai/v1"
    with pytest.raises(ConfigError, match=r"sampling\.url.*refused.*mmst serve"):
        recipe.check(config(tmp_path, sampling={"backend": "openai", "url": url}))


def test_a_model_server_that_answers_is_accepted(tmp_path: Path, model: Path, status: tuple[str, list[int]]) -> None:
    recipe.check(config(tmp_path, sampling={"backend": "openai", "url": status[0]}))


@pytest.mark.parametrize("last", [200, 401, 500])
def test_a_model_server_that_loads_its_model_is_waited_for(
    status: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    address, answers = status
    answers[0] = 503
    looks: list[float] = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        answers[0] = last if len(looks) == 3 else 503

    monkeypatch.setattr("mmst.preflight.machine.time.sleep", wait)
    assert machine.model_server(address).ok
    assert len(looks) == 3


def test_a_run_waits_for_a_model_server_that_loads_its_model(
    tmp_path: Path, model: Path, status: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, answers = status
    answers[0] = 503
    monkeypatch.setattr("mmst.preflight.machine.time.sleep", lambda _: answers.__setitem__(0, 200))
    recipe.model_server(config(tmp_path, sampling={"backend": "openai", "url": address}))


def test_a_model_server_that_loads_for_ever_is_not_there(
    status: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, answers = status
    answers[0] = 503
    monkeypatch.setattr(machine, "LOADING", 0.0)
    assert "503" in machine.model_server(address).found
    assert not machine.model_server(address).ok


def test_a_tracking_server_that_is_not_there_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(SetupError, match=r"MLflow.*mlflow server"):
        recipe.check(config(tmp_path, promote={"tracking_uri": f"http://127.0.0.1:{closed_port()}"}))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"methods": ["text", "abacus"]}, ConfigError, "methods: unknown method, got 'abacus'.*code"),
        ({"model": {"base": "nowhere"}}, ModelError, "not a folder, got 'nowhere'"),
        ({"problems": {}}, ConfigError, r"problems\.train names no problems"),
        ({"problems": {"train": [{"path": "x"}], "test": [{}]}}, ConfigError, r"problems\.train\.0\.format is empty"),
        ({"sampling": {"backend": "recorded", "recorded": "gone.jsonl"}}, ConfigError, r"got 'gone\.jsonl'"),
    ],
)
def test_what_is_named_and_not_there_is_refused(
    tmp_path: Path, model: Path, changes: dict[str, Any], kind: type[MmstError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        recipe.check(config(tmp_path, **changes))


def test_a_problem_file_that_is_not_there_is_refused_by_its_key(tmp_path: Path, model: Path) -> None:
    source = {"format": "gsm8k", "path": "gone.jsonl"}
    with pytest.raises(ConfigError, match=r"problems\.train\.0\.path is not a file, got 'gone\.jsonl'"):
        recipe.check(config(tmp_path, problems={"train": [source], "test": [source]}))


def test_an_empty_problem_file_is_refused(tmp_path: Path, model: Path) -> None:
    ready = config(tmp_path)
    (tmp_path / "problems.jsonl").write_text("")
    with pytest.raises(DataError, match="is empty"):
        recipe.check(ready)


def test_a_machine_without_gvisor_stops_the_run_unless_another_sandbox_is_named(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(packages: Sequence[str] = ()) -> str:
        raise SetupError("no runsc", remedy="apt-get install runsc")

    monkeypatch.setattr(wiring, "gvisor", missing)
    with pytest.raises(SetupError, match="apt-get install runsc"):
        recipe.check(config(tmp_path))
    recipe.check(config(tmp_path, check={"sandbox": "subprocess"}))


def test_packages_are_asked_for_only_where_the_recipe_needs_them(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {f.what for f in recipe.machine(config(tmp_path))}
    more = {f.what for f in recipe.machine(config(tmp_path, train={"lora_rank": 4, "zero": 3}))}
    assert more - plain == {"peft", "deepspeed"}


def test_a_model_that_is_cut_off_is_named_before_anything_runs(tmp_path: Path, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"model\.safetensors is cut off"):
        recipe.check(config(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_template_cannot_chat(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ModelError, match="needs a chat template"):
        recipe.check(config(tmp_path, prompt={"style": "chat"}))


def test_a_missing_package_stops_the_run_with_the_extra_to_install(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "PACKAGES", (("no-such-package", "model", "sampling", True),))
    with pytest.raises(SetupError, match=re.escape(install("model"))):
        recipe.check(config(tmp_path))


def test_nothing_is_left_behind_when_a_check_fails(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ModelError):
        recipe.check(config(tmp_path, model={"base": "nowhere"}))
    assert not (tmp_path / "out").exists()


def test_a_teacher_s_key_that_is_not_in_the_environment_is_named_before_anything_runs(
    tmp_path: Path, model: Path, status: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    api = {"backend": "openai", "url": status[0], "api_key_env": "TEACHER_KEY"}
    with pytest.raises(SetupError, match=r"TEACHER_KEY is not set \(teachers\.api\.api_key_env names it\)"):
        recipe.check(config(tmp_path, teachers={"api": api}))


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ({"base": "/no/such/model"}, "/no/such/model"),
        ({"backend": "recorded", "recorded": "/no/such.jsonl"}, r"teachers\.other\.recorded is not a file"),
        ({"backend": "server", "server": "nosuch {model} {port}", "base": "BASE"}, "nosuch"),
    ],
)
def test_a_teacher_that_is_not_there_is_refused_at_once(
    teacher: dict[str, Any], said: str, tmp_path: Path, model: Path
) -> None:
    if teacher.get("base") == "BASE":
        teacher = teacher | {"base": str(model)}
    with pytest.raises((ConfigError, ModelError, SetupError), match=said):
        recipe.check(config(tmp_path, teachers={"other": teacher}))


def test_the_model_itself_may_be_a_teacher(tmp_path: Path, model: Path) -> None:
    recipe.check(config(tmp_path, teachers={"same": {"base": str(tmp_path / "model")}}))
