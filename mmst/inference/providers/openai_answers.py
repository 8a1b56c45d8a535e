"""Strict parsing of a server's answers in the OpenAI completions protocol. Pure.

Nothing is trusted: sizes are bounded, types are checked, and any violation of the protocol is a `BadAnswer`. A
server's own words reach people only through `words`.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from mmst.core.ports import Completion, Request, failed
from mmst.core.redaction import redacted
from mmst.core.visible import line

TOKEN_CHARACTERS = 256
"""More than the longest token of any known vocabulary (128 spaces)."""
MOST_BYTES = 64 << 20
MOST_TOKENS = 1 << 31
FINISHES = ("stop", "length")
FILTERED = "content_filter"


class BadAnswer(Exception):
    """An answer that violates the protocol; the same request may succeed next time."""


class OneOnly(BadAnswer):
    """One completion where several were asked for: there are servers that do not know `n`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The completions in order of their index, and how the server identifies itself ("" if it does not).

    `each_counted` tells whether the tokens of each are known, not only those of all of them.
    """

    completions: list[Completion]
    model: str
    fingerprint: str
    each_counted: bool


def most_bytes(request: Request) -> int:
    """The maximum length of the answer to a request: every character escaped (6 bytes)."""
    text = 6 * most_characters(request)
    return min((64 << 10) + request.n * (4096 + text), MOST_BYTES)


def most_characters(request: Request) -> int:
    """The maximum length of a completion."""
    return 1024 + request.max_tokens * TOKEN_CHARACTERS


def decoded(raw: bytes, encoding: str, most: int) -> bytes:
    """A body, of which no more than `most` bytes are made; `BadAnswer` where there is more, or another encoding.

    None is asked for, but there are proxies that compress whatever was asked.

    >>> decoded(zlib.compress(b"yes"), "deflate", 3)
    b'yes'
    """
    encoding = encoding.strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        packed = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either kind, by its head
        try:
            raw = packed.decompress(raw, most + 1)
        except zlib.error:
            raise BadAnswer(f"not {encoding}") from None
        if len(raw) <= most and not packed.eof:
            raise BadAnswer(f"{encoding} that is cut off")
    elif encoding not in ("", "identity"):
        raise BadAnswer(f"encoded as {words(encoding, 40)}, which was not asked for")
    if len(raw) > most:
        raise BadAnswer(f"more than {most:,} bytes")
    return raw


def read(raw: bytes, request: Request, chat: bool = False, stops: Sequence[str] | None = None) -> Answer:
    """The answer to a request, in the completions or the chat protocol; `BadAnswer` if it is not one.

    The protocol counts tokens per answer, so without our server's own count per choice they are
    split evenly: the sum is right. A choice that a content filter withheld is a failed completion. A text ends before
    the first of `stops` (the request's own by default): there are servers that leave it there.
    """
    data = _object(raw)
    choices = _choices(data, request.n)
    usage = data.get("usage") or {}
    if not isinstance(usage, dict):
        raise BadAnswer("usage is not an object")
    prompt, total = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    share, more = divmod(total, request.n)
    stops = request.stop if stops is None else stops
    made = [
        _completion(choice, _text(choice, chat), request, prompt, share + (j < more), stops)
        for j, choice in enumerate(choices)
    ]
    each = len(choices) == 1 or all(choice.get("tokens") is not None for choice in choices)
    return Answer(made, _name(data, "model"), _name(data, "system_fingerprint"), each)


def models(raw: bytes) -> dict[str, str]:
    """The models served, each with the checkpoint that the server names ("" if it names none)."""
    data = _object(raw).get("data")
    if not isinstance(data, list) or not all(isinstance(m, dict) and _name(m, "id") for m in data):
        raise BadAnswer("it lists no models")
    return {_name(m, "id"): _name(m, "checkpoint") for m in data}


def message(raw: bytes) -> str:
    """The error message of a server, for people."""
    try:
        return _said(_object(raw))
    except BadAnswer:
        return words(raw.decode("utf-8", "replace"))


def words(text: str, most: int = 300) -> str:
    r"""Text from a server for one line of ours: bounded, with unprintable characters made visible.

    >>> words("slow\x1b[2J down\n")
    'slow\\x1b[2J down'
    """
    return line(" ".join(redacted(text[: 1 << 16]).split()), most)


def retry_after(header: str | None, now: float) -> float:
    """The seconds that a server asks to wait; 0 for anything else (negative, infinite, past, no date).

    >>> retry_after("2", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 0.0), retry_after("inf", 0.0)
    (2.0, 60.0, 0.0)
    """
    header = (header or "").strip()[:64]
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", header):
        return float(header)
    try:
        date = parsedate_to_datetime(header)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.fromtimestamp(now, UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return max(0.0, seconds.total_seconds())


def _said(data: dict[str, Any]) -> str:
    error = data.get("error", data.get("detail", data.get("message", data)))
    return words(str(error.get("message", error) if isinstance(error, dict) else error))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(raw)
    except (ValueError, RecursionError):
        raise BadAnswer("not JSON") from None
    if not isinstance(data, dict):
        raise BadAnswer("JSON, but not an object")
    return data


def _choices(data: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """The n choices by index."""
    choices = data.get("choices")
    if choices is None and data.get("error"):
        raise BadAnswer(f"an error instead of completions: {_said(data)}")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise BadAnswer("no list of choices")
    if len(choices) == 1 < n and choices[0].get("index") == 0:
        raise OneOnly(f"1 choices for n={n}")
    if len(choices) != n:
        raise BadAnswer(f"{len(choices)} choices for n={n}")
    by_index = {choice["index"]: choice for choice in choices if type(choice.get("index")) is int}
    if by_index.keys() != set(range(n)):
        raise BadAnswer("choices without an index")
    return [by_index[j] for j in range(n)]


def _text(choice: dict[str, Any], chat: bool) -> object:
    if not chat:
        return choice.get("text")
    said = choice.get("message")
    return said.get("content") if isinstance(said, dict) else None


def _completion(
    choice: dict[str, Any], text: object, request: Request, prompt: int, share: int, stops: Sequence[str]
) -> Completion:
    finish = choice.get("finish_reason")
    if finish == FILTERED:
        return failed("content filter: the server withholds this completion")
    if finish not in FINISHES:
        raise BadAnswer(f"finish_reason {words(repr(finish), 40)}")
    if not isinstance(text, str):
        raise BadAnswer("a choice without text")
    if len(text) > most_characters(request):
        raise BadAnswer(f"{len(text):,} characters for max_tokens={request.max_tokens}")
    if not text.isascii() and _lone_surrogate(text):
        raise BadAnswer("text that is not Unicode")
    tokens = share if choice.get("tokens") is None else _count(choice, "tokens")
    if ends := [at for at in map(text.find, stops) if at >= 0]:
        text, finish = text[: min(ends)], "stop"
    return Completion(text=text, finish=finish, prompt_tokens=prompt, tokens=tokens)


def _lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _count(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    if value is None:
        return 0
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise BadAnswer(f"{name} {words(repr(value), 40)}")
    return value


def _name(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 1000:
        raise BadAnswer(f"{name} {words(repr(value), 40)}")
    return value
