"""How one server is asked: by which protocol, and with which keys beside the standard's. Pure, but for what is learnt.

A server's defaults, which come from the model's own files with some, must not enter what is drawn: a top-k, a least
probability, a penalty for repetition are switched off by name, wherever a server knows the name.

A prompt that is rendered from chat messages begins with the tokenizer's start token, and a server that tokenises it
puts a second one before it unless `add_special_tokens` is false. A server that refuses this key gets the prompt
without that token, which it then adds itself: either way there is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from mmst.core.ports import Request

NEUTRAL: dict[str, float] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""What switches a server's own defaults off; the last is llama.cpp's name for the one before."""
OWN_KEYS = ("add_special_tokens", "stop_token_ids", *NEUTRAL)
"""Keys that vLLM, SGLang, llama.cpp and TGI take, some each, and that the standard does not know."""
ONE_ONLY = re.compile(r"\bn\b|\b(one|1|single|multiple)\b.*\b(choices?|completions?|sequences?)\b", re.IGNORECASE)
"""What a refusal of `n` may say."""


@dataclass(slots=True, kw_only=True)
class Dialect:
    """What is known of a server and of the model that it serves.

    Args:
        start: the text of the token that the model's tokenizer puts before a text by itself; "" for none.
        start_tokens: how many tokens the prompt "1" has with it.
        turn_end: the text that ends a turn of the model's chat template where the model may not end there by itself.
        turn_end_token: its token, for a server that does not show it as text; None if it ends there anyway.
        chat: the server is asked by the chat protocol, with the request's messages; a prompt without any is one.
        left_out: those of `OWN_KEYS` that the server has refused.
    """

    start: str = ""
    start_tokens: int = 0
    turn_end: str = ""
    turn_end_token: int | None = None
    chat: bool = False
    left_out: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Where a request goes, below the base address."""
        return "chat/completions" if self.chat else "completions"

    def begins(self, request: Request) -> bool:
        """Whether a prompt that is sent as such begins with the start token."""
        return bool(self.start) and not self.chat and request.prompt.startswith(self.start)

    def stops(self, request: Request) -> list[str]:
        """The texts before which a completion ends."""
        return [*request.stop, *([self.turn_end] if self.turn_end and self.turn_end not in request.stop else ())]

    def body(self, request: Request, model: str) -> bytes:
        """A request as JSON."""
        body: dict[str, Any] = {
            "model": model,
            "n": request.n,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
            **{key: value for key, value in NEUTRAL.items() if key not in self.left_out},
        }
        prompt = request.prompt
        if self.chat:
            user = {"role": "user", "content": prompt}
            body["messages"] = [dict(message) for message in request.messages or (user,)]
        elif not self.begins(request):
            body["prompt"] = prompt
        elif "add_special_tokens" in self.left_out:
            body["prompt"] = prompt[len(self.start) :]
        else:
            body |= {"prompt": prompt, "add_special_tokens": False}
        if stops := self.stops(request):
            body["stop"] = stops
        if self.turn_end_token is not None and "stop_token_ids" not in self.left_out:
            body["stop_token_ids"] = [self.turn_end_token]
        try:
            return orjson.dumps(body)
        except TypeError:  # half a surrogate pair: the server says what it thinks of it
            return json.dumps(body).encode()

    def refused(self, said: str) -> set[str]:
        """The keys of ours that a refusal names, and that are still sent."""
        return {key for key in OWN_KEYS if key in said}
