"""Every kind of damage to every kind of file of a store: made again, or named with what to do. Never believed."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.cli.app import main
from mmst.core import sealed
from mmst.core.errors import DamagedError, MmstError, StoreError
from mmst.core.manifest import ENTRY, Place
from mmst.core.ports import Champion
from mmst.core.records import Outcome
from mmst.core.results import Measured
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import pointers
from mmst.runs import summary
from mmst.stages import champion
from mmst.stages.champion import Reign
from mmst.storage.folder import FolderStore
from mmst.wiring import open_store
from tests.support import stage_process
from tests.support.promotion import candidate, engines, problem
from tests.support.runs import Made

Damage = Callable[[Path], None]


def written(data: bytes) -> Damage:
    return lambda path: _write(path, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def flip(where: float) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(len(data) - 1, int(where * len(data)))] ^= 1
        path.write_bytes(data)

    return damage


def zeroed(path: Path) -> None:
    data = path.read_bytes()
    third = len(data) // 3
    path.write_bytes(data[:third] + bytes(third) + data[2 * third :])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def cut_at_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def anothers(path: Path) -> None:
    """The same kind of file of another stage or run, whole in itself."""
    others = [p for p in path.parent.parent.rglob(path.name) if p.read_bytes() != path.read_bytes()]
    others = others or [p for p in path.parent.glob(f"*{path.suffix}") if p.read_bytes() != path.read_bytes()]
    path.write_bytes(others[0].read_bytes() if others else b'{"another":"file"}')


DAMAGES: dict[str, Damage] = {
    "first bit": flip(0.0),
    "a bit": flip(0.4),
    "another bit": flip(0.7),
    "last bit": flip(1.0),
    "zeroed": zeroed,
    "cut": cut,
    "cut at a line": cut_at_a_line,
    "empty": written(b""),
    "another's": anothers,
    "a folder": folder,
    "another shape": written(b"[1, 2]"),
    "an empty object": written(b"{}"),
    "no text": written(b"null"),
    "a large number": written(b'{"seconds": 1' + b"0" * 400 + b"}"),
    "too large a number": written(b'{"seconds": 1' + b"0" * 5000 + b"}"),
    "NaN": written(b'{"seconds": NaN}'),
    "infinity": written(b'{"seconds": 1e999}'),
    "deep": written(b"[" * 100_000 + b"]" * 100_000),
    "no UTF-8": written(b'{"ref": "\xff\xfe"}'),
    "UTF-16": written('{"ref": "x"}'.encode("utf-16")),
}


@pytest.fixture
def run(tmp_path: Path) -> str:
    return Made(tmp_path / "out").whole()


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


FILES = {
    "manifest": "stages/verify/*/manifest.json",
    "first manifest": "stages/prepare/*/manifest.json",
    "shard": "stages/verify/*/shard-00000.jsonl",
    "problems": "stages/prepare/*/train-00000.jsonl",
    "training set": "stages/build_trainset/*/new-00000.jsonl",
    "pointer": "runs/*/01.mmst.verify.json",
    "timing": "stages/verify/*/timing.json",
    "recipe": "runs/*/config.json",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_named_or_changes_nothing(
    file: str, damage: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    commands = [("status", run), ("status",), ("show", run), ("report", "--run", run)]
    before = [said(capsys, *c, "-o", str(out), "--json") for c in commands[:3]]
    assert [code for code, _, _ in before] == [0, 0, 0]
    path = sorted(out.glob(FILES[file]))[0]
    DAMAGES[damage](path)
    named = 0
    for i, command in enumerate(commands):
        code, stdout, stderr = said(capsys, *command, "-o", str(out), "--json")
        if code == 0:
            # A pointer that is a folder is no pointer: the stage is not begun, which nothing is concluded from.
            assert i == 3 or stdout == before[i][1] or (file, damage) == ("pointer", "a folder")
            continue
        assert code == 4, (command, stderr)
        assert path.name in stderr, (command, stderr)
        assert path.parent.name in stderr, (command, stderr)
        assert "Remedy:" in stderr
        assert "unexpected" not in stderr
        named += 1
    assert named or (file, damage) == ("pointer", "a folder")


def test_what_the_remedy_says_of_a_manifest_mends_it(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    digests = stage_process.run(store)
    for damaged in ("shard-00002.jsonl", "manifest.json"):
        (path,) = tmp_path.glob(f"stages/verify/*/{damaged}")
        flip(0.5)(path)
        with pytest.raises(DamagedError, match=damaged):
            list(stage_process.read(store))
        (path.parent / "manifest.json").unlink()
        assert stage_process.run(store) == digests
        assert len(list(stage_process.read(store))) == 3 * stage_process.SHARDS * stage_process.SIZE


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d != "a folder"])
@pytest.mark.parametrize("what", ["", ENTRY])
def test_a_damaged_shard_of_an_unfinished_stage_is_made_again(what: str, damage: str, tmp_path: Path) -> None:
    whole = stage_process.run(FolderStore(tmp_path / "whole"))
    store = FolderStore(tmp_path / "damaged")
    stage_process.run(store)
    (manifest,) = (tmp_path / "damaged").glob("stages/verify/*/manifest.json")
    manifest.unlink()
    DAMAGES[damage](manifest.parent / f"shard-00003.jsonl{what}")
    assert stage_process.run(store) == whole
    assert len(list(stage_process.read(store))) == 3 * stage_process.SHARDS * stage_process.SIZE


@pytest.mark.parametrize("what", ["shard-00003.jsonl", f"shard-00003.jsonl{ENTRY}"])
def test_a_folder_in_the_place_of_an_unfinished_shard_is_named(what: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    stage_process.run(store)
    (manifest,) = tmp_path.glob("stages/verify/*/manifest.json")
    manifest.unlink()
    folder(manifest.parent / what)
    with pytest.raises(StoreError, match=r"shard-00003\.jsonl.*Remedy: .*move it away"):
        stage_process.run(store)


@pytest.mark.parametrize("lost", ["shard-00001.jsonl", f"shard-00001.jsonl{ENTRY}"])
def test_half_of_a_pair_is_made_again_and_never_refused(lost: str, tmp_path: Path) -> None:
    """What a kill between the two writes leaves, and what a store from before there were entries holds."""
    store = FolderStore(tmp_path)
    digests = stage_process.run(store)
    (manifest,) = tmp_path.glob("stages/sample/*/manifest.json")
    manifest.unlink()
    (manifest.parent / lost).unlink()
    assert stage_process.run(store) == digests


def test_a_verdict_that_flips_while_the_stage_is_under_way_stops_it(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    stage = StageFolder.open(store, "verify", version=1, config={}, inputs={})
    stage.write_records("shard-00000.jsonl", stage_process.outcomes("verify", 0))
    path = tmp_path / stage.prefix / "shard-00000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"passed":false', b'"passed":true ', 1))
    with pytest.raises(DamagedError, match=r"shard-00000.*the same command makes it again"):
        list(stage.read_records("shard-00000.jsonl", Outcome))
    with pytest.raises(DamagedError, match=r"shard-00000.*the same command makes it again"):
        stage.finish(shards=["shard-00000.jsonl"])
    assert StageFolder.open(store, "verify", version=1, config={}, inputs={}).files() == set()


@given(st.binary(max_size=40), st.integers(min_value=0))
def test_every_changed_byte_of_a_sealed_text_is_noticed(junk: bytes, at: int) -> None:
    raw = sealed.seal("a", json.dumps({"x": junk.hex(), "n": [1, {}]}))
    assert json.loads(sealed.unseal("a", raw) or b"") == {"x": junk.hex(), "n": [1, {}]}
    i = at % len(raw)
    for bit in range(8):
        assert sealed.unseal("a", raw[:i] + bytes([raw[i] ^ (1 << bit)]) + raw[i + 1 :]) is None
    assert sealed.unseal("a", raw[:i]) is None
    assert sealed.unseal("a", raw + junk[:1] or b"\n") in (None, sealed.unseal("a", raw))
    assert sealed.unseal("b", raw) is None


@pytest.mark.parametrize("text", ["{}", '{"a":1}', '{"sha256":"' + "0" * 64 + '"}', '{"a":1}\n{"b":2}'])
def test_a_sealed_text_is_the_text_and_still_json(text: str) -> None:
    raw = sealed.seal("n", text)
    assert (sealed.unseal("n", raw) or b"").decode() == text
    assert len(json.loads(raw.splitlines()[-1])["sha256"]) == 64


def reign(n: int) -> Reign:
    made = Champion(checkpoint=f"sha256:{n}", ref=f"stages/train/{n}", version=str(n))
    return Reign(champion=made, by=f"stages/promote/{n}")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_champion_record_crowns_nobody(damage: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for name in ("m", "other"):
        assert champion.crown(store, name, (), reign(1))
        assert champion.crown(store, name, (reign(1),), reign(2))
    path = tmp_path / "champions" / "m.jsonl"
    if damage == "another's":
        shutil.copy(tmp_path / "champions" / "other.jsonl", path)
    else:
        DAMAGES[damage](path)
    for use in (champion.read, champion.standing):
        with pytest.raises(DamagedError, match=r"champions/m\.jsonl.*Remedy: restore it; or move it away"):
            use(store, "m")
    assert champion.standing(store, "other") == reign(2).champion


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d not in ("another's", "cut at a line", "a folder")])
def test_a_reference_to_a_report_leads_to_that_report_or_nowhere(damage: str, tmp_path: Path) -> None:
    world = engines(tmp_path)
    model, manifest = candidate(world, "m", lambda *_: True, [problem(n) for n in range(4)])
    at = manifest.result(Measured)
    asked = (at.report.heldout, at.protocol, model.digest)
    assert champion.measured(world.store, *asked) == manifest
    (path,) = tmp_path.glob("reports/*/*.ref")
    DAMAGES[damage](path)
    with pytest.raises(DamagedError, match=r"reports/.*\.ref.*Remedy: delete it"):
        champion.measured(world.store, *asked)


def test_a_reference_to_another_models_report_is_not_followed(tmp_path: Path) -> None:
    world = engines(tmp_path)
    model, manifest = candidate(world, "m", lambda *_: True, [problem(n) for n in range(4)])
    candidate(world, "n", lambda *_: False, [problem(n) for n in range(4)])
    at = manifest.result(Measured)
    asked = (at.report.heldout, at.protocol, model.digest)
    own = tmp_path / champion.report_name(*asked)
    (other,) = (p for p in tmp_path.glob("reports/*/*.ref") if p != own)
    shutil.copy(other, own)
    with pytest.raises(DamagedError, match="leads to the evaluation of something else"):
        champion.measured(world.store, *asked)


def test_a_pointer_is_mended_by_the_run_and_names_what_is_not_there(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    digests = stage_process.run(store)
    path = tmp_path / "runs/run/01.mmst.verify.json"
    for damage in (flip(0.3), cut, zeroed, written(b"")):
        damage(path)
        with pytest.raises(DamagedError, match=r"01\.mmst\.verify\.json.*Remedy: delete it"):
            list(pointers(store, "run"))
        assert stage_process.run(store) == digests


def test_a_store_from_before_hashes_is_refused_with_a_remedy(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    stage_process.run(store)
    (path,) = tmp_path.glob("stages/sample/*/manifest.json")
    old = json.loads(path.read_bytes())
    del old["sha256"]
    path.write_text(json.dumps(old, separators=(",", ":")))
    with pytest.raises(DamagedError, match=r"manifest\.json does not end with its own hash: .*from before.*delete it"):
        stage_process.run(store)


def test_times_from_before_hashes_are_shown(tmp_path: Path) -> None:
    made = Made(tmp_path)
    run = made.whole()
    (path,) = (p for p in tmp_path.glob("stages/verify/*/timing.json"))
    path.write_text('{"seconds": 12.5}')
    timings = [s.timing for s in summary.stages(made.store, run) if s.place.step == "verify"]
    assert timings == [{"seconds": 12.5}]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("file", FILES)
def test_a_file_that_may_not_be_read_is_named(
    file: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((tmp_path / "out").glob(FILES[file]))[0]
    path.chmod(0)
    code, _, stderr = said(capsys, "report", "--run", run, "-o", str(tmp_path / "out"))
    assert (code, path.name in stderr, "Remedy:" in stderr) == (4, True, True)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_disk_that_does_not_read_is_named(
    error: OSError, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For root too, whom no file mode keeps out."""
    original = Path.read_bytes

    def read(self: Path) -> bytes:
        if self.match("stages/verify/*/manifest.json"):
            raise error
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    code, _, stderr = said(capsys, "status", run, "-o", str(tmp_path / "out"))
    assert code == 4
    assert "manifest.json" in stderr
    assert "Remedy:" in stderr


@pytest.mark.parametrize(
    "name", ["x~", "01.mmst.verify", "०१.mmst.verify.json", "a.b.c.json", "1.2.json", "\udcff.json"]
)
def test_strange_files_beside_the_pointers_are_passed_over(
    name: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = said(capsys, "status", run, "-o", str(tmp_path / "out"), "--json")
    with contextlib.suppress(UnicodeEncodeError):
        (tmp_path / "out" / "runs" / run / name).write_text("junk")
    assert said(capsys, "status", run, "-o", str(tmp_path / "out"), "--json") == before


def test_a_full_scratch_is_a_store_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    stage = StageFolder.open(
        store, "train", version=1, config={}, inputs={}, place=Place(run="r", round=1, arm="a", step="t")
    )
    with pytest.raises(StoreError, match=r"cannot work in .*No space left.*Remedy: free space"), stage.alone():
        Path("/dev/full").write_bytes(b"x" * 100_000)


KILLS = 20


def killed_and_damaged(uri: str, seconds: float, chance: random.Random, damage: bool, out: Path) -> list[str]:
    """Start the stages, kill them at a random moment, damage what is unfinished; 20 times; then let them end."""
    command, caught = [sys.executable, stage_process.__file__, uri], 0
    for _ in range(KILLS):
        child = subprocess.Popen([*command, str(seconds)], stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 1.2))
        child.send_signal(signal.SIGKILL)
        child.wait()
        unfinished = [p for p in out.glob("stages/*/*/shard-*") if not (p.parent / "manifest.json").exists()]
        caught += bool(unfinished)
        if damage and unfinished:
            chance.choice([flip(chance.random()), cut, cut_at_a_line, zeroed])(chance.choice(sorted(unfinished)))
    assert caught >= 3, "most kills were to hit a stage that is under way"
    return subprocess.run([*command, "0"], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("damage", [False, True])
def test_twenty_kills_at_random_moments_make_the_same(damage: bool, tmp_path: Path) -> None:
    undisturbed = stage_process.run(FolderStore(tmp_path / "whole"))
    out = tmp_path / "killed"
    assert killed_and_damaged(str(out), 0.3, random.Random(16), damage, out) == undisturbed
    assert len(list(stage_process.read(open_store(str(out))))) == 3 * stage_process.SHARDS * stage_process.SIZE


def test_the_errors_are_of_our_tree() -> None:
    assert issubclass(DamagedError, StoreError)
    assert issubclass(DamagedError, MmstError)
    assert DamagedError.exit_code == 4
