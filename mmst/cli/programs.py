"""`mmst check-programs`: programs from a file, in the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, between, console, emit
from mmst.core.errors import ConfigError, MmstError
from mmst.core.ports import MEMORY_MIB, OUTPUT_KIB, TIMEOUT
from mmst.sandbox.guest.packages import DEFAULT, KNOWN

_LACKS = 10
"""How many missing packages are named to people: programs may ask for any."""


def check_programs(
    source: Annotated[
        Path, typer.Argument(metavar="IN.jsonl", help='Lines {"id", "program", "stdin"?}; -: standard input.')
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT.jsonl", help="Where the verdicts go; -: standard output.")
    ],
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Seconds a program may take.", callback=between(*TIMEOUT, "seconds"))
    ] = 2.0,
    memory: Annotated[
        int, typer.Option(metavar="MIB", help="Memory a program may use.", callback=between(*MEMORY_MIB, "MiB"))
    ] = 256,
    output_limit: Annotated[
        int, typer.Option(metavar="KIB", help="What a program may print.", callback=between(*OUTPUT_KIB, "KiB"))
    ] = 64,
    workers: Annotated[int, typer.Option(help="Sandboxes at once; 0: one a core.", callback=between(0, 1024))] = 0,
    sandbox: Annotated[str, typer.Option(metavar="NAME", help="gvisor, or subprocess (unconfined).")] = "gvisor",
    packages: Annotated[
        str, typer.Option(metavar="NAMES", help=f"What they may import: {', '.join(KNOWN)}; empty: nothing.")
    ] = ",".join(DEFAULT),
    dedupe: Annotated[bool, typer.Option(help="Run identical programs with identical stdin only once.")] = True,
    json: Json = False,
) -> None:
    """Run Python programs in the sandbox and say what became of each.

    They may import the standard library and --packages: of numpy, sympy (with mpmath), scipy and pandas those that
    you name, in the versions that are installed here. A program that lacks one says so in its detail.

    Each line of OUT: {"id", "verdict": ok | crashed | timed_out | out_of_memory | output_limit | no_program (nothing
    but blank lines and comments: it is not run), "stdout", "stderr" (its end), "detail", "seconds", "peak_mib"}, in the
    order of IN. An id is a text or a whole number, and stays what it is; 1 and "1" are the same. "gold" and "question"
    go through. `mmst extract --method code` makes IN of whole completions, and answers of OUT. Stopped, the same
    command goes on; not when OUT is a pipe or device. With another option that decides verdicts it begins anew, and
    says so.

    "seconds" is the time that passed from the program's start to its end (--timeout counts its CPU time, so seconds
    may be more); "peak_mib" is the most memory that it held at once, its Python and packages included. Both are 0
    where nothing was run: simple programs are evaluated, not run. Identical programs share what one of them took.

    --json: {"out", "verdicts": how many had each, "lacks": how many of the crashed ones lacked which package}.

    Example:

      mmst check-programs solutions.jsonl --out verdicts.jsonl --timeout 1
    """
    from mmst import wiring
    from mmst.core import output
    from mmst.core.ports import Limits
    from mmst.observe import progress
    from mmst.observe.console import escape
    from mmst.sandbox import batch

    if sandbox not in wiring.SANDBOXES:
        raise ConfigError("unknown sandbox", value=sandbox, remedy=f"--sandbox {' or '.join(wiring.SANDBOXES)}")
    named = [name.strip() for name in packages.split(",") if name.strip()]
    if unknown := sorted(set(named) - set(KNOWN)):
        raise ConfigError("unknown package", value=unknown[0], remedy=f"--packages {','.join(KNOWN)}, or some of them")
    limits = Limits(timeout=timeout, memory_mib=memory, output_kib=output_limit)
    with _own_options(), output.given(source, again=True) as programs_file:
        place = output.find(out, programs_file)
        if place.path and not place.path.parent.is_dir():
            is_link, folder = out.is_symlink(), place.path.parent
            what = "--out is a symbolic link into" if is_link else "--out is in"
            raise ConfigError(
                f"{what} a folder that is not there",
                value=str(out),
                remedy=f"mkdir -p {folder if is_link else out.parent}",
            )
        tally = batch.check_file(
            programs_file,
            place,
            lambda: wiring.sandbox(sandbox, workers, named),
            limits,
            progress.from_environment(),
            dedupe,
            (sandbox, *named),
            lambda text: console(aside=True).print(f"mmst: {escape(text)}", highlight=False, soft_wrap=True),
        )
    shown = ", ".join(f"{name} {n}" for name, n in sorted(tally.verdicts.items())) or "no programs"
    lacks = ", ".join(f"{name} {n}" for name, n in tally.lacks.most_common(_LACKS))
    shown += f"; of the crashed, not in the sandbox: {lacks}" if lacks else ""
    result = {"out": str(out), "verdicts": dict(tally.verdicts), "lacks": dict(tally.lacks.most_common())}
    emit(result, json, f"{escape(place.shown)}: {shown}", aside=place.to_stdout)


@contextlib.contextmanager
def _own_options() -> Iterator[None]:
    """What goes wrong is said with this command's options, not with a recipe's keys."""
    from mmst.sandbox.batch import spoken

    try:
        yield
    except MmstError as e:
        e.reword(spoken)
        raise


def rerun(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, or the beginning of its name.")],
    sample: Annotated[str, typer.Argument(metavar="ID", help="A sample's id (s-… or t-…); its beginning is enough.")],
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Run the program of one sample again as its run did, and show all that it does.

    `mmst show RUN` shows the ids.

    Example:

      mmst rerun demo s-5d1c0f2b
    """
    from rich.syntax import Syntax

    from mmst import wiring
    from mmst.core.ports import Limits, Program
    from mmst.methods import method
    from mmst.observe.console import escape
    from mmst.runs import problem_history, summary

    store = wiring.open_store(out)
    checked, config = problem_history.find_sample(store, summary.find_run(store, run), sample)
    if not method(checked.sample.method).executes:
        raise ConfigError("this sample is no program", value=checked.sample.id, remedy="give the id of a code sample")
    c = config.check
    limits = Limits(timeout=c.timeout, memory_mib=c.memory_mib, output_kib=c.output_kib)
    program = Program(id=checked.sample.id, source=checked.solution)
    with wiring.sandbox(c.sandbox, 1, c.packages) as box:
        (execution,) = box.run([program], limits)
    then = f"then    {checked.verdict.value}" + (f" ({escape(checked.detail)})" if checked.detail else "")
    now = f"now     {execution.exit_status}" + (f" ({escape(execution.detail)})" if execution.detail else "")
    texts = [
        f"{name}\n{escape(text)}" for name, text in (("stdout", execution.stdout), ("stderr", execution.stderr)) if text
    ]
    emit(
        {"then": checked, "now": execution}, json,
        Syntax(checked.solution, "python", line_numbers=True), then, now, *texts,
    )  # fmt: skip
