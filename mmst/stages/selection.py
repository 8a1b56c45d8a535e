"""Which of the verified solutions an arm trains on. Pure, and the same in whatever order they come.

`candidates` makes of each solution what choosing needs of it; `select` chooses, and tells the fate of the others.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from mmst.core import arms
from mmst.core.arms import Arm
from mmst.core.method_files import MethodFile
from mmst.core.records import CheckedSample, rank
from mmst.methods import Method, method
from mmst.methods.soundness import false_equations

WIDER = ("passed", "unverified", "any")
"""`Arm.keep`, each letting in what the one before does, and more."""


class Candidate(NamedTuple):
    """A correct solution, as small as choosing needs it; `form` hashes what it says.

    `origin` is the method that it was translated from; empty of a sample as it was drawn. It is of another solution
    if not `passed`. It is `sound` if none of its equations is false, as far as anybody asked. `writer` is the teacher
    that wrote it; empty of the model itself.
    """

    id: str
    problem_id: str
    method: str
    origin: str
    form: bytes
    passed: bool = True
    sound: bool = True
    writer: str = ""


def candidates(
    samples: Iterable[CheckedSample],
    counts: Counter[str],
    advance: Callable[[int], None] = lambda n: None,
    *,
    keep: str = "passed",
    sound: bool = False,
    files: Sequence[MethodFile] = (),
) -> Iterator[Candidate]:
    """The correct ones among the samples, and with `keep` others (`Arm.keep`); counts what goes by.

    With `sound` their equations are looked at.
    """
    for c in samples:
        s = c.sample
        counts["translated" if s.source_sample else "asked"] += 1
        advance(1)
        if c.passed:
            counts["translated_passed" if s.source_sample else "passed"] += 1
        elif _kept(keep, passed=False, translation=bool(s.source_sample)) and c.solution.strip():
            counts["unverified"] += 1
        else:
            continue
        if c.nondeterministic:
            counts["nondeterministic"] += 1
            continue
        by = method(s.method, files)
        form, true = form_of(by, c.solution), by.executes or not (sound and false_equations(c.solution))
        yield Candidate(s.id, s.problem_id, s.method, s.source_method, form, c.passed, true, s.writer)


def form_of(by: Method, solution: str) -> bytes:
    """The hash of what a solution says: the same for solutions that differ only in layout."""
    return hashlib.sha256(by.canonical(solution).encode("utf-8", "surrogatepass")).digest()


def select(
    pool: Sequence[Candidate],
    arm: Arm,
    rivals: Sequence[Arm],
    methods: Sequence[str],
    cap: int,
    balance: bool,
    theirs: Sequence[Candidate] = (),
) -> tuple[frozenset[str], dict[str, int]]:
    """The ids that an arm trains on, and the fate of the others as counts. Pure; order-free.

    Of solutions that say the same, an own sample is kept before a translation. The cap takes own
    samples and translations in turn, so that a problem's examples differ in where they come from.
    `rivals` are the arms of `equal_to`, which choose from `theirs` where they take what the arm does not (`looser`).
    """
    usable = _usable(pool, arm, methods)
    distinct = _distinct(usable)
    capped = _capped(distinct, arm.per_problem or cap)
    # Before any is balanced: so two arms that name each other get the same counts.
    others = [_capped(_distinct(_usable(theirs or pool, r, methods)), r.per_problem or cap) for r in rivals]
    if others and arm.equal == "method":
        sizes = [Counter(c.method for c in other) for other in others]
        kept = _balanced(_cut(capped, {name: max(size[name] for size in sizes) for name in methods}), balance)
    else:
        kept = _balanced(capped, balance)
    if others and arm.equal == "total":
        kept = sorted(kept, key=lambda c: rank(c.id))[: max(len(_balanced(other, balance)) for other in others)]
    fates = {
        "unused": len(pool) - len(usable),
        "duplicate": len(usable) - len(distinct),
        "capped": len(distinct) - len(capped),
        "cut": len(capped) - len(kept),
    }
    return frozenset(c.id for c in kept), fates


def looser(arm: Arm, rivals: Sequence[Arm]) -> str:
    """The `Arm.keep` of the rivals that lets in more than the arm's own; "" if none does."""
    widest = max((arm.keep, *(r.keep for r in rivals)), key=WIDER.index)
    return widest if widest != arm.keep else ""


def _usable(pool: Sequence[Candidate], arm: Arm, methods: Sequence[str]) -> Sequence[Candidate]:
    """The candidates that the arm takes."""
    if arm.annotated == "only":
        return []
    mine = [c for c in pool if c.method in methods and (not arm.writers or (c.writer or arms.SELF) in arm.writers)]
    if arm.solved_by != "any":
        solvers: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for c in mine:
            if c.passed and not c.origin:
                solvers[c.problem_id].add((c.method, c.writer))
        mine = [c for c in mine if _solved(arm.solved_by, solvers[c.problem_id], methods)]
    return [c for c in mine if _takes(arm, c)]


def _solved(by: str, solvers: Set[tuple[str, str]], methods: Sequence[str]) -> bool:
    """Whether a problem that these (method and writer) solved is one of `Arm.solved_by`."""
    if by == "all":
        return {name for name, _ in solvers} == set(methods)
    return len(solvers) == 1 if by == "one" else len(solvers) > 1


def _takes(arm: Arm, c: Candidate) -> bool:
    origin = "translation" if c.origin else "own"
    return (
        (not arm.methods or c.method in arm.methods)
        and (not arm.origins or origin in arm.origins)
        and (not arm.directions or not c.origin or f"{c.origin}-to-{c.method}" in arm.directions)
        and (not arm.sound or c.sound)
        and _kept(arm.keep, c.passed, bool(c.origin))
    )


def _kept(keep: str, passed: bool, translation: bool) -> bool:
    return passed or keep == "any" or (keep == "unverified" and translation)


def _distinct(usable: Iterable[Candidate]) -> Sequence[Candidate]:
    """Of candidates that say the same, the best: an own sample, then a verified translation."""
    found: dict[tuple[str, str, bytes], Candidate] = {}
    for c in sorted(usable, key=lambda c: (not c.passed, c.origin != "", rank(c.id))):
        found.setdefault((c.problem_id, c.method, c.form), c)
    return list(found.values())


def _capped(distinct: Iterable[Candidate], cap: int) -> list[Candidate]:
    groups: dict[tuple[str, str], dict[bool, list[Candidate]]] = defaultdict(lambda: {True: [], False: []})
    for c in distinct:
        groups[c.problem_id, c.method][not c.origin].append(c)
    kept: list[Candidate] = []
    for group in groups.values():
        in_turn = itertools.zip_longest(*(sorted(cs, key=lambda c: rank(c.id)) for cs in group.values()))
        kept += [c for pair in in_turn for c in pair if c is not None][:cap]
    return kept


def _balanced(examples: list[Candidate], balance: bool) -> list[Candidate]:
    """With `balance` no method has more than twice the examples of the smallest."""
    sizes = Counter(c.method for c in examples)
    return _cut(examples, {name: 2 * min(sizes.values()) for name in sizes}) if balance and sizes else examples


def _cut(examples: Iterable[Candidate], limits: Mapping[str, int]) -> list[Candidate]:
    by_method: dict[str, list[Candidate]] = defaultdict(list)
    for c in sorted(examples, key=lambda c: rank(c.id)):
        by_method[c.method].append(c)
    return [c for name, cs in by_method.items() for c in cs[: limits[name]]]
