"""What a stage counts, for Prometheus.

    mmst_stage_items_total{unit}             samples, programs, steps, tokens … done by this process
    mmst_verdicts_total{method,verdict}      verdicts of a verify stage that this process completed
    mmst_labels_total{outcome}               what a label stage that this process completed made of its problems
    mmst_retries_total{engine}               requests to an engine that were made again
    mmst_stage_seconds                       how long the stage's process has worked

All carry `run`, `stage` and `place` (01.mmst.verify-heldout). A stage is a process that is gone
before anybody scrapes it, so it hands its figures over, every `EVERY` seconds and at its end: to
the Pushgateway that `$MMST_PUSHGATEWAY` names (a stage's place in the run is its group, so a
retried stage replaces its figures), or into the folder `$MMST_METRICS`, a file a stage, as
node_exporter's textfile collector reads them. Neither is set: nothing is done. Trouble with
either is logged and never fails a stage.

prometheus-client writes the text, the file and the request to the Pushgateway. Counting is ours, a dictionary: its own
counters cost every process 40 ms for their import, and know no labels that are the same for all (`run`, `stage`,
`place`). So it is imported where figures are handed over, and who only grades or checks programs does not need it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmst.core.errors import SetupError
from mmst.core.extras import needed
from mmst.core.redaction import redacted, without_user

EVERY = 15.0
PATIENCE = 5.0

HELP = {
    "mmst_stage_items_total": ("counter", "Items that stages have done."),
    "mmst_verdicts_total": ("counter", "Verdicts of verify stages."),
    "mmst_labels_total": ("counter", "Outcomes of label stages, in problems."),
    "mmst_retries_total": ("counter", "Requests to an engine that were made again."),
    "mmst_stage_seconds": ("gauge", "Seconds that a stage's process has worked."),
}

log = logging.getLogger(__name__)
_lock = threading.Lock()
_values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
_common: dict[str, str] = {}


def count(name: str, n: float = 1.0, **labels: str) -> None:
    """Add to a counter of `HELP`; callable from any thread."""
    key = (name, tuple(sorted(labels.items())))
    with _lock:
        _values[key] = _values.get(key, 0.0) + n


def retry(engine: str, why: object) -> None:
    """A request to an engine is made again."""
    count("mmst_retries_total", engine=engine)
    log.info("retry", extra={"engine": engine, "why": redacted(str(why))})


def verdicts(found: Mapping[str, Mapping[str, int]]) -> None:
    """Count what a verify stage found: for each method, how many samples had which verdict."""
    for method, counts in found.items():
        for verdict, n in counts.items():
            if n:
                count("mmst_verdicts_total", n, method=method, verdict=verdict)


class Collector:
    """All values, as prometheus-client collects them. Raises `SetupError` where that is not installed."""

    def __init__(self) -> None:
        with needed("pipeline", "metrics cannot be handed over"):
            from prometheus_client import CollectorRegistry
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterable[Any]:
        """A family for each name that has values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with _lock:
            rows = sorted(_values.items())
        families = dict[str, Any]()
        for (name, labels), value in rows:
            kind, help = HELP[name]
            if name not in families:
                families[name] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}[kind](name, help)
            families[name].add_sample(name, {**_common, **dict(labels)}, value)
        return families.values()


@contextlib.contextmanager
def handed_over(run: str, stage: str, place: str) -> Iterator[None]:
    """While a stage works and at its end, hand over what it has counted. `place` is unique in the run."""
    gateway, folder = os.environ.get("MMST_PUSHGATEWAY", ""), os.environ.get("MMST_METRICS", "")
    try:
        registry = Collector().registry if gateway or folder else None
    except SetupError as e:
        log.warning("%s", e)
        registry = None
    if registry is None:
        yield
        return
    began, done = time.monotonic(), threading.Event()
    _common.update(run=run, stage=stage, place=place)

    def hand_over() -> None:
        with _lock:
            _values["mmst_stage_seconds", ()] = time.monotonic() - began
        try:
            if folder:
                _write(registry, Path(folder), f"{run}.{place}.prom")
            if gateway:
                _push(registry, gateway, run, place)
        except (OSError, ValueError) as e:
            log.warning("metrics were not handed over: %s", e)

    def keep() -> None:
        while not done.wait(EVERY):
            hand_over()

    thread = threading.Thread(target=keep, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        hand_over()


def _write(registry: Any, folder: Path, name: str) -> None:
    from prometheus_client import write_to_textfile

    folder.mkdir(parents=True, exist_ok=True)  # of the collector, which may be another user
    write_to_textfile(str(folder / name), registry)


def _push(registry: Any, gateway: str, run: str, place: str) -> None:
    from prometheus_client import push_to_gateway

    push_to_gateway(
        gateway, "mmst", registry, grouping_key={"run": run, "place": place}, timeout=PATIENCE, handler=_request
    )


def _request(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    """The client's own request; it reads no user and password in an address."""
    from prometheus_client.exposition import default_handler

    address, user = without_user(url)
    return default_handler(address, method, timeout, [*headers, *user.items()], data)
