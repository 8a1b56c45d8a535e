"""Programs from a file: order, identical ones once, bad lines, resumption."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst import programs
from mmst.errors import DataError, SandboxError, StoreError, UserError
from mmst.ports import Execution, Limits, Program
from mmst.programs import check_file, once
from mmst.progress import Quiet

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
            yield Execution(id=p.id, outcome="ok", stdout=p.source + p.stdin, stderr="")


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
        ('{"id": 3, "program": ""}', r"in, line 2, field 'id': must be a text, got 3"),
        ('{"id": "b"}', r"in, line 2, field 'program': must be a text, got None. Remedy: fields there: id"),
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
    line, written = programs._line, []

    def full(e: Execution) -> bytes:
        written.append(e.id)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        return line(e)

    monkeypatch.setattr(programs, "_line", full)
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


def test_nothing_to_check_is_an_empty_file(tmp_path: Path) -> None:
    assert check(write(tmp_path / "in", []), tmp_path / "out", Echo()) == []
