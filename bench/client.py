"""Requests to a model server: our sampler beside other clients, on the same stub in the same run.

    python -m bench.client [--requests 1000] [--concurrency 16] [--share 0.3] [--rounds 3]

The stub (`tests/support/openai_stub.py`) is a process of its own, so the CPU time is the client's alone. First every
answer is good; then `--share` of the answers are faults of all kinds: 503, 429, resets, cut and malformed
answers, hangs, a byte every 0.2 s. The others get as many retries as they want (100), a timeout of 2 s, and 30 s
a request in all, since they have no total time of their own. `lost`: no answer. `twice`: completions that the caller is
given a second time. `bad`: an answer that the caller is given though it is none (fewer choices than asked for, no
text).

`openai client` is the official one. `aiohttp, lm-eval's way` is not lm-eval itself but its pattern: one aiohttp session
with as many connections as requests at once, `raise_for_status`, the JSON as it comes, retries after 1 to 10 s.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mmst.core.ports import Request
from mmst.inference.providers.openai import OpenAIServer

PATIENCE = 30.0
Answers = list[list[str] | None]
"""The completions that each request got; None for none."""


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took and lost."""

    seconds: float
    cpu: float
    lost: int
    twice: int
    bad: int


def requests(n: int) -> list[Request]:
    settings = {"n": 2, "temperature": 0.8, "top_p": 1.0, "max_tokens": 64, "stop": ("\n\n",)}
    return [Request(id=f"r{i}", prompt=f"Question: what is {i}?\n", seed=i, **settings) for i in range(n)]  # type: ignore[arg-type]


def ours(url: str, asked: list[Request], concurrency: int) -> Answers:
    with OpenAIServer(url, "m", concurrency=concurrency, deadline=600.0) as server:
        answers = server.sample(asked)
    return [None if any(c.finish == "failed" for c in a) else [c.text for c in a] for a in answers]


def official(url: str, asked: list[Request], concurrency: int) -> Answers:
    import openai

    async def work() -> Answers:
        gate = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=100, timeout=2.0) as client:

            async def one(r: Request) -> list[str] | None:
                async with gate:
                    try:
                        async with asyncio.timeout(PATIENCE):
                            answer = await client.completions.create(
                                model="m", prompt=r.prompt, n=r.n, seed=r.seed, temperature=r.temperature,
                                top_p=r.top_p, max_tokens=r.max_tokens, stop=list(r.stop),
                            )  # fmt: skip
                    except (openai.OpenAIError, TimeoutError, ValueError):
                        return None
                    choices = getattr(answer, "choices", None) or []
                    return sorted(str(getattr(c, "text", None)) for c in choices)

            return await asyncio.gather(*map(one, asked))

    return asyncio.run(work())


def evaluators(url: str, asked: list[Request], concurrency: int) -> Answers:
    import aiohttp

    async def call(session: aiohttp.ClientSession, r: Request) -> list[str]:
        payload = {
            "model": "m", "prompt": r.prompt, "n": r.n, "seed": r.seed, "temperature": r.temperature,
            "top_p": r.top_p, "max_tokens": r.max_tokens, "stop": list(r.stop),
        }  # fmt: skip
        for attempt in range(100):
            try:
                async with session.post(f"{url}/completions", json=payload) as response:
                    response.raise_for_status()
                    outputs = await response.json(content_type=None)
                    return [c["text"] for c in sorted(outputs["choices"], key=lambda c: c["index"])]
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
                await asyncio.sleep(min(10.0, max(1.0, 0.5 * 2**attempt)))
        raise TimeoutError

    async def work() -> Answers:
        gate, limit = asyncio.Semaphore(concurrency), aiohttp.TCPConnector(limit=concurrency)
        patience = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(connector=limit, timeout=patience) as session:

            async def one(r: Request) -> list[str] | None:
                async with gate:
                    try:
                        async with asyncio.timeout(PATIENCE):
                            return await call(session, r)
                    except TimeoutError:
                        return None

            return await asyncio.gather(*map(one, asked))

    return asyncio.run(work())


SIDES = {"ours": ours, "openai client": official, "aiohttp, lm-eval's way": evaluators}


def timed(side: Callable[[str, list[Request], int], Answers], n: int, concurrency: int, share: float) -> Took:
    serve = "import sys; from bench.client import serve; serve(float(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", serve, str(share)], stdout=subprocess.PIPE, text=True) as stub:
        assert stub.stdout is not None
        url, asked = stub.stdout.readline().strip(), requests(n)
        side(url, asked[:1], 1) if not share else None  # imports
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        answers = side(url, asked, concurrency)
        after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        stub.kill()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    given = [(r, a) for r, a in zip(asked, answers, strict=True) if a is not None]
    good = {f"{r.seed}.{j}" for r in asked for j in range(r.n)}
    counts = Counter(text for _, a in given for text in a if text in good)
    return Took(
        seconds,
        cpu,
        lost=len(asked) - len(given),
        twice=counts.total() - len(counts),
        bad=sum(a != [f"{r.seed}.{j}" for j in range(r.n)] for r, a in given),
    )


def serve(share: float) -> None:
    """The stub, until it is killed; says its address."""
    from tests.support.openai_stub import FAULTS, mixed, starting

    with starting() as begin:
        print(begin(mixed(share, FAULTS)).url, flush=True)
        time.sleep(3600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    print(f"{o.requests} requests, {o.concurrency} at once, medians of {o.rounds}, of lost, twice and bad the most")
    print(f"{'':36}{'seconds':>9}{'CPU µs':>9}{'lost':>6}{'twice':>7}{'bad':>6}")
    for share in (0.0, o.share):
        took: dict[str, list[Took]] = {name: [] for name in SIDES}
        for _ in range(o.rounds):
            for name, side in SIDES.items():
                took[name].append(timed(side, o.requests, o.concurrency, share))
        for name, runs in took.items():
            seconds = statistics.median(t.seconds for t in runs)
            cpu = statistics.median(t.cpu for t in runs) / o.requests * 1e6
            lost, twice, bad = (max(getattr(t, kind) for t in runs) for kind in ("lost", "twice", "bad"))
            print(f"{name + f', {share:.0%} faults':36}{seconds:9.2f}{cpu:9.0f}{lost:6}{twice:7}{bad:6}", flush=True)


if __name__ == "__main__":
    main()
