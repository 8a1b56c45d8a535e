"""GSM8K (Cobbe et al. 2021): JSONL of `question` and `answer`.

    {"question": "Natalia sold clips to 48 …", "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips …\\n#### 72"}

The gold answer stands after `####`. The rationale without its calculator marks becomes the
`text` solution; where the marks are plain arithmetic that leads to the answer, they become `code`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.equations import linked
from mmst.problems.reading import jsonl_rows, without_blank_lines
from mmst.records import Problem

_MARK = re.compile(r"<<([^<>]*)>>")


def read(path: Path) -> Iterator[Problem]:
    """The problems of `train.jsonl` or `test.jsonl`."""
    for row in jsonl_rows(path):
        rationale, mark, gold = row.text("answer").rpartition("####")
        if not mark or not gold.strip():
            row.fail("answer", "holds no final answer", "end it with a line '#### 72'")
        gold = gold.strip().replace(",", "")
        calculations = [m.rpartition("=")[::2] for m in _MARK.findall(rationale)]
        text = without_blank_lines(_MARK.sub("", rationale))
        yield make_problem(
            row.text("question"),
            gold,
            "gsm8k",
            solutions={"text": f"{text}\nThe answer is {gold}", **linked(calculations, gold)},
        )
