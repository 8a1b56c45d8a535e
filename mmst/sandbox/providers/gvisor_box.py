"""One running gVisor sandbox: its input, its answers, its end."""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

from mmst.core.meter import Allowance, Meter
from mmst.core.process import die_with_parent
from mmst.sandbox import replies
from mmst.sandbox.guest.machine import OUTPUT
from mmst.sandbox.guest.packages import wanted
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.work import Work

START_SECONDS = 60.0
GRACE_SECONDS = 60.0
"""How long a sandbox may take for its own work, above all the first import of its packages."""
EVALUATION_SECONDS = 60.0
"""How long the evaluation of a batch may take: a second or two if the machine is not busy."""
_WORDS_MOST = 4096


class Broken(Exception):
    """A sandbox that cannot be used any more, with the reason."""


class Box:
    """A sandbox and its work: one program, or a batch to evaluate. It may get work before it is `ready`."""

    def __init__(self, bundle: Path, platform: str, here: tuple[str, ...] = (), *, evaluator: bool = False) -> None:
        """The OCI bundle's root folder has the packages `here`; beside it is the bundle of an evaluator."""
        self.ready, self._evaluator = False, evaluator
        self._state = _state()
        self.id = f"mmst-{os.getpid()}-{secrets.token_hex(4)}"
        options = [f"--root={self._state}", "--network=none", "--ignore-cgroups"]
        options += ["--rootless"] if os.geteuid() != 0 else []
        options += [f"--platform={platform}"] if platform else []
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the sandbox
        self._process = subprocess.Popen(
            ["runsc", *options, "run", f"--bundle={bundle / 'evaluator' if evaluator else bundle}", self.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"TMPDIR": tempfile.gettempdir()},  # runsc does not start where $TMPDIR is not there
            start_new_session=True,
            # gVisor does not always tell those inside that their stdin is closed.
            preexec_fn=functools.partial(die_with_parent, os.getpid()),
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self.stdin, self.out = self._process.stdin, self._process.stdout
        os.set_blocking(self.stdin.fileno(), False)
        self.works: Sequence[Work] = ()
        self.allowance: Allowance | None = None
        self._here = here
        self._warm: set[tuple[str, ...]] = {()}
        self._warming: tuple[str, ...] = ()
        self._meter = Meter(self._process.pid)
        self._deadline = time.monotonic() + START_SECONDS
        self._most = _WORDS_MOST
        self._got = bytearray()

    def give(self, works: Sequence[Work]) -> None:
        """Start a program, or evaluate a batch, as soon as the sandbox is ready; `advance` then returns the result."""
        self.works, self.allowance = works, None
        if self.ready:
            self._start()

    def _start(self) -> None:
        """Start its work; packages are imported before a program's time begins."""
        if self._evaluator:
            return self._evaluate()
        [work] = self.works
        names = wanted(work.program.source.encode("utf-8", "surrogatepass"), self._here)
        if names in self._warm:
            return self._begin(work)
        self._warming, self._most = names, _WORDS_MOST
        return self._ask(json.dumps({"warm": names}).encode(), GRACE_SECONDS)

    def _begin(self, work: Work) -> None:
        self.allowance = Allowance(self._meter, work.limits.timeout)
        self._most = 2 * replies.most(work.limits.output_kib << 10)
        self._ask(work.frame(self.allowance.most), self.allowance.most + GRACE_SECONDS)

    def _evaluate(self) -> None:
        self._most = 2 * OUTPUT * len(self.works) + _WORDS_MOST
        self._ask(json.dumps({"sources": [w.program.source for w in self.works]}).encode(), EVALUATION_SECONDS)

    def advance(self) -> bytes | None:
        """Its answer, None until it is there; `Broken` if it will never come."""
        frame = self._frame()
        if frame is None:
            return None
        if not self.ready:
            self.ready = True
            if self.works:
                self._start()
            return None
        if self._warming:
            self._warm.add(self._warming)
            self._warming = ()
            self._begin(self.works[0])
            return None
        self.works = ()
        return frame

    def look(self) -> float:
        """Seconds until it must be checked again; stops its program if its time is over."""
        left = max(0.0, self._deadline - time.monotonic())
        if self.allowance is None or self.allowance.over:
            return left
        if soon := self.allowance.look():
            return min(left, soon)
        self._ask(b"", GRACE_SECONDS)
        return GRACE_SECONDS

    def await_ready(self) -> None:
        """Wait until it has started."""
        while not self.ready:
            speaking([self])
            self.advance()

    def kill(self, patience: float = 1.0) -> None:
        """End it and remove its files; `patience` is the number of seconds that it has to end by itself."""
        self.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # the sandbox dies with its `runsc run`
            self._process.wait()
        for left in self._state.glob(f"*{self.id}*"):
            left.unlink(missing_ok=True)
        self.out.close()
        self._log.close()

    def _ask(self, frame: bytes, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._send(memoryview(len(frame).to_bytes(4, "big") + frame))

    def _send(self, data: memoryview) -> None:
        """Write everything; if a sandbox does not accept it, `advance` finds out why."""
        while data:
            try:
                data = data[os.write(self.stdin.fileno(), data) :]
            except BlockingIOError:
                if time.monotonic() > self._deadline:
                    return
                time.sleep(0.001)
            except BrokenPipeError:
                return

    def _frame(self) -> bytes | None:
        """The next frame when it is whole."""
        if not wait([self.out.fileno()], 0):
            if time.monotonic() >= self._deadline:
                raise Broken("it was silent for too long")
            return None
        data = os.read(self.out.fileno(), 1 << 20)
        if not data:
            raise Broken(f"it ended ({self._last_words()})")
        self._got += data
        size = int.from_bytes(self._got[:4], "big")
        if size > self._most:
            raise Broken("it sent something that is not a frame")
        if len(self._got) < 4 + size or len(self._got) < 4:
            return None
        body = bytes(self._got[4 : 4 + size])
        del self._got[: 4 + size]
        return body

    def _last_words(self) -> str:
        self._log.seek(0)
        text = self._log.read()[-600:].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


def sweep() -> None:
    """Remove gVisor's state of sandboxes whose driver was killed."""
    for note in _state().iterdir():
        driver = re.search(r"mmst-(\d+)-", note.name)
        if driver and not Path(f"/proc/{driver[1]}").exists():
            note.unlink(missing_ok=True)


def _state() -> Path:
    folder = gvisor_root.cache() / "state"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def speaking(boxes: list[Box]) -> list[Box]:
    """Wait for sandboxes that have an answer; also returns those that have been silent for too long."""
    found = wait([b.out.fileno() for b in boxes], min(b.look() for b in boxes))
    return [b for b in boxes if b.out.fileno() in found or b.look() <= 0]
