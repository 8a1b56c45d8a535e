"""Progress: the same events whether shown here or by the parent; nothing shown can fail the work."""

import io
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core import metrics
from mmst.observe import progress
from mmst.observe.progress import Live, Plain, Reporter, Writer, follow, from_environment


class Kept:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def show(self, event: progress.Event) -> None:
        self.events.append(dict(event))

    def close(self) -> None:
        pass


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_end_counts_everything_also_what_was_not_shown() -> None:
    kept = Kept()
    with Reporter(kept, "01.mmst.sample").task("sample", 1000, "samples") as task:
        for _ in range(1000):
            task.advance()
    assert kept.events[0] | {"id": ""} == {
        "event": "start",
        "id": "",
        "place": "01.mmst.sample",
        "name": "sample",
        "total": 1000,
        "unit": "samples",
    }
    assert (kept.events[-1]["done"], kept.events[-1]["ok"]) == (1000, True)
    assert len(kept.events) < 20, "events are few, however many items there are"


def test_a_failure_ends_the_task_as_not_ok_and_passes_on() -> None:
    kept = Kept()

    def fail() -> None:
        with Reporter(kept).task("check", 10, "samples") as task:
            task.advance(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (kept.events[-1]["event"], kept.events[-1]["done"], kept.events[-1]["ok"]) == ("end", 3, False)


def test_children_write_events_when_the_parent_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv(progress.EVENTS, str(events))
    monkeypatch.setenv(progress.PLACE, "02.annotated-only.train")
    with from_environment().task("train", 5, "steps") as task:
        task.advance(5, note="loss 0.5")
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "advance", "end"]
    assert lines[0]["place"] == "02.annotated-only.train"
    assert lines[1]["note"] == "loss 0.5"


def test_the_parent_shows_what_children_wrote_with_round_and_arm(tmp_path: Path) -> None:
    events, shown = tmp_path / "events.jsonl", io.StringIO()
    with follow(events, shown), Reporter(Writer(events), "01.mmst.sample").task("sample", 4, "samples") as task:
        task.advance(4)
    assert re.search(r"^sample +round 1 +mmst +4 samples +\d", shown.getvalue())


def test_events_of_an_earlier_run_are_not_shown_again(tmp_path: Path) -> None:
    events, shown = tmp_path / "events.jsonl", io.StringIO()
    with Reporter(Writer(events)).task("old", 1, "items"):
        pass
    with follow(events, shown):
        pass
    assert shown.getvalue() == ""


def test_a_stage_that_was_killed_leaves_the_display_usable(tmp_path: Path) -> None:
    events, shown = tmp_path / "events.jsonl", Terminal()
    with follow(events, shown):
        Writer(events).show({"event": "start", "id": "1.0", "name": "killed", "total": 9, "unit": "items"})
        with Reporter(Writer(events)).task("next", 1, "items") as task:
            task.advance()
    assert "next" in shown.getvalue()


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_rubbish_in_the_events_file_is_ignored(lines: list[bytes]) -> None:
    source, done = io.BytesIO(b"\n".join([*lines, b'{"event": "start"}', b""])), threading.Event()
    done.set()
    progress._tail(source, Plain(io.StringIO()), done)
    assert source.read() == b"", "it was all taken"


def test_a_line_that_arrives_in_two_pieces_is_read_whole() -> None:
    pieces = [b'{"event": "end", ', b'"id": "1"}\n', b""]

    class Pieces:
        def read(self) -> bytes:
            return pieces.pop(0) if pieces else b""

    display, done = Kept(), threading.Event()
    reader = threading.Thread(target=progress._tail, args=(Pieces(), display, done))
    reader.start()
    while pieces:
        time.sleep(0.01)
    done.set()
    reader.join()
    assert display.events == [{"event": "end", "id": "1"}]


def test_an_events_file_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path) -> None:
    with Reporter(Writer(tmp_path / "absent" / "events")).task("x", 1, "items") as task:
        task.advance()


def test_a_log_has_a_line_soon_and_then_one_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = io.StringIO()
    with Reporter(Plain(shown)).task("check", 100, "samples") as task:
        for _ in range(100):
            now[0] += 1.5
            task.advance()
    lines = shown.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["2/100", "42/100", "82/100", "100"]
    assert lines[0].split() == ["check", "2/100", "samples", "0.667/s", "about", "147", "s", "left"]
    assert lines[-1].split() == ["check", "100", "samples", "150.0", "s", "0.667/s"]


def test_a_terminal_gets_bars_and_a_line_for_each_end() -> None:
    shown = Terminal()
    reporter = Reporter(Live(shown))
    for name in ("sample", "check [red]"):
        with reporter.task(name, 3, "items") as task:
            task.advance(3, note="fine [bold]")
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.getvalue())
    assert re.search(r"✓ sample +3 items", lines)
    assert re.search(r"✓ check \[red\] +3 items", lines)


def test_no_display_writes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with from_environment().task("x", 1, "items") as task:
        task.advance()
    assert capsys.readouterr().out == ""


# --- what a stopped run had done ---------------------------------------------------------------


def pace(found: int, made: int, total: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of work of which a part had been done before."""
    now, shown = [0.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Reporter(Plain(shown)).task("train", total, "steps") as task:
        if found:
            task.found(found)
        now[0] += seconds
        task.advance(made)
    return shown.getvalue().splitlines()


PACES = [
    (0, 20, 100, 10.0, "20/100 steps  2/s  about 40 s left"),
    (60, 20, 100, 10.0, "80/100 steps  2/s  about 10 s left"),
    (99, 1, 100, 10.0, "100/100 steps  0.1/s  about 0 s left"),
    (0, 0, 100, 10.0, "0/100 steps"),
    (60, 0, 100, 10.0, "60/100 steps"),
    (0, 150, 100, 10.0, "150/100 steps  15/s  about 0 s left"),
]


@pytest.mark.parametrize(("found", "made", "total", "seconds", "line"), PACES)
def test_rate_and_time_left_are_of_what_is_done_now(
    found: int, made: int, total: int, seconds: float, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pace(found, made, total, seconds, monkeypatch)[0].split(None, 1)[1] == line


@pytest.mark.parametrize(
    ("found", "made", "line"),
    [
        (0, 50, "50 steps  10.0 s  5/s"),
        (50, 50, "100 steps (50 found)  10.0 s  5/s"),
        (50, 0, "50 steps (50 found)  10.0 s"),
    ],
)
def test_the_last_line_says_what_was_found(found: int, made: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace(found, made, 100, 10.0, monkeypatch)[-1].split(None, 1)[1] == line


def test_what_was_found_is_no_item_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(metrics, "count", lambda name, n, **labels: counted.append(n))
    with Reporter(Kept()).task("train", 10, "steps") as task:
        task.found(7)
        task.advance(3)
    assert counted == [3]


@pytest.mark.parametrize("event", [{"event": "advance", "id": "1", "done": 3}, {"event": "end", "id": "1", "done": 3}])
def test_events_without_what_was_found_are_of_work_from_nothing(event: dict[str, Any]) -> None:
    shown = io.StringIO()
    display = Plain(shown)
    display.show({"event": "start", "id": "1", "name": "x", "total": 9, "unit": "items"})
    display.running["1"].due = display.running["1"].started = -10.0
    display.show({"note": "", "seconds": 1.0, "ok": True, **event})
    assert "3" in shown.getvalue()
    assert "found" not in shown.getvalue()
