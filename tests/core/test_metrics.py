"""What stages count reaches Prometheus, and trouble with that reaches nobody's stage."""

from __future__ import annotations

import base64
import http.server
import io
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mmst import wiring
from mmst.core import metrics
from mmst.core.config import parse, to_text
from mmst.core.errors import ClusterError, MmstError, SandboxError, Stopped
from mmst.core.manifest import Manifest
from mmst.core.records import Decision, to_data
from mmst.core.stage_folder import StageFolder
from mmst.kubernetes.kinds import Object
from mmst.observe import logs, progress
from mmst.runner import events as runner_events
from mmst.runner import run_stage
from mmst.storage.folder import FolderStore
from tests.stages import test_verify
from tests.support.fakes import Scripted


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_values", {})
    monkeypatch.setattr(metrics, "_common", {})


def samples() -> dict[tuple[str, ...], float]:
    """What a reader of the format sees: (name, label values in order of their names) → value."""
    return {
        (s.name, *(s.labels[k] for k in sorted(s.labels))): s.value
        for family in text_string_to_metric_families(generate_latest(metrics.Collector().registry).decode())
        for s in family.samples
    }


def test_the_text_is_what_prometheus_reads_also_with_odd_labels() -> None:
    metrics.retry('odd " \\ \n engine', "lost")
    metrics.retry('odd " \\ \n engine', "lost")
    assert samples() == {("mmst_retries_total", 'odd " \\ \n engine'): 2.0}


def test_items_of_a_stage_are_counted_by_unit() -> None:
    with progress.Reporter(progress.Writer(Path("/dev/null"))).task("check", 10, "samples") as task:
        task.advance(3)
        task.advance()
    assert samples() == {("mmst_stage_items_total", "samples"): 4.0}


def test_verdicts_are_counted_when_the_check_stage_makes_them_and_not_when_it_finds_them(tmp_path: Path) -> None:
    world = test_verify.Wired(tmp_path, Scripted())
    asked = [test_verify.sample(i, "code", f"print({n})", "p-7") for i, n in enumerate((7, 7, 8))]
    given = test_verify.inputs(world, asked)
    for _ in range(2):
        test_verify.run(world, *given)
    assert samples() == {
        ("mmst_verdicts_total", "code", "passed"): 2.0,
        ("mmst_verdicts_total", "code", "wrong"): 1.0,
    }


def test_figures_are_written_into_a_folder_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMST_METRICS", str(tmp_path / "metrics"))
    with metrics.handed_over("demo-1", "verify", "01.mmst.verify"):
        metrics.count("mmst_stage_items_total", 5, unit="samples")
    (file,) = (tmp_path / "metrics").iterdir()
    assert file.name == "demo-1.01.mmst.verify.prom"
    lines = file.read_text().splitlines()
    common = 'place="01.mmst.verify",run="demo-1",stage="verify"'  # files with equal series are refused together
    assert f'mmst_stage_items_total{{{common},unit="samples"}} 5.0' in lines
    assert any(line.startswith(f"mmst_stage_seconds{{{common}}}") for line in lines)


class Gateway(http.server.BaseHTTPRequestHandler):
    got: list[tuple[str, str, str]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str]]]:
    Gateway.got = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MMST_PUSHGATEWAY", f"http://127.0.0.1:{server.server_port}")
    yield Gateway.got
    server.shutdown()
    server.server_close()


def test_figures_are_pushed_while_the_stage_works_and_at_its_end(
    gateway: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "EVERY", 0.01)
    with metrics.handed_over("demo-1", "verify", "01.mmst.verify"):
        metrics.count("mmst_stage_items_total", 5, unit="samples")
        for _ in range(1000):
            if len(gateway) >= 2:
                break
            threading.Event().wait(0.01)
        assert len(gateway) >= 2
        metrics.count("mmst_stage_items_total", 2, unit="samples")
    path, kind, body = gateway[-1]
    assert path == "/metrics/job/mmst/place/01.mmst.verify/run/demo-1"
    assert kind.startswith("text/plain")
    assert 'unit="samples"} 7' in body


def test_a_gateway_gets_user_and_password_as_a_header(
    gateway: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list[str | None]()
    do_put = Gateway.do_PUT

    def noted(self: Gateway) -> None:
        sent.append(self.headers["Authorization"])
        do_put(self)

    monkeypatch.setattr(Gateway, "do_PUT", noted)
    address = os.environ["MMST_PUSHGATEWAY"].replace("http://", "http://me:secret@")
    monkeypatch.setenv("MMST_PUSHGATEWAY", address)
    with metrics.handed_over("demo-1", "verify", "01.mmst.verify"):
        pass
    assert sent == [f"Basic {base64.b64encode(b'me:secret').decode()}"]


def test_without_the_client_a_stage_works_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setenv("MMST_METRICS", str(tmp_path / "metrics"))
    with metrics.handed_over("demo-1", "verify", "01.mmst.verify"):
        metrics.count("mmst_stage_items_total", 5, unit="samples")
    assert re.search(r"pip install .*\[pipeline\]", caplog.text)
    assert not (tmp_path / "metrics").exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense", "http://["])
def test_a_gateway_that_cannot_be_reached_fails_no_stage(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MMST_PUSHGATEWAY", address)
    with metrics.handed_over("demo-1", "verify", "01.mmst.verify"):
        pass
    assert "not handed over" in caplog.text


# --- logs -------------------------------------------------------------------------------------


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setenv("MMST_LOG", "json")
    logger, stream = logging.getLogger("mmst"), io.StringIO()
    before = (list(logger.handlers), logger.level, logger.propagate)
    logs.begin(stream, run="demo-1", stage="verify", round=1, arm="mmst")
    yield stream
    logger.handlers, logger.level, logger.propagate = before


def test_a_line_says_run_stage_and_shard(lines: io.StringIO, tmp_path: Path) -> None:
    stage = StageFolder.open(FolderStore(tmp_path), "verify", version=1, config={}, inputs={})
    stage.write_records("shard-00000.jsonl", [])
    line = json.loads(lines.getvalue())
    assert (line["message"], line["level"], line["shard"], line["records"]) == (
        "shard written", "info", "shard-00000.jsonl", 0,
    )  # fmt: skip
    assert (line["run"], line["stage"], line["round"], line["arm"]) == ("demo-1", "verify", 1, "mmst")
    assert line["time"].endswith("Z")


def test_what_json_cannot_hold_and_line_breaks_stay_on_one_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("broke\nin two")
    except ValueError:
        logging.getLogger("mmst.x").exception("odd\nmessage", extra={"thing": object()})
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["message"] == "odd\nmessage"
    assert "ValueError: broke" in json.loads(line)["error"]


def test_progress_is_logged_too_then(lines: io.StringIO) -> None:
    with progress.from_environment().task("check", 2, "samples") as task:
        task.advance(2)
    assert "2 samples" in json.loads(lines.getvalue())["message"]


def test_nothing_is_logged_unless_asked(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MMST_LOG", raising=False)
    logs.begin(run="demo-1")
    metrics.retry("s3", "lost")
    assert capfd.readouterr().err == ""


# --- Events -----------------------------------------------------------------------------------


class Left:
    """A cluster that remembers the Events left in it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, MmstError | None]] = []
        self.about: list[Object] = []

    def event(self, about: Object, *, reason: str, message: str, error: MmstError | None = None) -> None:
        self.about.append(about)
        self.events.append((reason, message, error))


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    cluster = Left()
    for key, value in {"POD_NAME": "p", "POD_UID": "u", "POD_NAMESPACE": "mmst"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(wiring, "cluster", lambda namespace: cluster)
    monkeypatch.setattr(run_stage, "end_with_owner", lambda: None)
    monkeypatch.setattr(run_stage, "stop_on_signals", lambda: None)
    monkeypatch.delenv("MMST_FAILURE", raising=False)
    return cluster


REJECTED = Decision(promote=False, challenger="c", champion="d", round=1, reason="no gain", gain=0.0, p_value=1.0)


def result(stage: str, **facts: object) -> Manifest:
    return Manifest(stage=stage, key="k", inputs={}, files=(), facts=facts)


def test_a_run_that_starts_and_what_it_decides_are_events_on_its_pod(
    left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = to_text(parse({"name": "mine"}))
    made = {
        "prepare": result("prepare"),
        "verify": result("verify"),
        "promote": result("promote", decision=to_data(REJECTED)),
    }
    monkeypatch.setattr(run_stage, "run", lambda stage, *a, **k: made[stage])
    for stage in made:
        run_stage.launch(stage, config, round=1, arm="mmst")
    assert [reason for reason, _, _ in left.events] == ["RunStarted", "Rejected"]
    assert "no gain" in left.events[1][1]
    assert {about["metadata"]["uid"] for about in left.about} == {"u"}


@pytest.mark.parametrize(("error", "events"), [(SandboxError("no gVisor"), ["StageFailed"]), (Stopped("Ctrl-C"), [])])
def test_a_stage_that_fails_says_why_and_one_that_is_stopped_is_no_failure(
    left: Left, monkeypatch: pytest.MonkeyPatch, error: MmstError, events: list[str]
) -> None:
    def fail(*a: object, **k: object) -> Manifest:
        raise error

    monkeypatch.setattr(run_stage, "run", fail)
    with pytest.raises(type(error)):
        run_stage.launch("verify", to_text(parse({})), round=2, arm="mmst", step="verify-heldout")
    assert [reason for reason, _, _ in left.events] == events
    assert all("verify-heldout (round 2, mmst): no gVisor" in m and e is error for _, m, e in left.events)


def test_a_cluster_that_refuses_events_fails_no_stage(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(namespace: str) -> Left:
        raise ClusterError("refused")

    monkeypatch.setattr(wiring, "cluster", refuse)
    runner_events.started("demo-1")
    assert left.events == []


def test_outside_a_cluster_none_is_asked(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_UID")
    runner_events.started("demo-1")
    assert left.events == []
