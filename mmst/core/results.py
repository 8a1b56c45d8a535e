"""What stages count and find, as records. A manifest holds them as plain JSON; here alone is known how that is spelt.

manifest.counted(VerifyCounts).methods["code"].passed
manifest.result(Measured).report.scores
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from mmst.core.records import Decision, Labelling, Report, Verdict

IF_ANY = {"if_any": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A stage's counts: in a manifest one flat mapping from names to numbers."""

    def stored(self) -> dict[str, int]:
        """As they stand in a manifest."""
        found = ((f, getattr(self, f.name)) for f in fields(self))
        return {f.name: n for f, n in found if isinstance(n, int) and (n or "if_any" not in f.metadata)}

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """Back from a manifest; what is not counted there is 0."""
        return cls(**cls.totals(stored))

    @classmethod
    def totals(cls, stored: Mapping[str, int]) -> dict[str, Any]:
        """Those that are over all, by their fields."""
        return {f.name: stored[f.name] for f in fields(cls) if f.name in stored}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareCounts(Counts):
    """Problems by role; `related` ones are among `heldout`. What was left out, and what a user should know of."""

    train: int = 0
    heldout: int = 0
    annotated: int = 0
    unlabelled: int = field(default=0, metadata=IF_ANY)
    related: int = 0
    duplicates: int = 0
    near_duplicates: int = 0
    contradictions: int = field(default=0, metadata=IF_ANY)
    notes: int = field(default=0, metadata=IF_ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCounts(Counts):
    """Completions that were `asked` for are `samples` or `failed`; `methods` are the samples of each."""

    problems: int = 0
    asked: int = 0
    samples: int = 0
    failed: int = 0
    tokens: int = 0
    methods: Mapping[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, int]:
        """`text.samples` of a method."""
        return Counts.stored(self) | {f"{name}.samples": n for name, n in self.methods.items()}

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """See `stored`."""
        parts = ((name.partition("."), n) for name, n in stored.items())
        return cls(**cls.totals(stored), methods={m: n for (m, _, what), n in parts if what == "samples"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many samples were `asked` about, each verdict, and what is marked besides.

    `unlabelled` is stored only where there are such samples.
    """

    asked: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    nondeterministic: int = 0
    contradicted: int = 0

    @property
    def passed(self) -> int:
        """Those whose answer is right."""
        return self.verdicts.get(Verdict.PASSED, 0)

    @classmethod
    def of(cls, named: Mapping[str, int]) -> Tally:
        """From numbers by name; every verdict is named, also those that nobody got."""
        return cls(
            asked=named.get("asked", 0),
            verdicts={v.value: named.get(v, 0) for v in Verdict},
            nondeterministic=named.get("nondeterministic", 0),
            contradicted=named.get("contradicted", 0),
        )

    def __add__(self, other: Tally) -> Tally:
        """Of both together."""
        return Tally.of(Counter(dict(self.named())) + Counter(dict(other.named())))

    def named(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Numbers by name."""
        marks = {"nondeterministic": self.nondeterministic, "contradicted": self.contradicted}
        for name, n in {"asked": self.asked, **self.verdicts, **marks}.items():
            if n or name != Verdict.UNLABELLED:
                yield f"{prefix}{name}", n


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyCounts(Counts):
    """A tally over all samples and one per method; how many programs lacked which package, the most missed first."""

    total: Tally = field(default_factory=Tally)
    methods: Mapping[str, Tally] = field(default_factory=dict)
    lacks: Mapping[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, int]:
        """`asked`, `passed` …, `code.passed` of a method, `lacks requests`."""
        by_method = (pair for name, tally in sorted(self.methods.items()) for pair in tally.named(f"{name}."))
        return dict((*self.total.named(), *by_method)) | self._lacks

    def __add__(self, other: VerifyCounts) -> VerifyCounts:
        """Of both together."""
        names = sorted({*self.methods, *other.methods})
        return VerifyCounts(
            total=self.total + other.total,
            methods={n: self.methods.get(n, Tally()) + other.methods.get(n, Tally()) for n in names},
            lacks=dict((Counter(self.lacks) + Counter(other.lacks)).most_common()),
        )

    def overall(self) -> dict[str, int]:
        """As `stored`, without those of the methods."""
        return dict(self.total.named()) | self._lacks

    @property
    def _lacks(self) -> dict[str, int]:
        return {f"lacks {name}": n for name, n in self.lacks.items()}

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """See `stored`."""
        lacks = {name.removeprefix("lacks "): n for name, n in stored.items() if name.startswith("lacks ")}
        methods: dict[str, dict[str, int]] = {}
        for name, n in stored.items():
            method, dot, what = name.partition(".")
            if dot and not name.startswith("lacks "):
                methods.setdefault(method, {})[what] = n
        tallies = {name: Tally.of(named) for name, named in sorted(methods.items())}
        return cls(total=Tally.of(stored), methods=tallies, lacks=lacks)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts(Counts):
    """What became of each unlabelled problem, and the verdicts on all samples, those judged by labels among them.

    `outcomes` has every `Labelling`; they add up to `unlabelled`. `verify` is spelt as the verify stage spells it.
    """

    unlabelled: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    verify: VerifyCounts = field(default_factory=VerifyCounts)

    def stored(self) -> dict[str, int]:
        """`problems`, `problems labelled` …, and the verdicts as `VerifyCounts` stores them."""
        outcomes = {f"problems {o.value}": self.outcomes.get(o, 0) for o in Labelling}
        return {"problems": self.unlabelled} | outcomes | self.verify.stored()

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """See `stored`."""
        outcomes = {o.value: stored.get(f"problems {o.value}", 0) for o in Labelling}
        return cls(unlabelled=stored.get("problems", 0), outcomes=outcomes, verify=VerifyCounts.read(stored))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLabelsCounts(Counts):
    """Of the unlabelled problems those whose answer is `known`; of these, how many one sample at least solves.

    `labelled` ones are `right`, `wrong`, or neither, where label and answer could not be compared.
    """

    problems: int = 0
    known: int = 0
    solved: int = 0
    labelled: int = 0
    right: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateCounts(Counts):
    """Solutions that were translated; translations, those that failed, and how many of each direction were asked for.

    `directions` are by (source, target).
    """

    failed: int = 0
    sources: int = 0
    directions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    translations: int = 0
    tokens: int = 0

    def stored(self) -> dict[str, int]:
        """`text→code` of a direction. What nothing was asked of, or came back from, is left out, but for `failed`."""
        found = {"sources": self.sources, **{"→".join(d): n for d, n in self.directions.items()}}
        found["translations"] = self.translations
        answered = {"tokens": self.tokens} if self.translations or self.failed else {}
        return {"failed": self.failed} | {name: n for name, n in found.items() if n} | answered

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """See `stored`."""
        parts = ((name.partition("→"), n) for name, n in stored.items())
        return cls(**cls.totals(stored), directions={(a, b): n for (a, arrow, b), n in parts if arrow})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainsetCounts(Counts):
    """The way from samples to examples (`mmst.stages.build_trainset`).

    `methods`: the new ones by (method, origin). `writers`: of these, the ones that each teacher wrote.
    """

    asked: int = 0
    passed: int = 0
    translated: int = 0
    translated_passed: int = 0
    unverified: int = field(default=0, metadata=IF_ANY)
    nondeterministic: int = 0
    unused: int = 0
    duplicate: int = 0
    capped: int = 0
    cut: int = 0
    new: int = 0
    annotated: int = 0
    pair: int = 0
    methods: Mapping[tuple[str, str], int] = field(default_factory=dict)
    writers: Mapping[str, int] = field(default_factory=dict)

    def stored(self) -> dict[str, int]:
        """`new.code.own` of a method and an origin, `by.big` of a teacher; by name."""
        methods = {f"new.{m}.{o}": n for (m, o), n in self.methods.items()}
        writers = {f"by.{name}": n for name, n in self.writers.items()}
        return dict(sorted((Counts.stored(self) | methods | writers).items()))

    @classmethod
    def read(cls, stored: Mapping[str, int]) -> Self:
        """See `stored`."""
        parts = ((name.split(".", 2), n) for name, n in stored.items())
        writers = {name.removeprefix("by."): n for name, n in stored.items() if name.startswith("by.")}
        return cls(**cls.totals(stored), methods={(p[1], p[2]): n for p, n in parts if len(p) == 3}, writers=writers)

    def new_of(self, writer: str) -> int:
        """The new examples that a writer wrote; "" is the model itself."""
        return self.writers.get(writer, 0) if writer else self.new - sum(self.writers.values())

    def new_by(self, method: str) -> int:
        """The new examples of a method."""
        return sum(n for (m, _), n in self.methods.items() if m == method)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainCounts(Counts):
    """The examples that were trained on."""

    new: int = 0
    annotated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateCounts(Counts):
    """Held-out problems, the outcomes of all methods, those that passed and those whose request failed."""

    problems: int = 0
    outcomes: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCounts(Counts):
    """What the page shows."""

    samples: int = 0
    translations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """A question that was left out, and the held-out one of which it shares so many word 5-grams."""

    role: str
    question: str
    heldout: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Examples of what was left out, and of what a user should know."""

    near_duplicates: tuple[NearDuplicate, ...] = ()
    contradictions: tuple[Mapping[str, Any], ...] = field(default=(), metadata=IF_ANY)
    notes: tuple[str, ...] = field(default=(), metadata=IF_ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareBucket:
    """The labels with at least the share `low` of the votes, and less than the next bucket's; those that are right."""

    low: float
    labelled: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How often labels are right, by their share of the votes."""

    buckets: tuple[ShareBucket, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A shipped model's name; of any other its origin (`hub` and `commit`, or `gguf`), where it is not a folder."""

    name: str = field(default="", metadata=IF_ANY)
    origin: Mapping[str, str] = field(default_factory=dict, metadata=IF_ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainset:
    """For which arm examples were chosen; what it does with annotated ones, where that is not as usual."""

    arm: str
    annotated: str = field(default="", metadata=IF_ANY)

    @property
    def replay(self) -> str:
        """`replay`, `only` or `none` (`Arm.annotated`)."""
        return self.annotated or ("only" if self.arm == "annotated-only" else "replay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The arm, and the worker's figures: the last loss, what was trained on, the examples that were too long."""

    arm: str
    loss: float
    steps: int
    tokens: int
    dropped: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A checkpoint's report; {"task/method/family": (passed, problems)}; the digest of how the problems were put."""

    report: Report
    families: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    protocol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What was decided, of which version in the registry. Not `compared`: the champion had no report to compare."""

    decision: Decision
    version: str = ""
    compared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """`train`, the reference of the next round's checkpoint, or `stop`, and why."""

    next: str
    reason: str = ""
