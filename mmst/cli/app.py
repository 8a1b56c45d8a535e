"""The command line `mmst …`: collects the commands of `mmst.cli` and turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mmst.cli import (
    clean,
    compare,
    experiment,
    export,
    grade,
    init,
    look,
    machine,
    model,
    plan,
    preflight,
    programs,
    rollout,
    run,
    stages,
    submit,
    view,
)
from mmst.core import foreign
from mmst.core.errors import ConfigError, MmstError, StoreError
from mmst.core.process import stop_on_signals
from mmst.core.redaction import redacted
from mmst.core.visible import message
from mmst.observe import terminal
from mmst.version import __version__

EPILOG = (
    "Exit codes: [bold]0[/] done · [bold]1[/] unexpected error · [bold]2[/] wrong input · [bold]3[/] this machine "
    "lacks something (mmst doctor) · [bold]4[/] an engine failed, the same command continues · [bold]130[/] stopped "
    "by Ctrl-C or SIGTERM, the same command continues · [bold]141[/] the reader of a pipe (`| head`) has gone."
)

NOBODY_READS = 128 + signal.SIGPIPE
"""The exit code if the reader (`| head`) has gone, as for a command that SIGPIPE ends; nothing is printed."""

_WRONG_USE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for options and arguments that it cannot parse."""

RENAMED = {"gather": "prepare", "base": "base-model", "check": "verify", "trainset": "build-trainset"}
"""Commands of older versions, with their new names."""


class Listed(Mapping[str, Any]):
    """The commands by name. Those of single stages are made when they are first asked for: they load the stages."""

    def __init__(self, made: Mapping[str, Any]) -> None:
        self._made = dict(made)

    def __iter__(self) -> Iterator[str]:
        for commands in PANELS.values():
            yield from (c if isinstance(c, str) else _name(c) for c in commands)
        yield from GROUPS

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Any:
        if name in stages.NAMES and name not in self._made:
            alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
            alone.command(name, rich_help_panel=SINGLE)(stages.single(name))
            self._made[name] = typer.main.get_command(alone)
        return self._made[name]


class Commands(TyperGroup):
    """The commands; an old name is refused with the new one."""

    def __init__(self, *, commands: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Listed(commands)  # type: ignore[assignment]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """See `click.Group.format_help`: typer's own takes several times as long, for it loads every command."""
        from mmst.cli import overview

        options_shown = [found for p in self.get_params(ctx) if (found := p.get_help_record(ctx))]
        panels = {panel: [_summary(command) for command in listed] for panel, listed in PANELS.items()}
        panels[SET_UP] += [(name, str(group.info.help)) for name, group in GROUPS.items()]
        overview.show("mmst [OPTIONS] COMMAND [ARGS]…", options.__doc__ or "", options_shown, panels, EPILOG)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See `click.Group.resolve_command`."""
        if args and (new := RENAMED.get(args[0])):
            raise ConfigError(f"there is no command '{args[0]}'", remedy=f"it is called `mmst {new}` now")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    name="mmst",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        terminal.say(__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback if there is an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Multi-Method Self-Training: train a language model on its own verified solutions by several methods.

    Start with:

      mmst doctor

      mmst run --recipe demo

      mmst show demo
    """
    if debug:
        os.environ["MMST_DEBUG"] = "1"


SET_UP = "Recipes, servers, set-up"
SINGLE = "Single stages, each reads the output of the one before"
PANELS: dict[str, tuple[Any, ...]] = {
    "Whole runs": (
        plan.plan,
        run.run,
        experiment.experiment,
        look.status,
        look.show,
        view.view,
        compare.compare,
        export.export,
        stages.report,
        clean.clean,
    ),
    "Whole runs on Kubernetes": (preflight.preflight, submit.submit, submit.trigger),
    SINGLE: tuple(stages.NAMES),
    "Verdicts alone": (programs.check_programs, programs.rerun, grade.grade, grade.extract, grade.labels),
    SET_UP: (init.init, run.recipes, run.methods, run.compile, machine.serve, rollout.rollout, machine.doctor),
}
"""The commands by panel of the help: a function, or the name of one that is made later."""
GROUPS = {"problems": look.problems, "model": model.model}
"""Commands with commands of their own."""


def _name(command: Any) -> str:
    return str(command.__name__.replace("_", "-"))


def _summary(command: Any) -> tuple[str, str]:
    from mmst.cli.overview import summary

    if isinstance(command, str):
        return command, stages.SUMMARIES[command]
    return _name(command), summary(command.__doc__)


for panel, commands in PANELS.items():
    for command in commands:
        if not isinstance(command, str):
            app.command(_name(command), rich_help_panel=panel)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name, rich_help_panel=SET_UP)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; an error becomes one message on stderr and an exit code (see `EPILOG`)."""
    stop_on_signals()
    terminal.guard()
    _open_streams()
    try:
        return _flushed(_run(arguments))
    finally:
        _forget_output()


def _run(arguments: list[str] | None) -> int:
    try:
        with foreign.named():
            code = app(arguments, prog_name="mmst", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as e:
        if isinstance(e.__context__, BrokenPipeError):  # click has made this of it
            return NOBODY_READS
        return e.code if isinstance(e.code, int) else 0 if e.code is None else 1
    except _WRONG_USE as e:
        return _misused(e)
    except BrokenPipeError:
        return NOBODY_READS
    except MmstError as e:
        _complain(str(e), e)
        return e.exit_code
    except Exception as e:
        hint = "" if os.environ.get("MMST_DEBUG") else " (`mmst --debug …` shows where)"
        _complain(f"unexpected {type(e).__name__}: {e}{hint}", e)
        return 1


def _misused(error: Any) -> int:
    """Show how to use the command, as typer does; the message may quote a file's name, so it is redacted."""
    from typer.rich_utils import rich_format_error

    said = message(redacted(error.format_message()))
    error.format_message = lambda: said
    with contextlib.suppress(OSError):
        rich_format_error(error)
    return int(error.exit_code)


def _flushed(code: int) -> int:
    """The exit code after all output has been flushed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return code or NOBODY_READS
    except OSError as e:
        if code == 0:
            error = StoreError(f"standard output cannot be written: {e.strerror}")
            _complain(str(error), error)
        return code or StoreError.exit_code
    return code


def _open_streams() -> None:
    """Replace streams that the shell has closed (`>&-`) by /dev/null; their numbers stay closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            low = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10), "w"))
            os.close(low)


def _forget_output() -> None:
    """Discard output that cannot be written, so that Python does not complain again when it exits."""
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def _complain(text: str, error: Exception) -> None:
    if os.environ.get("MMST_DEBUG"):
        terminal.show_traceback(error)
    from mmst.observe.console import Console, escape

    with contextlib.suppress(OSError):  # nobody reads stderr either
        console = Console(stderr=True)
        said = escape(message(redacted(text)))
        console.print(f"[bold red]mmst:[/] {said}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
