"""What a terminal would obey, or nobody would see, is shown escaped; what people write with stays."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table

from mmst.cli import app
from mmst.core.output import find
from mmst.core.visible import LONGEST, clean, in_json, json_text, line, message
from mmst.observe import logs, progress, terminal
from mmst.observe.console import Console, escape
from mmst.report.content import safe

HOSTILE = {
    "clear the screen": "\x1b[2J",
    "colour": "\x1b[31mred",
    "title (OSC 0)": "\x1b]0;pwned\x07",
    "link (OSC 8)": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "clipboard (OSC 52)": "\x1b]52;c;cm0gLXJm\x07",
    "device control (DCS)": "\x1bP+q544e\x1b\\",
    "CSI of one byte (C1)": "\x9b2J",
    "OSC of one byte (C1)": "\x9d0;x\x9c",
    "next line (C1)": "a\x85b",
    "bell": "\x07",
    "carriage return": "password: \rmmst: all is well",
    "backspace": "rm -rf\b\b\b\b\b\bls",
    "delete": "a\x7fb",
    "null": "a\x00b",
    "shift out": "\x0eabc\x0f",
    "form feed, vertical tab": "a\x0cb\x0bc",
    "bidi override": "gpj.\u202eexe",
    "bidi embedding": "\u202aabc\u202c",
    "bidi isolate": "\u2066abc\u2069",
    "bidi mark": "a\u200eb\u200fc\u061cd",
    "zero-width space": "pass\u200bword",
    "zero-width joiner in Latin": "pass\u200dword",
    "zero-width non-joiner in Cyrillic": "па\u200cроль",
    "word joiner": "a\u2060b",
    "byte-order mark": "a\ufeffb",
    "soft hyphen": "a\xadb",
    "invisible operators": "1\u20622",
    "tag characters": "a\U000e0041\U000e007f",
    "variation selector after a letter": "a\ufe0fb",
    "variation selectors in a row": "☎\ufe0f\ufe0f\ufe0f",
    "hidden bytes (selectors)": "x\U000e0101\U000e0120",
    "Hangul filler": "a\u3164b",
    "blank of Braille": "a\u2800b",
    "line separator": "a\u2028b\u2029c",
    "lone surrogates": "a\ud800b\udfff",
    "private use": "a\ue000\U000f0000",
    "interlinear": "a\ufff9b\ufffb",
    "deprecated format": "a\u206ab",
    "noncharacter": "a\uffffb",
    "pile of marks": "a" + "\u0301" * 60,
}
ORDINARY = [
    "plain ASCII, with a tab\tand\nlines",
    "Ärger, naïve, e\u0301, ﬁ, Ελλάδα, Москва",
    "日本語, 한국어, עברית, العربية ١٢٣, ไทย",
    "می\u200cخواهم",  # Persian, with a non-joiner
    "क्\u200dष",  # Hindi, with a joiner
    "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f⃣ 👍🏽 🇩🇪 ☎\ufe0e",
    "葛\U000e0100飾区",  # a form of an ideograph
    "1\u202f000\xa0€, “quotes”, – dashes, … ½ ≤ √2 π ∑",
    "\u0600١",  # a number sign of Arabic, which is seen
    "v\u20d7, x\u0302\u0303",
    "a\\x1b[2J already escaped",
]


def unsafe(text: str) -> list[str]:
    """What of a text a terminal would obey, or nobody would see."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp") and c not in "\n\t"] + [
        c
        for c in text
        if c in "\xad\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_is_shown_escaped(text: str) -> None:
    shown = clean(text)
    assert shown != text
    assert not unsafe(shown)
    assert "\\" in shown
    assert clean(shown) == shown


@pytest.mark.parametrize("text", ORDINARY)
def test_what_people_write_stays(text: str) -> None:
    assert clean(text) == text
    assert safe(text).replace("&amp;", "&") == text.replace("&", "&amp;").replace("&amp;", "&")


def test_every_control_and_format_character_is_caught() -> None:
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    for number in range(sys.maxunicode + 1):
        c = chr(number)
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and c not in "\t\n" and number not in seen:
            assert clean(c) != c, hex(number)


@given(st.text(max_size=300))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    shown = clean(text)
    assert clean(shown) == shown
    assert not unsafe(shown)
    assert "\n" not in line(text)


@given(st.recursive(st.text() | st.integers() | st.none(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_json_is_exact_and_safe(value: object) -> None:
    assert json.loads(json_text(value)) == value
    assert not unsafe(json_text(value, indent=2))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_json_escapes_as_json_does(text: str) -> None:
    raw = json.dumps([text], ensure_ascii=False)
    assert json.loads(in_json(raw)) == [text]
    in_json(raw).encode()


def test_a_value_cannot_forge_a_second_line() -> None:
    forged = "no such file\nmmst: all is well\r\n2026-01-01 INFO done"
    assert "\n" not in line(forged)
    assert "\n" not in message(forged)
    assert message("died. Its last lines:\n    a\nmmst: b").splitlines() == [
        "died. Its last lines:", "    a\\nmmst: b",
    ]  # fmt: skip


def test_long_lines_and_long_messages_are_cut() -> None:
    assert len(line("x" * 10**6)) == LONGEST + 1
    assert len(message("x" + "\n    y" * 10**4).splitlines()) == 102


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("draw", ["text", "table", "panel", "title", "syntax", "markup"])
def test_no_table_panel_or_markup_lets_it_through(draw: str, text: str) -> None:
    table = Table("a", title=text)
    table.add_row(text, style="bold")
    drawn = {
        "text": text,
        "table": table,
        "panel": Panel(text),
        "title": Panel("x", title=text, subtitle=text),
        "syntax": Syntax(text, "python"),
        "markup": f"[bold]{escape(text)}[/]",
    }
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=True, color_system=None).print(drawn[draw])
    bare = file.getvalue().replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
    assert not unsafe(bare)


@pytest.mark.parametrize(
    "text", ["[link=http://evil]here[/link]", "[/red]", "[bold", "[red]x[/blue]", "\\[x]\\", "[@click=a]b[/]"]
)
def test_markup_from_outside_is_neither_a_link_nor_an_error(text: str) -> None:
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=True).print(Panel(text), text, f"[bold]{escape(text)}[/]")
    assert "\x1b]8" not in file.getvalue()


def test_escaped_text_is_shown_whole() -> None:
    file = io.StringIO()
    Console(file=file, width=200).print(f"[bold]{escape('[red]x[/red] [link=a]')}[/]", highlight=False)
    assert file.getvalue() == "[red]x[/red] [link=a]\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_page_lets_nothing_through(text: str) -> None:
    shown = safe(f"<b>{text}</b>")
    assert not unsafe(shown)
    assert "<" not in shown


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_progress_lets_nothing_through(text: str, live: bool) -> None:
    file = io.StringIO()
    display = progress.Live(file) if live else progress.Plain(file)
    start = {"event": "start", "id": "1", "place": f"01.{text}.sample", "name": text, "total": 2, "unit": text}
    display.show(start)
    if not live:
        display.running["1"].due = -100.0
    display.show({"event": "advance", "id": "1", "done": 1, "note": f"{text}\nmmst: forged"})
    display.show({"event": "end", "id": "1", "done": 2, "seconds": 0.1, "ok": True})
    display.close()
    assert not unsafe(file.getvalue())
    assert "\nmmst: forged" not in file.getvalue()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's hooks, put back afterwards."""
    import threading

    before = logging.getLogRecordFactory()
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (warnings, "formatwarning")):
        monkeypatch.setattr(module, name, getattr(module, name))
    terminal.guard()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("name", ["mmst.x", "urllib3.connectionpool", "mlflow"])
def test_any_handler_of_a_log_writes_one_safe_line(name: str) -> None:
    file, logger = io.StringIO(), logging.getLogger(name)
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        logger.warning("broken: %s", "\x1b[2J http://me:hunTer2@h\nWARNING forged")
        try:
            raise ValueError("\x9b2J https://me:hunTer2@h")
        except ValueError:
            logger.exception("died")
    finally:
        logger.removeHandler(handler)
    assert not unsafe(file.getvalue())
    assert "\nWARNING forged" not in file.getvalue()
    assert "hunTer2" not in file.getvalue()


@pytest.mark.usefixtures("guarded")
def test_json_logs_are_exact_but_for_secrets() -> None:
    record = logging.getLogRecordFactory()("mmst.x", 20, "", 1, "at %s", ("\x1b[2J\u202e http://me:pw1234@h",), None)
    text = logs.JsonLines({}).format(record)
    assert json.loads(text)["message"] == "at \x1b[2J\u202e http://***@h"
    assert not unsafe(text)


@pytest.mark.usefixtures("guarded")
def test_tracebacks_and_warnings_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise OSError("\x1b[2J http://me:hunTer2@h")
    except OSError as e:
        sys.excepthook(type(e), e, e.__traceback__)
    shown = capsys.readouterr().err + warnings.formatwarning("\x07 http://me:hunTer2@h\nx", UserWarning, "f.py", 1)
    assert not unsafe(shown)
    assert "hunTer2" not in shown
    assert shown.count("\n") >= 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["grade", "{}"],
        ["{}"],
        ["run", "--recipe", "{}"],
        ["run", "-r", "demo", "-s", "{}"],
        ["status", "{}"],
        ["plan", "demo", "-H", "{}"],
        ["serve", "{}"],
        ["doctor", "--{}"],
        ["problems", "describe", "jsonl", "{}"],
        ["extract", "-m", "{}", "x", "-o", "y"],
    ],
)
def test_a_hostile_argument_is_said_safely(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    text = "\x1b[2J\x9b\u202e\x07\r\nmmst: forged"
    assert app.main([a.replace("{}", text) for a in arguments]) != 0
    said = capsys.readouterr()
    assert not unsafe(said.out + said.err)
    assert "\nmmst: forged" not in said.out + said.err


def test_lines_for_a_terminal_are_the_same_json_escaped(tmp_path: Path) -> None:
    row = json.dumps({"id": "\x9b2J\u202e\x7f é"}, ensure_ascii=False).encode() + b"\n"
    parent, child = pty.openpty()
    with find(Path(f"/dev/fd/{child}")).writing() as out:
        out.write(row)
    shown = os.read(parent, 4096).decode()
    assert not unsafe(shown.replace("\r\n", "\n"))
    assert json.loads(shown) == json.loads(row)
    with find(tmp_path / "out").writing() as out:
        out.write(row)
    assert (tmp_path / "out").read_bytes() == row
