"""What the index finds is what reading every record finds."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import ConfigError, DamagedError, Stopped, StoreError
from mmst.core.records import CheckedSample, Problem, Sample, Split, Verdict, to_data
from mmst.core.stage_folder import shard_name
from mmst.runs import problem_history
from mmst.runs.summary import StageState, stages
from mmst.view.database import SETTINGS
from mmst.view.index import KINDS, Index
from mmst.view.samples import COLUMNS, Filter, Samples
from tests.support.report_run import HOSTILE
from tests.support.runs import PROBLEMS, Made, sample_of
from tests.view.conftest import Run


@pytest.fixture(scope="module")
def index(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index(run.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def samples(index: Index, run: Run) -> Samples:
    return index.samples(run.stages)


@pytest.fixture(scope="module")
def plain(run: Run) -> list[dict[str, Any]]:
    """Each sample's columns, in order."""
    prepared = next(s.manifest for s in run.stages if s.manifest and s.place.step == "prepare")
    problems = {
        p["id"]: p for p in map(json.loads, (run.folder / prepared.ref / "train-00000.jsonl").read_text().splitlines())
    }
    return [_columns(s, c, problems[c.sample.problem_id]) for s, c in run.samples()]


def _columns(s: StageState, c: CheckedSample, problem: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": c.sample.id,
        "kind": KINDS[s.place.step],
        "round": str(s.place.round),
        "arm": s.place.arm,
        "method": c.sample.method,
        "verdict": c.verdict.value,
        "task": problem["task"],
        "family": problem["family"],
        "writer": c.sample.writer,
        "problem": c.sample.problem_id,
        "texts": (c.sample.completion.lower(), problem["question"].lower()),
    }


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["sample", "translation", "held-out"]),
        "round": st.sampled_from(["1", "2", "7"]),
        "arm": st.sampled_from(["mmst", "base", "' OR true --"]),
        "method": st.sampled_from(["text", "code"]),
        "verdict": st.sampled_from(list(Verdict)).map(str),
        "family": st.sampled_from(["add", "two steps"]),
        "problem": st.sampled_from(["p-train-00003", "p-none"]),
        "text": st.sampled_from(["SCRIPT", "ben has", "'; DROP TABLE found", "%", "print", "\0", "x\\"]),
    },
)


@given(FILTERS, st.integers(1, 9))
def test_a_page_and_its_counts_are_those_of_all_records(
    samples: Samples, plain: list[dict[str, Any]], asked: dict[str, str], page: int
) -> None:
    def chosen(but: str = "") -> list[dict[str, Any]]:
        conditions = {k: v for k, v in asked.items() if k not in (but, "text")}
        text = asked.get("text", "").lower()
        return [
            row
            for row in plain
            if any(text in t for t in row["texts"]) and all(row[k] == v for k, v in conditions.items())
        ]

    found = samples.page(Filter(**asked), page, 20)
    wanted = chosen()
    last = max(-(-len(wanted) // 20), 1)
    begin = (min(page, last) - 1) * 20
    assert [row["id"] for row in found.rows] == [row["id"] for row in wanted[begin : begin + 20]]
    assert found.total == len(wanted)
    for column in COLUMNS:
        assert found.counts.get(column, {}) == dict(Counter(row[column] for row in chosen(column)))


@given(FILTERS)
def test_what_is_downloaded_is_what_the_store_has(run: Run, samples: Samples, asked: dict[str, str]) -> None:
    page = samples.page(Filter(**asked), 1, 10_000)
    stored = {(str(s.place.round), s.place.arm, c.sample.id): to_data(c) for s, c in run.samples()}
    for line, row in zip(b"".join(samples.lines(Filter(**asked))).splitlines(), page.rows, strict=True):
        data = json.loads(line)
        assert data["sample"]["id"] == row["id"]
        place = str(data.pop("round")), data.pop("arm"), data["sample"]["id"]
        del data["kind"]
        assert data == stored[place]
    assert len(page.rows) == page.total


def test_a_problem_has_the_story_that_reading_every_record_tells(run: Run, index: Index) -> None:
    lines = index.about(run.stages)
    for id in ("p-train-00000", "p-train-00011"):
        assert problem_history.story(run.store, run.name, id, lines=lines) == problem_history.story(
            run.store, run.name, id
        )


def test_a_result_is_read_once(run: Run, tmp_path: Path) -> None:
    Index(run.store, tmp_path).samples(run.stages)
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")}
    assert len(made) == 5  # problems; samples and translations of two rounds
    Index(run.store, tmp_path).samples(run.stages)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")} == made
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p not in made]


def test_half_a_surrogate_pair_and_a_nul_are_read(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    made.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS})
    odd = [sample_of(PROBLEMS[i], "text", text) for i, text in enumerate(("\ud800 lone", "nul \0 here", HOSTILE))]
    checked = [CheckedSample(sample=s, verdict=Verdict.WRONG, solution=s.completion, answer=None) for s in odd]
    made.stage(1, "mmst", "verify", {shard_name(0): checked})
    found = Index(made.store, tmp_path / "cache").samples(list(stages(made.store, made.run))).page(Filter(), 1, 9)
    assert [row["solution"] for row in found.rows] == ["? lone", "nul \0 here", HOSTILE]


def test_samples_that_labels_judge_are_counted_once_with_the_verdicts_of_the_labels(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    made.stage(0, "base", "prepare", {"unlabelled-00000.jsonl": PROBLEMS})
    sample = sample_of(PROBLEMS[0], "text", "0")
    for step, verdict in (("verify", Verdict.UNLABELLED), ("label", Verdict.PASSED)):
        checked = CheckedSample(sample=sample, verdict=verdict, solution="0", answer="0")
        made.stage(1, "mmst", step, {shard_name(0): [checked]})
    found = Index(made.store, tmp_path / "cache").samples(list(stages(made.store, made.run))).page(Filter(), 1, 9)
    assert [row["verdict"] for row in found.rows] == ["passed"]


def test_a_run_without_samples_has_an_empty_page(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    index = Index(made.store, tmp_path / "cache")
    nothing = Index(made.store, tmp_path / "cache").samples(list(stages(made.store, made.run)))
    assert (nothing.page(Filter(), 1, 9).total, list(nothing.lines(Filter()))) == (0, [])
    made.stage(1, "mmst", "verify", {shard_name(0): []})
    assert index.samples(list(stages(made.store, made.run))).page(Filter(), 1, 9).total == 0


def test_many_shards_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmst.view.tables._BLOCK", 2000)
    made = Made(tmp_path / "out")
    problems = [
        Problem(id=f"p-{i}", question=f"{i}?", answer="1", source="made", split=Split.TRAIN) for i in range(200)
    ]
    made.stage(0, "base", "prepare", {"train-00000.jsonl": problems})
    own = [Sample(**to_data(sample_of(p, "text", "1")) | {"index": 3}) for p in problems]
    checked = [CheckedSample(sample=s, verdict=Verdict.PASSED, solution="1", answer="1") for s in own]
    made.stage(1, "mmst", "verify", {shard_name(i): checked[20 * i : 20 * i + 20] for i in range(10)})
    found = Index(made.store, tmp_path / "cache").samples(list(stages(made.store, made.run))).page(Filter(), 1, 500)
    assert [row["problem"] for row in found.rows] == [p.id for p in problems]


def test_a_damaged_shard_is_named_and_leaves_no_table(tmp_path: Path) -> None:
    made = Made(tmp_path / "out")
    made.whole()
    shard = next((tmp_path / "out").glob("stages/verify/*/shard-*.jsonl"))
    shard.write_bytes(shard.read_bytes().replace(b"passed", b"wrong!"))
    index = Index(made.store, tmp_path / "cache")
    with pytest.raises(DamagedError, match=shard.name):
        index.samples(list(stages(made.store, made.run)))
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 1  # the problems


def test_a_table_that_was_cut_off_or_lost_is_made_again(run: Run, tmp_path: Path) -> None:
    whole = Index(run.store, tmp_path).samples(run.stages).page(Filter(), 1, 9)
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-100])
    index = Index(run.store, tmp_path)
    assert index.samples(run.stages).page(Filter(), 1, 9) == whole
    shutil.rmtree(tmp_path)
    assert index.samples(run.stages).page(Filter(), 1, 9) == whole


def test_a_table_that_is_damaged_inside_is_said_once_and_made_again(run: Run, tmp_path: Path) -> None:
    index = Index(run.store, tmp_path)
    samples = index.samples(run.stages)
    whole = samples.page(Filter(), 1, 9)
    for path in tmp_path.rglob("*.parquet"):
        data = bytearray(path.read_bytes())
        data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
        path.write_bytes(data)
    with pytest.raises(StoreError, match="read anew"):
        samples.page(Filter(text="a"), 1, 9)
    assert index.samples(run.stages).page(Filter(), 1, 9) == whole


def test_what_a_killed_process_left_is_swept_away(run: Run, tmp_path: Path) -> None:
    (tmp_path / "v1" / "making-999999999-x").mkdir(parents=True)
    (tmp_path / "v1" / f"making-{os.getpid()}-x").mkdir()
    Index(run.store, tmp_path)
    assert [p.name for p in (tmp_path / "v1").iterdir()] == [f"making-{os.getpid()}-x"]


@pytest.mark.parametrize("name", ["it's", "a b", "é", "100%"])
def test_the_folder_may_have_any_name(run: Run, tmp_path: Path, name: str) -> None:
    assert Index(run.store, tmp_path / name).samples(run.stages).page(Filter(), 1, 9).total > 0


def test_a_folder_that_cannot_be_is_named_with_its_variable(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "g*", tmp_path / "file" / "view"):
        with pytest.raises(ConfigError, match="XDG_CACHE_HOME"):
            Index(run.store, folder)


def test_nothing_is_read_after_it_is_closed(run: Run, tmp_path: Path) -> None:
    index = Index(run.store, tmp_path)
    index.close()
    with pytest.raises(Stopped):
        index.samples(run.stages)


def test_long_completions_need_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "memory_limit", "640MB")
    made = Made(tmp_path / "out")
    made.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS})
    luck = random.Random(1)
    texts = [luck.randbytes(8000).hex() for _ in range(4000)]
    own = [replace(sample_of(PROBLEMS[0], "text", text), id=f"s-{i}") for i, text in enumerate(texts)]
    checked = [CheckedSample(sample=s, verdict=Verdict.WRONG, solution=s.completion, answer=None) for s in own]
    made.stage(1, "mmst", "verify", {shard_name(i): checked[500 * i : 500 * i + 500] for i in range(8)})
    samples = Index(made.store, tmp_path / "cache").samples(list(stages(made.store, made.run)))
    assert samples.page(Filter(text=texts[3999]), 1, 9).total == 1
    assert sum(data.count(b"\n") for data in samples.lines(Filter())) == 4000
