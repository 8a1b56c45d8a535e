"""Logs for machines: with `MMST_LOG=json`, one JSON object per line on standard error.

    {"time": "2026-11-21T10:04:31.204Z", "level": "info", "logger": "mmst.core.stage_folder",
     "message": "shard written", "run": "demo-6c1f…", "stage": "sample", "round": 1, "arm": "mmst",
     "shard": "shard-00003.jsonl", "records": 128}

Every line of a stage contains its run, stage, round and arm. Without `MMST_LOG=json`, only warnings and errors are
logged: people see the progress display instead.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, TextIO

from mmst.core.redaction import redacted
from mmst.core.visible import json_text
from mmst.observe.terminal import told

_USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def wanted() -> bool:
    """Whether the environment asks for JSON lines."""
    return os.environ.get("MMST_LOG", "") == "json"


def begin(stream: TextIO | None = None, **context: Any) -> None:
    """Log as the environment asks, with `context` in every line. A second call replaces the context."""
    if not wanted():
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(context))
    logger = logging.getLogger("mmst")
    for old in [h for h in logger.handlers if isinstance(h.formatter, JsonLines)]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class JsonLines(logging.Formatter):
    """A record as one JSON object: the usual fields, the context, and the caller's `extra`."""

    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self.context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line; values that JSON cannot hold are written as text."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            # Exactly as it was said: in JSON nothing can pass for a second line.
            "message": redacted(logging.LogRecord.getMessage(record)),
            **self.context,
            **{k: redacted(v) if isinstance(v, str) else v for k, v in vars(record).items() if k not in _USUAL},
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = told(record.exc_info[1]).rstrip("\n")
        return json_text(line)
