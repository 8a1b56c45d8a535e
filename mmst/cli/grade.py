"""`mmst grade`, `mmst extract`, `mmst labels`: compare answers, extract answers, find wrong labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit

Source = Annotated[Path, typer.Argument(metavar="IN.jsonl", help="The lines to read; -: standard input.")]
Target = Annotated[
    Path, typer.Option("--out", "-o", metavar="OUT.jsonl", help="Where to write the lines; -: standard output.")
]


def grade(source: Source, out: Target, json: Json = False) -> None:
    """Compare answers with gold answers: {"id", "gold", "answer"} → {"id", "equal", "how"}.

    "equal" is null if it cannot be decided in time; docs/grading.md has the rules. For an answer of null, as
    `mmst extract` writes it, "equal" is false and "how" is no_answer. Answers may be JSON numbers, compared by
    their digits. A "question" in a line tells the units, "options" are those of multiple choice ({"A": "36", …}).

    Examples:

      mmst grade pairs.jsonl --out graded.jsonl

      mmst extract --method text solutions.jsonl --out - | mmst grade - --out graded.jsonl
    """
    from mmst.core import output
    from mmst.grading import files
    from mmst.observe import progress
    from mmst.observe.console import escape
    from mmst.wiring import algebra

    with output.given(source) as lines:
        place = output.find(out, lines)
        with algebra() as engine:
            beside = json and place.to_stdout  # then the result has standard error for itself
            shown = progress.Quiet() if beside else progress.from_environment()
            counts = files.grade(lines, place, engine, shown, output.lines_of(lines))
    said = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items())
    emit({**counts, "file": str(out)}, json, f"{said}; written to {escape(place.shown)}", aside=place.to_stdout)


def extract(
    source: Source,
    out: Target,
    method: Annotated[str, typer.Option("--method", "-m", help="The method of the solutions, or a method file.")],
    json: Json = False,
) -> None:
    """Extract the answers of solutions: {"id", "solution"} → {"id", "answer"}; null if there is none.

    A solution may be a whole completion, with thoughts and other turns. "gold" and "question" are copied, for
    `mmst grade`.

    With --method code, a line without "stdout" gives the program: {"id", "program"}. A line with "stdout" (the output
    of the program, or null if it was not run) gives the answer, and needs no "solution".

    Examples:

      mmst extract --method text solutions.jsonl --out answers.jsonl

      mmst extract --method code solutions.jsonl --out - | mmst check-programs - --out verdicts.jsonl

      mmst extract --method code verdicts.jsonl --out - | mmst grade - --out graded.jsonl
    """
    from mmst.core import output
    from mmst.grading import files
    from mmst.observe.console import escape

    with output.given(source) as lines:
        place = output.find(out, lines)
        counts = files.extract(lines, place, method)
    (what, found), (_, lacking) = counts.items()
    said = f"{found} with {'a program' if what == 'programs' else 'an answer'}, {lacking} without"
    emit({**counts, "file": str(out)}, json, f"{said}; written to {escape(place.shown)}", aside=place.to_stdout)


def labels(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, or the beginning of its name.")],
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """List problems whose gold answer is probably wrong, because all methods agree on another answer.

    Example:

      mmst labels demo --json
    """
    from rich.table import Table

    from mmst.observe.console import escape
    from mmst.runs import label_errors as disputes
    from mmst.runs import summary
    from mmst.wiring import open_store

    store = open_store(out)
    found = disputes.of_run(store, summary.find_run(store, run))
    table = Table("problem", "gold", "samples say", "votes (of all)", "question", box=None, header_style="bold")
    for d in found:
        votes = ", ".join(f"{name} {other} of {n}" for name, (other, _, n) in d.votes.items())
        question = d.question if len(d.question) <= 80 else d.question[:79] + "…"
        table.add_row(*map(escape, (d.problem_id, d.gold, d.other, votes, question)))
    emit(found, json, table if found else "No gold answer is disputed.")
