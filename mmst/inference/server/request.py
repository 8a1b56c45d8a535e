"""Strict parsing of requests to `mmst serve`. Pure.

Every field has one type and a limit. An unsupported field is refused by its name, never ignored. A body is scanned
before it is parsed, because a few MB of brackets take seconds to become objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from mmst.core.ports import Request

BODY_BYTES = 4 << 20
VALUES = 1000
"""Values, keys and brackets in a body: a normal one has some twenty, and sixteen stop strings."""
BYTES_A_TOKEN = 32
"""Prompts with more bytes per token of the context are refused untokenised: a byte may take a token, and memory."""
MOST_N = 256
MOST_TOKENS = 1 << 20
"""Maximum of `max_tokens`. It is also cut to the room in the model's context."""
STOPS = 16
STOP_CHARACTERS = 256
HOTTEST = 5.0
AGAIN = "1"
"""Seconds after which a client that is refused for now (503) should come again."""
NEUTRAL: dict[str, tuple[float, ...]] = {
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "repeat_penalty": (1,),
}
"""What clients send to switch off what this server has not: the values that say so."""
FIELDS = (
    frozenset("model prompt n temperature top_p max_tokens stop seed logprobs user add_special_tokens".split())
    | NEUTRAL.keys()
)


class BadRequest(Exception):
    """A request that can never be answered: the reason, the field, and the HTTP status."""

    def __init__(self, message: str, parameter: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.parameter, self.status = parameter, status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, whether its answer includes log-probabilities, and whether the tokenizer adds its own tokens."""

    request: Request
    logprobs: bool
    special_tokens: bool = True


def read(raw: bytes, *, model: str, context: int, id: str, seed: int) -> Asked:
    """The request in a body for the model of this name; `BadRequest` if it is not valid.

    `context` is the model's context in tokens; `seed` is used if the client names none.

    >>> read(b'{"model": "m", "prompt": "1 + 1 =", "n": true}', model="m", context=512, id="r", seed=1)
    Traceback (most recent call last):
    mmst.inference.server.request.BadRequest: n: must be an integer from 1 to 256, not True
    """
    data = _object(raw)
    for name in data:
        if name not in FIELDS:
            raise BadRequest(f"{name[:60]}: this server does not support it", name[:60])
    for name in ("model", "prompt"):
        if name not in data:
            raise BadRequest(f"{name}: is missing", name)
    for name, off in NEUTRAL.items():
        if type(value := data.get(name)) is bool or value not in (None, *off):
            raise BadRequest(f"{name}: this server supports only {off[0]}, not {_shown(value)}", name)
    named = _text(data, "model")
    if named != model:
        raise BadRequest(f"the model {_shown(named)} does not exist; this server has '{model}'", "model", 404)
    if data.get("user") is not None:
        _text(data, "user")
    given = _whole(data, "seed", None, -(2**63), 2**63 - 1)
    return Asked(
        Request(
            id=id,
            prompt=_prompt(data, context),
            n=_whole(data, "n", 1, 1, MOST_N) or 1,
            seed=seed if given is None else given,
            temperature=_number(data, "temperature", 0.0, HOTTEST),
            top_p=_share(data),
            max_tokens=_whole(data, "max_tokens", 16, 1, MOST_TOKENS) or 16,
            stop=_stops(data),
        ),
        logprobs=_whole(data, "logprobs", None, 0, 0) is not None,
        special_tokens=_yes_or_no(data, "add_special_tokens"),
    )


def error_body(status: int, message: str, parameter: str | None = None) -> dict[str, Any]:
    """The answer for an HTTP status other than 200, in the protocol's form."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": parameter, "code": status}}


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > BODY_BYTES:
        raise BadRequest(f"the body has more than {BODY_BYTES:,} bytes", None, 413)
    if _values(raw) > VALUES:
        raise BadRequest(f"the body contains more than {VALUES:,} values")
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise BadRequest(f"the body is not JSON: {e.msg[:200]} (line {e.lineno}, column {e.colno})") from None
    if not isinstance(data, dict):
        raise BadRequest(f"the body must be a JSON object, not {_shown(data)}")
    return data


def _values(raw: bytes) -> int:
    """A lower bound for the values, keys and brackets outside of strings, fast for any bytes."""
    plain = raw.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left of quotes begins and ends strings
    outside = plain.split(b'"', 2 * VALUES + 2)[::2]
    return len(outside) - 1 + sum(part.count(sign) for part in outside for sign in (b"[", b"{", b","))


def _prompt(data: dict[str, Any], context: int) -> str:
    value = data["prompt"]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise BadRequest(f"prompt: must be a string, or a list of one, not {_shown(value)}", "prompt")
    if not value:
        raise BadRequest("prompt: is empty", "prompt")
    if (size := len(value.encode())) > (most := context * BYTES_A_TOKEN):
        raise BadRequest(
            f"prompt: has {size:,} bytes; for the model's context of {context:,} tokens at most {most:,} are read",
            "prompt",
        )
    return value


def _stops(data: dict[str, Any]) -> tuple[str, ...]:
    value = data.get("stop")
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise BadRequest(f"stop: must be a string or a list of strings, not {_shown(value)}", "stop")
    if len(stops) > STOPS:
        raise BadRequest(f"stop: at most {STOPS} strings, not {len(stops)}", "stop")
    for s in stops:
        if not 1 <= len(s) <= STOP_CHARACTERS:
            raise BadRequest(f"stop: strings of 1 to {STOP_CHARACTERS} characters, not of {len(s):,}", "stop")
    return tuple(stops)


def _text(data: dict[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise BadRequest(f"{name}: must be a string, not {_shown(value)}", name)
    return value


def _whole(data: dict[str, Any], name: str, default: int | None, low: int, high: int) -> int | None:
    """An integer; a default of None means that the field may be null."""
    value = data.get(name, default)
    if value is None and default is None:
        return None
    if type(value) is not int or not low <= value <= high:
        allowed = f"{low}" if low == high else f"an integer from {low} to {high}"
        raise BadRequest(f"{name}: must be {allowed}, not {_shown(value)}", name)
    return value


def _yes_or_no(data: dict[str, Any], name: str) -> bool:
    value = data.get(name, True)
    if not isinstance(value, bool):
        raise BadRequest(f"{name}: must be true or false, not {_shown(value)}", name)
    return value


def _number(data: dict[str, Any], name: str, low: float, high: float) -> float:
    value = data.get(name, 1.0)
    if type(value) not in (int, float) or not low <= value <= high:
        raise BadRequest(f"{name}: must be a number from {low:g} to {high:g}, not {_shown(value)}", name)
    return float(value)


def _share(data: dict[str, Any]) -> float:
    value = _number(data, "top_p", 0.0, 1.0)
    if value == 0:
        raise BadRequest("top_p: must be more than 0", "top_p")
    return value


def _shown(value: object) -> str:
    """A value for a message, whatever its size."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return repr(value)
