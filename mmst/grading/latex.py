r"""The parser's part for functions and LaTeX commands: `\frac`, `\sqrt`, `\sin x`, `\sum`, matrices."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from mmst.grading.tokens import Token
from mmst.grading.tree import Node, number

if TYPE_CHECKING:
    from mmst.grading.parse import Parser

_FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac"})
_WRAPPERS = frozenset(
    "boxed fbox bm boldsymbol vec overline underline hat bar overrightarrow widehat tilde mathstrut ensuremath".split()
)
_BIG = {"sum": "sum", "prod": "product"}
_MATRICES = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix array vmatrix".split())
_ALIASES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "tg": "tan", "lg": "log10", "ln": "log"}


class Unreadable(Exception):
    """The text is not a formula."""


def command(parser: Parser, name: str) -> Node:
    r"""The meaning of `\name` with its arguments."""
    if name in _FRACTIONS:
        return Node("div", None, (argument(parser), argument(parser)))
    if name == "sqrt":
        return root(parser)
    if name in ("binom", "dbinom", "tbinom"):
        return Node("call", "binomial", (argument(parser), argument(parser)))
    if name in _WRAPPERS:
        return argument(parser)
    if name == "mathbb":
        parser.expect("{")
        inside = parser.peek.text
        parser.at += 1
        parser.expect("}")
        if inside == "R":  # the whole line, also as an interval
            infinity = Node("name", "infinity")
            return Node("interval", "()", (Node("neg", None, (infinity,)), infinity))
        return Node("name", f"all {inside}")
    if name in _BIG:
        return indexed(parser, _BIG[name])
    if name == "int":
        return integral(parser)
    if name == "lim":
        return limit(parser)
    if name == "begin":
        return matrix(parser)
    if name in ("circ", "degree"):
        return Node("call", "degrees", (number(1),))
    if name in ("lfloor", "lceil"):
        inside_ = parser.sum()
        if parser.peek != Token("command", name.replace("l", "r", 1), parser.peek.tight):
            raise Unreadable
        parser.at += 1
        return Node("call", "floor" if name == "lfloor" else "ceil", (inside_,))
    raise Unreadable


def argument(parser: Parser) -> Node:
    r"""`{…}`, or what TeX accepts without braces: one digit, letter or command (`\frac12`)."""
    token = parser.peek
    if token.kind == "number" and token.text.isdigit():
        rest = token.text[1:]
        if rest:
            parser.found[parser.at] = Token("number", rest, True)
        else:
            parser.at += 1
        return number(Fraction(token.text[0]))
    if parser.sign("-"):
        return Node("neg", None, (parser.deeper(lambda: argument(parser)),))
    if parser.sign("{"):
        return parser.deeper(lambda: parser.bracketed("{"))
    return parser.primary()


def repeating(parser: Parser, start: str) -> Node:
    r"""`0.1\overline{6}` is 1/6."""
    parser.at += 1
    parser.expect("{")
    digits = parser.peek.text
    parser.at += 1
    parser.expect("}")
    if not digits.isdigit() or "." not in start:
        raise Unreadable
    places = len(start.partition(".")[2])
    return number(Fraction(start) + Fraction(int(digits), 10**places * (10 ** len(digits) - 1)))


def script(parser: Parser) -> Node:
    """An exponent or index; a whole number needs no braces, since `2^10` is meant as 2¹⁰."""
    return parser.primary() if parser.peek.kind == "number" else argument(parser)


def root(parser: Parser) -> Node:
    r"""`\sqrt{2}`, `\sqrt[3]{x}`, `\sqrt 2`."""
    degree = number(2)
    if parser.sign("["):
        degree = parser.sum()
        parser.expect("]")
    return Node("root", None, (script(parser), degree))


def function(parser: Parser, name: str) -> Node:
    r"""`\sin x`, `\sin^2 x`, `\log_2 8`, `sqrt(2)`; without brackets it takes the factors up to the next sign."""
    name = _ALIASES.get(name, name)
    base: Node | None = None
    power: Node | None = None
    while True:
        if parser.sign("_"):
            base = script(parser)
        elif parser.sign("^"):
            power = script(parser)
        else:
            break
    if parser.peek.text == "(":
        inside = parser.arguments()
    else:
        inside = (_factors(parser),)
    node = _call(name, inside, base)
    inverse = power == Node("neg", None, (number(1),)) and name in ("sin", "cos", "tan")
    if inverse:
        return Node("call", f"a{name}", inside)
    return node if power is None else Node("pow", None, (node, power))


def _call(name: str, inside: tuple[Node, ...], base: Node | None) -> Node:
    if name in ("sqrt", "cbrt"):
        return Node("root", None, (inside[0], number(2 if name == "sqrt" else 3)))
    if name == "abs":
        return Node("abs", None, inside[:1])
    if name == "factorial":
        return Node("factorial", None, inside[:1])
    if name == "exp":
        return Node("pow", None, (Node("name", "e"), inside[0]))
    if name == "log10":
        return Node("call", "log", (inside[0], number(10)))
    return Node("call", name, (*inside, base) if base is not None else inside)


def _factors(parser: Parser) -> Node:
    node = parser.power()
    while parser.begins_factor() and parser.peek.kind != "function":
        node = Node("mul", None, (node, parser.power()))
    if parser.peek.text == "/" and node.kind in ("name", "number"):  # `\sin x/2` stays (sin x)/2; `\sin \pi/6` is not
        following = parser.found[parser.at + 1 : parser.at + 2]
        if node == Node("name", "pi") and following and following[0].kind == "number":
            parser.at += 1
            node = Node("div", None, (node, parser.power()))
    return node


def indexed(parser: Parser, kind: str) -> Node:
    r"""`\sum_{k=1}^{n} k^2`."""
    parser.expect("_")
    parser.expect("{")
    start = parser.deeper(parser.relation)
    parser.expect("}")
    parser.expect("^")
    stop = script(parser)
    if start.kind != "relation" or start.value != ("=",) or start.parts[0].kind != "name":
        raise Unreadable
    body = parser.term()
    return Node(kind, start.parts[0].value, (start.parts[1], stop, body))


def integral(parser: Parser) -> Node:
    r"""`\int_0^1 x^2 dx`: the variable is the one after the last d."""
    bounds: dict[str, Node] = {}
    while sign := parser.sign("_", "^"):
        bounds[sign] = script(parser)
    if len(bounds) != 2:
        raise Unreadable
    names = [i for i in range(parser.at, len(parser.found) - 1) if parser.found[i][:2] == ("name", "d")]
    last = next((i for i in names if parser.found[i + 1].kind == "name" and parser.found[i + 1].tight), None)
    if last is None:
        raise Unreadable
    variable = parser.found[last + 1].text
    parser.found[last : last + 2] = [Token("sign", "d")]
    body = number(1) if parser.peek.text == "d" else parser.sum()
    parser.expect("d")
    return Node("integral", variable, (bounds["_"], bounds["^"], body))


def limit(parser: Parser) -> Node:
    r"""`\lim_{x \to 0} \frac{\sin x}{x}`."""
    parser.expect("_")
    parser.expect("{")
    variable = parser.primary()
    parser.expect("to")
    at = parser.sum()
    parser.expect("}")
    if variable.kind != "name":
        raise Unreadable
    return Node("limit", variable.value, (at, parser.term()))


def matrix(parser: Parser) -> Node:
    r"""`\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}`: any kind of brackets."""
    kind = _name(parser)
    if kind not in _MATRICES:
        raise Unreadable
    if kind == "array" and parser.sign("{"):
        while not parser.sign("}"):
            if parser.peek.kind == "end":
                raise Unreadable
            parser.at += 1
    rows: list[list[Node]] = [[]]
    while parser.peek[:2] != ("command", "end"):
        if parser.peek[:2] == ("command", "\\"):
            parser.at += 1
            rows.append([])
        elif not parser.sign("&"):
            if parser.peek[:2] == ("command", "hline"):
                parser.at += 1
                continue
            rows[-1].append(parser.relation())
    parser.at += 1
    _name(parser)
    rows = [row for row in rows if row]
    if not rows or len({len(row) for row in rows}) != 1:
        raise Unreadable
    found = Node("matrix", len(rows[0]), tuple(cell for row in rows for cell in row))
    return Node("call", "det", (found,)) if kind == "vmatrix" else found


def _name(parser: Parser) -> str:
    """`{pmatrix}`, whose letters are tokens like any others."""
    parser.expect("{")
    text = ""
    while not parser.sign("}"):
        if parser.peek.kind == "end":
            raise Unreadable
        text += parser.peek.text
        parser.at += 1
    return text
