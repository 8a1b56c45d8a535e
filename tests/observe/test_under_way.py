"""How far stages are, from what the run's processes told."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmst.core import locks
from mmst.observe import under_way

START = {"event": "start", "id": "1.0", "place": "01.mmst.sample", "name": "sample", "total": 3200, "unit": "samples"}


def look(folder: Path, *events: Any, held: bool = False) -> dict[str, str]:
    text = "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events)
    (folder / under_way.EVENTS).write_text(text)
    if held:
        with locks.held(folder / locks.RUN):
            return {place: str(work) for place, work in under_way.look(folder).items()}
    return {place: str(work) for place, work in under_way.look(folder).items()}


def advance(done: int, id: str = "1.0", event: str = "advance") -> dict[str, Any]:
    return {"event": event, "id": id, "done": done}


CASES = [
    ([START], "0 of 3,200 samples"),
    ([START, advance(64)], "64 of 3,200 samples"),
    ([START, advance(64), advance(128)], "128 of 3,200 samples"),
    ([START, advance(64), {**START, "id": "2.0", "total": 3136}, advance(7, "2.0")], "7 of 3,136 samples"),
    ([START, advance(64), "half a li"], "64 of 3,200 samples"),
    (["", "[]", "5", "null", '{"event": "start"}', START, advance(1), "{}"], "1 of 3,200 samples"),
    ([START, advance(5, "other")], "0 of 3,200 samples"),
    ([START, {"event": "advance", "id": "1.0", "done": "many"}], "0 of 3,200 samples"),
    ([START, advance(3200, event="end")], "3,200 of 3,200 samples"),
]


@pytest.mark.parametrize(("events", "said"), CASES)
def test_the_last_that_was_told_is_said(tmp_path: Path, events: list[Any], said: str) -> None:
    assert look(tmp_path, *events, held=True) == {"01.mmst.sample": f"in progress, {said}"}
    assert look(tmp_path, *events) == {"01.mmst.sample": f"stopped at {said}"}


def test_stages_are_told_apart_by_round_and_arm(tmp_path: Path) -> None:
    other = {**START, "id": "2.0", "place": "02.mmst.sample"}
    found = look(tmp_path, START, other, advance(5), advance(9, "2.0"))
    assert found == {
        "01.mmst.sample": "stopped at 5 of 3,200 samples",
        "02.mmst.sample": "stopped at 9 of 3,200 samples",
    }


def test_without_logs_nothing_is_known(tmp_path: Path) -> None:
    assert under_way.look(tmp_path / "none") == {}
