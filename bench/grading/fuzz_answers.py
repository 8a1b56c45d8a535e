"""Coverage-guided fuzzing of comparing and extracting, with atheris from PyPI (Google's libFuzzer for Python).

    nice -n 19 python bench/grading/fuzz_answers.py -max_total_time=600 -max_len=240 CORPUS_FOLDER

What must hold for any two texts: nothing raises; every text equals itself; equal texts are equal both ways,
but for the gold percentage; normalising twice changes nothing; nothing takes longer than `SLOWEST` seconds.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["mmst.grading", "mmst.methods.extraction"]):
    from mmst import grading
    from mmst.methods import extraction

SLOWEST = 2.0
WORDS = (
    r"\frac{ }{ \sqrt \sqrt[3]{ \boxed{ \text{ \begin{pmatrix} \end{pmatrix} \\ & \sum_{k=1}^{ \int_0^ \lim_{x\to \pm "
    r"\cup \in \infty \pi \left( \right] \{ \} \le \log_2 \sin ^ _ ( ) [ ] | = < > , ; : + - * / ! % $ 1 2 9 10 0.5 "
    r"1/2 e9 x y f(x) i e and or yes no (A) 3:30 pm cm ^2 percent seven answer is Answer: #### 204_5 ^\circ "
    r"9**9**9 \binom \approx \angle ABC Area ≈ ∠ $ e9999 f( 999! x_{ 10^{ "
    r"dozen tenths half minus two-thirds hundred thousand k M bn below zero about the year 1990 km/h per dollars US$ "
    r"\overline{3} 0. 0.(3) \bar{6} \over _{16} 2A j 4j I Fraction( Decimal(' array( Matrix( np.float64( {x: "
    r"Interval( 0x2a"
).split()


def text(data: bytes) -> str:
    """A text of mathematical words, chosen by the bytes; with the high bit off, letters as they are."""
    return "".join(WORDS[b % len(WORDS)] if b >= 128 else chr(b) for b in data)


def one(data: bytes) -> None:
    """One input: two texts."""
    first, _, second = data.partition(b"\x00")
    a, b = text(first), text(second)
    began = time.process_time()
    there, back = grading.compare(a, b), grading.compare(b, a)
    assert grading.equal(a, a), a
    if there.equal != back.equal:
        assert "%" in a + b or "perc" in a + b or "pct" in a + b, (a, b, there, back)
    once = grading.normalise(a)
    assert grading.normalise(once) == once, a
    extraction.answer_in(a)
    assert time.process_time() - began < SLOWEST, (a, b)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
