"""The only way to standard output and standard error: hides secrets and makes unsafe characters visible.

`say` is for lines, `mmst.observe.console` for tables and colours, `say_json` for scripts. `guard` sends logging,
warnings and tracebacks of this process, including those of other packages, the same way.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, TextIO

from mmst.core.redaction import redacted
from mmst.core.visible import clean, json_text
from mmst.core.visible import line as one_line


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line, on standard output by default."""
    print(one_line(redacted(text)), file=stream or sys.stdout, flush=True)


def warn(text: str) -> None:
    """Print one line on standard error."""
    say(text, sys.stderr)


def say_json(value: Any, *, aside: bool = False) -> None:
    """Print data as JSON; with `aside`, on standard error."""
    print(json_text(value, indent=2), file=sys.stderr if aside else sys.stdout)


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error on standard error."""
    print(told(error), end="", file=sys.stderr)


def told(error: BaseException) -> str:
    """A traceback as text that may be shown."""
    return clean(redacted("".join(traceback.format_exception(error))))


def guard() -> None:
    """Apply the rules of this module to everything that this process logs, warns of or dies of."""
    logging.setLogRecordFactory(Record)
    warnings.formatwarning = _warning
    sys.excepthook = _died
    threading.excepthook = _thread_died


class Record(logging.LogRecord):
    """A log record whose message, arguments and traceback are safe to show, whatever handler writes it."""

    def __init__(self, name: str, level: int, *rest: Any, **more: Any) -> None:
        super().__init__(name, level, *rest, **more)
        if isinstance(self.args, tuple) and not str(name).startswith("mmst"):  # uvicorn's handlers read them one by one
            self.args = tuple(one_line(redacted(a)) if isinstance(a, str) else a for a in self.args)
        if self.exc_info and self.exc_info[1] is not None:
            self.exc_text = told(self.exc_info[1]).rstrip("\n")

    def getMessage(self) -> str:
        """The message, on one line."""
        return one_line(redacted(super().getMessage()))


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return one_line(redacted(f"{filename}:{lineno}: {category.__name__}: {message}")) + "\n"


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    show_traceback(error.with_traceback(trace))


def _thread_died(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None and not issubclass(died.exc_type, SystemExit):
        warn(f"in thread {died.thread.name if died.thread else '?'}:")
        show_traceback(died.exc_value)
