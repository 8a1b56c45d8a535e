r"""LaTeX or plain mathematics → tokens; formatting (`\left`, `\displaystyle`, spaces, `$`) is dropped."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of a formula: kind `number`, `name`, `word`, `function`, `sign` or `command`, and its text.

    `tight` means that there is no space before it.
    """

    kind: str
    text: str
    tight: bool = False


END = Token("end", "")
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan asin acos atan sinh cosh tanh log ln lg exp sqrt cbrt abs "
    "floor ceil max min gcd lcm det factorial binomial".split()
)
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell zzz".split()
)
_SIGNS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=",
    "geq": ">=", "geqslant": ">=", "lt": "<", "gt": ">", "ne": "!=", "neq": "!=", "approx": "~", "simeq": "~",
    "sim": "~", "equiv": "=", "in": "in", "cup": "union", "bigcup": "union", "cap": "intersection",
    "setminus": "difference", "backslash": "difference", "pm": "+-", "mp": "-+", "lbrace": r"\{", "rbrace": r"\}",
    "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "colon": ":", "lbrack": "[", "rbrack": "]", "langle": "(",
    "rangle": ")", "to": "to", "rightarrow": "to", "land": ",", "lor": ",", "wedge": ",", "vee": ",",
}  # fmt: skip
_SPELLINGS = {"**": "^", "==": "=", "->": "to", "+/-": "+-"}
_NAMES = {"pi": "pi", "infty": "infinity", "infin": "infinity", "emptyset": "empty", "varnothing": "empty"}
_DROPPED = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr middle displaystyle textstyle scriptstyle limits "
    "quad qquad thinspace enspace hspace vspace phantom , ! ; : > ( ) [ ] / bf rm it".split()
) | {" ", "\n"}
_STYLES = "text|mbox|hbox|textbf|textit|textrm|texttt|textsf|textnormal|mathrm|mathbf|mathit|mathsf|operatorname"
_WORDS = {"and": ",", "or": ",", "union": "union", "in": "in", "to": "to"}
_SHORT_WORDS = frozenset(
    "the is are our not its it so of by for if was has can all any one two how who his her you we he she an as at be "
    "do go me my no on up us yes off out per now new but did get let may six ten too".split()
)
"""Words of up to three letters, which would otherwise be variables side by side."""
_PLAIN_NAMES = {"pi": "pi", "inf": "infinity", "infinity": "infinity", "oo": "infinity", "infty": "infinity"}
_PLAIN_NAMES |= {name: name for name in ("theta", "alpha", "beta", "gamma", "delta", "lambda", "sigma", "omega", "phi")}

_TOKEN = re.compile(
    rf"""
      (?P<space>\s+|~)
    | (?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{{1,4}}(?![A-Za-z0-9]))?)
    | \\(?:{_STYLES})\*?\s*\{{(?P<styled>[^{{}}]*)\}}
    | \\(?P<command>[A-Za-z]+\*?|.)
    | (?P<letters>[A-Za-z]+)
    | (?P<sign><=|>=|!=|==|\*\*|->|\+/-|\+-|[^\s\w]|_)
    """,
    re.VERBOSE | re.DOTALL,
)
_UNICODE = str.maketrans(
    {
        "√": r"\sqrt ", "π": r"\pi ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "≤": "<=", "≥": ">=",
        "≠": "!=", "≈": r"\approx ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "°": r"^\circ ",
        "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-",
        "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "∖": r"\setminus ",
        "⁄": "/", "’": "'", "ℝ": r"\mathbb{R}", "⟨": "(", "⟩": ")",
    }
)  # fmt: skip
_RAISED = re.compile("([⁻⁰¹²³⁴-⁹]+)")
_VULGAR = re.compile("([¼-¾⅐-⅟])")
_GROUPED = re.compile(r"(?<=\d)(?:\s?\{,\s?\}|,?\s?\\[,! :;]|,~)\s*(?=\d{3}(?!\d))")
_BLACKBOARD = re.compile(r"\\(?:mathbb|Bbb|mathcal|mathscr)\s*\{?\s*([A-Z])\s*\}?")

_BOLD = re.compile(r"\\(?:mathbf|mathit|boldsymbol|bm|vec)\s*\{\s*(\\?[A-Za-z]+)\s*\}")


def ascii_of(text: str) -> str:
    """The text with mathematical signs beyond ASCII as LaTeX."""
    if text.isascii():
        return text
    text = _RAISED.sub(lambda m: "^{" + unicodedata.normalize("NFKC", m[1]).replace("\u2212", "-") + "}", text)
    text = _VULGAR.sub(r" \1", text).translate(_UNICODE)
    return unicodedata.normalize("NFKC", text).translate(_UNICODE)


def tokens(text: str) -> list[Token] | None:
    """The tokens of a formula, or None if something in it cannot be one."""
    text = ascii_of(text)
    if "\\begin" not in text or "\\\\begin" in text:
        text = re.sub(r"\\\\(?=[a-zA-Z({\[])", r"\\", text)  # LaTeX that was escaped once too often
    text = _GROUPED.sub("", text)
    text = _BOLD.sub(r"\1 ", text)
    text = _BLACKBOARD.sub(r"\\mathbb{\1}", text)
    found: list[Token] = []
    at, tight, depth = 0, False, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        at = match.end()
        if match["space"]:
            tight = False
            continue
        if match["number"]:
            more = _thousands(text, match, depth)
            found.append(Token("number", match["number"] + more, tight))
            at += len(more)
        elif match["styled"] is not None:
            found += _styled(match["styled"], after=found[-1] if found else END)
        elif match["command"]:
            found += _command(match["command"], tight)
        elif match["letters"]:
            found += _letters(match["letters"], tight)
        elif match["sign"] == "$":
            pass
        else:
            depth += (match["sign"] in "([{") - (match["sign"] in ")]}")
            found.append(Token("sign", _SPELLINGS.get(match["sign"], match["sign"]), tight))
        tight = True
    return found


def _thousands(text: str, match: re.Match[str], depth: int) -> str:
    """The `,345` after `12`; between brackets a comma separates."""
    if depth or not match["number"].isdigit() or len(match["number"]) > 3 or match["number"][0] == "0":
        return ""
    more = re.compile(r"(?:,\d{3})+(?![\d,])(?:\.\d+)?").match(text, match.end())
    return more[0] if more else ""


def _styled(content: str, after: Token) -> list[Token]:
    r"""The content of `\text{…}`: a connective, a name, or words; after a number, one letter may also be a unit."""
    content = content.strip()
    if content in FUNCTIONS:
        return [Token("function", content)]
    if content.strip(" ,;.").casefold() in ("and", "or", "", "且", "或"):
        return [Token("sign", ",")] if content else []
    if content in ("if", "where", "for", "is"):
        return [Token("word", content)]
    inner = content[1:-1] if len(content) == 3 and content[0] + content[-1] == "()" else content
    if len(inner) == 1 and inner.isalpha() and inner.isascii() and not (after.kind == "number" or after.text == "}"):
        return [Token("name", inner)]
    if re.fullmatch(r"[-+]?[\d.]+", inner):
        return [Token("number", inner)] if inner[0] not in "+-" and inner.count(".") < 2 and inner[-1] != "." else []
    return [Token("word", content)]


def _command(name: str, tight: bool) -> list[Token]:
    name = name.rstrip("*")
    if name in _DROPPED:
        return []
    if name in _SIGNS:
        return [Token("sign", _SIGNS[name], tight)]
    if name in _NAMES:
        return [Token("name", _NAMES[name], tight)]
    if name in GREEK:
        return [Token("name", name, tight)]
    if name in FUNCTIONS and name != "sqrt":
        return [Token("function", name, tight)]
    if name in ("{", "}", "%", "$", "#", "&", "_", "|"):
        return [] if name == "$" else [Token("sign", {"{": r"\{", "}": r"\}", "|": "|"}.get(name, name), tight)]
    if name.startswith(("quad", "qquad")):  # `\quadx`, which lost its space
        return _letters(name.removeprefix("q").removeprefix("quad").removeprefix("uad"), tight)
    return [Token("command", name, tight)]


def _letters(run: str, tight: bool) -> list[Token]:
    """A run of letters: a function, a constant, a connective, up to three variables, or a word."""
    if not run:
        return []
    if run in FUNCTIONS:
        return [Token("function", run, tight)]
    if run in _PLAIN_NAMES:
        return [Token("name", _PLAIN_NAMES[run], tight)]
    if run.casefold() in _WORDS:
        return [Token("sign", _WORDS[run.casefold()], tight)]
    if run.casefold() in _SHORT_WORDS and not run.isupper():
        return [Token("word", run, tight)]
    joined = re.match(r"(?:or|and)(?=[A-Z])", run)
    if joined:
        return [Token("sign", ","), *_letters(run[joined.end() :], tight)]
    if len(run) <= 3:
        return [Token("name", c, tight or bool(i)) for i, c in enumerate(run)]
    return [Token("word", run, tight)]
