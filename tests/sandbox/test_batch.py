"""Programs from a file: order, identical ones once, bad lines, resumption."""

from __future__ import annotations

import ast
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import DataError, SandboxError, StoreError, UserError
from mmst.core.ports import Execution, Limits, Program
from mmst.observe.progress import Quiet
from mmst.sandbox.batch import _says, check_file, once, spoken

LIMITS = Limits()


class Echo:
    """A sandbox that prints a program's text and stdin; answers backwards, in batches; may fail."""

    name = "echo"

    def __init__(self, fail_after: int | None = None) -> None:
        self.ran: list[str] = []
        self.fail_after = fail_after

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        batch: list[Program] = []
        for program in programs:
            batch.append(program)
            if len(batch) == 3:
                yield from self._answer(batch)
                batch = []
        yield from self._answer(batch)

    def _answer(self, batch: list[Program]) -> Iterator[Execution]:
        for p in reversed(batch):
            if len(self.ran) == self.fail_after:
                raise SandboxError("it died")
            self.ran.append(p.id)
            yield Execution(id=p.id, exit_status="ok", stdout=p.source + p.stdin, stderr="")


def write(path: Path, lines: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def check(source: Path, target: Path, box: Echo, **more: Any) -> list[dict[str, Any]]:
    check_file(source, target, lambda: contextlib.nullcontext(box), LIMITS, Quiet(), **more)
    return [json.loads(line) for line in target.read_text().splitlines()]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=12))
def test_identical_programs_run_once_and_each_is_answered(kinds: list[tuple[str, str]]) -> None:
    asked = [Program(id=str(i), source=source, stdin=stdin) for i, (source, stdin) in enumerate(kinds)]
    box = Echo()
    found = {e.id: e.stdout for e in once(box, asked, LIMITS)}
    assert found == {p.id: p.source + p.stdin for p in asked}
    assert len(box.ran) == len(set(kinds))


def test_ids_must_be_unique_also_among_identical_programs() -> None:
    with pytest.raises(UserError, match="same id, got 'a'"):
        list(once(Echo(), [Program(id="a", source="1"), Program(id="a", source="1")], LIMITS))


def test_verdicts_come_in_the_order_of_the_input(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}", "stdin": "!"} for i in range(7)])
    lines = check(source, tmp_path / "out", Echo())
    assert [(line["id"], line["stdout"]) for line in lines] == [(str(i), f"p{i}!") for i in range(7)]
    assert set(lines[0]) == {"id", "verdict", "stdout", "stderr", "detail", "seconds", "peak_mib"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_without_dedupe_identical_programs_run_each(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": "p"} for i in range(4)])
    check(source, tmp_path / "out", box := Echo(), dedupe=False)
    assert len(box.ran) == 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"in, line 2: not JSON"),
        ("[1]", r"in, line 2: not a JSON object, got \[1\]"),
        ('{"id": 3.0, "program": ""}', r"in, line 2, field 'id': must be a text or a whole number, got 3.0"),
        ('{"id": true, "program": ""}', r"in, line 2, field 'id': must be a text or a whole number, got True"),
        ('{"id": null, "program": ""}', r"in, line 2, field 'id': must be a text or a whole number, got None"),
        ('{"id": [1], "program": ""}', r"in, line 2, field 'id': must be a text or a whole number, got \[1\]"),
        ('{"program": ""}', r"in, line 2, field 'id': must be .* Remedy: fields there: program"),
        ('{"id": "b"}', r"in, line 2, field 'program': must be a text, got None. Remedy: fields there: id"),
        (
            '{"id": "b", "progrm": "x"}',
            r"field 'progrm': is no field.* Remedy: rename 'progrm' to 'program'",
        ),
        ('{"id": "b", "program": "", "std_in": "x"}', r"field 'std_in': is no field.* rename 'std_in' to 'stdin'"),
        ('{"id": "b", "program": "", "stdin": 1}', r"in, line 2, field 'stdin': must be a text, got 1"),
        ('{"id": "a", "program": ""}', r"two programs have the same id, got 'a'"),
    ],
)
def test_a_bad_line_is_named_and_nothing_runs(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "in").write_text('{"id": "a", "program": ""}\n' + line + "\n")
    with pytest.raises(DataError, match=words):
        check(tmp_path / "in", tmp_path / "out", box := Echo())
    assert box.ran == []
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("program", ["", " \n\t\n", "# only a remark", "\ufeff# one\r\n  # two\n"])
def test_a_program_without_a_statement_is_none_and_is_not_run(tmp_path: Path, program: str) -> None:
    source = write(tmp_path / "in", [{"id": "a", "program": "p"}, {"id": "b", "program": program}])
    first, second = check(source, tmp_path / "out", box := Echo())
    assert (first["verdict"], second["verdict"]) == ("ok", "no_program")
    assert box.ran == ["a"]


@given(st.text(alphabet="#p \t\n\r\"'\\", max_size=12))
def test_what_is_not_run_is_what_python_finds_no_statement_in(source: str) -> None:
    with contextlib.suppress(SyntaxError):
        assert _says(source) == bool(ast.parse(source).body)


def test_what_grade_needs_goes_through(tmp_path: Path) -> None:
    row = {"id": 7, "program": "p", "gold": 1.5, "question": "How many?"}
    (line,) = check(write(tmp_path / "in", [row]), tmp_path / "out", Echo())
    assert {name: line[name] for name in ("id", "gold", "question")} == {"id": 7, "gold": 1.5, "question": "How many?"}


def test_what_was_done_before_a_failure_is_not_done_again(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(9)])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", first := Echo(fail_after=5))
    assert not (tmp_path / "out").exists()
    with (tmp_path / "out.partial").open("ab") as partial:
        partial.write(b'{"id": "8", "verd')  # killed in the middle of a line
    lines = check(source, tmp_path / "out", second := Echo())
    assert [line["stdout"] for line in lines] == [f"p{i}" for i in range(9)]
    assert not set(first.ran) & set(second.ran)


def test_a_full_disk_is_a_named_error_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(6)])
    write_now, written = os.write, []

    def full(fd: int, data: bytes) -> int:
        written.append(json.loads(bytes(data))["id"])
        if len(written) == 4:
            write_now(fd, data[:20])
            raise OSError(28, "No space left on device")
        return write_now(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        check(source, tmp_path / "out", Echo())
    monkeypatch.undo()
    lines = check(source, tmp_path / "out", second := Echo())
    assert len(lines) == 6
    assert not set(second.ran) & set(written[:3])


def test_other_input_begins_anew(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": "p"} for i in range(4)])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", Echo(fail_after=2), dedupe=False)
    write(source, [{"id": str(i), "program": "q"} for i in range(4)])
    assert [line["stdout"] for line in check(source, tmp_path / "out", Echo(), dedupe=False)] == ["q"] * 4


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({}, {"limits": Limits(timeout=1.0)}, "--timeout was 2.0 and is 1.0 now"),
        ({}, {"limits": Limits(memory_mib=64)}, "--memory was 256 and is 64 now"),
        ({}, {"limits": Limits(output_kib=1)}, "--output-limit was 64 and is 1 now"),
        ({"engine": ("gvisor", "numpy")}, {"engine": ("gvisor",)}, "--packages was numpy and is '' now"),
        ({"engine": ("gvisor",)}, {"engine": ("subprocess",)}, "--sandbox was gvisor and is subprocess now"),
        ({"dedupe": False}, {"dedupe": True}, "--dedupe was off and is on now"),
        (
            {"engine": ("gvisor",)},
            {"engine": ("subprocess",), "limits": Limits(timeout=1.0)},
            "--timeout was 2.0 and is 1.0 now; --sandbox was gvisor and is subprocess now",
        ),
    ],
)
def test_a_changed_option_is_said_with_what_is_not_used(
    tmp_path: Path, then: dict[str, Any], now: dict[str, Any], said: str
) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(6)])
    started: dict[str, Any] = {"limits": LIMITS, "progress": Quiet()}
    with pytest.raises(SandboxError):
        check_file(source, tmp_path / "out", lambda: contextlib.nullcontext(Echo(3)), **started | then)
    heard: list[str] = []
    box = Echo()
    check_file(source, tmp_path / "out", lambda: contextlib.nullcontext(box), say=heard.append, **started | now)
    assert heard == [f"out.partial is begun anew and its 3 finished lines are not used, because {said}"]
    assert len(box.ran) == 6


def test_another_input_is_said_and_the_same_work_is_not(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(6)])
    heard: list[str] = []
    for stop in (1, 1):
        with pytest.raises(SandboxError):
            check(source, tmp_path / "out", Echo(fail_after=stop), say=heard.append)
    assert heard == []
    write(source, [{"id": "0", "program": "q"}])
    check(source, tmp_path / "out", Echo(), say=heard.append)
    assert heard == [
        "out.partial is begun anew and its 2 finished lines are not used, because the input is another one"
    ]


class Lacking(Echo):
    """A sandbox whose programs lack what they are called."""

    def _answer(self, batch: list[Program]) -> Iterator[Execution]:
        for p in batch:
            key = "; check.packages" if p.source == "scipy" else ""
            detail = "" if p.source == "print()" else f"{p.source} is not in the sandbox{key}"
            yield Execution(id=p.id, exit_status="crashed" if detail else "ok", stdout="", stderr="", detail=detail)


@pytest.mark.parametrize("target", ["out", "/dev/null"])
def test_what_programs_lacked_is_counted_apart(tmp_path: Path, target: str) -> None:
    names = ["scipy", "print()", "scipy", "requests"]
    source = write(tmp_path / "in", [{"id": str(i), "program": name} for i, name in enumerate(names)])
    path = tmp_path / target
    tally = check_file(source, path, lambda: contextlib.nullcontext(Lacking()), LIMITS, Quiet())
    assert dict(tally.verdicts) == {"crashed": 3, "ok": 1}
    assert dict(tally.lacks) == {"scipy": 2, "requests": 1}
    if target == "out":
        assert json.loads(path.read_text().splitlines()[0])["detail"] == "scipy is not in the sandbox; --packages"


@pytest.mark.parametrize(
    ("said", "spoken_so"),
    [
        ("pip install scipy, or name other packages: --set check.packages='[numpy]'", "--packages numpy"),
        ("programs may import the packages of check.packages", "packages of --packages"),
        ("for programs of your own: --set check.sandbox=subprocess", "your own: --sandbox subprocess"),
        ("check it with check.sandbox=gvisor", "check it with --sandbox gvisor"),
        ("a program of check.memory_mib=512 and more", "a program of --memory 512 and"),
        ("check.packages.", "--packages."),
        ("sampling.k=4", "sampling.k=4"),
        ("precheck.packages", "precheck.packages"),
    ],
)
def test_a_message_names_the_commands_own_options(said: str, spoken_so: str) -> None:
    assert spoken_so in spoken(said)


def test_nothing_to_check_is_an_empty_file(tmp_path: Path) -> None:
    assert check(write(tmp_path / "in", []), tmp_path / "out", Echo()) == []


def test_whole_numbers_stay_what_they_are(tmp_path: Path) -> None:
    names = [0, -7, 10**30, "1", "a"]
    source = write(tmp_path / "in", [{"id": name, "program": f"p{name}"} for name in names])
    assert [(line["id"], line["stdout"]) for line in check(source, tmp_path / "out", Echo())] == [
        (name, f"p{name}") for name in names
    ]


@pytest.mark.parametrize("names", [(1, "1"), ("1", 1), (1, 1), ("-1", -1)])
def test_a_number_and_its_text_are_one_id(tmp_path: Path, names: tuple[object, object]) -> None:
    source = write(tmp_path / "in", [{"id": name, "program": ""} for name in names])
    with pytest.raises(DataError, match=r"two programs have the same id, got .*1 is the same as"):
        check(source, tmp_path / "out", Echo())


def test_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": i, "program": f"p{i}"} for i in range(9)])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", first := Echo(fail_after=5))
    lines = check(source, tmp_path / "out", second := Echo())
    assert [line["id"] for line in lines] == list(range(9))
    assert len(first.ran) + len(second.ran) == 9


GOOD = '{"id": "0", "verdict": "ok", "stdout": "kept", "stderr": "", "detail": "", "seconds": 0, "peak_mib": 0}\n'


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff\xfe\n",
        b"{\n",
        b"null\n",
        b"[]\n",
        b"\n",
        b"\x00" * 4096 + b"\n",
        b"[" * 100_000 + b"\n",
        b'{"id": "1"}\n',
        b'{"id": "1", "verdict": "ok"}\n',
        GOOD.replace('"0"', '"elsewhere"').encode(),
        GOOD.replace('"0"', "null").encode(),
        GOOD.replace('"ok"', "null").encode(),
        GOOD.replace('"0"', "1e999").encode(),
        GOOD.replace('"0"', "9" * 5000).encode(),
        GOOD.encode()[:-1],
        GOOD.encode()[:9],
    ],
    ids=range(16),
)
def test_what_cannot_be_read_of_kept_verdicts_is_done_again(tmp_path: Path, bad: bytes) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(6)])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", Echo(fail_after=1))
    partial = tmp_path / "out.partial"
    head = partial.read_bytes().split(b"\n")[0]
    partial.write_bytes(head + b"\n" + GOOD.encode() + bad + GOOD.replace('"0"', '"1"').encode())
    lines = check(source, tmp_path / "out", box := Echo())
    assert [line["id"] for line in lines] == [str(i) for i in range(6)]
    assert lines[0]["stdout"] == "kept"
    assert sorted(box.ran) == ["1", "2", "3", "4", "5"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("cut", [0, 1, 20, -2])
def test_a_head_that_was_cut_off_begins_anew(tmp_path: Path, cut: int) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(6)])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", Echo(fail_after=1))
    partial = tmp_path / "out.partial"
    partial.write_bytes(partial.read_bytes().split(b"\n")[0][:cut])
    assert len(check(source, tmp_path / "out", Echo())) == 6


@pytest.mark.parametrize(
    "theirs", [b"PK\x03\x04 half a download", b"notes of mine\n", b'{"id": 1}\n', b"[]\n", b"\n", b"\xff" * 99_999]
)
def test_somebody_elses_partial_file_is_left_alone(tmp_path: Path, theirs: bytes) -> None:
    source = write(tmp_path / "in", [{"id": "a", "program": ""}])
    (tmp_path / "out.partial").write_bytes(theirs)
    with pytest.raises(UserError, match=r"not made by this command, got .*out\.partial.* Remedy: move it away"):
        check(source, tmp_path / "out", box := Echo())
    assert (tmp_path / "out.partial").read_bytes() == theirs
    assert box.ran == []


def test_a_program_that_leaves_the_file_meanwhile_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": str(i), "program": f"p{i}"} for i in range(9)])

    class Shortens(Echo):
        def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
            write(source, [{"id": "0", "program": "p0"}])
            return super().run(programs, limits)

    with pytest.raises(DataError, match=r"was changed while it was read: a program is missing, got '1'"):
        check(source, tmp_path / "out", Shortens())
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_when_no_verdict_was_reached(tmp_path: Path) -> None:
    source = write(tmp_path / "in", [{"id": "a", "program": "p"}])
    with pytest.raises(SandboxError):
        check(source, tmp_path / "out", Echo(fail_after=0))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
