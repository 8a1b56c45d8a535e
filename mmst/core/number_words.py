"""The words in which English writes numbers. What grades answers and what finds them in a text know the same ones."""

from __future__ import annotations

ONES = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SMALL = {word: n for n, word in enumerate(ONES + _TEENS)}
"""Zero to nineteen."""
DECADES = {word: 10 * n for n, word in enumerate(_TENS, 2)} | {"fourty": 40}
LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
COUNTED = frozenset({"hundred", "dozen", *LARGE})
"""What may be counted: two hundred, a dozen."""
SIGNS = frozenset({"minus", "negative"})
_ORDINALS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth"
).split()
PARTS = {"half": 2, "quarter": 4} | {word: n for n, word in enumerate(_ORDINALS, 3)}
PARTS |= {f"{ten}ieth": 10 * n for n, ten in enumerate("twent thirt fort fift sixt sevent eight ninet".split(), 2)}
PARTS |= {"hundredth": 100, "thousandth": 10**3, "millionth": 10**6, "billionth": 10**9, "trillionth": 10**12}
"""A half, a third … and what they divide by; a second is a time."""
