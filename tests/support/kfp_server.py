"""A stand-in for a Kubeflow Pipelines server, at its wire: the v2beta1 REST that the official client speaks.

It keeps what it is given, finds by display name, gives small pages, refuses a second pipeline or
version of one name (409) and never a second run: just as the real one. `plan` makes it misbehave.

Shapes: https://github.com/kubeflow/pipelines/tree/master/backend/api/v2beta1 (http client, 2.17).
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PAGE = 2
Item = dict[str, Any]


class KfpServer:
    """What the server holds. `plan`: (method and path pattern, `503` | `lose`) for requests to come."""

    def __init__(self, *, multi_user: bool = False) -> None:
        self.multi_user = multi_user
        self.pipelines: list[Item] = []
        self.versions: list[Item] = []
        self.experiments: list[Item] = []
        self.runs: list[Item] = []
        self.uploads: list[str] = []
        self.requests: list[str] = []
        self.plan: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, kind: str) -> tuple[int, Item]:
        """Status and body of an answer."""
        name = path.removeprefix("/apis/v2beta1/")
        if method == "GET" and name == "healthz":
            return 200, {"multi_user": self.multi_user}
        if method == "POST" and name == "pipelines/upload_version":
            self.uploads.append(_uploaded(body, kind))
            return self._new(
                self.versions, "pipeline_version_id",
                {"pipeline_id": query["pipelineid"], "display_name": query["name"], "name": query["name"]},
                unique=("pipeline_id", "display_name"),
            )  # fmt: skip
        if method == "POST" and name == "pipelines":
            return self._new(self.pipelines, "pipeline_id", json.loads(body), unique=("display_name",))
        if method == "POST" and name == "experiments":
            return self._new(self.experiments, "experiment_id", json.loads(body), unique=("display_name",))
        if method == "POST" and name == "runs":
            return self._new(self.runs, "run_id", {"state": "PENDING", **json.loads(body)})
        if method == "POST" and (ended := re.fullmatch(r"runs/([^/:]+):terminate", name)):
            if ended[1] not in self.live:
                return 400, {"code": 3, "message": f"Failed to terminate a run {ended[1]}. Row not found"}
            self.run(ended[1])["state"] = "CANCELING"
            return 200, {}
        if method == "GET" and (one := re.fullmatch(r"runs/([^/:]+)", name)):
            found = [r for r in self.runs if r["run_id"] == one[1]]
            return (200, found[0]) if found else (404, {"code": 5, "message": f"run {one[1]} not found"})
        if method == "GET" and (of := re.fullmatch(r"pipelines/([^/]+)/versions", name)):
            return 200, _page([v for v in self.versions if v["pipeline_id"] == of[1]], "pipeline_versions", query)
        if method == "GET" and name in ("pipelines", "experiments", "runs"):
            if query.get("namespace") and not self.multi_user:
                return 400, {"code": 3, "message": "In single-user mode, the namespace must be empty"}
            return 200, _page(getattr(self, name), name, query)
        return 404, {"code": 5, "message": f"{method} {path}"}

    def run(self, id: str) -> Item:
        """The run of this id."""
        return next(r for r in self.runs if r["run_id"] == id)

    @property
    def live(self) -> list[str]:
        """The ids of the runs that nobody ended."""
        return [r["run_id"] for r in self.runs if r["state"] in ("PENDING", "RUNNING")]

    def _new(self, items: list[Item], id: str, item: Item, unique: tuple[str, ...] = ()) -> tuple[int, Item]:
        if unique and any(all(i[k] == item[k] for k in unique) for i in items):
            return 409, {"code": 6, "message": f"{item['display_name']} already exists"}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.8e9 + len(items)))
        made = {**item, id: f"{id}-{len(items)}", "created_at": moment}
        items.append(made)
        return 200, made


@contextmanager
def kfp_server(*, multi_user: bool = False) -> Iterator[KfpServer]:
    """A running server; its address is `url`."""
    held = KfpServer(multi_user=multi_user)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parsed = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with held.lock:
                said = f"{self.command} {parsed.path}"
                held.requests.append(said)
                action = next((p for p in held.plan if re.search(p[0], said)), None)
                if action:
                    held.plan.remove(action)
                if action and action[1] == "503":
                    status, answer = 503, {"code": 14, "message": "try again later"}
                else:
                    query = dict(urllib.parse.parse_qsl(parsed.query))
                    kind = self.headers.get("Content-Type", "")
                    status, answer = held.answer(self.command, parsed.path, query, body, kind)
            if action and action[1] == "lose":
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _handle

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()


def _page(items: list[Item], field: str, query: dict[str, str]) -> Item:
    for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name"), predicate
        items = [i for i in items if i["display_name"] == predicate["stringValue"]]
    start = int(query.get("page_token") or 0)
    more = {"next_page_token": str(start + PAGE)} if start + PAGE < len(items) else {}
    return {field: items[start : start + PAGE], "total_size": len(items), **more}


def _uploaded(body: bytes, kind: str) -> str:
    boundary = kind.partition("boundary=")[2].encode()
    part = body.split(b"--" + boundary)[1]
    return part.partition(b"\r\n\r\n")[2].rstrip(b"\r\n").decode()
