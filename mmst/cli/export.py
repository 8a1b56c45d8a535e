"""`mmst export`: what a run has verified, for other trainers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, or the beginning of its name.")],
    format: Annotated[str, typer.Option("--format", "-f", help="trl, sharegpt (LLaMA-Factory) or openai.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.jsonl", help="Where to write; -: standard output.")],
    pairs: Annotated[bool, typer.Option("--pairs", help="Pairs of a right and a wrong solution instead.")] = False,
    arm: Annotated[str, typer.Option("--arm", help="Whose training set; the run's own arm unless named.")] = "",
    round: Annotated[int | None, typer.Option("--round", min=1, help="Of which round; the last one.")] = None,
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Write a run's verified training examples, or preference pairs, for TRL, LLaMA-Factory or OpenAI.

    Each line has its lineage: sample ids, model, verdict, origin, problem. With --format openai, which takes no further
    fields, the lineage stands in FILE.lineage.jsonl, line by line. Annotated solutions are not among the examples.

    In a pair, both solutions answer the same prompt; one gives the gold answer and the other another answer. Solutions
    that crashed, took too long or could not be decided are in no pair.

    Examples:

      mmst export demo --format trl --to examples.jsonl

      mmst export demo --format trl --pairs --to pairs.jsonl

      mmst export demo --format openai --arm mmst --round 1 --to examples.jsonl
    """
    from collections import Counter
    from contextlib import ExitStack
    from json import dumps

    from mmst.core import output
    from mmst.observe.console import escape
    from mmst.runs import export as exports
    from mmst.runs import summary
    from mmst.wiring import open_store

    form = exports.format_of(format)
    place = output.find(to, option="--to")
    store = open_store(out)
    source = exports.find(store, summary.find_run(store, run), arm, round)
    counts = Counter[str]({"pairs" if pairs else "examples": 0})
    with ExitStack() as stack:
        apart = format in exports.CLOSED
        beside = output.find(Path(f"{place.path}.lineage.jsonl"), option="--to") if apart and place.path else None
        told = stack.enter_context(beside.writing()) if beside else None
        sink = stack.enter_context(place.writing())
        for row in exports.rows(store, source, form, counts, pairs=pairs):
            data = row.data if apart else {**row.data, "lineage": row.lineage}
            sink.write(dumps(data, ensure_ascii=False).encode() + b"\n")
            if told:
                told.write(dumps(row.lineage, ensure_ascii=False).encode() + b"\n")
    said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items())
    from_where = f"{source.run}, round {source.round}, {source.arm}"
    result = {**counts, "run": source.run, "round": source.round, "arm": source.arm, "file": str(to)}
    emit(result, json, f"{said}; written to {escape(place.shown)} (from {escape(from_where)})", aside=place.to_stdout)
