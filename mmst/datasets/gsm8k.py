"""GSM8K (Cobbe et al. 2021): JSON or Parquet of `question` and `answer`.

    {"question": "Natalia sold clips to 48 …", "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips …\\n#### 72"}

The gold answer is the text after `####`. The rationale without its calculator marks becomes the `text` solution. If
the marks are plain arithmetic that leads to the answer, they become the `code` solution.
"""

from __future__ import annotations

import re

from mmst.core.records import Problem
from mmst.core.rows import Row, without_blank_lines
from mmst.datasets import make_problem
from mmst.datasets.equations import linked

_MARK = re.compile(r"<<([^<>]*)>>")


def problem(row: Row) -> Problem:
    """The problem in an entry of `train.jsonl` or `test.jsonl`."""
    if row.unanswered("answer"):
        return make_problem(row.text("question"), "", "gsm8k")
    rationale, mark, gold = row.text("answer").rpartition("####")
    if not mark or not gold.strip():
        remedy = "end it with a line '#### 72'; for answers without a rationale, use the format jsonl"
        row.no_gold("answer", "holds no final answer", remedy)
        return make_problem(row.text("question"), "", "gsm8k")
    gold = gold.strip().replace(",", "")
    calculations = [m.rpartition("=")[::2] for m in _MARK.findall(rationale)]
    text = without_blank_lines(_MARK.sub("", rationale))
    return make_problem(
        row.text("question"),
        gold,
        "gsm8k",
        solutions={"text": f"{text}\nThe answer is {gold}", **linked(calculations, gold)},
    )
