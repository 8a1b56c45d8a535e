"""What a stage counts, for Prometheus.

    mmst_stage_items_total{unit}             samples, programs, steps, tokens … done by this process
    mmst_verdicts_total{method,verdict}      verdicts of a verify stage that this process completed
    mmst_retries_total{engine}               requests to an engine that were made again
    mmst_stage_seconds                       how long the stage's process has worked

All carry `run`, `stage` and `place` (01.mmst.verify-heldout). A stage is a process that is gone
before anybody scrapes it, so it hands its figures over, every `EVERY` seconds and at its end: to
the Pushgateway that `$MMST_PUSHGATEWAY` names (a stage's place in the run is its group, so a
retried stage replaces its figures), or into the folder `$MMST_METRICS`, a file a stage, as
node_exporter's textfile collector reads them. Neither is set: nothing is done. Trouble with
either is logged and never fails a stage.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from mmst.core.redaction import redacted, without_user

EVERY = 15.0
PATIENCE = 5.0

HELP = {
    "mmst_stage_items_total": ("counter", "Items that stages have done."),
    "mmst_verdicts_total": ("counter", "Verdicts of verify stages."),
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


def text() -> str:
    """All values in Prometheus' text format."""
    with _lock:
        rows = sorted(_values.items())
    lines, before = [], ""
    for (name, labels), value in rows:
        if name != before:
            kind, help = HELP[name]
            lines += [f"# HELP {name} {help}", f"# TYPE {name} {kind}"]
            before = name
        shown = ",".join(f'{k}="{_escaped(v)}"' for k, v in (*sorted(_common.items()), *labels))
        lines.append(f"{name}{{{shown}}} {value:.15g}")
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def handed_over(run: str, stage: str, place: str) -> Iterator[None]:
    """While a stage works and at its end, hand over what it has counted. `place` is unique in the run."""
    gateway, folder = os.environ.get("MMST_PUSHGATEWAY", ""), os.environ.get("MMST_METRICS", "")
    if not gateway and not folder:
        yield
        return
    began, done = time.monotonic(), threading.Event()
    _common.update(run=run, stage=stage, place=place)

    def hand_over() -> None:
        with _lock:
            _values["mmst_stage_seconds", ()] = time.monotonic() - began
        try:
            if folder:
                _write(Path(folder), f"{run}.{place}.prom")
            if gateway:
                _push(gateway, run, place)
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


def _write(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # of the collector, which may be another user
    aside = folder / f".{name}.{os.getpid()}"
    aside.write_text(text(), encoding="utf-8")
    aside.replace(folder / name)


def _push(gateway: str, run: str, place: str) -> None:
    import urllib.request  # slow to load, and few stages hand over to a gateway

    address, headers = without_user(gateway.rstrip("/"))
    url = f"{address}/metrics/job/mmst/run/{quote(run, safe='')}/place/{quote(place, safe='')}"
    request = urllib.request.Request(
        url, data=text().encode(), method="PUT", headers={"Content-Type": "text/plain", **headers}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE):
        pass


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
