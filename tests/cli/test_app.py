"""The command line: help that teaches, JSON for scripts, one message and an exit code for every error."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmst import __version__, recipes, wiring
from mmst.cli import app
from mmst.cli.overview import summary
from mmst.core.errors import MmstError, SetupError
from mmst.core.manifest import Manifest
from mmst.observe import console
from mmst.preflight import machine
from mmst.runner import run_stage
from tests.support.runs import Made

ALL = get_command(app.app).commands  # type: ignore[attr-defined]
COMMANDS = [name for name in ALL if name not in app.GROUPS]
IN_GROUPS = [f"{group} {name}" for group in app.GROUPS for name in ALL[group].commands]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output without colours, wide enough; signal handlers as they were."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "out")


@pytest.fixture
def mmst(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_every_stage_of_the_flow_is_a_command() -> None:
    stages = {
        "prepare",
        "base-model",
        "sample",
        "verify",
        "label",
        "measure-labels",
        "translate",
        "build-trainset",
        "train",
        "evaluate",
        "promote",
        "report",
        "served-model",
    }
    others = {
        "experiment",
        "plan",
        "run",
        "status",
        "show",
        "clean",
        "compare",
        "recipes",
        "compile",
        "doctor",
        "serve",
        "view",
        "init",
    }
    alone = {"check-programs", "rerun", "grade", "extract", "labels", "methods", "export"}
    cluster = {"preflight", "submit", "trigger", "rollout"}
    assert stages | others | alone | cluster == set(COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, *IN_GROUPS])
def test_every_help_shows_an_example_of_its_command(command: str) -> None:
    result = CliRunner().invoke(app.app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"mmst {command}" in result.output.split("Example", 1)[1]


def test_the_main_help_states_every_exit_code() -> None:
    text = CliRunner().invoke(app.app, ["--help"]).output.split("Exit codes")[1]
    codes = {e.exit_code for e in kinds(MmstError)}
    assert {code for code in range(256) if f" {code} " in text.replace("\n", " ")} == codes | {0, app.NOBODY_READS}


def test_the_main_help_says_what_every_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app.app, ["--help"]).output
    for name in ALL:
        about = summary(ALL[name].help)
        assert re.search(rf"│ {name} +{re.escape(about)} ", text), name


def kinds(kind: type[MmstError]) -> list[type[MmstError]]:
    return [kind, *(k for sub in kind.__subclasses__() for k in kinds(sub))]


def test_help_loads_no_heavy_package() -> None:
    code = "import sys; from mmst.cli import app; app.main(['--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "kfp", "mlflow", "kserve", "boto3", "numpy", "yaml", "pygments"}
    assert not {*heavy, "mmst.core.stage"} & set(loaded)


def test_a_plan_loads_no_library_of_models() -> None:
    """torch and transformers take seconds; a tokenizer alone does not."""
    code = "import sys; from mmst.cli import app; app.main(['plan', 'demo']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tokens" in done.stdout
    assert not {"torch", "transformers", "kfp", "mlflow"} & set(done.stdout.split())


def test_the_version_is_printed(mmst: Run) -> None:
    assert mmst("--version") == (0, f"{__version__}\n", "")


def test_a_wrong_recipe_is_one_message_and_exit_code_2(mmst: Run) -> None:
    code, out, err = mmst("run", "--recipe", "demmo")
    assert (code, out) == (2, "")
    assert err.startswith("mmst: unknown recipe, got 'demmo'. Remedy:")
    assert "Traceback" not in err


@pytest.mark.parametrize("setting", ["sampling.k=-1", "sampling.q=1", "loop.arm=best", "sampling.k=many"])
def test_a_wrong_setting_is_refused_before_anything_is_made(mmst: Run, tmp_path: Path, setting: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("title: x")
    out = tmp_path / "out"
    code, _, err = mmst("run", "--recipe", str(recipe), "--set", setting, "--out", str(out))
    assert code == 2
    assert setting.split("=")[0] in err
    assert not out.exists()


def test_a_missing_argument_is_exit_code_2(mmst: Run) -> None:
    assert mmst("run")[0] == 2
    assert mmst("nonsense")[0] == 2


@pytest.mark.parametrize("kind", kinds(MmstError))
def test_every_error_has_its_exit_code_and_no_traceback(
    mmst: Run, monkeypatch: pytest.MonkeyPatch, kind: type[MmstError]
) -> None:
    def fail(out: str) -> Any:
        raise kind("it broke [red]here[/red]")

    monkeypatch.setattr(machine, "examine", fail)
    code, out, err = mmst("doctor")
    assert (code, out) == (kind.exit_code, "")
    assert "it broke [red]here[/red]" in err
    assert "Traceback" not in err


def test_an_unexpected_error_is_exit_code_1_and_its_place_is_shown_on_request(
    mmst: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(out: str) -> Any:
        raise KeyError("odd")

    monkeypatch.setattr(machine, "examine", fail)
    code, _, err = mmst("doctor")
    assert (code, "Traceback" in err, "--debug" in err) == (1, False, True)
    code, _, err = mmst("--debug", "doctor")
    assert (code, "Traceback" in err) == (1, True)


def test_doctor_says_what_is_missing_and_ends_with_3(mmst: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise SetupError("no runsc", why="not on PATH", remedy="apt-get install runsc")

    monkeypatch.setattr(wiring, "gvisor", missing)
    code, out, err = mmst("doctor")
    assert code == 3
    assert "apt-get install runsc" in out
    assert "gVisor" in err


def test_status_lists_the_runs_of_a_store(mmst: Run, made: Made) -> None:
    made.whole()
    code, out, _ = mmst("status", "--out", str(made.config.out), "--json")
    assert code == 0
    assert [r["run"] for r in json.loads(out)] == [made.run]
    assert made.run in mmst("status", "--out", str(made.config.out))[1]


def test_status_of_a_run_shows_stages_accuracy_and_decision(mmst: Run, made: Made) -> None:
    made.whole()
    code, out, _ = mmst("status", "made", "--out", str(made.config.out))
    assert code == 0
    for expected in ("verify-translations", "in progress, 1 shards", "50.0 [45.0, 55.0]", "annotated-only (control)"):
        assert expected in out
    assert "Round 1 promoted: better by 10.0 points" in out


def test_status_lists_the_others_beside_a_run_that_cannot_be_read(mmst: Run, made: Made) -> None:
    made.whole()
    broken = made.config.out + "/runs/broken-1"
    shutil.copytree(f"{made.config.out}/runs/{made.run}", broken)
    (Path(broken) / "config.json").write_text("{")
    code, out, err = mmst("status", "--out", made.config.out, "--json")
    rows = {row["run"]: row for row in json.loads(out)}
    assert (code, rows[made.run]["title"], "error" in rows[made.run]) == (4, made.config.title, False)
    assert "config.json" in rows["broken-1"]["error"]
    assert "config.json" in err


def test_status_as_json_holds_reports_and_funnel(mmst: Run, made: Made) -> None:
    made.whole()
    data = json.loads(mmst("status", "made", "--out", str(made.config.out), "--json")[1])
    assert data["rounds"][1]["funnel"]["kept"] == 1
    assert data["rounds"][1]["arms"]["mmst"]["scores"][0]["pass_at_1"] == 0.5


def test_status_of_an_unknown_run_names_those_that_there_are(mmst: Run, made: Made) -> None:
    made.whole()
    code, _, err = mmst("status", "other", "--out", str(made.config.out))
    assert code == 2
    assert made.run in err


def test_looking_at_a_store_does_not_make_one(mmst: Run, tmp_path: Path) -> None:
    mmst("status", "--out", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_store_that_is_named_and_not_there_is_an_error(mmst: Run, tmp_path: Path) -> None:
    code, _, err = mmst("status", "--out", str(tmp_path / "none"))
    assert code == 2
    assert "there is no such store" in err


def test_a_store_without_runs_is_none(mmst: Run, tmp_path: Path) -> None:
    assert mmst("status", "--out", str(tmp_path))[0] == 0


def test_show_walks_through_a_problem(mmst: Run, made: Made) -> None:
    made.whole()
    code, out, _ = mmst("show", "made", "--out", str(made.config.out))
    assert code == 0
    for expected in (
        "What is 1 [red] and 1?",
        "gold answer: 2",
        "code 0: passed",
        "text 0: wrong",
        "gold 2",
        "translation code → text",
        "trained on by mmst: text (translation)",
    ):
        assert expected in out


def test_what_a_model_wrote_cannot_drive_the_terminal() -> None:
    assert console.escape("\x1b[2Jgone\r[red]") == "\\x1b[2Jgone\\r\\[red]"


def test_show_as_json_is_the_whole_story(mmst: Run, made: Made) -> None:
    made.whole()
    data = json.loads(mmst("show", "made", "--index", "1", "--out", str(made.config.out), "--json")[1])
    assert data["problem"]["id"] == "p-1"
    assert [s["verdict"] for s in data["rounds"][0]["samples"]] == ["passed", "wrong"]


def test_a_stage_alone_gets_its_place_and_prints_what_it_made(
    mmst: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def run(stage: str, config: object, **given: Any) -> Manifest:
        asked.update(given, stage=stage)
        return Manifest(stage=stage, key="k", inputs={}, files=(), counts={"samples": 3})

    monkeypatch.setattr(run_stage, "run", run)
    recipe = tmp_path / "r.yaml"
    recipe.write_text("loop: {arm: own-text}")
    common = ["--recipe", str(recipe), "--out", str(tmp_path / "out"), "--problems", "stages/prepare/1"]
    code, out, _ = mmst("sample", *common, "--checkpoint", "stages/base/2", "--step", "sample-heldout", "--json")
    assert code == 0
    assert json.loads(out)["manifest"]["counts"] == {"samples": 3}
    assert json.loads(out)["ref"] == "stages/sample/k"
    assert asked == {
        "stage": "sample",
        "round": 1,
        "arm": "own-text",
        "step": "sample-heldout",
        "refs": {"problems": "stages/prepare/1", "checkpoint": "stages/base/2"},
        "beside": {},
    }
    code, out, _ = mmst("verify", *common, "--samples", "stages/translate/3", "--round", "0")
    assert (asked["step"], asked["arm"], asked["round"]) == ("verify-translations", "base", 0)
    assert out.splitlines() == ["ref     stages/verify/k", f"digest  {run('verify', None).digest}", "counts  samples 3"]


def test_a_stage_on_a_manifest_that_is_not_there_is_refused(mmst: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("title: x")
    refs = ["--problems", "stages/prepare/no", "--samples", "stages/sample/no"]
    code, _, err = mmst("verify", "--recipe", str(recipe), "--out", str(tmp_path / "out"), *refs)
    assert code == 2
    assert "stages/prepare/no" in err


def test_recipe_keys_come_with_type_default_and_help(mmst: Run) -> None:
    keys = {row["key"]: row for row in json.loads(mmst("recipes", "--keys", "--json")[1])}
    assert keys["sampling.k"] == {
        "key": "sampling.k",
        "type": "int",
        "default": 4,
        "help": "samples per problem and method",
    }


def test_the_schema_of_recipes_is_json(mmst: Run) -> None:
    code, out, _ = mmst("recipes", "--schema")
    assert code == 0
    assert json.loads(out) == recipes.schema()


def test_importing_problems_writes_our_own_format_whole(mmst: Run, tmp_path: Path) -> None:
    published = tmp_path / "gsm8k.jsonl"
    published.write_text(json.dumps({"question": "What is 1 + 2?", "answer": "It is 3.\n#### 3"}) + "\n")
    target = tmp_path / "ours.jsonl"
    code, out, _ = mmst("problems", "import", "gsm8k", str(published), "--to", str(target), "--json")
    assert (code, json.loads(out)["problems"]) == (0, 1)
    assert mmst("problems", "describe", "jsonl", str(target))[0] == 0
    published.write_text("{}\n")
    code, _, err = mmst("problems", "import", "gsm8k", str(published), "--to", str(tmp_path / "bad.jsonl"))
    assert code == 2
    assert "line 1" in err
    assert not (tmp_path / "bad.jsonl").exists()


def test_an_import_says_what_repeats_and_what_contradicts(mmst: Run, tmp_path: Path) -> None:
    given, target = tmp_path / "given.jsonl", tmp_path / "ours.jsonl"
    rows = [("What is 3 + 4?", 7), ("And 1?", 1), ("what is 3 + 4 ?", 8), ("And 1?", 1.0)]
    given.write_text("".join(json.dumps({"id": n, "question": q, "answer": a}) + "\n" for n, (q, a) in enumerate(rows)))
    code, out, _ = mmst("problems", "import", "jsonl", str(given), "--to", str(target))
    assert code == 0
    assert "2 left out" in out
    assert "'7' (line 1), '8' (line 3)" in out
    code, _, err = mmst("problems", "import", "jsonl", str(given), "--to", str(given))
    assert code == 2
    assert "the output is the input" in err
    _, out, _ = mmst("problems", "import", "jsonl", str(given), "--to", str(target), "--json")
    said = json.loads(out)
    assert (said["problems"], said["repeated"], len(said["contradictions"])) == (2, 2, 1)
    written = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["answer"], row["further"]) for row in written] == [("7", {"id": 0}), ("1", {"id": 1})]


def test_output_cut_off_by_the_reader_is_no_traceback(made: Made) -> None:
    made.whole()
    command = (
        f"{sys.executable} -m mmst.cli.app status made --out {made.config.out} --json | true; exit ${{PIPESTATUS[0]}}"
    )
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (141, "")


BOUNDS = {
    "--timeout": (
        "from 0.01 to 86,400 seconds",
        ["inf", "-inf", "nan", "1e400", "-1e400", "0", "-1", "0.009", "86401"],
    ),
    "--memory": ("from 16 to 1,048,576 MiB", ["0", "-1", "15", "1000000000000", "9" * 40, "1048577"]),
    "--output-limit": ("from 1 to 1,048,576 KiB", ["0", "-5", "1000000000000"]),
    "--workers": ("from 0 to 1,024", ["-1", "1025", "1000000000"]),
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, (_, values) in BOUNDS.items() for v in values])
def test_a_number_out_of_bounds_is_named_with_them(mmst: Run, tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "in").write_text('{"id": 1, "program": ""}\n')
    code, out, err = mmst("check-programs", str(tmp_path / "in"), "--out", str(tmp_path / "out"), f"{option}={value}")
    assert (code, out) == (2, "")
    shown = repr(float(value)) if option == "--timeout" else value
    assert f"{option} must be {BOUNDS[option][0]}, got {shown}. Remedy: {option} " in err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("value", ["two", "", "1,5", "0x10", "1_"])
@pytest.mark.parametrize("option", BOUNDS)
def test_what_is_no_number_is_refused(mmst: Run, tmp_path: Path, option: str, value: str) -> None:
    code, _, err = mmst("check-programs", "in", "--out", str(tmp_path / "out"), f"{option}={value}")
    assert code == 2
    assert option in err


@pytest.mark.parametrize("bound", ["--timeout=0.01", "--timeout=86400", "--memory=1048576", "--workers=1024"])
def test_a_number_at_its_bound_is_taken(mmst: Run, tmp_path: Path, bound: str) -> None:
    (tmp_path / "in").write_text("")
    out = str(tmp_path / "out")
    assert mmst("check-programs", str(tmp_path / "in"), "--sandbox", "subprocess", "--out", out, bound)[0] == 0


@pytest.mark.parametrize("option", ["--price=inf", "--price=nan", "--price=-1", "--solved=nan", "--solved=1.5"])
def test_a_plan_takes_no_number_that_is_none(mmst: Run, option: str) -> None:
    code, _, err = mmst("plan", "demo", option)
    assert code == 2
    assert f"{option.split('=')[0]} must be from 0 to" in err


@pytest.mark.parametrize("out", ["-", "/dev/stdout", "/dev/null", "file"])
@pytest.mark.parametrize(
    "line", ["status", "show x", "labels x", "report --run x", "prepare -r demo", "doctor", "run -r demo", "rerun x y"]
)
def test_a_store_is_no_file(mmst: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    code, said, err = mmst(*line.split(), "--out", out)
    assert (code, said) == (2, "")
    assert f"--out must be a folder or s3://bucket/prefix, got '{out}'" in err
    assert (tmp_path / "file").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


NAMES = [
    "plan X",
    "run -r X",
    "experiment X",
    "plan demo --hardware X",
    "status -o X",
    "show r -o X",
    "export r -o X --format trl --to e",
    "export r --format trl --to X",
    "report r -o X",
    "check-programs X --out v",
    "check-programs p --out X",
    "grade X --out g",
    "grade p --out X",
    "extract --method text X --out a",
    "extract --method X p --out a",
    "methods X",
    "compile -r demo --file X",
    "problems import gsm8k X --to o",
    "problems import jsonl p --to X",
    "model show X",
    "model import X --to q",
]
"""Commands that take a name of something: X."""
ODD = ["x" * 300, "caf\udce9.x", "loop", "p/x"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
@pytest.mark.parametrize("line", NAMES)
def test_a_name_that_cannot_be_used_is_no_fault_of_ours(
    mmst: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").write_text('{"id": 1, "program": "", "gold": "1", "answer": "1", "solution": "1"}\n')
    (tmp_path / "loop").symlink_to("loop")
    code, _, err = mmst(*(name if word == "X" else word for word in line.split()))
    assert code in (0, 2, 4), err
    assert code == 0 or "Remedy:" in err, err


STAGE_THAT_WAITS = """
import sys, time
from mmst.cli import app
from mmst.preflight import machine

def examine(out):
    print("waiting", file=sys.stderr, flush=True)
    for _ in range(600):  # a signal just before a sleep does not end that sleep
        time.sleep(0.1)

machine.examine = examine
sys.exit(app.main(["doctor"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_soon_with_130_and_says_that_it_continues(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STAGE_THAT_WAITS], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "waiting\n"
        sent = time.monotonic()
        child.send_signal(number)
        assert child.wait(timeout=10) == 130
        assert time.monotonic() - sent < 3
        message = child.stderr.read()
    assert "the same command continues" in message
    assert "Traceback" not in message


SERVER_THAT_LOADS = """
import sys, time
from mmst.cli import app
from mmst.models import sources

def load(base):
    print("waiting", file=sys.stderr, flush=True)
    for _ in range(600):
        time.sleep(0.1)

sources.model_files = load
sys.exit(app.main(["serve", "mmst:tiny"]))
"""


def test_a_signal_to_a_server_that_loads_does_not_say_that_anything_continues() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER_THAT_LOADS], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130
        message = child.stderr.read()
    assert "stopped by SIGINT; nothing is served" in message
    assert "continues" not in message


@pytest.mark.parametrize("old", app.RENAMED)
def test_an_old_command_is_refused_with_the_new_one(mmst: Run, old: str) -> None:
    code, _, err = mmst(old, "--recipe", "demo")
    assert (code, app.RENAMED[old] in COMMANDS) == (2, True)
    assert f"it is called `mmst {app.RENAMED[old]}` now" in " ".join(err.split())


def test_the_command_line_loads_no_stage_before_one_is_asked_for() -> None:
    """Every command would start later for it."""
    code = (
        "import sys, mmst.cli.app; print(*(m for m in sys.modules if m.startswith(('mmst.stages.', 'mmst.grading'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []
