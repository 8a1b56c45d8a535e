"""The champion as `mlflow.pyfunc` loads it, beside the sampler that it uses, on the same questions.

    python -m bench.predict --tracking sqlite:////path/mlflow.db [--model models:/mmst@champion] [--questions 100]

Both get the same prompts, once each in every round and in turns, after one that is not counted; weights and sandbox are
there before. `predict` also runs the programs that the model wrote; a third line says how long these alone take.
Seconds are those of the clock and of this process's CPU time, in which the sandbox's processes are not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from mmst.core.ports import Program, Request
from mmst.datasets.generated import generate


def main() -> None:
    """Load the model, time both in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracking", required=True, metavar="ADDRESS")
    parser.add_argument("--model", default="models:/mmst@champion")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()

    import mlflow

    mlflow.set_tracking_uri(given.tracking)
    mlflow.set_registry_uri(given.tracking)
    model = mlflow.pyfunc.load_model(given.model)
    solver: Any = model._model_impl
    asked: list[list[Request]] = []
    ran: list[list[Program]] = []
    questions = {"question": [p.question for p in generate(given.questions, 1)]}
    sampler, run = solver._sampler.opened(), solver._execute
    sample = sampler.sample
    sampler.sample = lambda requests, *told: asked.append(list(requests)) or sample(requests, *told)
    solver._execute = lambda programs: ran.append(list(programs)) or run(programs)
    model.predict(questions)
    sampler.sample, solver._execute = sample, run
    ways: dict[str, Callable[[], object]] = {
        "the sampler": lambda: sample(asked[0], lambda _: None),
        "predict": lambda: model.predict(questions),
        "the programs": lambda: run(ran[0]),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            clock, used = time.perf_counter(), time.process_time()
            way()
            found[name].append((time.perf_counter() - clock, time.process_time() - used))
    print(f"{given.questions} questions, {len(asked[0])} requests, {len(ran[0])} programs, {given.rounds} rounds")
    print(f"{'':14}{'s':>8}{'CPU s':>8}  against the sampler in the same round: s, CPU s")
    for name, times in found.items():
        clock, used = (statistics.median(each) for each in zip(*times, strict=True))
        pairs = [(a / c, b / d) for (a, b), (c, d) in zip(times, found["the sampler"], strict=True)]
        clocks, cpus = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{name:14}{clock:8.2f}{used:8.2f}  {clocks:.2f}x {cpus:.2f}x")


if __name__ == "__main__":
    main()
