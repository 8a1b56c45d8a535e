"""The pages over HTTP: what they show, who may ask, and that model output is text."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mmst.core import locks, sealed
from mmst.core.manifest import LOSSES
from mmst.core.records import CheckedSample, Verdict, to_json
from mmst.core.stage_folder import shard_name
from mmst.core.stored import Losses
from mmst.storage.folder import FolderStore
from mmst.view.app import HEADERS, application
from mmst.view.index import Index
from mmst.view.server import LOOPBACK
from tests.support.runs import PROBLEMS, Made, sample_of
from tests.view.conftest import Run


@pytest.fixture(scope="module")
def client(run: Run, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder = tmp_path_factory.mktemp("app")
    app = application(run.store, lambda name: folder / name, hosts=LOOPBACK, cache=folder / "cache")
    return TestClient(app, base_url="http://127.0.0.1:8765")


def pages(run: Run) -> list[str]:
    at = f"/runs/{run.name}"
    compared = f"/compare?first={run.name}/base&second={run.name}/mmst"
    problem = f"{at}/problems/p-train-00003"
    return ["/", at, f"{at}/samples", f"{at}/labels", f"{at}/recipe", problem, "/compare", compared]


def test_every_page_is_there_and_every_link_on_it_too(client: TestClient, run: Run) -> None:
    seen, todo = set[str](), ["/"]
    while todo and len(seen) < 120:
        address = todo.pop(0)
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        seen.add(address)
        if answer.headers["content-type"].startswith("text/html"):
            links = (
                link.replace("&amp;", "&").partition("#")[0] for link in re.findall(r'href="(/[^"]*)"', answer.text)
            )
            todo += [link for link in dict.fromkeys(links) if link not in seen and link not in todo]
    assert set(pages(run)) - {f"/compare?first={run.name}/base&second={run.name}/mmst"} <= seen | {pages(run)[5]}


def test_what_a_model_wrote_is_never_markup(client: TestClient, run: Run) -> None:
    hostile = 0
    for address in [*pages(run), f"/runs/{run.name}/samples?text=<script>&verdict=<b>"]:
        text = client.get(address).text
        assert "<script" not in text
        assert "<img" not in text
        assert "<b>&lt;" not in text or "verdict=<b>" not in text
        assert "\u202e" not in text
        hostile += "&lt;script&gt;" in text
    assert hostile >= 2


def test_every_answer_forbids_scripts_and_other_hosts(client: TestClient, run: Run) -> None:
    for address in [*pages(run), "/nothing", "/style.css", f"/runs/{run.name}/samples.jsonl"]:
        headers = client.get(address).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert not re.search(r"https?://", client.get(address).text.replace("http://www.w3.org/2000/svg", ""))


def test_nothing_in_the_store_is_changed(client: TestClient, run: Run) -> None:
    def state() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in run.folder.rglob("*")}

    before = state()
    for address in [*pages(run), f"/runs/{run.name}/samples.jsonl"]:
        client.get(address)
    assert state() == before
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/").status_code == 405


def test_samples_are_filtered_and_downloaded(client: TestClient, run: Run) -> None:
    asked = {"verdict": "passed", "method": "code", "kind": "sample", "round": "1"}
    wanted = [
        c.sample.id
        for s, c in run.samples()
        if c.passed and c.sample.method == "code" and s.place.round == 1 and s.place.step == "verify"
    ]
    text = client.get(f"/runs/{run.name}/samples", params=asked).text
    assert f"<b>{len(wanted)}</b> samples" in text
    assert re.findall(r"<code>(s-[^<]*)</code>", text) == wanted[:50]
    answer = client.get(f"/runs/{run.name}/samples.jsonl", params=asked)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert [json.loads(line)["sample"]["id"] for line in answer.text.splitlines()] == wanted


def test_a_problem_shows_translations_beside_their_sources(client: TestClient, run: Run) -> None:
    id = next(c.sample.problem_id for s, c in run.samples() if s.place.step == "verify-translations")
    text = client.get(f"/runs/{run.name}/problems/{id}").text
    assert "was translated to" in text
    assert "<mark>" in text


def test_two_arms_are_compared_problem_by_problem(client: TestClient, run: Run) -> None:
    text = client.get(f"/compare?first={run.name}/base&second={run.name}").text
    assert "Only the first solves" in text
    assert f"/runs/{run.name}/problems/p-test-" in text


@pytest.mark.parametrize(
    "address",
    ["/runs/none", "/runs/none/samples", "/runs/none/samples.jsonl", "/runs/{run}/problems/p-none", "/nothing",
     "/compare?first=none&second=none", "/runs/%2e%2e/recipe", "/runs/{run}/problems/<b>"],
)  # fmt: skip
def test_what_is_not_there_is_said_in_one_line(client: TestClient, run: Run, address: str) -> None:
    answer = client.get(address.format(run=run.name))
    assert answer.status_code == 404
    assert "Not found" in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30, "999999"])
def test_a_page_that_is_not_there_is_the_nearest_one(client: TestClient, run: Run, page: str) -> None:
    assert client.get(f"/runs/{run.name}/samples?page={page}").status_code == 200


def test_a_damaged_store_is_named_and_the_other_runs_are_shown(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    name = made.whole()
    client = TestClient(application(made.store, lambda run: tmp_path / run, cache=tmp_path / "cache"))
    manifest = next((tmp_path / "out").glob("stages/evaluate/*/manifest.json"))
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert (answer := client.get(f"/runs/{name}")).status_code == 502
    assert "manifest.json" in answer.text
    assert client.get("/").status_code == 200
    assert "cannot be read" in client.get("/").text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""])
def test_another_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "LOCALHOST:1", "[::1]:8765", "localhost"])
def test_the_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


def test_a_ticket_opens_once_and_stays_as_a_cookie(run: Run, tmp_path: Path) -> None:
    app = application(run.store, lambda name: tmp_path / name, ticket="secret", cache=tmp_path / "cache")
    client = TestClient(app, base_url="http://view.example")
    for address in ("/", "/style.css", f"/runs/{run.name}/samples.jsonl", "/?ticket=", "/?ticket=wrong", "/?ticket=é"):
        assert client.get(address).status_code == 403
    answer = client.get("/compare?ticket=secret&first=a", follow_redirects=False)
    assert answer.headers["location"] == "/compare?first=a"
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert client.get("/").status_code == 200
    assert "secret" not in client.get("/").text


def test_a_ticket_never_leads_to_another_host(run: Run, tmp_path: Path) -> None:
    app = application(run.store, lambda name: tmp_path / name, ticket="secret", cache=tmp_path / "cache")
    client = TestClient(app, base_url="http://view.example")
    for address in ("//evil.example/?ticket=secret", "/\\evil.example?ticket=secret"):
        location = client.get(f"http://view.example{address}", follow_redirects=False).headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


def test_the_sides_that_were_compared_are_named_and_stay_chosen(client: TestClient, run: Run) -> None:
    for first, second in (("", "/base"), ("/no-translation", "/mmst")):
        text = client.get(f"/compare?first={run.name}{first}&second={run.name}{second}").text
        chosen = [f"{run.name}{arm or '/mmst'}" for arm in (first, second)]
        assert re.findall(r"<option selected>([^<]*)", text) == chosen
        arms = [c.partition("/")[2] for c in chosen]
        assert re.findall(r"<b>[^<]*</b>, (\S+) after round (\d)", text) == [
            (a, "0" if a == "base" else "2") for a in arms
        ]
    assert re.findall(r"<option selected>([^<]*)", client.get(f"/compare?first={run.name}").text) == [
        f"{run.name}/mmst"
    ]


@pytest.mark.parametrize("family", ["new\nline", "zero\u200bwidth", 'quo"te\\', "\x1b[1m", "<b>", "é"])
def test_a_choice_finds_its_samples_whatever_its_name(tmp_path: Path, family: str) -> None:
    made = Made(tmp_path / "out")
    problem = replace(PROBLEMS[0], family=family)
    made.stage(0, "base", "prepare", {"train-00000.jsonl": [problem, PROBLEMS[1]]})
    own = [sample_of(p, "text", "1") for p in (problem, PROBLEMS[1])]
    checked = [CheckedSample(sample=s, verdict=Verdict.WRONG, solution="1", answer="1") for s in own]
    made.stage(1, "mmst", "verify", {shard_name(0): checked})
    client = TestClient(application(made.store, lambda run: tmp_path / run, cache=tmp_path / "cache"))
    form = client.get(f"/runs/{made.run}/samples").text
    (value,) = re.findall(r'<select name="family">.*?<option value="([^"]+)"', form, re.DOTALL)
    found = client.get(f"/runs/{made.run}/samples", params={"family": html.unescape(value)}).text
    assert "<b>1</b> sample" in found


def test_a_head_of_a_download_reads_nothing(client: TestClient, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get(f"/runs/{run.name}/samples")
    monkeypatch.setattr("mmst.view.samples.Samples._with_text", None)
    assert client.head(f"/runs/{run.name}/samples.jsonl").status_code == 200


def test_an_error_that_comes_late_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path / "out")
    name = made.whole()
    shard = next((tmp_path / "out").glob("stages/verify/*/shard-*.jsonl"))
    shard.write_bytes(shard.read_bytes().replace(b"passed", b"wrong!"))
    monkeypatch.setattr("mmst.view.later.PATIENCE", 0.0)
    client = TestClient(application(made.store, lambda run: tmp_path / run, cache=tmp_path / "cache"))
    while (answer := client.get(f"/runs/{name}/samples")).status_code == 503:
        time.sleep(0.05)
    assert answer.status_code == 502
    assert shard.name in answer.text


def test_a_run_that_goes_on_shows_how_far_it_is_and_comes_anew(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    name = made.whole()
    made.stage(1, "mmst", "train", finish=False)
    logs = tmp_path / "logs"
    logs.mkdir()
    events = [
        {"event": "start", "id": "1.0", "place": "01.mmst.train", "name": "train", "total": 40, "unit": "steps"},
        *(
            {"event": "advance", "id": "1.0", "done": i, "found": 0, "seconds": 2 * i, "note": f"loss {1 / i:.3f}"}
            for i in range(1, 11)
        ),
    ]
    (logs / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    client = TestClient(application(made.store, lambda run: logs, cache=tmp_path / "cache"))
    with locks.held(logs / locks.RUN):
        text = client.get(f"/runs/{name}").text
        assert "train (round 1, mmst): in progress, 10 of 40 steps" in client.get("/").text
    assert 'http-equiv="refresh"' in text
    assert "in progress, 10 of 40 steps" in text
    assert "<td>0.5</td>" in text
    assert "60 s left" in text
    assert "0.100 at step 10" in text
    assert 'http-equiv="refresh"' not in client.get(f"/runs/{name}").text


def test_the_losses_of_a_finished_training_are_shown(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    trained = made.stage(1, "mmst", "train")
    assert trained is not None
    sealed.write(made.store, f"{trained.ref}/{LOSSES}", to_json(Losses(steps=(1, 2), losses=(0.9, 0.25))))
    client = TestClient(application(made.store, lambda run: tmp_path / run, cache=tmp_path / "cache"))
    assert "0.250 at step 2" in client.get(f"/runs/{made.run}").text


def test_who_waits_for_the_first_look_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, read = threading.Event(), Index.samples
    monkeypatch.setattr(Index, "samples", lambda *given: go.wait(60) and read(*given))
    monkeypatch.setattr("mmst.view.later.PATIENCE", 0.01)
    client = TestClient(application(run.store, lambda name: tmp_path / name, cache=tmp_path / "cache"))
    for page in ("samples", "samples.jsonl", "problems/p-train-00000"):
        answer = client.get(f"/runs/{run.name}/{page}")
        assert (answer.status_code, "read for the first time" in answer.text) == (503, True)
    go.set()
    monkeypatch.setattr("mmst.view.later.PATIENCE", 60.0)
    assert "640" in client.get(f"/runs/{run.name}/samples").text


def test_experiments_are_listed_with_their_pages_and_files(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    found = {
        "experiment": "mine-1",
        "seeds": [1, 2],
        "items": 40,
        "definition": {"title": "<b>Mine</b>", "name": "mine"},
    }
    claims = [{"verdict": "supported"}, {"verdict": "not resolved"}, {"verdict": "supported"}]
    store.write("experiments/mine-1/results.json", json.dumps(found | {"claims": claims}).encode())
    store.write("experiments/mine-1/page.html", b"<h1>its page</h1><script>alert(1)</script>")
    endless = json.dumps(found | {"claims": claims}).replace('"items": 40', '"items": 1e999')
    for i, broken in enumerate((b"{", b"[" * 200_000, endless.encode())):
        store.write(f"experiments/broken-{i}/results.json", broken)
    odd = tmp_path / "store" / "experiments" / "x\ny"
    odd.mkdir()
    (odd / "results.json").write_text("{}")
    store.write("experiments/secret", b"no file of an experiment")
    client = TestClient(application(store, lambda name: tmp_path / name, hosts=LOOPBACK), base_url="http://127.0.0.1")
    text = client.get("/").text
    assert "1 not resolved, 2 supported" in text
    assert "&lt;b&gt;Mine" in text
    assert text.count("cannot be read") == 4
    page = client.get("/experiments/mine-1/page.html")
    assert page.text.startswith("<h1>its page")
    assert page.headers["content-security-policy"].startswith("default-src 'none'"), "its script does not run"
    assert client.get("/experiments/mine-1/results.json").json()["items"] == 40
    for absent in ("mine-1/arms.csv", "mine-1/other", "nothing/page.html", "..%2Fruns/page.html"):
        assert client.get(f"/experiments/{absent}").status_code == 404
