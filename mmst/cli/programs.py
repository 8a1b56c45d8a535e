"""`mmst check-programs` and `mmst rerun`: run programs in the sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, between, console, emit
from mmst.core.errors import ConfigError, MmstError
from mmst.core.limits import MEMORY_MIB, OUTPUT_KIB, TIMEOUT
from mmst.sandbox.guest.packages import DEFAULT, KNOWN

_LACKS = 10
"""How many missing packages the summary names at most."""


def check_programs(
    source: Annotated[
        Path, typer.Argument(metavar="IN.jsonl", help='Lines {"id", "program", "stdin"?}; -: standard input.')
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT.jsonl", help="Where to write the verdicts; -: standard output.")
    ],
    timeout: Annotated[
        float,
        typer.Option(metavar="S", help="Time limit of a program, in seconds.", callback=between(*TIMEOUT, "seconds")),
    ] = 2.0,
    memory: Annotated[
        int,
        typer.Option(metavar="MIB", help="Memory limit of a program, in MiB.", callback=between(*MEMORY_MIB, "MiB")),
    ] = 256,
    output_limit: Annotated[
        int,
        typer.Option(metavar="KIB", help="Output limit of a program, in KiB.", callback=between(*OUTPUT_KIB, "KiB")),
    ] = 64,
    workers: Annotated[int, typer.Option(help="Sandboxes at once; 0: one a core.", callback=between(0, 1024))] = 0,
    sandbox: Annotated[
        str, typer.Option(metavar="NAME", help="gvisor, subprocess (unconfined), or one of a package.")
    ] = "gvisor",
    packages: Annotated[
        str, typer.Option(metavar="NAMES", help=f"Packages to allow: {', '.join(KNOWN)}; empty: none.")
    ] = ",".join(DEFAULT),
    dedupe: Annotated[bool, typer.Option(help="Run identical programs with identical stdin only once.")] = True,
    json: Json = False,
) -> None:
    """Run Python programs in the sandbox and write a verdict for each.

    Programs may import the standard library and --packages, in the versions installed here (sympy includes mpmath).
    If a program needs another package, its "detail" names it.

    OUT has one line for each line of IN, in the same order: {"id", "verdict": ok | crashed | timed_out |
    out_of_memory | output_limit | no_program (only blank lines and comments; not run), "stdout", "stderr" (its end),
    "detail", "seconds", "peak_mib"}. An id is a text or a whole number and is kept as it is; 1 and "1" are the same
    id. "gold" and "question" are copied.

    If the command is stopped, the same command continues, unless OUT is a pipe or device. If you change an option
    that can change verdicts, it starts again and says so.

    "seconds" is the wall time of the program; --timeout limits its CPU time, so "seconds" may be more. "peak_mib" is
    the most memory that it used, including Python and packages. Both are 0 if the program was evaluated instead of
    run, as simple programs are. Identical programs run once and share the result.

    To check whole completions, extract their programs with `mmst extract --method code`, and the answers from OUT
    with the same command.

    --json prints {"out", "verdicts": counts, "lacks": missing packages, with counts of programs that crashed}.

    Example:

      mmst check-programs solutions.jsonl --out verdicts.jsonl --timeout 1
    """
    from mmst import wiring
    from mmst.core import output, plugin_keys, plugins
    from mmst.core.ports import Limits
    from mmst.core.records import digest
    from mmst.observe import progress
    from mmst.observe.console import escape
    from mmst.sandbox import batch

    if sandbox not in (known := wiring.sandboxes_here()):
        raise ConfigError("unknown sandbox", value=sandbox, remedy=f"--sandbox {' or '.join(known)}")
    whose = plugin_keys.identity((plugins.SANDBOXES, sandbox))
    named = [name.strip() for name in packages.split(",") if name.strip()]
    if unknown := sorted(set(named) - set(KNOWN)):
        raise ConfigError("unknown package", value=unknown[0], remedy=f"--packages {','.join(KNOWN)}, or some of these")
    limits = Limits(timeout=timeout, memory_mib=memory, output_kib=output_limit)
    with _own_options(), output.given(source, again=True) as programs_file:
        place = output.find(out, programs_file)
        if place.path and not place.path.parent.is_dir():
            is_link, folder = out.is_symlink(), place.path.parent
            what = "--out is a symbolic link into" if is_link else "--out is in"
            raise ConfigError(
                f"{what} a folder that does not exist",
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
            (sandbox, *named, *([digest(whose)] if whose else [])),
            lambda text: console(aside=True).print(f"mmst: {escape(text)}", highlight=False, soft_wrap=True),
        )
    shown = ", ".join(f"{name} {n}" for name, n in sorted(tally.verdicts.items())) or "no programs"
    lacks = ", ".join(f"{name} {n}" for name, n in tally.lacks.most_common(_LACKS))
    shown += f"; packages that crashed programs lacked: {lacks}" if lacks else ""
    result = {"out": str(out), "verdicts": dict(tally.verdicts), "lacks": dict(tally.lacks.most_common())}
    emit(result, json, f"{escape(place.shown)}: {shown}", aside=place.to_stdout)


@contextlib.contextmanager
def _own_options() -> Iterator[None]:
    """Reword errors with the options of this command instead of the keys of a recipe."""
    from mmst.sandbox.batch import spoken

    try:
        yield
    except MmstError as e:
        e.reword(spoken)
        raise


def rerun(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, or the beginning of its name.")],
    sample: Annotated[str, typer.Argument(metavar="ID", help="The id of a sample (s-… or t-…), or its beginning.")],
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Run the program of one sample again, with the limits of its run, and show its output.

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
    if not method(checked.sample.method, config.filed).executes:
        raise ConfigError(
            "this sample is not a program", value=checked.sample.id, remedy="give the id of a code sample"
        )
    c = config.check
    limits = Limits(timeout=c.timeout, memory_mib=c.memory_mib, output_kib=c.output_kib)
    program = Program(id=checked.sample.id, source=checked.solution)
    here = "gvisor" if c.sandbox == "gvisor_job" else c.sandbox
    with wiring.sandbox(here, 1, c.packages) as box:
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
