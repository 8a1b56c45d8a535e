"""CommonsenseQA (Talmor et al. 2019): JSON lines, or the Hugging Face columns as JSON or Parquet.

    {"answerKey": "A", "id": "075e…", "question": {"question_concept": "punishing", "stem": "The sanctions …?",
     "choices": [{"label": "A", "text": "ignore"}, {"label": "B", "text": "enforce"}, …]}}

The options are added to the question. The published test set has no answers: `dev_rand_split.jsonl` is what is
measured on.
"""

from __future__ import annotations

from dataclasses import replace

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem
from mmst.datasets.choices import label_of, offered


def problem(row: Row) -> Problem:
    """The problem in a line of `train_rand_split.jsonl` or `dev_rand_split.jsonl`."""
    if not row.has("answerKey"):
        row.no_gold("answerKey", "is missing", "the test set is published without answers; use dev_rand_split.jsonl")
    inside = row.fields.get("question")
    asked = replace(row, fields={**row.fields, **inside}) if isinstance(inside, dict) else row
    options = asked.options("choices")
    stem = asked.text("stem" if isinstance(inside, dict) else "question")
    gold = label_of(row, "answerKey", row.answer("answerKey"), options)
    row.used.update(("question", "choices"))
    concept = asked.label("question_concept")
    return make_problem(offered(stem, options), gold, "commonsenseqa", family=concept, options=options)
