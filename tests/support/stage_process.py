"""Three stages, shard by shard, as a process of its own: `python stage_process.py URI SECONDS`."""

import sys
import time
from collections.abc import Iterator

from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Store
from mmst.core.records import Outcome
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.core.stored import load, pointers, records
from mmst.wiring import open_store

SHARDS, SIZE = 6, 40
STEPS = ("sample", "verify", "evaluate")


def outcomes(step: str, shard: int) -> list[Outcome]:
    """What a step makes of a shard: the same every time."""
    return [
        Outcome(problem_id=f"p-{step}-{shard}-{i}", task="main", family="é\u2028", method="text", passed=i % 3 == 0)
        for i in range(SIZE)
    ]


def run(store: Store, seconds: float = 0.0) -> list[str]:
    """Make what is missing of the three stages, resting between shards; their digests."""
    before: dict[str, Manifest] = {}
    for step in STEPS:
        place = Place(run="run", round=1, arm="mmst", step=step)
        stage = StageFolder.open(store, step, version=1, config={}, inputs=before, place=place)
        if stage.manifest is None:
            make(stage, step, seconds)
        assert stage.manifest is not None
        before = {"before": stage.manifest}
    return [load(store, ref).digest for _, ref, _ in pointers(store, "run")]


def make(stage: StageFolder, step: str, seconds: float) -> None:
    """A stage with a count that is taken from what is read."""
    done, names = stage.files(), [shard_name(i) for i in range(SHARDS)]
    for i, name in enumerate(names):
        if name not in done:
            time.sleep(seconds)
            stage.write_records(name, outcomes(step, i))
    passed = sum(bool(o.passed) for name in names for o in stage.read_records(name, Outcome))
    stage.finish(shards=names, counts={"passed": passed}, timing={"seconds": time.monotonic()})


def read(store: Store) -> Iterator[Outcome]:
    """Every record of every stage of the run."""
    for _, ref, _ in pointers(store, "run"):
        yield from records(store, load(store, ref), Outcome)


if __name__ == "__main__":
    print(*run(open_store(sys.argv[1]), float(sys.argv[2])), flush=True)
