"""One large piece of work in a process of its own, which prints how much memory it took at most, in MiB.

python -m tests.support.scale_process sample FOLDER URL REQUESTS     a sampling stage against a completions server
python -m tests.support.scale_process checkpoint S3_URI FILE         a checkpoint's file to a bucket and back
python -m tests.support.scale_process serve                          a completions server that answers at once; prints
its port
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any


def sample(folder: str, url: str, requests: str) -> None:
    from mmst.core.config import parse
    from mmst.core.manifest import Place
    from mmst.core.records import Problem, Split
    from mmst.core.stage_folder import StageFolder, sharded
    from mmst.stages.sample import Sampling
    from mmst.wiring import connect

    sampling = {"backend": "openai", "url": url, "served_model": "m", "revision": "1", "k": 1, "concurrency": 8}
    data = {"out": folder, "methods": ["text"], "sampling": sampling}
    engines = connect(parse(data))
    prepared = StageFolder.open(engines.store, "prepare", version=1, config=requests, inputs={})
    shards = []
    problems = (
        Problem(id=f"p-{i}", question=f"What is {i} + 1?", answer=str(i + 1), source="scale", split=Split.TRAIN)
        for i in range(int(requests))
    )
    for name, part in sharded(problems, 1000, "train"):
        prepared.write_records(name, part)
        shards.append(name)
    place = Place(run="scale", round=0, arm="base", step="sample")
    base = StageFolder.open(engines.store, "base", version=1, config={}, inputs={}).finish()
    made = Sampling().run(engines, place, {"problems": prepared.finish(shards=shards), "checkpoint": base})
    assert made.counts["samples"] == int(requests)


def checkpoint(uri: str, file: str) -> None:
    from mmst.core.hashes import file_sha256
    from mmst.wiring import open_store

    store, back = open_store(uri), Path(file + ".back")
    store.put_file("stages/train/x/model.safetensors", Path(file))
    store.get_file("stages/train/x/model.safetensors", back)
    assert file_sha256(back) == file_sha256(Path(file))
    back.unlink()


def serve() -> None:
    """HTTP by hand: a framework would be slower than what is measured."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            lines = head.decode().lower().split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length")), 0)
            await reader.readexactly(length)
            data: dict[str, Any] = {"data": [{"id": "m"}]}
            if length:
                choice = {"index": 0, "text": "1 + 1 = 2 .\nThe answer is 2", "finish_reason": "stop"}
                data = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}
            body = json.dumps(data).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(main())


if __name__ == "__main__":
    actions: dict[str, Any] = {"sample": sample, "checkpoint": checkpoint, "serve": serve}
    actions[sys.argv[1]](*sys.argv[2:])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
