"""Progress shown to people, or written as events for the process that shows it.

Everything is shown through events, so a stage in a child process looks like one in this process:

    {"event": "start", "id": "812.0", "place": "01.mmst.sample", "name": "sample", "total": 3200, "unit": "samples"}
    {"event": "advance", "id": "812.0", "done": 64, "found": 0, "seconds": 0.9, "note": ""}
    {"event": "end", "id": "812.0", "done": 3200, "found": 0, "seconds": 41.2, "ok": true}

`found` is the part of `done` that an earlier, stopped run had done.

`$MMST_EVENTS` names the file that children append to and `follow` reads; `$MMST_PLACE` says where in a run they are.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from mmst.core import metrics, private
from mmst.core.manifest import Place
from mmst.core.ports import Progress, Task
from mmst.core.redaction import redacted
from mmst.core.visible import line as one_line
from mmst.observe import logs, terminal

if TYPE_CHECKING:
    from rich.progress import TaskID

log = logging.getLogger(__name__)

Event = Mapping[str, Any]
EVENTS = "MMST_EVENTS"
PLACE = "MMST_PLACE"
EVENT_EVERY = 0.2
PLAIN_FIRST, PLAIN_EVERY = 2.0, 60.0
"""Seconds of a task after which a log has the first line of it, and then another one."""


class Display(Protocol):
    """What handles events."""

    def show(self, event: Event) -> None:
        """Show one event or pass it on."""

    def close(self) -> None:
        """No more events will come."""


class Quiet:
    """Shows nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Does nothing."""
        yield _Nothing()


class _Nothing:
    def advance(self, n: int = 1, note: str = "") -> None:
        """Does nothing."""

    def found(self, n: int) -> None:
        """Does nothing."""


def from_environment() -> Progress:
    """The progress display for this process: events for a parent, a terminal, or plain lines."""
    place = os.environ.get(PLACE, "")
    if path := os.environ.get(EVENTS):
        return Reporter(Writer(Path(path)), place)
    return Reporter(_display(sys.stderr), place)


@contextlib.contextmanager
def follow(path: Path, stream: TextIO | None = None) -> Iterator[None]:
    """Until the block ends, show the events that child processes append to `path` (set as their `$MMST_EVENTS`)."""
    display = _display(stream or sys.stderr)
    path.touch(mode=private.FILE)
    done = threading.Event()
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        tail = threading.Thread(target=_tail, args=(file, display, done), name="progress", daemon=True)
        tail.start()
        try:
            yield
        finally:
            done.set()
            tail.join()
            display.close()


class Reporter:
    """Fulfils `ports.Progress` by turning work into events."""

    _ids = itertools.count()

    def __init__(self, display: Display, place: str = "") -> None:
        self.display, self.place = display, place

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Start work; its end is also reported if it fails, with `ok` false."""
        task = _Reported(self.display, f"{os.getpid()}.{next(self._ids)}", unit)
        start = {"event": "start", "id": task.id, "place": self.place, "name": name, "total": total, "unit": unit}
        self.display.show(start)
        ok = False
        try:
            yield task
            ok = True
        finally:
            self.display.show({**task.counts("end"), "ok": ok})


class _Reported:
    """A task that reports at most every `EVENT_EVERY` seconds; callable from any thread."""

    def __init__(self, display: Display, id: str, unit: str) -> None:
        self.display, self.id, self.unit, self.done, self.before = display, id, unit, 0, 0
        self.started, self.last = time.monotonic(), 0.0
        self.lock = threading.Lock()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Report `n` more items as done."""
        metrics.count("mmst_stage_items_total", n, unit=self.unit)
        with self.lock:
            self.done += n
            self._show(note)

    def found(self, n: int) -> None:
        """Report `n` items as done earlier."""
        with self.lock:
            self.done += n
            self.before += n
            self._show("")

    def counts(self, event: str) -> dict[str, Any]:
        """The common content of every event after the start."""
        seconds = round(time.monotonic() - self.started, 3)
        return {"event": event, "id": self.id, "done": self.done, "found": self.before, "seconds": seconds}

    def _show(self, note: str) -> None:
        if (now := time.monotonic()) - self.last >= EVENT_EVERY:
            self.last = now
            self.display.show({**self.counts("advance"), "note": note})


class Writer:
    """Appends events to a file, one line each; several processes may write to the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def show(self, event: Event) -> None:
        """One write per line, so that lines of different processes never mix. A lost line is not an error."""
        safe = {k: redacted(v) if isinstance(v, str) else v for k, v in event.items()}
        text = json.dumps(safe, ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, private.FILE)
            try:
                os.write(fd, text.encode("utf-8", "replace"))
            finally:
                os.close(fd)

    def close(self) -> None:
        """Does nothing."""


@dataclass
class _Running:
    """The state of a task in progress on a display."""

    label: str
    total: int
    unit: str
    started: float
    due: float
    bar: TaskID | None = None


class Plain:
    """Lines for logs: one soon, one a minute, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.running: dict[str, _Running] = {}

    def show(self, event: Event) -> None:
        """Print a line if one is due."""
        now = time.monotonic()
        if event["event"] == "start":
            self.running[event["id"]] = _started(event, now)
        elif (task := self.running.get(event["id"])) is None:
            return
        elif event["event"] == "advance" and now >= task.due:
            task.due = now + PLAIN_EVERY
            of = f"/{task.total}" if task.total else ""
            parts = [task.label, f"{event['done']}{of} {task.unit}", *_pace(task, event, now), _note(event)]
            self._print("  ".join(filter(None, parts)))
        elif event["event"] == "end":
            del self.running[event["id"]]
            self._print(_finished(task, event))

    def close(self) -> None:
        """Does nothing."""

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            terminal.say(text, self.stream)


class Logged(Plain):
    """The same lines as log records (`mmst.observe.logs`), if these are JSON."""

    def _print(self, text: str) -> None:
        log.info("%s", text)


class Live:
    """A live display on a terminal: a bar for each task in progress, a line for each that has ended."""

    def __init__(self, stream: TextIO) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
        )

        from mmst.observe.console import Console

        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}  {task.fields[pace]}", markup=False),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Console(file=stream),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.running: dict[str, _Running] = {}

    def show(self, event: Event) -> None:
        """Move a bar, or turn it into a line."""
        now = time.monotonic()
        if event["event"] == "start":
            task = self.running[event["id"]] = _started(event, now)
            self.progress.start()
            task.bar = self.progress.add_task(task.label, total=task.total or None, unit=task.unit, pace="", note="")
        elif (known := self.running.get(event["id"])) is None or known.bar is None:
            return
        elif event["event"] == "advance":
            pace = "  ".join(_pace(known, event, now))
            self.progress.update(known.bar, completed=event["done"], pace=pace, note=_note(event))
        elif event["event"] == "end":
            from mmst.observe.console import escape

            del self.running[event["id"]]
            self.progress.remove_task(known.bar)
            mark = "[green]✓[/]" if event["ok"] else "[red]✗[/]"
            self.progress.console.print(f"{mark} {escape(_finished(known, event))}", highlight=False)
            if not self.running:
                self.progress.stop()

    def close(self) -> None:
        """Restore the terminal, even if a killed task never reported its end."""
        self.progress.stop()


def _display(stream: TextIO) -> Display:
    if logs.wanted():
        return Logged(stream)
    return Live(stream) if stream.isatty() and os.environ.get("TERM") != "dumb" else Plain(stream)


def _tail(file: Any, display: Display, done: threading.Event) -> None:
    rest = b""
    while True:
        last = done.is_set()
        *lines, rest = (rest + file.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                display.show(json.loads(line))
        if last:
            return
        done.wait(0.1)


def _started(event: Event, now: float) -> _Running:
    label, where = str(event["name"]), ""
    with contextlib.suppress(ValueError):  # a stage by itself stands nowhere
        place = Place.parse("", str(event.get("place", "")))
        label = place.step if place.step.startswith(label) else f"{place.step}: {label}"
        where = f"round {place.round}  {place.arm:<14}"
    label = one_line(redacted(f"{label:<22} {where}".rstrip()), 200)
    return _Running(label, int(event["total"]), one_line(str(event["unit"]), 40), now, now + PLAIN_FIRST)


def _finished(task: _Running, event: Event) -> str:
    seconds = float(event["seconds"])
    if not event["ok"]:
        of = f" of {task.total}" if task.total else ""
        return f"{task.label}  stopped after {event['done']}{of} {task.unit}, {seconds:.1f} s"
    found = int(event.get("found", 0))
    made = int(event["done"]) - found
    rate = f"  {_rate(made / seconds)}" if seconds > 0.05 and made else ""
    before = f" ({found} found)" if found else ""
    return f"{task.label}  {event['done']} {task.unit}{before}  {seconds:.1f} s{rate}"


def _pace(task: _Running, event: Event, now: float) -> list[str]:
    """Rate and time left, from the work since the start; nothing before there is any."""
    made = int(event["done"]) - int(event.get("found", 0))
    rate = made / max(now - task.started, 1e-9)
    if made <= 0:
        return []
    left = [f"about {max(task.total - event['done'], 0) / rate:.0f} s left"] if task.total else []
    return [_rate(rate), *left]


def _note(event: Event) -> str:
    return one_line(redacted(str(event.get("note") or "")), 200)


def _rate(rate: float) -> str:
    return f"{rate:.0f}/s" if rate >= 100 else f"{rate:.3g}/s"
