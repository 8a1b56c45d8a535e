"""A model behind the OpenAI completions protocol: KServe's /openai/v1, vLLM, TGI, `mmst serve`.

The result of a request:

    completions     within `deadline` seconds, all attempts together
    failed          the server refuses this request (HTTP 400, 413, 422 …), answers it badly every time,
                    or does not answer it while it answers others
    SamplerError    the server refuses every request (HTTP 401, 403, 404 …, also to a trifle), answers
                    nobody, or is exchanged for another under way

Problems that may pass (HTTP 408, 409, 425, 429, 5xx, resets, cut or bad answers) are retried after growing,
jittered pauses. A late attempt gets a second one beside it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from mmst.core import metrics
from mmst.core.errors import SamplerError
from mmst.core.ports import Completion, Request, Unfinished, failed
from mmst.inference.providers.openai_answers import Answer, BadAnswer, words
from mmst.inference.providers.openai_attempts import Pace, raced
from mmst.inference.providers.openai_connection import OPEN_TIMEOUT, Connection, Refused, Transient

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_BAD_PAUSE = 4.0
BAD_ANSWERS = 10
"""Number of bad answers to one request after which it is given up."""
FRUITLESS = 4
"""Number of requests in a row that run out of time, with none answered between them, that blame the server."""
TRIFLE = Request(id="trifle", prompt="1", n=1, seed=0, temperature=0.0, top_p=1.0, max_tokens=1, stop=())


class OpenAIServer:
    """Fulfils `ports.Sampler` over HTTP; a context manager that checks the server when entered.

    Args:
        url: the base address of `/completions` and `/models`.
        model: its name on the server; empty for the only one there is.
        concurrency: requests in flight at once.
        deadline: seconds after which one request, with all its retries, fails for good.
        checkpoint: the digest of the checkpoint that the server must say it serves; empty for any.
        answered: the model's name in the server's answers; empty for the one that is asked for.
        key: sent as the API key; never shown.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        concurrency: int,
        deadline: float,
        checkpoint: str = "",
        answered: str = "",
        key: str = "",
    ) -> None:
        self.url, self.model, self.checkpoint = url, model, checkpoint
        self.concurrency, self.deadline = concurrency, deadline
        self.answered, self._key = answered, key
        self.fingerprint = self.named = self.known = ""
        self.pace = Pace()
        self.last_answer, self.fruitless = float("-inf"), 0
        self.server: Connection
        self.loop: asyncio.AbstractEventLoop

    def __enter__(self) -> OpenAIServer:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="completions", daemon=True)
        self.thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        """The n completions of each request, including failed ones; `Unfinished` if the server fails."""

        def told(answer: Sequence[Completion]) -> None:
            on_tokens(sum(completion.tokens for completion in answer))
            on_done(len(answer))

        return self._run(self._all(requests, told))

    def stated(self) -> dict[str, str]:
        """See `ports.Stating`."""
        said = {"model": self.named, "fingerprint": self.fingerprint, "checkpoint": self.known}
        return {name: value for name, value in said.items() if value}

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this in the event loop's thread; if the caller is interrupted, it is cancelled too."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _open(self) -> None:
        self.server = Connection(self.url, self._key)
        served, where = await self.server.models(), self.server.where
        if not self.model and len(served) == 1:
            (self.model,) = served
        elif self.model not in served:
            names = words(", ".join(served)) or "none"
            raise SamplerError(f"{where} serves {names}, not '{self.model}': set sampling.served_model")
        self.known = served[self.model]
        if self.checkpoint and self.known != self.checkpoint:
            said = f"says {words(self.known)}" if self.known else "does not say which"
            raise SamplerError(f"{where} serves another checkpoint than {self.checkpoint}: it {said}")

    async def _close(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if hasattr(self, "server"):
            await self.server.close()

    async def _all(
        self, requests: Sequence[Request], told: Callable[[Sequence[Completion]], None]
    ) -> list[list[Completion]]:
        answers: list[list[Completion] | None] = [None] * len(requests)
        todo = iter(enumerate(requests))

        async def work() -> None:
            for i, request in todo:
                answers[i] = answer = await self._complete(request)
                told(answer)

        workers = [asyncio.create_task(work()) for _ in range(min(self.concurrency, len(requests)))]
        try:
            await asyncio.gather(*workers)
        except SamplerError as e:
            raise Unfinished(e.what, answers, why=e.why, remedy=e.remedy) from e
        finally:
            for worker in workers:
                worker.cancel()
        if self.known and requests:
            await self._still_the_same()
        return [answer for answer in answers if answer is not None]

    async def _complete(self, request: Request) -> list[Completion]:
        """Ask until there is a whole answer, the server refuses, or the deadline has passed."""
        began = self.loop.time()
        end, pause, bad, troubles = began + self.deadline, FIRST_PAUSE, 0, Counter[str]()

        def note(trouble: str) -> None:
            troubles[trouble] += 1
            metrics.retry("openai", trouble)

        while True:
            after = 0.0
            try:
                answer = await raced(
                    lambda: self._ask(request), self.pace, end, passing=(Transient, BadAnswer), note=note
                )
                self.last_answer, self.fruitless = self.loop.time(), 0
                return answer.completions
            except Refused as e:
                if e.for_all is not None and not await self._completes_a_trifle():
                    raise e.for_all from None
                return [failed(str(e))] * request.n
            except BadAnswer as e:
                note(f"bad answer ({e})")
                bad, pause = bad + 1, min(pause, LONGEST_BAD_PAUSE)
                if bad == BAD_ANSWERS:
                    return [failed(f"bad answer: {_listed(troubles)}")] * request.n
            except Transient as e:
                note(str(e))
                after = e.after
            except TimeoutError:
                pass
            left = end - self.loop.time()
            if left < max(after, FIRST_PAUSE):
                tries = f"within {self.deadline:g} s: {_listed(troubles)}"
                if not await self._works(began):
                    raise SamplerError(f"{self.server.where} did not complete {request.id} {tries}")
                if left < FIRST_PAUSE:
                    return [failed(f"deadline: no completion {tries}")] * request.n
                after = 0.0  # it works, so a wait that is longer than the deadline is not to be believed
            # Never past the deadline, nor up to it: trouble may pass in its second half too.
            await asyncio.sleep(max(after, min(pause * random.uniform(0.5, 1.5), left / 2)))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _works(self, since: float) -> bool:
        """Whether the request is the problem, not the server.

        The server works if it has answered another request since then, or answers a trivial one now.
        """
        if self.last_answer >= since:
            return True
        self.fruitless += 1
        return self.fruitless < max(FRUITLESS, self.concurrency) and await self._completes_a_trifle()

    async def _completes_a_trifle(self) -> bool:
        try:
            async with asyncio.timeout(min(self.deadline, OPEN_TIMEOUT)):
                await self._ask(TRIFLE)
        except (Transient, BadAnswer, Refused, TimeoutError):
            return False
        return True

    async def _ask(self, request: Request) -> Answer:
        """One attempt; `SamplerError` if another model or another server than before has answered."""
        answer = await self.server.complete(request, self.model)
        expected = self.answered or self.model
        if answer.model not in ("", expected):
            raise SamplerError(
                f"{self.server.where} answers as model '{words(answer.model, 80)}', not '{expected}'",
                remedy="if that is the same one, --set sampling.answered_model=ITS_NAME; "
                "else correct sampling.served_model",
            )
        if answer.fingerprint and self.fingerprint and answer.fingerprint != self.fingerprint:
            raise self._exchanged(f"fingerprint {self.fingerprint}", f"fingerprint {answer.fingerprint}")
        self.fingerprint = answer.fingerprint or self.fingerprint
        self.named = answer.model or self.named
        return answer

    async def _still_the_same(self) -> None:
        """`SamplerError` if the server now serves another checkpoint than it said at first."""
        end = self.loop.time() + self.deadline
        while True:
            try:
                now = (await self.server.models()).get(self.model, "")
                break
            except SamplerError:
                if self.loop.time() > end:
                    raise
                await asyncio.sleep(FIRST_PAUSE)
        if now != self.known:
            raise self._exchanged(f"checkpoint {self.known}", f"checkpoint {now or 'unknown'}")

    def _exchanged(self, before: str, now: str) -> SamplerError:
        return SamplerError(
            f"the server at {self.server.where} was replaced by another during sampling: {words(before, 100)}, now "
            f"{words(now, 100)}",
            remedy="sample from a server that stays the same",
        )


def _listed(troubles: Counter[str]) -> str:
    """The most common problems, with the count of each."""
    shown = "; ".join(f"{n} × {what}" for what, n in troubles.most_common(4))
    return shown + ("; …" if len(troubles) > 4 else "")
