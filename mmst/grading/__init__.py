r"""When are two answers the same? `compare` says equal, different or undecided, and which rule decided. Pure.

    1,234.50 = 1234.5      $3 = 3           25% = 25           7 apples. = 7
    1/2 = 0.5              1 1/2 = 1.5      −4 = -4            1.5e3 = 1500      1 000 = 1000
    seven = 7              016 = 16         5 million = 5000000
    \frac{1}{2} = 1/2      \boxed{7} = 7    2\sqrt{2} = \sqrt{8}    (x+1)^2 = x^2+2x+1
    1, 2 = 2 and 1         x = 5 = 5        (A) = A            3:30 pm = 15:30
    0.\overline{3} = 1/3   2 dozen = 24     two-thirds = 2/3   [Fraction(3, 4)] = 3/4
    about 3.14 = 3.14      US$1,000 = 1000  2A_{16} = 42       the year 1990 = 1990

The rules are tried in this order:

1. exact. The two texts are identical.
2. number. Numbers are compared as exact fractions, in digits or words (two-thirds, three and a half, minus five).
   - Rounding. A number without decimals is exact: 7654321 ≠ 7654322.0. A number with six or more digits may be
     rounded, if the other number has more digits: it may differ by half a unit of its last digit (2/3 = 0.666667; also
     cut off, 0.666666), and by at most 1e-6 of its value. A float as Python prints it (15 digits or more) may differ
     by 1e-10 of its value. Nothing else is rounding: 0.9999999999 is not 1. There is no absolute tolerance: this also
     holds for 4.6e-24, and only 0 equals 0.
   - Words that multiply or change the sign: 3 tenths = 0.3, 3 dozen = 36, 2 lakh = 200000, $3 bn, 3k, 3M, 3 below zero
     = -3. A second is a time. 3 K and 3 M with a space are numbers only for money. Three quarters are 3/4.
   - Units may be missing on one side. A unit is a known unit, a compound of known units (km/h), or nouns that the
     question or the gold answer uses. If no question is given, nouns that look like a plural count too, with
     adjectives (7 red apples). Any other word after a number may change it (3 less, 3 squared, 3 out of 4, 3 only),
     so the answer is text; "left", "each" and "in total" change nothing, nor does "more" if the question is "how many
     more". 1990s is not 1990. Case matters where it tells units apart, as
     in 5 mg and 5 Mg; 5 Kg is 5 kg. Two units must agree as a whole: 5 miles per hour ≠ 5 km per hour, $18 per day
     ≠ $18 per week, m² ≠ m³. Of two sets of
     nouns, one may say more: red apples, apples; but green apples ≠ red apples. Letters after a number are
     variables unless they are units: 7x is not 7, and 2pi is not 2.
   - A percent sign is a unit: 25% is 25. A *gold* 25% also accepts the fraction that it means, 1/4 or 0.25;
     a gold 0.25 does not accept 25%. This is the only rule that is not symmetric.
   - Compared with a number that has a decimal point, a comma may be a decimal comma (1,22 = 1.22).
3. text. The words are the same, ignoring case, spacing, LaTeX formatting and a final period.
4. form. Choices are compared by their letter ("B" = "(B) 12"). Yes and no may be written True and False. What follows
   must be the same ("Yes, 5" ≠ "Yes, 7"), or only confirm it: "Yes, it is.", "yes because …" and "Yes (it is)" are yes;
   "Yes, 5", "Yes, but …" and "Yes, no" are not. A time of day is h:mm with two digits of minutes, so 12:30 is neither
   2:5 nor 0.4; without am or pm it is on a 24-hour clock. Ratios are written 2:5, or 4 : 10 with spaces; 2 to 5 is a
   ratio beside these. Measures in several known units (5 feet 2 inches, 5 ft 2 in) and remainders (4 R 1) are compared
   part by part. A or C is not A and C.
5. formula. Both answers are read as mathematics (`parse`) and compared part by part (`match`). Items without brackets
   have no order, also against a set or a list as Python prints it; against a tuple they have this order.
   (1, 2) ≠ (2, 1); (1, 2) ≠ {1, 2} (but ${1, 2}$ is a group, so a list); [0, 1) ≠ [0, 1]; matrices are compared
   entry by entry; 1:2 = 2:4.
   - Labels. A label that only one side has is ignored (x = 5 is 5, and so are f(2) = 5, Area = 5 and ∠ABC = 5°, but
     2x + z = 5 is not). Two labels must agree: x = 5 ≠ y = 5, f(2) = 5 ≠ f(3) = 5, P(A) = … ≠ P(B) = …; f(x) = x² is
     f(t) = t². The label of x = 1, 2 holds for the whole list. An area may be called A, but not x.
   - A value with its rounding is both: √3/3 ≈ 0.577 is √3/3 and 0.577, but 2/3 ≈ 0.6 is not 0.6.
   - x < 5 is (-∞, 5). Equations are equal if one is a multiple of the other. Equations between numbers: true ones
     are equal if their sides have the same value (2+2=4 is 4=1+3, not 3+3=6), false ones if each side is the same.
   - Scalars are equal if they have equal values, whatever the variables are (`evaluate`, `values`), so an
     expression need not be simplified. Points where one is undefined do not count (x²/x is x, x/x is 1). If one has
     no real value on a whole range where the other has one (ln x² and 2 ln x), the two are undecided. Decimals in
     a formula may be rounded as in 2. A formula that contains words is text.
   - Output of Python, sympy and numpy is read: (3+4j), [Fraction(3, 4)], [[1, 2], [3, 4]], {x: 3}, 0x2a. A list of
     one item is that item. A list of three or more is also a tuple or set; a list of two numbers is an interval or
     an unordered list.
6. choice. If the problem's options are known, this is the only rule: an answer names one of them by label, by text or
   by both (B, (b), B) 38, B. 38, option B, 38, 38 apples). Another option, or none, is wrong. An answer that names two
   ("A or B", "B) 40" where 40 is C), denies one ("not B") or says it in other words ("at a bank") is undecided; algebra
   is not asked. Without options, a letter is a choice only as in 4, or a variable.
7. undecided. The comparison needs algebra: an equation to solve, an inequality of second degree, an integral. Then
   `settle` asks the algebra engine. What the engine cannot decide in time stays undecided, and so do answers that are
   equal only where both are defined, or that are always true or never true.

Nothing here raises an error or takes long, whatever a model wrote: texts of more than `LONGEST` characters
are compared as text, brackets nest at most 40 deep, and values have at most 40,000 bits.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mmst.grading.choices import chosen
from mmst.grading.cleaned import cleaned
from mmst.grading.match import same
from mmst.grading.numbers import Number, normalise, number, same_number, written
from mmst.grading.plain import LONGEST, labelled, plain, text_of
from mmst.grading.reading import read
from mmst.grading.spoken import same_form
from mmst.grading.units import agree, unit_of

__all__ = [
    "LONGEST",
    "Comparison",
    "Number",
    "choice",
    "compare",
    "equal",
    "normalise",
    "number",
    "read",
    "settle",
    "unit_of",
    "written",
]


class Comparison(NamedTuple):
    """Whether two answers are the same (None: undecided), and which rule decided."""

    equal: bool | None
    how: str


NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
EXACT = Comparison(True, "exact")
_SAME, _OTHER = Comparison(True, "number"), Comparison(False, "number")
_OTHER_TEXT = Comparison(False, "text")
_FORMULA = {
    True: Comparison(True, "formula"),
    False: Comparison(False, "formula"),
    None: Comparison(None, "undecided"),
}
_LABEL = re.compile(r"[\s$\\([{*`\"']*([a-zA-Z])\s*=(?!=)")
_PLAIN = re.compile(r"\s*(-?)\s?\$?([1-9]\d{0,2}(?:,\d{3})+|\d{1,30})(?:\.(\d{1,11}))?\s*")
_MEASURED = re.compile(r"[-+]?\$?[\d.,]+ ([A-Za-z]{1,3}(?:[ /][A-Za-z]{1,3})?)")
_JOINED = re.compile(r"(?:\(?[A-Za-z]\)?,? )+(and|or) \(?[A-Za-z]\)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[-+]?\d{1,15},\d{1,15}")


def equal(gold: str, answer: str, question: str = "") -> bool:
    """Whether `answer` is certainly the gold answer.

    >>> equal("1234.5", "$1,234.50"), equal("1/3", "0.3333"), equal("5 hours", "5 minutes")
    (True, False, False)
    """
    return compare(gold, answer, question).equal is True


def compare(gold: str, answer: str, question: str = "", options: Mapping[str, str] = NO_OPTIONS) -> Comparison:
    r"""Whether `answer` is the gold answer, as far as this can be decided without algebra.

    Words behind a number that are no known unit may be left out when the `question` or the gold answer names them;
    where no question is given, when they look like a plural. If the question offers `options`, text by label, both
    name one of these.

    >>> compare("7", "7.0").how, compare("x^2 = 4", "x = \pm 2").equal, compare("(1, 2)", "(2, 1)").equal
    ('number', None, False)
    >>> compare("B", "38", options={"A": "36", "B": "38"}).equal, compare("B", "A or B", options={"A": "36", "B": "38"})
    (True, Comparison(equal=None, how='undecided'))
    """
    if options:
        right = gold if gold in options else choice(options, gold, question)
        named = choice(options, answer, question)
        return Comparison(named == right, "choice") if right and named is not None else _FORMULA[None]
    if gold == answer:
        return EXACT
    quick = _quick(gold, answer)
    if quick is not None:
        return quick
    gold, answer = gold if gold.isdigit() else cleaned(gold), answer if answer.isdigit() else cleaned(answer)
    a, b = number(gold), number(answer, f"{question} {gold}" if question else "")
    if a is not None and b is not None:
        return _SAME if same_number(a, b) and not _labels_differ(gold, answer) else _OTHER
    if len(gold) > LONGEST or len(answer) > LONGEST:
        return Comparison(gold.strip() == answer.strip(), "text")
    (one, bare_gold), (two, bare_answer) = labelled(gold), labelled(answer)
    if (one or two) and (one == two or not (one and two)):
        if one != two and not _may_name(one or two, answer if one else gold):
            return _OTHER_TEXT
        return compare(bare_gold, bare_answer, question)
    one, two = text_of(gold), text_of(answer)
    if one == two and not _labels_differ(gold, answer) and _symbols(gold) == _symbols(answer):
        return Comparison(True, "text")
    if _joined_otherwise(plain(gold), plain(answer)):
        return _OTHER_TEXT
    form = same_form(plain(gold), plain(answer), lambda x, y: compare(x, y, question).equal is True)
    if form is not None:
        return Comparison(form, "form")
    if (a is None) != (b is None) and _decimal_comma(gold, a, answer, b):
        return _SAME
    return _as_formulas(gold, answer, question)


def choice(options: Mapping[str, str], answer: str, question: str = "") -> str | None:
    """The label of the option that an answer names; "" if it certainly names none, None if that isn't known."""
    return chosen(options, answer, lambda option, text: compare(option, text, question).equal)


def _quick(gold: str, answer: str) -> Comparison | None:
    """A shortcut for the most frequent case, two plain decimals; gives the same result as `same_number`."""
    a, b = _PLAIN.fullmatch(gold), _PLAIN.fullmatch(answer)
    if a is None or b is None:
        return None
    a_sign, a_whole, a_rest = a.groups("")
    b_sign, b_whole, b_rest = b.groups("")
    digits = max(len(a_rest), len(b_rest))
    x = int(f"{a_sign}{a_whole.replace(',', '')}{a_rest:0<{digits}}")
    y = int(f"{b_sign}{b_whole.replace(',', '')}{b_rest:0<{digits}}")
    if x == y:
        return _SAME
    if digits and abs(x - y) * 10**6 <= max(abs(x), abs(y)) and (a_rest + b_rest).strip("0"):
        return None  # one may be rounded
    return _OTHER


def _as_formulas(gold: str, answer: str, question: str) -> Comparison:
    a, b = read(gold), read(answer, f"{question} {gold}" if question else "")
    if a is None or b is None:
        return _OTHER_TEXT
    if not agree(a.unit, b.unit):
        return _FORMULA[False]
    return _FORMULA[same(a.tree, b.tree)]


def _labels_differ(gold: str, answer: str) -> bool:
    """x = 5 and y = 5."""
    a, b = _LABEL.match(gold), _LABEL.match(answer)
    return a is not None and b is not None and a[1] != b[1]


def _joined_otherwise(gold: str, answer: str) -> bool:
    """A and C, A or C: letters are choices or statements; of values, "and" and "or" list the same solutions."""
    a, b = _JOINED.fullmatch(gold), _JOINED.fullmatch(answer)
    return a is not None and b is not None and a[1].casefold() != b[1].casefold()


def _symbols(text: str) -> list[str]:
    """The short words after a number, whose case tells units apart: 5 m and 5 M."""
    found = _MEASURED.fullmatch(plain(text))
    return [] if found is None else re.findall(r"[A-Za-z]+", found[1])


def _may_name(words: str, other: str) -> bool:
    """Whether a label in words does not contradict the letter on the other side: an area may be A."""
    letter = _LABEL.match(other)
    return letter is None or any(word[0] == letter[1].casefold() for word in words.split())


def _decimal_comma(gold: str, a: Number | None, answer: str, b: Number | None) -> bool:
    """Whether a comma is a decimal comma because the other side has a decimal point: 1,22 and 1.22."""
    written_so, other = (answer, a) if b is None else (gold, b)
    if other is None or not other.decimal or not _DECIMAL_COMMA.fullmatch(plain(written_so)):
        return False
    found = number(plain(written_so).replace(",", "."))
    return found is not None and same_number(other, found)


def settle(
    pairs: Sequence[tuple[str, str]],
    decide: Callable[[Sequence[tuple[str, str]]], list[bool | None]],
    questions: Sequence[str] = (),
    options: Sequence[Mapping[str, str]] = (),
) -> list[Comparison]:
    """`compare` for many pairs; undecided pairs go to `decide` (`ports.Algebra.decide`), but those with options."""
    named = itertools.chain(questions, itertools.repeat(""))
    offered = list(itertools.islice(itertools.chain(options, itertools.repeat(NO_OPTIONS)), len(pairs)))
    found = [
        compare(gold, answer, question, among)
        for (gold, answer), question, among in zip(pairs, named, offered, strict=False)
    ]
    open_ones = [i for i, comparison in enumerate(found) if comparison.equal is None and not offered[i]]
    decided = decide([pairs[i] for i in open_ones]) if open_ones else []
    for i, verdict in zip(open_ones, decided, strict=True):
        if verdict is not None:
            found[i] = Comparison(verdict, "algebra")
    return found
