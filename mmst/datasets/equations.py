"""Turn annotated equations into solutions: a program, and a rationale with one line per step.

( 50 - 8 * 4 )   →   a = 8 * 4              8 * 4 = 32 .
                     b = 50 - a             50 - 32 = 18 .
                     print ( b )            The answer is 18
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mmst.grading import equal, written

_LONGEST = 300
_LARGEST = 10**15
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
NAMES = "abcdefghijklmnopqrstuvwxyz"
"""The variables of a program, in the order of its steps."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; an operand is a number, or an earlier step by its index."""

    left: Fraction | int
    op: str
    right: Fraction | int
    result: Fraction


class Unusable(Exception):
    """The equation is not plain arithmetic that can be solved step by step."""


def solutions(expression: str, answer: str) -> dict[str, str]:
    """Solutions of an infix expression by method; none if it is not arithmetic or misses the answer.

    >>> solutions("( 76.0 - 25.0 )", "51")["code"]
    'a = 76 - 25\\nprint ( a )'
    """
    try:
        return from_steps(infix(expression), answer)
    except Unusable:
        return {}


def from_steps(steps: Sequence[Step], answer: str) -> dict[str, str]:
    """A program and, if every number has a short decimal form, a rationale."""
    if not steps or len(steps) > len(NAMES) or not equal(answer, _printed(steps[-1].result)):
        return {}
    lines = [f"{NAMES[i]} = {_code(s.left)} {s.op} {_code(s.right)}" for i, s in enumerate(steps)]
    made = {"code": "\n".join([*lines, f"print ( {NAMES[len(steps) - 1]} )"])}
    shown = [(_value(s.left, steps), s.op, _value(s.right, steps), s.result) for s in steps]
    if all(_decimal(v) for left, _, right, result in shown for v in (left, right, result)):
        text = [f"{_decimal(left)} {op} {_decimal(right)} = {_decimal(result)} ." for left, op, right, result in shown]
        made["text"] = "\n".join([*text, f"The answer is {_decimal(steps[-1].result)}"])
    return made


def infix(expression: str) -> list[Step]:
    """The steps of an expression such as `(8.0-2.0)*3`; `Unusable` for anything else."""
    if len(expression) > _LONGEST or not re.fullmatch(r"[\d\s.+\-*/()]+", expression) or "**" in expression:
        raise Unusable
    plain = re.sub(r"(?<![\d.])0+(?=\d)", "", expression)
    steps: list[Step] = []
    try:
        _visit(ast.parse(plain.strip(), mode="eval").body, plain.strip(), steps)
    except (SyntaxError, RecursionError, MemoryError):
        raise Unusable from None
    return steps


def prefix(equation: str, numbers: Mapping[str, str]) -> str:
    """A prefix equation (`- number0 number1`) as infix, with its numbers filled in."""
    stack: list[str] = []
    for token in reversed(equation.split()):
        if token in OPERATORS:
            if len(stack) < 2:
                raise Unusable
            stack.append(f"( {stack.pop()} {token} {stack.pop()} )")
        else:
            stack.append(numbers.get(token, token))
    if len(stack) != 1:
        raise Unusable
    return stack[0]


def linked(calculations: Iterable[tuple[str, str]], answer: str) -> dict[str, str]:
    """A program from calculations in order ("48/2", "24"), in which later ones use earlier results.

    A number that equals an earlier result counts as that result (the last such one); the value is the same.
    """
    steps: list[Step] = []
    try:
        for expression, result in calculations:
            results = {s.result: i for i, s in enumerate(steps)}
            start = len(steps)
            for s in infix(expression):
                left, right = (v + start if isinstance(v, int) else results.get(v, v) for v in (s.left, s.right))
                steps.append(Step(left, s.op, right, s.result))
            if len(steps) == start or not equal(result, str(steps[-1].result)):
                return {}
    except Unusable:
        return {}
    made = from_steps(steps, answer)
    return {"code": made["code"]} if made else {}


def worked(left: Fraction | int, op: str, right: Fraction | int, before: Sequence[Step]) -> Step:
    """A step with its result; an int operand is the index of an earlier step. `Unusable` for a division by 0."""
    a, b = (_value(v, before) for v in (left, right))
    if op == "/" and b == 0:
        raise Unusable
    return Step(left, op, right, OPERATORS[op](a, b))


def _visit(node: ast.AST, text: str, steps: list[Step]) -> Fraction | int:
    if isinstance(node, ast.Constant):
        return Fraction(ast.get_source_segment(text, node) or "0")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -Fraction(ast.get_source_segment(text, node.operand) or "0")
    if not isinstance(node, ast.BinOp) or type(node.op) not in _NODES:
        raise Unusable
    left, right = _visit(node.left, text, steps), _visit(node.right, text, steps)
    step = worked(left, _NODES[type(node.op)], right, steps)
    if abs(step.result) > _LARGEST:
        raise Unusable
    steps.append(step)
    return len(steps) - 1


def _value(operand: Fraction | int, steps: Sequence[Step]) -> Fraction:
    return operand if isinstance(operand, Fraction) else steps[operand].result


def _code(operand: Fraction | int) -> str:
    return NAMES[operand] if isinstance(operand, int) else _decimal(operand) or f"( {operand} )"


def _printed(value: Fraction) -> str:
    return _decimal(value) or repr(float(value))


def _decimal(value: Fraction) -> str:
    """A short decimal form; "" if it would take more than six places."""
    return written(value) if 10**6 % value.denominator == 0 else ""
