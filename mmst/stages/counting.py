"""Checked samples, counted by method: what the stages that judge samples store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mmst.core.records import CheckedSample
from mmst.core.results import Tally, VerifyCounts
from mmst.sandbox.exit_status import missing_package

LACKS = 10
"""How many missing packages are named: programs may ask for any."""


class Counting:
    """Counts checked samples, by method, and the packages that programs lacked."""

    def __init__(self) -> None:
        self.methods: dict[str, Counter[str]] = {}
        self.lacks = Counter[str]()

    def add(self, checked: Iterable[CheckedSample]) -> None:
        """Count samples in."""
        for c in checked:
            own = self.methods.setdefault(c.sample.method, Counter())
            marks = ("nondeterministic",) * c.nondeterministic + ("contradicted",) * c.contradicted
            own.update(("asked", c.verdict.value, *marks))
            if (package := missing_package(c.detail)) is not None:
                self.lacks[package] += 1

    def counts(self) -> VerifyCounts:
        """All that was counted."""
        total = sum(self.methods.values(), Counter[str]())
        lacks = dict(sorted(self.lacks.items(), key=lambda item: (-item[1], item[0]))[:LACKS])
        tallies = {name: Tally.of(named) for name, named in self.methods.items()}
        return VerifyCounts(total=Tally.of(total), methods=tallies, lacks=lacks)
