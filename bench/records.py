"""CPU time of reading and writing stored records, beside `json.loads` alone, and with --peer beside another checkout.

python -m bench.records --peer FOLDER      e.g. of `git worktree add FOLDER v0.1`

Each side reads the same lines in turns, in processes of its own; the median turn counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from mmst.core.records import CheckedSample, Example, Sample, Verdict, to_json

ROOT = Path(__file__).resolve().parents[1]
TURNS = 3
SIDE = """
import collections, json, sys, time
from mmst.core import records
took = {}
for kind in ("Sample", "CheckedSample", "Example"):
    lines = open(f"{sys.argv[1]}/{kind}", "rb").read().splitlines()
    for line in lines[:10]:
        made = records.from_json(getattr(records, kind), line)
    for name, work in (
        ("read", lambda: (records.from_json(getattr(records, kind), line) for line in lines)),
        ("json.loads", lambda: (json.loads(line) for line in lines)),
        ("write", lambda: (records.to_json(made) for _ in lines)),
    ):
        began = time.process_time()
        collections.deque(work(), maxlen=0)  # one at a time, as stages do
        took[f"{kind} {name}"] = time.process_time() - began
print(json.dumps(took))
"""


def lines(folder: Path, count: int) -> None:
    """Write the records that are read, in lines as long as a small model's."""
    for n in range(count):
        sample = Sample(
            id=f"s-{n:016x}", problem_id=f"p-{n % 97:016x}", method="code", index=n % 4, prompt="Q: " + "a" * 150,
            completion="a = 9 * 3\nb = 84 - a\nprint ( b )", finish="stop", prompt_tokens=60, tokens=30, seed=n,
            model="sha256:" + "0" * 64, temperature=0.8,
        )  # fmt: skip
        checked = CheckedSample(sample=sample, verdict=Verdict.PASSED, solution=sample.completion, answer="57")
        example = Example(
            problem_id=sample.problem_id, method="code", prompt=sample.prompt, completion=sample.completion,
            origin="own", lineage=(sample.id,),
        )  # fmt: skip
        for record in (sample, checked, example):
            with (folder / type(record).__name__).open("a") as file:
                file.write(to_json(record) + "\n")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--peer", type=Path, help="another checkout of MMST")
    asked = parser.parse_args()
    sides = {"ours": ROOT} | ({"peer": asked.peer.resolve()} if asked.peer else {})
    took: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        lines(Path(folder), asked.records)
        for _ in range(TURNS):
            for side, root in sides.items():
                run = [sys.executable, "-P", "-c", SIDE, folder]
                env = os.environ | {"PYTHONPATH": str(root)}
                done = subprocess.run(run, env=env, stdout=subprocess.PIPE, check=True, cwd=root)
                for what, seconds in json.loads(done.stdout).items():
                    took[what][side].append(seconds)
    for what, by_side in took.items():
        medians = {side: statistics.median(turns) for side, turns in by_side.items()}
        ratio = f", {medians['peer'] / medians['ours']:.1f} times" if asked.peer else ""
        print(f"{what:26}" + ", ".join(f"{side} {s:.2f} CPU-s" for side, s in medians.items()) + ratio)


if __name__ == "__main__":
    main()
