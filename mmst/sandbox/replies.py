"""Strict parsing of the replies of a sandbox or pod. Pure.

Every byte may be a hostile program's: nothing is read but what is listed here, everything has a
bound, and whatever is otherwise is `Nonsense`, which is never a verdict. Texts travel as base64 of
their bytes, so a bound in bytes is one, and no text holds a lone surrogate.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mmst.sandbox.guest.watch import STDERR_KEPT

_SECONDS_MOST = 1e6
_KIB_MOST = 1 << 40
_FIELDS = {"id", "status", "cut", "stdout", "stderr", "seconds", "peak_kib", "spent", "evaluated"}


class Nonsense(Exception):
    """A sandbox sent something that does not answer the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of one program.

    `status` is its exit status, negative for a signal; None when it was evaluated and not run.
    `cut` is "time" or "output" when it was killed for that. `evaluated` is what the evaluator says
    that it prints; None when it was not asked or did not finish it. `spent` says that the sandbox ends
    now: the program left more behind than it clears away.
    """

    id: str
    status: int | None = None
    cut: str = ""
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    peak_kib: int = 0
    evaluated: str | None = None
    spent: bool = False


def most(output: int) -> int:
    """The maximum size of a reply, in bytes, for a program that may print `output` bytes."""
    return 3 * output + 2 * STDERR_KEPT + 4096


def reply(body: bytes, *, output: int) -> Reply:
    """The reply for a program that may print `output` bytes; `Nonsense` if it is not one.

    >>> reply(b'{"id": "a", "status": 0, "stdout": "NDIK"}', output=64).stdout
    '42\\n'
    >>> reply(b'{"id": "a", "status": 256}', output=64)
    Traceback (most recent call last):
    mmst.sandbox.replies.Nonsense: it sent something that is not an answer (status)
    """
    if len(body) > most(output) * 2:
        raise Nonsense("it sent more than it may")
    fields = _object(body)
    name, cut = fields.get("id"), fields.get("cut", "")
    spent = fields.get("spent", False)
    if not isinstance(name, str) or not set(fields) <= _FIELDS or cut not in ("", "time", "output"):
        raise Nonsense("it sent something that is not an answer")
    found = Reply(
        id=name,
        status=_whole(fields, "status", -64, 255) if "status" in fields else None,
        cut=cut,
        stdout=_text(fields.get("stdout", ""), output, "stdout"),
        stderr=_text(fields.get("stderr", ""), STDERR_KEPT, "stderr"),
        seconds=_number(fields, "seconds"),
        peak_kib=_whole(fields, "peak_kib", 0, _KIB_MOST),
        evaluated=None if fields.get("evaluated") is None else _text(fields["evaluated"], output, "evaluated"),
        spent=spent is True,
    )
    if type(spent) is not bool or (found.status is None and found.evaluated is None):
        raise Nonsense("it sent something that is not an answer")
    return found


def asked(body: bytes) -> str:
    """The id that a reply answers; empty if it has none."""
    try:
        name = _object(body).get("id")
    except Nonsense:
        return ""
    return name if isinstance(name, str) else ""


def evaluations(body: bytes, n: int, *, output: int) -> list[str | None]:
    """The evaluator's results for `n` programs, in order; None for each that it did not finish."""
    results = _object(body).get("results")
    if not isinstance(results, list) or len(results) != n:
        raise Nonsense("it sent something that is not an answer")
    return [None if text is None else _text(text, output, "results") for text in results]


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Nonsense("it sent something that is not a frame")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _whole(fields: Mapping[str, Any], name: str, least: int, greatest: int) -> int:
    value = fields.get(name, 0)
    if type(value) is not int or not least <= value <= greatest:
        raise Nonsense(f"it sent something that is not an answer ({name})")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name, 0)
    if type(value) not in (int, float) or not 0 <= value <= _SECONDS_MOST or math.isnan(value):
        raise Nonsense(f"it sent something that is not an answer ({name})")
    return float(value)


def _text(value: Any, bytes_most: int, name: str) -> str:
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        data = None
    if data is None or len(data) > bytes_most:
        raise Nonsense(f"it sent something that is not an answer ({name})")
    return data.decode("utf-8", "replace")
