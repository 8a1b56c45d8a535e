"""A model behind the OpenAI completions protocol: KServe's /openai/v1, vLLM, TGI, `mmst serve`.

Transient trouble (429, 5xx, resets, timeouts, cut answers) is retried with growing, jittered
pauses until the request's deadline; what the server refuses (other 4xx) fails at once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import httpx

from mmst import metrics
from mmst.errors import SamplerError
from mmst.ports import Completion, Request

CONNECT_TIMEOUT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
RETRIED = {408, 409, 425, 429}


class Transient(Exception):
    """Trouble that may pass; `after` is how long the server asks to wait, in seconds."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.after = after


class OpenAIServer:
    """Fulfils `ports.Sampler` over HTTP; a context manager that checks the server when entered.

    Args:
        url: the address that `/completions` and `/models` stand under.
        model: its name on the server; empty for the only one there is.
        concurrency: requests in flight at once.
        deadline: seconds after which one request, with all its retries, fails for good.
        checkpoint: the digest of the checkpoint that the server must say it serves; empty for any.
    """

    def __init__(self, url: str, model: str, *, concurrency: int, deadline: float, checkpoint: str = "") -> None:
        self.url, self.model, self.checkpoint = url.rstrip("/"), model, checkpoint
        self.concurrency, self.deadline = concurrency, deadline
        self.stopped = Event()
        self.client: httpx.Client

    def __enter__(self) -> OpenAIServer:
        limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        self.client = httpx.Client(limits=limits, timeout=httpx.Timeout(self.deadline, connect=CONNECT_TIMEOUT))
        try:
            served = self._models()
            if not self.model and len(served) == 1:
                (self.model,) = served
            elif self.model not in served:
                names = ", ".join(served) or "none"
                raise SamplerError(f"{self.url} serves {names}, not '{self.model}': set sampling.served_model")
            if self.checkpoint and served[self.model] != self.checkpoint:
                said = f"says {served[self.model]}" if served[self.model] else "does not say which"
                raise SamplerError(f"{self.url} serves another checkpoint than {self.checkpoint}: it {said}")
        except BaseException:
            self.client.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self.client.close()

    def sample(
        self, requests: Sequence[Request], on_done: Callable[[int], None] = lambda n: None
    ) -> list[list[Completion]]:
        """The n completions of each request; `SamplerError` when one of them fails for good."""
        pool = ThreadPoolExecutor(self.concurrency, "completions")

        def one(request: Request) -> list[Completion]:
            answer = self._complete(request)
            on_done(len(answer))
            return answer

        try:
            futures: list[Future[list[Completion]]] = [pool.submit(one, request) for request in requests]
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((f for f in futures if f.done() and f.exception()), None)
            return [f.result() for f in ([failed] if failed else futures)]
        except BaseException:
            self.stopped.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _models(self) -> dict[str, str]:
        """The models served, each with the checkpoint that the server says it is, if it does."""
        remedy = "start one with `mmst serve`, or correct sampling.url"
        try:
            answer = self.client.get(f"{self.url}/models", timeout=CONNECT_TIMEOUT)
            answer.raise_for_status()
            return {str(m["id"]): str(m.get("checkpoint", "")) for m in answer.json()["data"]}
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise SamplerError(f"no model server answers at {self.url} ({_said(e)}). Remedy: {remedy}") from e
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise SamplerError(f"{self.url}/models is not the OpenAI protocol's. Remedy: {remedy}") from e

    def _complete(self, request: Request) -> list[Completion]:
        """Ask until there is a whole answer, the server refuses, or the deadline has come."""
        end = time.monotonic() + self.deadline
        pause, troubles = FIRST_PAUSE, Counter[str]()
        while True:
            try:
                return self._ask(request, end - time.monotonic())
            except Transient as e:
                troubles[str(e)] += 1
                if (left := end - time.monotonic()) < max(e.after, FIRST_PAUSE):
                    tries = "; ".join(f"{n} × {what}" for what, n in troubles.items())
                    raise SamplerError(
                        f"{self.url} did not complete {request.id} within {self.deadline:g} s: {tries}"
                    ) from e
                # Never past the deadline, nor up to it: trouble may pass in its second half too.
                rest = max(e.after, min(pause * random.uniform(0.5, 1.5), left / 2))
                pause = min(2 * pause, LONGEST_PAUSE)
                metrics.retry("openai", e)
                if self.stopped.wait(rest):
                    raise SamplerError(f"{request.id} was given up since another request failed") from e

    def _ask(self, request: Request, seconds: float) -> list[Completion]:
        """One attempt."""
        body = {
            "model": self.model,
            "prompt": request.prompt,
            "n": request.n,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        timeout = httpx.Timeout(max(seconds, 0.01), connect=min(CONNECT_TIMEOUT, max(seconds, 0.01)))
        try:
            answer = self.client.post(f"{self.url}/completions", json=body, timeout=timeout)
        except httpx.HTTPError as e:
            raise Transient(_said(e)) from e
        if answer.status_code in RETRIED or answer.status_code >= 500:
            raise Transient(f"HTTP {answer.status_code}: {_message(answer)}", _retry_after(answer))
        if answer.status_code != 200:
            raise SamplerError(f"{self.url} refused {request.id} (HTTP {answer.status_code}): {_message(answer)}")
        try:
            return _completions(answer.json(), request)
        except (ValueError, KeyError, TypeError) as e:
            raise Transient(f"an answer that is no completion ({type(e).__name__}: {e})") from e


def _completions(data: Any, request: Request) -> list[Completion]:
    """The completions in an answer, in order of their index.

    The protocol counts tokens per answer, so without our server's own count per choice they are
    split evenly: the sum is right.
    """
    choices = sorted(data["choices"], key=lambda c: c["index"])
    if [c["index"] for c in choices] != list(range(request.n)):
        raise ValueError(f"{len(choices)} choices for n={request.n}")
    usage = data.get("usage") or {}
    prompt, total = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    share, more = divmod(total, request.n)
    completions = []
    for j, choice in enumerate(choices):
        text, finish = choice["text"], choice.get("finish_reason")
        if not isinstance(text, str) or finish not in ("stop", "length"):
            raise ValueError(f"choice {j} has text {text!r:.40} and finish_reason {finish!r}")
        tokens = int(choice.get("tokens", share + (j < more)))
        completions.append(Completion(text=text, finish=finish, prompt_tokens=prompt, tokens=tokens))
    return completions


def _retry_after(answer: httpx.Response) -> float:
    try:
        return max(0.0, float(answer.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _message(answer: httpx.Response) -> str:
    """What the server says is wrong."""
    try:
        data = answer.json()
        error = data.get("error", data.get("detail", data.get("message", data)))
        return str(error.get("message", error) if isinstance(error, dict) else error)[:300]
    except (ValueError, AttributeError):
        return answer.text[:300]


def _said(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
