"""What trifles tell of a server: next to nothing is asked, and what comes back shows how the server wants to be asked.

Each question is asked when an answer or a refusal raises it, and once: all requests wait for the one that asks. Where
the server is in trouble meanwhile, nobody knows yet, and the next request asks again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import replace

from mmst.core.ports import Request
from mmst.inference.providers.openai_answers import Answer, BadAnswer, OneOnly
from mmst.inference.providers.openai_connection import OPEN_TIMEOUT, Refused
from mmst.inference.providers.openai_dialect import OWN_KEYS, Dialect
from mmst.inference.providers.openai_http import Broken

TRIFLE = Request(
    id="trifle",
    prompt="1",
    n=1,
    seed=0,
    temperature=0.0,
    top_p=1.0,
    max_tokens=1,
    stop=(),
    messages=({"role": "user", "content": "1"},),
)
HOT = replace(TRIFLE, temperature=2.0, max_tokens=16)
"""So hot and so long that no two completions are the same, unless nothing is drawn."""
SEEDS = (1, 2, 3)
NOT_HERE = {404, 405}
"""Statuses of a server that does not have the protocol that it is asked by."""
TROUBLE = (Broken, BadAnswer, Refused, TimeoutError)


class Trifles:
    """The questions that trifles answer about one server.

    Args:
        send: asks the server for one request in one dialect.
        dialect: how it is asked; what is learnt of the keys that it refuses is noted there.
        deadline: seconds for one trifle, if less than usual.
    """

    def __init__(
        self, send: Callable[[Request, Dialect], Awaitable[Answer]], dialect: Dialect, deadline: float
    ) -> None:
        self.send, self.dialect, self.seconds = send, dialect, min(deadline, OPEN_TIMEOUT)
        self.found: dict[Hashable, bool] = {}
        self.tried: Counter[Hashable] = Counter()
        self.lock = asyncio.Lock()

    async def answer(self, request: Request = TRIFLE, dialect: Dialect | None = None) -> Answer:
        """The answer to a trifle, asked without the keys of ours that the server turns out not to take."""
        dialect, left_out = dialect or self.dialect, set[str]()
        async with asyncio.timeout(self.seconds):
            while True:
                try:
                    return await self.send(request, dialect)
                except Refused as e:
                    new = dialect.refused(str(e)) - left_out
                    if not new:
                        raise
                    left_out |= new
                    dialect.left_out |= new

    async def answered(self) -> bool:
        """Whether the server completes a trifle now."""
        try:
            await self.answer()
        except TROUBLE:
            return False
        return True

    def known_to_give(self, request: Request) -> bool:
        """Like `gives`, without asking."""
        return self.found.get(_several(request), True)

    async def gives(self, request: Request) -> bool:
        """Whether the server gives a request's `n` completions at once, and counts the tokens of all.

        One that gives fewer refuses, or answers with one; there are some that do so for greedy completions only. One
        that counts the tokens of a single completion counts fewer than there are completions. True while nobody knows.
        """
        n, greedy = what = _several(request)

        async def find() -> bool | None:
            try:
                answer = await self.answer(replace(TRIFLE, n=n, temperature=0.0 if greedy else 1.0))
            except OneOnly:
                return False
            except Refused:
                return False if await self.answered() else None
            return not 0 < sum(completion.tokens for completion in answer.completions) < n

        return n == 1 or await self._once(what, find, unknown=True)

    async def chats_only(self) -> bool:
        """Whether a server that has no completions has chat completions; False while nobody knows."""

        async def find() -> bool | None:
            try:
                await self.answer()
            except Refused as e:
                if e.status not in NOT_HERE:
                    return None
                await self.answer(dialect=replace(self.dialect, chat=True))
                return True
            return False

        return await self._once("chat", find, unknown=False)

    async def takes_the_standard_only(self) -> bool:
        """Whether the server refuses keys of ours without naming them; False while nobody knows."""

        async def find() -> bool | None:
            try:
                await self.answer()
            except Refused:
                await self.answer(dialect=replace(self.dialect, left_out=set(OWN_KEYS)))
                return True
            return False

        return await self._once("standard", find, unknown=False)

    async def doubles_the_start(self) -> bool:
        """Whether the server puts a start token before a prompt that has one, whatever it is told.

        The number of tokens that it read tells. False while nobody knows, as where it adds none to any prompt.
        """

        async def find() -> bool | None:
            plain = await self.answer()
            begun = await self.answer(replace(TRIFLE, prompt=self.dialect.start + TRIFLE.prompt))
            one, two = (answer.completions[0].prompt_tokens for answer in (plain, begun))
            return one == self.dialect.start_tokens and two == one + 1

        return await self._once("start", find, unknown=False)

    async def draws(self) -> bool:
        """Whether the server's completions depend on chance at all; True while nobody knows."""

        async def find() -> bool | None:
            texts = {(await self.answer(replace(HOT, seed=seed))).completions[0].text for seed in SEEDS}
            return len(texts) > 1 or texts == {""}

        return await self._once("draws", find, unknown=True)

    async def _once(self, what: Hashable, find: Callable[[], Awaitable[bool | None]], *, unknown: bool) -> bool:
        if what not in self.found:
            before = self.tried[what]
            async with self.lock:
                if what not in self.found and self.tried[what] == before:  # else another has tried meanwhile
                    self.tried[what] += 1
                    try:
                        found = await find()
                    except TROUBLE:
                        found = None
                    if found is not None:
                        self.found[what] = found
        return self.found.get(what, unknown)


def _several(request: Request) -> tuple[int, bool]:
    """What whether a server gives several completions depends on: their number, and whether they are greedy."""
    return request.n, request.temperature == 0
