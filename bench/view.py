"""Seconds of the pages of `mmst view` over a run of a million samples, beside DuckDB over the same JSON lines.

python -m bench.view [--samples 1000000] [--keep FOLDER]

The store takes about 1.3 GB for a million samples, the tables that are made of it once a fifth. Every address is asked
three times, over HTTP's ASGI interface in this process; the median counts. The peer answers the same question as the
page in one query, without a table made before.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
from starlette.testclient import TestClient

from mmst.core.config import parse, run_id
from mmst.core.manifest import Manifest, Place
from mmst.core.records import CheckedSample, Problem, Sample, Split, Verdict
from mmst.core.stage_folder import StageFolder, sharded
from mmst.runs.summary import record_config
from mmst.storage.folder import FolderStore
from mmst.view.app import application

A_PROBLEM = 8
"""Samples a problem."""
SHARD = 4096
WORDS = "the apples boxes each has then gives away left altogether so that is half twice more than in total".split()
FAMILIES = ("add", "share equally", "two steps", "percent")


def main() -> None:
    """Make the store, ask, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="keep the store in this folder, and use the one that is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        at = given.keep or Path(folder)
        run = made(at / "store", given.samples)
        measure(at, run)


def measure(folder: Path, run: str) -> None:
    """Ask for each page, and print what it took."""
    app = application(FolderStore(folder / "store"), lambda name: folder / "logs" / name, cache=folder / "cache")
    client = TestClient(app, base_url="http://127.0.0.1")
    samples = f"/runs/{run}/samples"
    began = time.perf_counter()
    read(client, samples)
    print(f"{'first look, tables made':<44}{time.perf_counter() - began:8.2f} s")
    lines = str(folder / "store" / "stages" / "verify" / "*" / "shard-*.jsonl")
    chosen = "json ->> '$.verdict' = 'wrong' AND json ->> '$.sample.method' = 'code'"
    completion = "json ->> '$.sample.completion'"
    peers = {
        samples: "SELECT json ->> '$.verdict', count(*) FROM lines GROUP BY 1",
        f"{samples}?verdict=wrong&method=code": f"SELECT count(*) FROM lines WHERE {chosen}",
        f"{samples}?text=zanzibar": f"SELECT count(*) FROM lines WHERE contains({completion}, 'zanzibar')",
        f"{samples}?page=15000": "SELECT json FROM lines LIMIT 50 OFFSET 749950",
        f"/runs/{run}/problems/p-000777": "SELECT json FROM lines WHERE json ->> '$.sample.problem_id' = 'p-000777'",
        f"/runs/{run}": "",
    }
    print(f"{'':<44}{'mmst view':>10}{'DuckDB over JSON lines':>26}{'ratio':>8}")
    for address, query in peers.items():
        ours = statistics.median(once(client, address) for _ in range(3))
        if not query:
            print(f"{address.replace(run, 'RUN'):<44}{ours:8.2f} s")
            continue
        sql = f"WITH lines AS (SELECT json FROM read_ndjson_objects('{lines}')) {query}"
        theirs = statistics.median(peer(sql) for _ in range(3))
        print(f"{address.replace(run, 'RUN'):<44}{ours:8.2f} s{theirs:24.2f} s{theirs / ours:8.1f}")


def once(client: TestClient, address: str) -> float:
    """Seconds of one answer."""
    began = time.perf_counter()
    answer = client.get(address)
    assert answer.status_code == 200, answer.text[:500]
    return time.perf_counter() - began


def read(client: TestClient, address: str) -> None:
    """Come again as a browser does, until the samples are there."""
    while "read for the first time" in client.get(address).text:
        time.sleep(0.2)


def peer(sql: str) -> float:
    """Seconds of one query."""
    began = time.perf_counter()
    duckdb.connect().execute(sql).fetchall()
    return time.perf_counter() - began


def made(folder: Path, count: int) -> str:
    """A run of so many samples in a store; its name."""
    config = parse({"name": "large", "problems": {"train": [{"format": "generated", "count": 40}]}})
    store, run = FolderStore(folder), run_id(config)
    if folder.is_dir():
        return run
    record_config(store, config)
    prepared = stage(store, run, "prepare", 0, "base", problems(count // A_PROBLEM), "train")
    stage(store, run, "verify", 1, "mmst", samples(count), "shard", problems=prepared)
    return run


def stage(
    store: FolderStore,
    run: str,
    step: str,
    round: int,
    arm: str,
    records: Iterator[object],
    prefix: str,
    **inputs: Manifest,
) -> Manifest:
    """A stage with these records."""
    place = Place(run=run, round=round, arm=arm, step=step)
    folder = StageFolder.open(store, step, version=1, config=[step], inputs=inputs, place=place)
    names = list[str]()
    for name, block in sharded(records, SHARD, prefix):
        names.append(name)
        folder.write_records(name, block)
    return folder.finish(shards=names)


def problems(count: int) -> Iterator[Problem]:
    luck = random.Random(1)
    for i in range(count):
        question = " ".join(luck.choices(WORDS, k=40)).capitalize() + "?"
        family = FAMILIES[i % len(FAMILIES)]
        yield Problem(
            id=f"p-{i:06d}", question=question, answer=str(i), source="made", split=Split.TRAIN, family=family
        )


def samples(count: int) -> Iterator[CheckedSample]:
    luck, verdicts = random.Random(2), list(Verdict)
    for i in range(count):
        method = "code" if i % 2 else "text"
        text = f"{' '.join(luck.choices(WORDS, k=70))} {i} {'zanzibar' if i % 200_000 == 7 else ''}"
        sample = Sample(
            id=f"s-{i:08d}",
            problem_id=f"p-{i // A_PROBLEM:06d}",
            method=method,
            index=i % A_PROBLEM // 2,
            prompt=f"Question: {i // A_PROBLEM} {' '.join(WORDS)}\n{method}:\n",
            completion=text,
            finish="stop",
            prompt_tokens=60,
            tokens=90,
            seed=i,
            model="sha256:made",
        )
        yield CheckedSample(sample=sample, verdict=luck.choice(verdicts[:4]), solution=text, answer=str(i))


if __name__ == "__main__":
    main()
