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
from dataclasses import replace
from typing import Any, TypeVar

from mmst.core import metrics
from mmst.core.errors import SamplerError
from mmst.core.ports import Completion, Request, Unfinished, failed
from mmst.core.records import FAILED, seed_of
from mmst.inference.providers.openai_answers import Answer, BadAnswer, OneOnly, words
from mmst.inference.providers.openai_attempts import Pace, raced
from mmst.inference.providers.openai_connection import Connection, Refused
from mmst.inference.providers.openai_dialect import ONE_ONLY, OWN_KEYS, Dialect
from mmst.inference.providers.openai_http import Broken
from mmst.inference.providers.openai_trifles import HOT, NOT_HERE, SEEDS, Trifles

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_BAD_PAUSE = 4.0
BAD_ANSWERS = 10
"""Number of bad answers to one request after which it is given up."""
FRUITLESS = 4
"""Number of requests in a row that run out of time, with none answered between them, that blame the server."""
CHAT = "chat"


class OpenAIServer:
    """Fulfils `ports.Sampler` over HTTP; a context manager that checks the server when entered.

    Args:
        url: the base address of `/completions` and `/models`.
        model: its name on the server; empty for the only one there is.
        concurrency: requests in flight at once.
        deadline: seconds after which one request, with all its retries, fails for good.
        checkpoint: the digest of the checkpoint that the server must say it serves; empty for any.
        files: the digest of that checkpoint's files, which counts as well.
        unstated: whether it may say nothing about that.
        silent: whether it must: it stated nothing when it was asked who it is.
        own: the folder for which it was started here, "" if it was not: its name where the server lists none, and
            then answers may carry any name.
        dialect: what is known of the model's start token and end of turn.
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
        files: str = "",
        unstated: bool = False,
        silent: bool = False,
        own: str = "",
        answered: str = "",
        key: str = "",
        dialect: Dialect | None = None,
    ) -> None:
        self.url, self.model = url, model
        self.checkpoint, self.files, self.unstated, self.silent = checkpoint, files, unstated, silent
        self.own, self.dialect = own, dialect or Dialect()
        self.chats = self.dialect.chat
        """Whether it is to be asked by the chat protocol whatever else it has."""
        self.completes = False
        """Whether it has ever answered by the protocol that it is asked by."""
        self.concurrency, self.deadline = concurrency, deadline
        self.answered, self._key = answered, key
        self.fingerprint = self.named = self.known = ""
        self.pace = Pace()
        self.last_answer, self.fruitless = float("-inf"), 0
        self.server: Connection
        self.trifles: Trifles
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
        protocol = "chat" if self.dialect.chat else ""
        said = {"model": self.named, "fingerprint": self.fingerprint, "checkpoint": self.known, "protocol": protocol}
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
        self.trifles = Trifles(self._send, self.dialect, self.deadline)
        self.known = await self._found()
        where = self.server.where
        if self.silent and self.known:
            raise SamplerError(
                f"{where} states which checkpoint it serves, and did not when the run asked who it is",
                value=words(self.known),
                remedy="enter the same command again: what it wrote so far is stored under its name and revision",
            )
        if not self.checkpoint or self.known in (self.checkpoint, self.files or self.checkpoint):
            return
        if self.known:
            raise SamplerError(
                f"{where} serves another checkpoint than {self.checkpoint}: it says {words(self.known)}",
                remedy="serve the model of the recipe, or name the served one as model.base",
            )
        if not self.unstated:
            raise SamplerError(
                f"{where} serves perhaps another checkpoint than {self.checkpoint}: it does not say which",
                remedy="say what it serves: --set sampling.served_model=NAME --set sampling.revision=COMMIT",
            )

    async def _found(self) -> str:
        """The checkpoint of the model that is asked for, as the server lists it; "" if it names none.

        A model that no list contains is there if a trifle is answered in its name.
        """
        trouble: SamplerError | None = None
        try:
            served = await self.server.models()
        except SamplerError as e:
            trouble, served = e, {}
        if not self.model:
            self.model = next(iter(served)) if len(served) == 1 else self.own
        if self.model in served:
            return served[self.model]
        if self.model and await self._answers() and self.named:
            return ""
        names = words(", ".join(served)) or "none"
        raise trouble or SamplerError(
            f"{self.server.where} serves {names}, not '{self.model}': set sampling.served_model"
        )

    async def _answers(self) -> bool:
        """Whether a trifle is completed before the deadline: the first one may take long."""
        end = self.loop.time() + self.deadline
        while True:
            try:
                await self.trifles.answer()
                return True
            except (Broken, BadAnswer, Refused):
                return False
            except TimeoutError:
                if self.loop.time() > end:
                    return False

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
            if not await self.server.in_step():
                raise self._out_of_step() from e
            raise Unfinished(e.what, answers, why=e.why, remedy=e.remedy) from e
        finally:
            for worker in workers:
                worker.cancel()
        if not await self.server.in_step():
            raise self._out_of_step()
        if self.known and requests:
            await self._still_the_same()
        return [answer for answer in answers if answer is not None]

    async def _complete(self, request: Request) -> list[Completion]:
        """Ask until there is a whole answer, the server refuses, or the deadline has passed."""
        began = self.loop.time()
        troubles: Counter[str]
        end, pause, bad, troubles = began + self.deadline, FIRST_PAUSE, 0, Counter()
        learnt: set[str] = set()

        def note(trouble: str) -> None:
            troubles[trouble] += 1
            metrics.retry("openai", trouble)

        while True:
            if not self.trifles.known_to_give(request):
                return await self._one_by_one(request)
            after = 0.0
            try:
                answer = await raced(
                    lambda: self._send(request, self.dialect), self.pace, end, passing=(Broken, BadAnswer), note=note
                )
                self.last_answer, self.fruitless, self.completes = self.loop.time(), 0, True
                if await self._as_wanted(request, answer):
                    return answer.completions
                continue
            except Refused as e:
                if await self._learns(e, request, learnt):
                    continue
                if e.for_all is None and ONE_ONLY.search(str(e)) and not await self.trifles.gives(request):
                    continue
                if e.for_all is not None and not await self.trifles.answered():
                    raise e.for_all from None
                return [failed(str(e))] * request.n
            except BadAnswer as e:
                if isinstance(e, OneOnly) and not await self.trifles.gives(request):
                    continue
                note(f"bad answer ({e})")
                bad, pause = bad + 1, min(pause, LONGEST_BAD_PAUSE)
                if bad == BAD_ANSWERS:
                    return [failed(f"bad answer: {_listed(troubles)}")] * request.n
            except Broken as e:
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
        return self.fruitless < max(FRUITLESS, self.concurrency) and await self.trifles.answered()

    async def _learns(self, e: Refused, request: Request, learnt: set[str]) -> bool:
        """Whether a refusal says how the server wants to be asked, which is remembered: then it is asked again.

        `learnt` is what this request has been changed for already.
        """
        new = self.dialect.refused(str(e)) - learnt
        unnamed = e.for_all is None and not new and not learnt
        may_be_ours = self.trifles.found.get("standard", not self.completes)  # true where others have found it out
        if unnamed and may_be_ours and await self.trifles.takes_the_standard_only():
            new = set(OWN_KEYS)
        # The first where others have found it out meanwhile.
        may_chat = not self.chats and (self.dialect.chat or not self.completes)
        if e.status in NOT_HERE and may_chat and CHAT not in learnt and await self.trifles.chats_only():
            new, self.dialect.chat = {CHAT}, True
            if not request.messages:
                raise SamplerError(
                    f"{self.server.where} has only the chat protocol, and the prompts of this run are no chat messages",
                    remedy="--set prompt.style=chat",
                )
        learnt |= new
        self.dialect.left_out |= new - {CHAT}
        return bool(new)

    async def _as_wanted(self, request: Request, answer: Answer) -> bool:
        """Whether an answer is to what was asked; False where the request must be asked in another way.

        `SamplerError` if the server does not draw.
        """
        begins, left_out = self.dialect.begins(request), self.dialect.left_out
        if begins and "add_special_tokens" not in left_out and await self.trifles.doubles_the_start():
            left_out.add("add_special_tokens")
            return False
        if not answer.each_counted and not await self.trifles.gives(request):
            return False
        await self._drawn(request, answer.completions)
        return True

    async def _drawn(self, request: Request, completions: Sequence[Completion]) -> None:
        """`SamplerError` if all completions are the same because the server draws none."""
        texts = {completion.text for completion in completions}
        if len(texts) == 1 < len(completions) and request.temperature > 0 and not await self.trifles.draws():
            raise SamplerError(
                f"{self.server.where} does not sample: at temperature {HOT.temperature:g} it gives the same "
                f"completion to {len(SEEDS)} seeds",
                remedy="make the server sample (`transformers serve` does if the model's generation_config.json says "
                '"do_sample": true)',
            )

    async def _one_by_one(self, request: Request) -> list[Completion]:
        """Its completions from a server that gives one at a time, each with a seed of its own."""
        each = (replace(request, n=1, seed=seed_of(request.seed, j)) for j in range(request.n))
        completions = [(await self._complete(one))[0] for one in each]
        await self._drawn(request, [completion for completion in completions if completion.finish != FAILED])
        return completions

    def _ask(self, request: Request) -> asyncio.Future[Answer]:
        return self._send(request, self.dialect)

    def _send(self, request: Request, dialect: Dialect) -> asyncio.Future[Answer]:
        """One attempt; `SamplerError` if another model or another server than before has answered."""
        return self.server.complete(request, self.model, dialect, self._from_the_same)

    def _from_the_same(self, answer: Answer) -> None:
        if answer.model == self.named and answer.fingerprint == self.fingerprint:
            return
        expected = self.answered or (self.named if self.own else self.model) or answer.model
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

    def _out_of_step(self) -> SamplerError:
        return SamplerError(
            f"the server at {self.server.where} sends answers that nobody asked for: which answer belongs to which "
            "request cannot be told, so none since the last finished part is kept",
            remedy="see to the server, or to the proxy before it; then the same command continues",
        )

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
