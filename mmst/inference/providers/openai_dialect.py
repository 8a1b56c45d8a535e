"""How one server is asked: by which protocol, and with which keys beside the standard's. Pure, but for what is learnt.

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

OWN_KEYS = ("add_special_tokens", "stop_token_ids")
"""Keys that vLLM, SGLang and TGI take, and that the standard does not know."""
ONE_ONLY = re.compile(r"\bn\b|\b(one|1|single|multiple)\b.*\b(choices?|completions?|sequences?)\b", re.IGNORECASE)
"""What a refusal of `n` may say."""


@dataclass(slots=True, kw_only=True)
class Dialect:
    """What is known of a server and of the model that it serves.

    Args:
        start: the text of the token that the model's tokenizer puts before a text by itself; "" for none.
        turn_end: the text that ends a turn of the model's chat template where the model may not end there by itself.
        turn_end_token: its token, for a server that does not show it as text; None if it ends there anyway.
        chat: the server is asked by the chat protocol, with the request's messages; a prompt without any is one.
        left_out: those of `OWN_KEYS` that the server has refused.
    """

    start: str = ""
    turn_end: str = ""
    turn_end_token: int | None = None
    chat: bool = False
    left_out: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Where a request goes, below the base address."""
        return "chat/completions" if self.chat else "completions"

    def body(self, request: Request, model: str) -> bytes:
        """A request as JSON."""
        body: dict[str, Any] = {
            "model": model,
            "n": request.n,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
        prompt = request.prompt
        if self.chat:
            user = {"role": "user", "content": request.prompt}
            body["messages"] = [dict(message) for message in request.messages or (user,)]
        elif self.start and prompt.startswith(self.start) and "add_special_tokens" in self.left_out:
            body["prompt"] = prompt[len(self.start) :]
        else:
            body["prompt"] = prompt
            if self.start and prompt.startswith(self.start):
                body["add_special_tokens"] = False
        stop = [*request.stop, *([self.turn_end] if self.turn_end and self.turn_end not in request.stop else ())]
        if stop:
            body["stop"] = stop
        if self.turn_end_token is not None and "stop_token_ids" not in self.left_out:
            body["stop_token_ids"] = [self.turn_end_token]
        try:
            return orjson.dumps(body)
        except TypeError:  # half a surrogate pair: the server says what it thinks of it
            return json.dumps(body).encode()

    def refused(self, said: str) -> set[str]:
        """The keys of ours that a refusal names."""
        return {key for key in OWN_KEYS if key in said}
