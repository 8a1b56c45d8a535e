"""Models of the hub: fetched from a stand-in at its wire, found again offline, and every refusal in one error."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b"{}",
    "model.safetensors": (2).to_bytes(8, "little") + b"{}",
    "pytorch_model.bin": b"pickled",
    "modeling.py": b"code",
}
PROGRAM = """
import sys
from mmst.core.errors import MmstError
from mmst.models.sources import model_files
try:
    found = model_files(sys.argv[1])
    print(found.folder, dict(found.origin), sorted(p.name for p in found.folder.iterdir()), sep="|")
except MmstError as e:
    print(type(e).__name__, e, sep="|")
"""


class Hub(BaseHTTPRequestHandler):
    """What the client asks of the hub for `me/small`: its commit and files, and each file."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/me/gated"):
            return self.send(403, b"{}", body, {"X-Error-Code": "GatedRepo"})
        if not path.startswith(("/api/models/me/small", "/me/small/")):
            return self.send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        if "missing" in path:
            return self.send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
        if "/tree/" in path:
            tree = [{"type": "file", "path": n, "size": len(d), "oid": blob(d)} for n, d in FILES.items()]
            return self.send(200, json.dumps(tree).encode(), body)
        if path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in FILES]
            about = {"id": "me/small", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            return self.send(200, json.dumps(about | {"downloads": 0, "likes": 0}).encode(), body)
        data = FILES[path.rpartition("/")[2]]
        return self.send(200, data, body, {"ETag": f'"{blob(data)}"', "X-Repo-Commit": COMMIT})

    def send(self, status: int, data: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def ask(name: str, home: Path, endpoint: str, offline: bool = False) -> list[str]:
    """What a process of its own says: the client reads its environment when it is imported."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": str(int(offline))}
    settings |= {
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    env = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"} | settings
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("|")


@pytest.fixture(scope="module")
def fetched(hub: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("home")
    return home, ask("hub:me/small@main", home, hub)


def test_a_branch_becomes_the_commit_that_it_stands_for(fetched: tuple[Path, list[str]]) -> None:
    folder, origin, _ = fetched[1]
    assert origin == str({"hub": "me/small", "commit": COMMIT})
    assert Path(folder).name == COMMIT


def test_neither_pickles_nor_code_are_fetched(fetched: tuple[Path, list[str]]) -> None:
    assert fetched[1][2] == str(["config.json", "model.safetensors", "tokenizer.json"])


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_offline_what_was_fetched_before_is_taken(fetched: tuple[Path, list[str]], revision: str) -> None:
    home, online = fetched
    assert ask(f"hub:me/small@{revision}", home, "http://127.0.0.1:9", offline=True) == online


def test_offline_what_is_not_here_is_one_error_with_the_remedy(tmp_path: Path) -> None:
    kind, said = ask("hub:me/other@main", tmp_path, "http://127.0.0.1:9", offline=True)
    assert kind == "SetupError"
    assert "hub:me/other@main is not on this machine" in said
    assert "Remedy: unset HF_HUB_OFFLINE if it is set; or fetch it where there is a network" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hub:me/nothing@main", "no such model"),
        ("hub:me/small@missing", "no such revision"),
        ("hub:me/gated@main", "asks for consent"),
        ("hub:small", "no model of the hub"),
        ("hub:../..", "no model of the hub can have this name"),
        ("hub:a--b/c", "no model of the hub can have this name"),
        ("hub:me/small@", "no model of the hub"),
    ],
)
def test_what_the_hub_refuses_is_a_model_error(hub: str, tmp_path: Path, name: str, said: str) -> None:
    kind, error = ask(name, tmp_path, hub)
    assert kind == "ModelError"
    assert said in error
