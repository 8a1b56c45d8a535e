"""MathQA (Amini et al. 2019): JSON, or the same columns as Parquet.

    {"Problem": "a multiple choice test consists of 4 questions , …", "Rationale": "\\"5 choices … answer : c .\\"",
     "options": "a ) 24 , b ) 120 , c ) 625 , d ) 720 , e ) 1024", "correct": "c", "category": "general", …}

The options are added to the question. The rationale becomes the `text` solution; it was written by the crowd, and
not all of it is right.
"""

from __future__ import annotations

import re
import string

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem
from mmst.datasets.choices import label_of, offered

_THOUSANDS = re.compile(r"(?<=\d) , (?=\d{3}(?!\d))")
_OPTION = re.compile(r"(?:^|,)[\s'\"\[]*([a-e])\s\)\s*")


def problem(row: Row) -> Problem:
    """The problem in an entry of `train.json`, `dev.json` or `test.json`."""
    options = _options(row)
    gold = label_of(row, "correct", row.answer("correct"), options)
    row.used.update(("options", "Rationale"))
    rationale = row.label("Rationale").strip(' "')
    solutions = {"text": f"{rationale}\nThe answer is {gold}"} if rationale and gold else {}
    question = offered(row.text("Problem"), options)
    return make_problem(question, gold, "mathqa", family=row.label("category"), solutions=solutions, options=options)


def _options(row: Row) -> dict[str, str]:
    _, *found = _OPTION.split(row.text("options"))
    labels, texts = found[::2], [_THOUSANDS.sub(",", text.strip(" ,'\"]")) for text in found[1::2]]
    if labels != list(string.ascii_lowercase[: len(labels)]) or len(labels) < 2 or not all(texts):
        row.fail("options", "must be written as: a ) 24 , b ) 120 , c ) 625", "correct the entry, or remove it")
    return {label.upper(): text for label, text in zip(labels, texts, strict=True)}
