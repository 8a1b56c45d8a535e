"""StrategyQA (Geva et al. 2021): JSON of questions whose answer is yes or no.

    {"qid": "b8677742616fef051f00", "term": "Genghis Khan", "question": "Are more people today related to …?",
     "answer": true, "facts": ["Julius Caesar had three children.", …], "decomposition": […], "evidence": […]}

The gold answer is "yes" or "no". The facts, which are sentences, become the `text` solution. The published test set
has no answers: a split of `strategyqa_train.json` is what is measured on.
"""

from __future__ import annotations

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem

_GOLD = {"true": "yes", "yes": "yes", "false": "no", "no": "no"}


def problem(row: Row) -> Problem:
    """The problem in an entry of `strategyqa_train.json`."""
    given = row.fields.get("answer")
    gold = _GOLD.get(str(given).casefold() if isinstance(given, (bool, str)) else "")
    if gold is None:
        what = "must be true or false" if "answer" in row.fields else "is missing"
        gold = row.no_gold("answer", what, "the test set is published without answers; use strategyqa_train.json")
    row.used.add("answer")
    facts = row.fields.get("facts")
    solutions = {}
    if gold and isinstance(facts, list) and facts and all(isinstance(fact, str) and fact.strip() for fact in facts):
        row.used.add("facts")
        solutions["text"] = f"{' '.join(' '.join(fact.split()) for fact in facts)}\nThe answer is {gold}"
    return make_problem(row.text("question"), gold, "strategyqa", solutions=solutions)
