"""Completions made elsewhere, read from a file.

JSONL; several lines of one problem and method are several samples, in file order::

    {"question": "Ann has 3 apples …", "method": "code", "completion": "print(3 + 4)"}
    {"problem_id": "p-5d1c0f2b9a7e4c31", "method": "text", "completion": "The answer is 7"}
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mmst.core.errors import DataError
from mmst.core.method_files import MethodFile
from mmst.core.ports import Completion, Request
from mmst.core.rows import no_lines
from mmst.datasets import problem_id
from mmst.methods import methods

FIELDS = ("question", "problem_id", "method", "completion")
REMEDY = 'a line is {"question" or "problem_id": …, "method": …, "completion": …}'


class Recorded:
    """Fulfils `ports.Sampler` from a file, which is read and validated completely when it is opened.

    A request gets the first n completions of its problem and method, or as many as there are.
    Tokens are counted as words, because the recorder's tokenizer is unknown.
    """

    def __init__(self, path: Path, filed: Iterable[MethodFile] = ()) -> None:
        """`filed` are the recipe's methods that stand in files."""
        self.completions: dict[tuple[str, str], list[str]] = defaultdict(list)
        known = [*methods(), *(file.name for file in filed)]
        try:
            data = path.read_bytes()
        except OSError as e:
            raise DataError(f"cannot read {path} ({e.strerror})", remedy="check the path") from e
        if other := no_lines(data[:4096]):
            raise DataError(
                f"{path} is {other[0]}; this command reads JSON lines", remedy=other[1].partition(", or pipe")[0]
            )
        lines = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.strip():
                key, completion = _parsed(line, f"{path}, line {number}", known)
                self.completions[key].append(completion)
        if not self.completions:
            raise DataError(f"{path} contains no completion", remedy=REMEDY)

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        """The recorded completions of each request; fewer than n if the file has fewer."""
        results = []
        for r in requests:
            texts = self.completions.get((r.problem_id or problem_id(r.question), r.method), [])[: r.n]
            words = len(r.prompt.split())
            results.append(
                [Completion(text=t, finish="stop", prompt_tokens=words, tokens=len(t.split())) for t in texts]
            )
            on_done(r.n)
        return results


def _parsed(line: bytes, where: str, known: Sequence[str]) -> tuple[tuple[str, str], str]:
    """((problem id, method), completion) of a line; `DataError` for any other line."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as e:
        shown = line[:80].decode(errors="replace")
        raise DataError(f"{where}: not JSON ({e})", value=shown, remedy=REMEDY) from None
    if not isinstance(data, dict):
        raise DataError(f"{where}: not an object", value=data, remedy=REMEDY)
    for name, value in data.items():
        if name not in FIELDS:
            raise DataError(f"{where}: unknown field '{name}'", value=value, remedy=f"fields: {', '.join(FIELDS)}")
        if not isinstance(value, str):
            raise DataError(f"{where}: field '{name}' must be a string", value=value, remedy=REMEDY)
    for name in ("method", "completion"):
        if name not in data:
            raise DataError(f"{where}: field '{name}' is missing", value=data, remedy=REMEDY)
    subjects = [name for name in ("question", "problem_id") if data.get(name, "").strip()]
    if len(subjects) != 1:
        raise DataError(f"{where}: needs either 'question' or 'problem_id'", value=data, remedy=REMEDY)
    if data["method"] not in known:
        remedy = f"methods: {', '.join(known)}"
        raise DataError(f"{where}: field 'method' is not a known method", value=data["method"], remedy=remedy)
    id = data["problem_id"] if subjects == ["problem_id"] else problem_id(data["question"])
    return (id, data["method"]), data["completion"]
