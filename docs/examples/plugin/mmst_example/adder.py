"""A sampler without a model: it adds the first two numbers of a question. It stands in for your own server."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from mmst.core.config import Config
from mmst.core.manifest import Manifest
from mmst.core.ports import Completion, Request, Sampler, Store

_FORMS = {"text": "{0} + {1} = {2} .\nThe answer is {2}", "code": "print({0} + {1})"}


class Adder:
    """Fulfils `mmst.core.ports.Sampler`."""

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        """The same completion `n` times for each request."""
        answers = []
        for request in requests:
            a, b, *_ = [*re.findall(r"\d+", request.question), "0", "0"]
            text = _FORMS.get(request.method, "{0} + {1}").format(a, b, int(a) + int(b))
            words = len(request.prompt.split())
            made = Completion(text=text, finish="stop", prompt_tokens=words, tokens=len(text.split()))
            answers.append([made] * request.n)
            on_done(request.n)
        return answers


def sampler(config: Config, store: Store, checkpoint: Manifest) -> AbstractContextManager[Sampler]:
    """The sampler of a checkpoint. A real one would load `mmst.core.weights.checkpoint_folder(store, checkpoint)`."""
    return nullcontext(Adder())
