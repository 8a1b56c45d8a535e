r"""Tokens → tree, by recursive descent. What cannot be read gives None, never an error.

    1, 2 or 3                list                        (1, 2)  [0, 1)  \{1, 2\}    tuple, interval, set
    x = 5, a < x \le b       relation                    1:2, A \cup B               ratio, union
    2x, 2 \cdot x            product                     1\frac{1}{2}                a mixed number
    1 \pm \sqrt{2}           two values                  204_5                       a number in base 5

Letters of a run are variables of their own (`2xy` is 2·x·y); `f(x)` is a call for the letters that
usually name functions. The depth of brackets is bounded, the length is by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from mmst.grading import latex
from mmst.grading.latex import Unreadable
from mmst.grading.numbers import MAX_EXPONENT
from mmst.grading.tokens import END, Token, tokens
from mmst.grading.tree import Node, is_whole, number

DEEPEST = 30
"""Maximum depth of brackets."""
_TALLEST = 120
"""Maximum depth of a tree."""
_RELATIONS = frozenset({"=", "<", ">", "<=", ">=", "!=", "~", "in"})
_ALONE = (("sign", "="), ("sign", "~"))
_SETS = {"union": "union", "intersection": "intersection", "difference": "difference"}
_OPENING = {"(": ")", "[": "]", r"\{": r"\}", "{": "}"}
_ENDS = frozenset({"\\", "end", "hline", "rfloor", "rceil"})
_CALLED = frozenset("fghFGH")


def parse(text: str) -> Node | None:
    r"""The tree of a formula in LaTeX or plain mathematics.

    >>> parse(r"\frac{1}{2}").kind, parse("1, 2").kind, parse("[0, 1)").value, parse("(")
    ('div', 'list', '[)', None)
    """
    found = tokens(text)
    if not found:
        return None
    try:
        return Parser(found).whole()
    except (Unreadable, RecursionError):
        return None


class Parser:
    """One formula. Each method reads what its name says and stops after it."""

    def __init__(self, found: list[Token]) -> None:
        self.found, self.at, self.depth, self.in_bars = found, 0, 0, False

    def whole(self) -> Node:
        """The whole formula."""
        node = self.listed(";", self.commas)
        if self.peek is not END or _height(node) > _TALLEST:
            raise Unreadable
        return node

    # --- reading tokens ---

    @property
    def peek(self) -> Token:
        """The next token."""
        return self.found[self.at] if self.at < len(self.found) else END

    def sign(self, *signs: str) -> str:
        """Read the next sign if it is one of these; else ""."""
        token = self.peek
        if token.kind == "sign" and token.text in signs:
            self.at += 1
            return token.text
        return ""

    def expect(self, sign: str) -> None:
        """Read this sign."""
        if not self.sign(sign):
            raise Unreadable

    # --- from the loosest to the tightest ---

    def commas(self) -> Node:
        """Items without brackets around them: an unordered list, or a single item."""
        return self.listed(",", self.relation)

    def listed(self, separator: str, item: Callable[[], Node]) -> Node:
        """Items between separators; empty ones (`1, and 2`, `7,`) are skipped."""
        items: list[Node] = []
        while True:
            while self.sign(separator):
                pass
            if self.peek is END or self.closing():
                break
            items.append(item())
            if not self.sign(separator):
                break
        if not items:
            raise Unreadable
        return items[0] if len(items) == 1 else Node("list", None, tuple(items))

    def closing(self) -> bool:
        """Whether a bracket closes here."""
        return self.peek.kind == "sign" and self.peek.text in (")", "]", "}", r"\}")

    def relation(self) -> Node:
        """`a`, `a = b`, `a < b <= c`; `a ≈ b` is a value with its rounding, unless a is the name of the result."""
        parts, signs = [] if self.peek[:2] in _ALONE else [self.ratio()], []
        while sign := self.sign(*_RELATIONS):
            parts.append(self.ratio())
            signs.append(sign)
        if len(signs) == len(parts):  # `= 5`
            signs = signs[1:]
        rounded: list[Node] = []
        while signs and signs[-1] == "~" and (len(signs) > 1 or not parts[0].names()):
            signs.pop()
            rounded.insert(0, parts.pop())
        if rounded:
            parts[-1] = Node("about", None, (parts[-1], *rounded))
        if any(p.kind == "ratio" for p in parts):  # a : b = 4 : 10
            parts = [Node("ratio", None, p.parts) if p.kind == "time" else p for p in parts]
        return Node("relation", tuple("=" if s == "~" else s for s in signs), tuple(parts)) if signs else parts[0]

    def ratio(self) -> Node:
        """`a`, `a : b`, `12:30`."""
        start, parts = self.at, [self.union()]
        while self.sign(":"):
            parts.append(self.union())
        if len(parts) == 2 and self.at == start + 3 and _is_time(self.found[start], *self.found[start + 1 : start + 3]):
            return Node("time", None, tuple(parts))
        return parts[0] if len(parts) == 1 else Node("ratio", None, tuple(parts))

    def union(self) -> Node:
        """Sets joined by ∪, ∩ and ∖."""
        node = self.sum()
        while sign := self.sign(*_SETS):
            right = self.sum()
            parts = (*node.parts, right) if node.kind == _SETS[sign] == "union" else (node, right)
            node = Node(_SETS[sign], None, parts)
        return node

    def sum(self) -> Node:
        """Terms with +, -, ± between them."""
        sign = self.sign("+", "-", "+-", "-+")
        node = self.term()
        if sign == "-":
            node = Node("neg", None, (node,))
        elif sign in ("+-", "-+"):
            node = Node("plusminus", sign[0], (node,))
        while sign := self.sign("+", "-", "+-", "-+"):
            right = self.term()
            if sign in ("+", "-"):
                node = _joined("add", node, right if sign == "+" else Node("neg", None, (right,)))
            else:
                node = Node("plusminus", sign[0], (node, right))
        return node

    def term(self) -> Node:
        """Factors with ·, / or nothing between them."""
        node = self.signed()
        while True:
            if self.sign("*"):
                node = _joined("mul", node, self.signed())
            elif self.sign("/"):
                node = Node("div", None, (node, self.signed()))
            elif self.begins_factor():
                right = self.power()
                mixed = is_whole(node) and right.kind == "div" and all(map(is_whole, right.parts))
                node = _joined("add" if mixed else "mul", node, right)
            else:
                return node

    def signed(self) -> Node:
        """A factor with a sign of its own: `2 * -3`."""
        if self.sign("-"):
            return Node("neg", None, (self.deeper(self.signed),))
        self.sign("+")
        return self.power()

    def begins_factor(self) -> bool:
        """Whether the next token multiplies what was read."""
        kind, text, _ = self.peek
        if kind == "number" and self.at and self.found[self.at - 1].kind == "number":
            around = self.found[self.at - 2 : self.at - 1] + self.found[self.at + 1 : self.at + 2]
            if [token.text for token in around] == ["^", "^"]:
                return True  # `2^3 3^2` is 72
            raise Unreadable  # `7 3` is not 21
        if kind == "sign":
            return text in ("(", r"\{", "{", "[") or (text == "|" and not self.in_bars)
        return kind in ("number", "name", "function") or (kind == "command" and text not in _ENDS)

    def power(self) -> Node:
        """A base with subscript, superscript and suffix: `x_1^2`, `5!`, `25%`."""
        start = self.at
        node = self.primary()
        while True:
            if self.sign("^"):
                node = self.raised(node)
            elif self.sign("_"):
                node = self.subscripted(node)
            elif self.sign("!"):
                node = Node("factorial", None, (node,))
            elif self.sign("'"):
                node = Node("name", f"{_flat(node)}'")
            elif self.sign("%"):
                node = Node("percent", None, (node,))
            elif node.kind == "name" and self.at == start + 1 and self.calls(str(node.value)):
                node = Node("call", node.value, self.arguments())
            else:
                return node

    def raised(self, base: Node) -> Node:
        """The exponent after `base ^`; degrees are dropped, a prime is part of the name."""
        if self.peek == Token("command", "circ", self.peek.tight):
            self.at += 1
            return Node("call", "degrees", (base,))
        group = self.found[self.at : self.at + 3]
        if [t.text for t in group] == ["{", "circ", "}"]:
            self.at += 3
            return Node("call", "degrees", (base,))
        if [t.text for t in group] == ["{", "prime", "}"] or self.peek.text == "prime":
            self.at += 3 if self.peek.text == "{" else 1
            return Node("name", f"{_flat(base)}'")
        exponent = self.deeper(lambda: latex.script(self))
        if self.sign("^"):
            exponent = self.deeper(lambda: self.raised(exponent))
        return Node("pow", None, (base, exponent))

    def subscripted(self, base: Node) -> Node:
        """`x_1` is a name; `204_5` a number in base 5."""
        below = latex.script(self)
        if is_whole(base) and is_whole(below):
            return Node("call", "base", (base, below))
        return Node("name", f"{_flat(base)}_{_flat(below)}")

    def calls(self, name: str) -> bool:
        """Whether a bracket after this name holds its arguments: `f(x + 1)`, `P(A)`, not `x(x + 1)`."""
        if self.peek.text != "(" or self.peek.kind != "sign" or not self.peek.tight:
            return False
        single = self.found[self.at + 2 : self.at + 3] == [Token("sign", ")", True)]
        return name[0] in _CALLED or (single and name.isupper())

    def arguments(self) -> tuple[Node, ...]:
        """`(a, b)`."""
        self.expect("(")
        inside = self.deeper(self.commas)
        self.expect(")")
        return inside.parts if inside.kind == "list" else (inside,)

    def primary(self) -> Node:
        """A number, a name, a function of something, something in brackets, or a LaTeX command."""
        token = self.peek
        self.at += 1
        if token.kind == "number":
            exact = token.text.replace(",", "")
            if abs(int(exact.casefold().partition("e")[2] or 0)) > MAX_EXPONENT:
                raise Unreadable
            if self.peek[:2] == ("command", "overline") and "e" not in exact.casefold():
                return latex.repeating(self, exact)
            return _number(exact)
        if token.kind == "name":
            return Node("set") if token.text == "empty" else Node("name", token.text)
        if token.kind == "word":
            return Node("word", token.text.casefold())
        if token.kind == "function":
            return self.deeper(lambda: latex.function(self, token.text))
        if token.kind == "command":
            return self.deeper(lambda: latex.command(self, token.text))
        if token.kind == "sign" and token.text in _OPENING:
            return self.deeper(lambda: self.bracketed(token.text))
        if token.kind == "sign" and token.text == "|":
            return self.deeper(self.bars)
        raise Unreadable

    def bracketed(self, opening: str) -> Node:
        """After an opening bracket: a group, tuple, set or interval."""
        bars, self.in_bars = self.in_bars, False
        if self.sign(_OPENING[opening]):
            node = Node("set" if opening == r"\{" else "tuple")
        else:
            node = self.listed(";", self.commas)
            node = self.closed(opening, node)
        self.in_bars = bars
        return node

    def closed(self, opening: str, inside: Node) -> Node:
        """The node for brackets with this content."""
        if opening == "{":
            self.expect("}")
            return inside
        if opening == r"\{":
            self.expect(r"\}")
            return Node("set", None, inside.parts if inside.kind == "list" else (inside,))
        closing = self.sign(")", "]")
        if not closing:
            raise Unreadable
        parts = inside.parts if inside.kind == "list" else (inside,)
        if len(parts) == 1 and parts[0].kind == "matrix":
            return inside
        if opening + closing == "()":
            return inside if len(parts) == 1 else Node("tuple", None, parts)
        if len(parts) == 2:
            return Node("interval", opening + closing, parts)
        if opening + closing == "[]":
            return Node("tuple", "[]", parts)
        raise Unreadable

    def bars(self) -> Node:
        """After `|`: an absolute value."""
        outer, self.in_bars = self.in_bars, True
        inside = self.sum()
        self.expect("|")
        self.in_bars = outer
        return Node("abs", None, (inside,))

    def deeper(self, read: Callable[[], Node]) -> Node:
        """Read something that may be nested."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        node = read()
        self.depth -= 1
        return node


def _number(written: str) -> Node:
    """A number; scientific notation shows its digits by the mantissa."""
    mantissa, _, exponent = written.casefold().partition("e")
    if exponent and int(exponent) > 0 and len(mantissa.partition(".")[2]) > 4:
        return Node("mul", None, (Node("decimal", Fraction(mantissa)), number(10 ** int(exponent))))
    return Node("number" if written.isdigit() else "decimal", Fraction(written))


def _height(node: Node) -> int:
    """The depth of the tree."""
    height, layer = 0, [node]
    while layer:
        height, layer = height + 1, [part for n in layer for part in n.parts]
    return height


def _is_time(hour: Token, colon: Token, minute: Token) -> bool:
    """Whether this is a time such as 12:30: possible minutes are not a ratio, unless there are spaces (4 : 10)."""
    if not (colon.tight and minute.tight and hour.text.isdigit() and minute.text.isdigit() and len(hour.text) <= 2):
        return False
    return len(minute.text) == 2 and int(hour.text) <= 24 and int(minute.text) <= 59


def _joined(kind: str, left: Node, right: Node) -> Node:
    """A sum or product with one more part; chains are flat."""
    return Node(kind, None, (*(left.parts if left.kind == kind else (left,)), right))


def _flat(node: Node) -> str:
    """A name from the content of a subscript: `1`, `AB`, `n + 1`."""
    inside = "".join(map(_flat, node.parts)) if node.kind == "mul" else ",".join(map(_flat, node.parts))
    if node.kind in ("number", "decimal", "name", "word", "mul"):
        return inside or str(node.value)
    return f"{node.kind} {node.value}({inside})"
