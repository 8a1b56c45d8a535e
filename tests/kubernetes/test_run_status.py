"""What of a run is in the cluster, from objects as an API server lists them."""

from collections.abc import Iterator
from typing import Any

from mmst.core.errors import PlatformError, SandboxError
from mmst.kubernetes import run_status
from mmst.kubernetes.kinds import ERROR, Kind, Object


class Events:
    """A cluster that has these Events."""

    def __init__(self, *events: Object) -> None:
        self.events = events

    def list(self, kind: Kind, fields: str = "") -> Iterator[Object]:
        """All of them: the API server would look at their reasons."""
        return iter(self.events)


def failures(*events: Any, since: float = 0.0) -> Any:
    return run_status.failures(Events(*events), "demo-1", since)  # type: ignore[arg-type]


def test_an_event_without_time_or_words_stops_nothing() -> None:
    """The newer API leaves `lastTimestamp` null, and anybody may leave an Event."""
    moment = "2026-11-29T10:00:00Z"
    timeless: Object = {"metadata": {}, "message": "demo-1: gone", "lastTimestamp": None}
    wordless: Object = {"metadata": {}, "message": None, "lastTimestamp": moment}
    [found] = failures(timeless, wordless, {**timeless, "lastTimestamp": moment})
    assert (type(found), str(found)) == (PlatformError, "demo-1: gone")


def test_the_newest_failure_is_the_last_and_of_its_own_kind() -> None:
    error = '{"kind": "SandboxError", "what": "no gVisor"}'
    new = {"metadata": {"annotations": {ERROR: error}}, "message": "demo-1: x", "lastTimestamp": "2026-11-29T10:00:01Z"}
    old = {"metadata": {}, "message": "demo-1: y", "lastTimestamp": "2026-11-29T10:00:00Z"}
    assert [type(e) for e in failures(new, old)] == [PlatformError, SandboxError]
