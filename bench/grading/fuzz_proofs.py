"""Coverage-guided fuzzing of the proofs that a program is harmless or endless, with atheris from PyPI.

    nice -n 19 python bench/grading/fuzz_proofs.py -max_total_time=600 -max_len=120 CORPUS_FOLDER

What must hold for any text: proving raises nothing and takes less than `SLOWEST` seconds. What is proven is run
here, for it is harmless: one that ends takes at most `STEPS` lines and `OUTPUT` characters; one that never ends is
still at work after `LONG` lines, or after `PATIENCE` seconds where its lines are not counted.
"""

import builtins
import contextlib
import io
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

import atheris

with atheris.instrument_imports(include=["mmst.harmless"]):
    from mmst.harmless import OUTPUT, STEPS, Proof, proof

SLOWEST, LONG, PATIENCE = 1.5, 20_000, 2.0
WORDS = (
    "x|y|n|=|+=|-=|*=|//=|%=|**|+|-|*|/|//|%|==|!=|<|>|<=| not | and | or | in |(|)|[|]|,|:|\n|\n    |\n        |if |"
    "else:|elif |while |for |range(|return |def f(n):|f(|break|continue|pass|print(|0|1|2|3|10|1.5|'a'|f'{x}'|"
    "f'{x:.2f}'|import math|from math import |math.|sqrt|import itertools|itertools.count(|from itertools import count|"
    "count(|import time|time.sleep(|100|True|None|__name__|'__main__'|sum(|max(|len(|sorted(|int(|float(|str(|bool(|"
    "round(|abs(|list(| if x else |lambda|x for x in |;|\\|#|10**100|x,y|-1|global |match |~|is |@|yield "
).split("|")


class Stopped(BaseException):
    """It was at work for long enough."""


def text(data: bytes) -> str:
    """A text of words of Python, chosen by the bytes; small ones are letters as they are."""
    return "".join(WORDS[b % len(WORDS)] if b >= 64 else chr(b) for b in data)


def stop(*_: object) -> NoReturn:
    """End the program that runs."""
    raise Stopped


def run(source: str, most: int) -> tuple[bool, str]:
    """Whether it was still at work after `most` lines, and what it printed."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line" and frame.f_code.co_filename == "<program>"
        return trace if lines <= most else stop()

    out, sleep = io.StringIO(), time.sleep
    time.sleep = stop
    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    with contextlib.redirect_stdout(out):
        sys.settrace(trace)
        try:
            exec(compile(source, "<program>", "exec"), {"__name__": "__main__", "__builtins__": builtins})
        except Stopped:
            return True, out.getvalue()
        except Exception:
            return False, out.getvalue()
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            time.sleep = sleep
    return False, out.getvalue()


def one(data: bytes) -> None:
    """One input: a program."""
    source, began = text(data), time.process_time()
    found = proof(source)
    assert time.process_time() - began < SLOWEST, source
    if found is Proof.ENDS:
        at_work, out = run(source, STEPS)
        assert not at_work, source
        assert len(out) <= OUTPUT, source
    if found is Proof.NEVER_ENDS:
        assert run(source, LONG)[0], source


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
