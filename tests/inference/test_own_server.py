"""A server that is started for a checkpoint: asked, ended with all that it started, and every way in which it fails."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from mmst.core.config import parse
from mmst.core.errors import ConfigError, SamplerError, SetupError
from mmst.core.process import descendants
from mmst.inference.providers import own_server
from mmst.inference.providers.own_server import command, started
from tests.support.processes import wait_until

SERVER = """
import http.server, json, subprocess, sys
if "--child" in sys.argv:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Models(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": sys.argv[1]}]}).encode()
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Models).serve_forever()
"""


def template(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, "{model}", "{port}", *words])


def test_the_server_gets_the_model_and_answers_at_the_address(tmp_path: Path) -> None:
    model = tmp_path / "my model"
    with started(template(SERVER), model, "float32") as url:
        assert httpx.get(f"{url}/models").json()["data"] == [{"id": str(model)}]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/models")


LISTLESS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        listing = {"500": (500, b"Internal Server Error"), "empty": (200, b'{"object":"list","data":[]}')}[sys.argv[3]]
        status, body = {"/v1/models": listing, "/health": (200, b'{"status":"ok"}')}.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.mark.parametrize("listing", ["500", "empty"])
def test_a_server_that_cannot_list_its_models_is_ready_when_it_says_that_it_is_healthy(
    tmp_path: Path, listing: str
) -> None:
    with started(template(LISTLESS, listing), tmp_path, "float32") as url:
        assert url.endswith("/v1")


def test_what_the_server_started_ends_with_it(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    with started(template(SERVER, "--child"), tmp_path, "float32"):
        wait_until(lambda: len(set(descendants(os.getpid())) - before) == 2)
        own = set(descendants(os.getpid())) - before
    wait_until(lambda: not any(_runs(pid) for pid in own))


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(SamplerError, match=r"ended with status 3 .*CUDA out of memory"),
        started(template("print('CUDA out of memory'); raise SystemExit(3)"), tmp_path, "float32"),
    ):
        pass


def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_server, "START", 0.5)
    before = set(descendants(os.getpid()))
    with (
        pytest.raises(SamplerError, match="does not answer within"),
        started(template("import time; time.sleep(600)"), tmp_path, "float32"),
    ):
        pass
    assert set(descendants(os.getpid())) <= before


def test_a_server_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_server, "DRAIN", 0.2)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    before = set(descendants(os.getpid()))
    with started(template(deaf), tmp_path, "float32"):
        pass
    assert set(descendants(os.getpid())) <= before


def test_a_program_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SetupError, match="cannot be started, got 'no-such-server'"),
        started("no-such-server {model} {port}", tmp_path, "float32"),
    ):
        pass


def test_a_program_that_is_not_there_is_found_before_a_run() -> None:
    own_server.look(f"{sys.executable} {{model}} {{port}}")
    with pytest.raises(SetupError, match="is not installed, got 'no-such-server'"):
        own_server.look("no-such-server {model} {port}")


def test_the_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mmst.inference.providers.own_server import started\n"
        "with started(sys.argv[1], Path('/m'), 'float32') as url:\n    print(url, flush=True)\n    time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, template(SERVER)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    url = owner.stdout.readline().strip()
    assert httpx.get(f"{url}/models").status_code == 200
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not _answers(url))


@pytest.mark.parametrize("given", ["", "serve {model}", "serve {port}", "serve '{model} {port}"])
def test_a_recipe_s_command_must_name_model_and_port(given: str) -> None:
    with pytest.raises(ConfigError, match=r"sampling\.server must be vllm, or a command"):
        parse({"sampling": {"backend": "server", "server": given}})


def test_vllm_takes_no_settings_of_the_model_s_own() -> None:
    words = command("vllm", model="/m", port=8000, dtype="bfloat16")
    assert words[:3] == ["vllm", "serve", "/m"]
    assert words[words.index("--generation-config") + 1] == "vllm"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models").status_code == 200
    except httpx.HTTPError:
        return False
