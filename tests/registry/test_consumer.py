"""What docs/operating.md prints for consumers of the champion, run as it is printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst import pyfunc
from mmst.registry import flavor
from mmst.registry.mlflow import MlflowRegistry
from tests.support.mlflow_server import answering
from tests.support.s3_server import free_port
from tests.support.tiny_models import tiny_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE[PAGE.index("\n## MLflow\n") :], re.M)
FORMS = ("dataframe_records", "dataframe_split", "inputs", "instances")


def printed(begins: str) -> str:
    """The one block of the page that has a line with this beginning."""
    (found,) = [block for block in BLOCKS if re.search(rf"^    {re.escape(begins)}", block, re.M)]
    return re.sub("^    ", "", found, flags=re.M)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run has made a champion."""
    folder = tmp_path_factory.mktemp("home")
    registry = MlflowRegistry(f"sqlite:///{folder}/mmst-out/mlflow.db")
    version = registry.register(
        "mmst",
        tiny_model(folder / "model"),
        run="run-1",
        checkpoint="sha256:" + "a" * 64,
        ref="stages/train/1",
        about="",
        tags={},
        answering={"methods": ["text", "code"], "sampling": {"max_tokens": 8}},
    )
    registry.point("mmst", version)
    return folder


def environment(home: Path) -> dict[str, str]:
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST"))}
    beside = f"{Path(sys.executable).parent}:{bare['PATH']}"
    busy = {"MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "600"}
    return {**bare, **busy, "PWD": str(home), "PATH": beside, "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[str]:
    """The address of the server that the page's command starts, but for the port."""
    commands = [line for line in printed("mlflow models serve").splitlines() if line.startswith(("export", "mlflow"))]
    port = str(free_port())
    script = "\n".join(commands).replace("5001", port)
    at = f"http://127.0.0.1:{port}"
    with answering(["bash", "-c", script], home, environment(home), f"{at}/ping", 300):
        yield at


def ask(served: str, body: Any) -> tuple[int, Any]:
    """Status and answer of a request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{served}/invocations", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


@pytest.mark.server
@pytest.mark.parametrize("form", FORMS)
def test_the_server_answers_what_the_page_asks_it(served: str, home: Path, form: str) -> None:
    (command,) = [c for c in re.findall(r"^curl .*\\\n.*\n", printed("curl"), re.M) if f'"{form}"' in c]
    command = command.replace("http://127.0.0.1:5001", served)
    done = subprocess.run(["bash", "-c", command], cwd=home, capture_output=True, text=True, timeout=600, check=True)
    rows = json.loads(done.stdout)["predictions"]
    assert {row["question"] for row in rows} == {flavor.EXAMPLE}
    assert {tuple(row) for row in rows} == {pyfunc.COLUMNS}
    assert [row["method"] for row in rows] == (["text"] if '"method"' in command else ["text", "code"])


@pytest.mark.server
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dataframe_records": [{"q": "a"}]}, "missing inputs ['question']"),
        ({"inputs": ["a"]}, "missing inputs ['question']"),
        ({"dataframe_records": [{"question": "a"}, {"question": None}]}, "question 1 is no text"),
        ({"instances": [{"question": "a", "method": "poetry"}]}, "not trained for this method, got 'poetry'"),
        ({"dataframe_split": {"columns": ["question"], "data": [[7]]}}, "question"),
        ({"questions": ["a"]}, "exactly one of the input fields"),
        (b"{", "valid JSON"),
    ],
)
def test_what_is_no_question_is_answered_with_400_and_why(served: str, body: Any, said: str) -> None:
    status, answer = ask(served, body)
    assert (status, said in answer["message"]) == (400, True), answer
    assert "stack_trace" not in answer


def test_the_champion_is_loaded_and_asked_as_the_page_says(home: Path) -> None:
    code = printed("import mlflow") + "print(_.to_json(orient='records'))"
    code = code.replace("model.predict", "_ = model.predict")
    at = {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mmst-out/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment(home) | at, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert [row["method"] for row in json.loads(done.stdout.splitlines()[-1])] == ["text", "code"]


def test_the_version_says_what_it_takes_and_gives_with_an_example(home: Path) -> None:
    import mlflow
    from mlflow.models import Model

    mlflow.set_registry_uri(uri := f"sqlite:///{home}/mmst-out/mlflow.db")
    mlflow.set_tracking_uri(uri)
    folder = Path(mlflow.artifacts.download_artifacts("models:/mmst@champion", dst_path=str(home / "got")))
    model = Model.load(folder)
    assert {c.name: c.required for c in model.signature.inputs.inputs} == {"question": True, "method": False}
    assert tuple(model.signature.outputs.input_names()) == pyfunc.COLUMNS
    assert model.load_input_example(str(folder)).to_dict("records") == [{"question": flavor.EXAMPLE}]
