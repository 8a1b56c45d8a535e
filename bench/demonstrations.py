"""Worked examples: built-in, drawn and nearest ones, by the same model on the same held-out problems, without training.

    python -m bench.demonstrations RECIPE [--set key=value …] [--out FOLDER]

Takes the recipe's base model, held-out problems and annotated ones, asks each problem greedily with each kind of
`prompt.demonstrations`, and prints the accuracies and the paired differences to the built-in ones. It continues where
it was stopped.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from mmst import recipes, wiring
from mmst.core import stats
from mmst.core.config import Config
from mmst.core.manifest import Manifest, Place
from mmst.core.records import Outcome
from mmst.core.stored import records
from mmst.observe.progress import from_environment
from mmst.stages import stage

KINDS = ("built-in", "annotated", "nearest")
Passed = dict[tuple[str, str], dict[str, bool]]
"""By task and method, which problems were solved."""


def measured(config: Config) -> Passed:
    """What the base model of a recipe solves."""
    engines = wiring.connect(config, from_environment())
    made: dict[str, Manifest] = {}

    def step(name: str, **inputs: str) -> Manifest:
        place = Place(run="bench", round=0, arm="base", step=name)
        made[name] = stage(name).run(engines, place, {key: made[of] for key, of in inputs.items()})
        return made[name]

    step("prepare")
    step("base_model")
    step("sample-heldout", problems="prepare", checkpoint="base_model")
    step("verify-heldout", problems="prepare", samples="sample-heldout")
    report = step("evaluate", problems="prepare", checked="verify-heldout", checkpoint="base_model")
    passed: Passed = defaultdict(dict)
    for o in records(engines.store, report, Outcome):
        if o.passed is not None:
            passed[o.task, o.method][o.problem_id] = o.passed
    return passed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, default=Path("bench-demonstrations"))
    options = parser.parse_args()
    always = ["prompt.style=few-shot", f"out={options.out}"]
    found = {
        kind: measured(recipes.load(options.recipe, [*options.settings, *always, f"prompt.demonstrations={kind}"]))
        for kind in KINDS
    }
    print("| task, method | examples | solved | % [95 % interval] | points over built-in [95 % interval] | p |")
    print("| --- | --- | --- | --- | --- | --- |")
    for place, own in found["built-in"].items():
        for kind in KINDS:
            now = found[kind][place]
            rate = sum(now.values()) / len(now)
            low, high = stats.wilson(rate, len(now))
            both = [now[p] - own[p] for p in sorted(own.keys() & now.keys())]
            against = "– | – |"
            if kind != "built-in":
                a, b = stats.bootstrap(both)
                p = stats.mcnemar(both.count(1), both.count(-1))
                against = f"{100 * sum(both) / len(both):+.1f} [{100 * a:.1f}, {100 * b:.1f}] | {p:.2g} |"
            print(
                f"| {', '.join(place)} | {kind} | {sum(now.values())} of {len(now)} | "
                f"{100 * rate:.1f} [{100 * low:.1f}, {100 * high:.1f}] | {against}"
            )


if __name__ == "__main__":
    main()
