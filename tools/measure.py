"""How the base model does, greedily, on problems that it was not trained on.

Programs are run by a small interpreter that knows what the annotated programs consist of
(assignments, + - * / //, print); whatever else a model writes counts as failed. The product's
own verify stage runs them in gVisor instead.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from mmst.core.records import Problem
from mmst.core.stats import wilson
from mmst.grading import equal
from mmst.methods import method
from mmst.methods.prompts import STOP, solve_prompt, translate_prompt

METHODS = ("text", "code")
Solved = tuple[str, bool]
"""A solution, and whether it passes."""
MAX_NEW = 48
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def complete(
    model: Any, tokenizer: Any, prompts: Sequence[str], temperature: float = 0.0, rows: int = 512
) -> list[str]:
    """One completion a prompt, cut at the end token or a stop string; rows are sorted by length."""
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        batch = tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True, padding_side="left")
        batch = {k: v.to(model.device) for k, v in batch.items() if k != "token_type_ids"}
        with torch.inference_mode():
            out = model.generate(**batch, **sampling, max_new_tokens=MAX_NEW, pad_token_id=tokenizer.pad_token_id)
        texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, text in zip(chosen, texts, strict=True):
            answers[i] = text[: min((at for s in STOP if (at := text.find(s)) >= 0), default=len(text))]
    return answers


def passed(problem: Problem, name: str, completion: str) -> bool:
    """Whether a completion answers the problem by the method called `name`."""
    m = method(name)
    solution = m.solution(completion)
    answer = m.answer(solution, run_program(solution) if m.executes else None)
    return answer is not None and equal(problem.answer, answer)


def run_program(source: str) -> str | None:
    """What a straight-line program of integer arithmetic prints; None when it fails or does more."""
    values: dict[str, float] = {}
    printed: list[str] = []
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = _value(value, values)
                case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[value], keywords=[])):
                    printed.append(f"{_value(value, values)}\n")
                case _:
                    return None
    except (SyntaxError, ValueError, KeyError, ArithmeticError, RecursionError):
        return None
    return "".join(printed)


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
    raise ValueError("not simple arithmetic")


def solve(model: Any, tokenizer: Any, problems: Sequence[Problem]) -> dict[str, list[Solved]]:
    """Method → for each problem its greedy solution, and whether it passes."""
    found = {}
    for name in METHODS:
        prompts = [solve_prompt(method(name), p.question, "plain", 0) for p in problems]
        completions = complete(model, tokenizer, prompts)
        found[name] = [
            (method(name).solution(c), passed(p, name, c)) for p, c in zip(problems, completions, strict=True)
        ]
    return found


def translate(
    model: Any, tokenizer: Any, problems: Sequence[Problem], solved: Mapping[str, Sequence[Solved]]
) -> dict[str, list[tuple[Problem, bool]]]:
    """Direction → for each problem that the source method solves, whether its greedy translation passes."""
    found = {}
    for source, target in (("text", "code"), ("code", "text")):
        right = [(p, solution) for p, (solution, ok) in zip(problems, solved[source], strict=True) if ok]
        prompts = [translate_prompt(method(source), method(target), p.question, s, "plain", 0) for p, s in right]
        completions = complete(model, tokenizer, prompts)
        found[f"{source}→{target}"] = [(p, passed(p, target, c)) for (p, _), c in zip(right, completions, strict=True)]
    return found


def rate(passes: Sequence[bool]) -> str:
    """`61.2 % [58.4, 64.0]`: share and 95 % interval."""
    if not passes:
        return "none"
    share = sum(passes) / len(passes)
    low, high = wilson(share, len(passes))
    return f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
