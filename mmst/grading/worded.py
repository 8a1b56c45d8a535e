"""Numbers in words: `one hundred and twenty`, `two-thirds`, `three and a half`, `minus five`, `a dozen`. Pure."""

from __future__ import annotations

import re
from fractions import Fraction

from mmst.core.number_words import COUNTED, DECADES, LARGE, ONES, PARTS, SIGNS, SMALL

_ARTICLES = frozenset({"a", "an"})
_STARTS = frozenset({*SMALL, *DECADES, *_ARTICLES, *COUNTED, "half", *SIGNS})
_WORD = re.compile(r"[A-Za-z]+")
_FIRST = re.compile(r"[A-Za-z]+")
_AND_PART = re.compile(
    r"\s+and\s+(?:(?P<top>\d{1,9})\s*/\s*(?P<bottom>\d{1,9})(?![\d/.])|(?P<words>[A-Za-z].*))", re.DOTALL
)


def in_words(text: str) -> tuple[Fraction, str] | None:
    """The number in words at the start of a text, and the text after it.

    >>> in_words("one hundred and twenty apples"), in_words("two-thirds"), in_words("three and a half")
    ((Fraction(120, 1), ' apples'), (Fraction(2, 3), ''), (Fraction(7, 2), ''))
    """
    first = _FIRST.match(text)
    if first is None or first[0].casefold() not in _STARTS:
        return None
    words = [(m[0].casefold(), m.start(), m.end()) for m in _WORD.finditer(text, 0, 400)]
    for i, (_, start, _) in enumerate(words[1:], 1):
        if text[words[i - 1][2] : start] not in (" ", "-", "  "):
            words = words[:i]  # what is behind another sign is not read here
            break
    negative = words[0][0] in SIGNS
    reader = _Words(text, words, int(negative))
    value = reader.number()
    if value is None:
        return None
    return (-value if negative else value), text[reader.end() :]


def begins_number(text: str) -> bool:
    """Whether the first word may begin a number."""
    first = _FIRST.match(text)
    return first is not None and first[0].casefold() in _STARTS


def and_part(rest: str) -> tuple[Fraction, str] | None:
    """The addition in ` and a half`, ` and two thirds` or ` and 3/4` after a number.

    >>> and_part(" and a half"), and_part(" and 3/4 cups"), and_part(" and 7 more")
    ((Fraction(1, 2), ''), (Fraction(3, 4), ' cups'), None)
    """
    found = _AND_PART.match(rest)
    if found is None:
        return None
    if found["top"]:
        bottom = int(found["bottom"])
        return (Fraction(int(found["top"]), bottom), rest[found.end() :]) if bottom else None
    part = in_words(found["words"])
    return part if part is not None and 0 < part[0] < 1 else None


class _Words:
    """Reads words from left to right; each method stops after what it read."""

    def __init__(self, text: str, words: list[tuple[str, int, int]], at: int) -> None:
        self.text, self.words, self.at = text, words, at

    def peek(self, ahead: int = 0) -> str:
        return self.words[self.at + ahead][0] if self.at + ahead < len(self.words) else ""

    def end(self) -> int:
        """The end of the last word that was read."""
        return self.words[self.at - 1][2]

    def number(self) -> Fraction | None:
        if self.peek() == "half":
            return self.half()
        if self.peek() in _ARTICLES and self.peek(1) in PARTS:
            self.at += 2
            return Fraction(1, PARTS[self.peek(-1)]) if self.closed_part() else None
        whole = self.cardinal()
        if whole is None:
            return None
        if self.peek() == "point" and self.peek(1) in ONES:
            return whole + self.decimals()
        part = self.part(whole)
        if part is not None:
            return part
        if self.peek() == "and":
            self.at += 1
            start, added = self.at, self.fraction()
            if added is None:
                self.at = start - 1
                return Fraction(whole) if not self.peek(1) or self.peek(1) in ("a",) else None
            return whole + added
        if self.peek() in SMALL or self.peek() in DECADES:
            return None  # one two
        return Fraction(whole)

    def half(self) -> Fraction | None:
        """`half`, `half a dozen`, `half an hour`."""
        self.at += 1
        if self.peek() in _ARTICLES:
            self.at += 1
        dozen = self.peek() == "dozen"
        self.at += dozen
        return Fraction(6) if dozen else Fraction(1, 2)

    def fraction(self) -> Fraction | None:
        """`a half`, `two thirds`, after `and`."""
        if self.peek() in _ARTICLES and self.peek(1) in PARTS:
            self.at += 2
            return Fraction(1, PARTS[self.peek(-1)])
        top = self.cardinal()
        return None if top is None else self.part(top)

    def part(self, top: int) -> Fraction | None:
        """The denominator in `two thirds`, `one half`, `five twenty-fourths`."""
        word, tens = self.peek(), 0
        if word in DECADES and self.peek(1) and self.text[self.words[self.at][2]] == "-":
            word, tens = self.peek(1), DECADES[word]
        plural = word.endswith("s")
        word = {"halves": "half"}.get(word, word.removesuffix("s"))
        if word not in PARTS or (not plural and top != 1) or (tens and PARTS[word] > 9):
            return None
        self.at += 2 if tens else 1
        return Fraction(top, tens + PARTS[word])

    def closed_part(self) -> bool:
        """Whether nothing after `a third` makes it an ordinal (the third of a row)."""
        return self.peek() in ("", "of")

    def decimals(self) -> Fraction:
        """`point one four`."""
        self.at += 1
        digits = ""
        while self.peek() in ONES:
            digits += str(SMALL[self.peek()])
            self.at += 1
        return Fraction(int(digits), 10 ** len(digits))

    def cardinal(self) -> int | None:
        """A whole number, below a quadrillion."""
        total, last, any_read = 0, 10**15, False
        while (group := self.group()) is not None:
            any_read = True
            scale = LARGE.get(self.peek())
            if scale is None:
                return total + group
            if scale >= last:
                return None
            self.at += 1
            total, last = total + group * scale, scale
            if (
                self.peek() == "and"
                and (self.peek(1) in SMALL or self.peek(1) in DECADES)
                and not self.fraction_ahead()
            ):
                self.at += 1
            elif self.peek() not in SMALL and self.peek() not in DECADES:
                return total
        return total if any_read else None

    def group(self) -> int | None:
        """A number below a thousand; `a` before a scale is one."""
        if self.peek() in _ARTICLES and self.peek(1) in COUNTED:
            self.at += 1
            if self.peek() == "hundred":
                self.at += 1
                return self.hundreds(1)
            return 1
        found = self.below_hundred()
        if found is None:
            if self.peek() == "hundred":
                self.at += 1
                return self.hundreds(1)
            return None
        if self.peek() == "hundred":
            self.at += 1
            return self.hundreds(found)
        return found

    def hundreds(self, count: int) -> int:
        """The rest of `two hundred …`."""
        joined = self.peek() == "and" and not self.fraction_ahead()
        self.at += joined
        rest = self.below_hundred()
        if rest is None and joined:
            self.at -= 1
        return count * 100 + (rest or 0)

    def fraction_ahead(self) -> bool:
        """Whether `and` is followed by a fraction: one hundred and two thirds."""
        start = self.at
        self.at += 1
        found = self.fraction()
        self.at = start
        return found is not None

    def below_hundred(self) -> int | None:
        word = self.peek()
        if word in SMALL:
            self.at += 1
            return SMALL[word]
        if word not in DECADES:
            return None
        after = self.peek(1)
        compound = after.removesuffix("s") in PARTS and self.text[self.words[self.at][2] :][:1] == "-"
        if compound:
            return None  # twenty-fourths
        self.at += 1
        one = SMALL.get(after, 0)
        if 0 < one < 10:
            self.at += 1
            return DECADES[word] + one
        return DECADES[word]
