"""Rollout: make the server serve the champion on record, or leave it as it was.

`decide` looks at the current state and names the next step, and `carry_out` takes it. All lasting state is in the
services and in the registry's tags, so this process may end at any point:

    no champion                        → idle
    champion not served                → bring_up: a challenger beside the stable service
    challenger there                   → try_out: on problems that the champion is known to solve; then switch
    stable switched, not recorded      → confirm: the same through the stable service; then record
    champion failed before             → back: what is on record serves again; then hold
    what serves is not as the settings → renew: the same version as they have it, beside the stable service;
    of the release now have it           then try_renewed, and switch
    champion served and on record      → clear what is left over, then rest

The stable service's pods are replaced one by one, each when its successor is ready: no request
is lost. Tags of a model version: `serving` (namespace/service), `serving.since`,
`serving.failed` (the reason; remove it to have the version tried again), `serving.kept` (the
definition under which it was not served, and why; it goes on as it was).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mmst.core.errors import SamplerError, UserError
from mmst.core.method_files import MethodFile
from mmst.core.ports import Request, Sampler, Store
from mmst.core.records import CheckedSample
from mmst.core.stored import load, pointers, records
from mmst.grading import equal
from mmst.methods import method

SERVING, SINCE, FAILED, KEPT = "serving", "serving.since", "serving.failed", "serving.kept"
STABLE, NEXT = "champion", "champion-next"
"""The service for clients, and the challenger beside it."""
ASKED = 24
"""Maximum number of problems in a smoke test."""
ENOUGH = 0.8
"""Share of them that must be solved again. The same model solves all, except for numerics of another server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A registered model version: digest and reference of its checkpoint, where it was measured, its tags."""

    version: str
    checkpoint: str
    ref: str
    run: str = ""
    evaluation: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The current state: the champion, the versions recorded as serving here, the services' checkpoints.

    `outdated` is the version that serves, where the settings now define its service otherwise; `renewed` says
    that the challenger's service is so defined.
    """

    champion: Version | None
    serving: tuple[Version, ...] = ()
    stable: str = ""
    next: str = ""
    outdated: Version | None = None
    renewed: bool = False


class Step(StrEnum):
    """What to do next."""

    IDLE = "idle"
    BRING_UP = "bring_up"
    TRY_OUT = "try_out"
    CONFIRM = "confirm"
    BACK = "back"
    HOLD = "hold"
    RENEW = "renew"
    TRY_RENEWED = "try_renewed"
    CLEAR = "clear"
    REST = "rest"


SETTLED = {Step.IDLE, Step.HOLD, Step.REST}


class Services(Protocol):
    """The two services. Raises `PlatformError`, or `ModelError` for a version that cannot be loaded."""

    where: str

    def checkpoint(self, name: str) -> str:
        """The digest that a service should serve; empty if there is none, or its pods were removed."""

    def definition(self, name: str) -> str:
        """The digest of all that a service was last told to be; empty if none is known."""

    def wanted(self, version: Version) -> str:
        """The digest of all that a service of a version would be told now."""

    def put(self, name: str, version: Version) -> None:
        """Make a service serve a version, without waiting."""

    def remove(self, name: str) -> None:
        """Remove a service's pods; then it has no checkpoint."""

    def sampler(self, name: str, version: Version) -> AbstractContextManager[Sampler]:
        """Wait until all of a service serves only this version; returns how to send requests to it."""


class Versions(Protocol):
    """The registry. Errors are `RegistryError`."""

    def champion(self) -> Version | None:
        """The champion's version: from the record in the store if there is one, else from the alias."""

    def tagged(self, name: str, value: str) -> Sequence[Version]:
        """The versions that carry a tag."""

    def tag(self, version: str, tags: Mapping[str, str | None]) -> None:
        """Set tags, or remove those whose value is None."""


def decide(seen: Seen) -> Step:
    """The next step."""
    champion = seen.champion
    if champion is None:
        return Step.IDLE
    recorded = {v.checkpoint for v in seen.serving}
    if champion.tags.get(FAILED):
        others = recorded - {champion.checkpoint}
        wrong = seen.stable not in others if others else seen.stable == champion.checkpoint
        stale = seen.next or recorded - {seen.stable}
        return Step.BACK if wrong else _as_it_is(seen, bool(stale), Step.HOLD)
    if seen.stable == champion.checkpoint:
        if champion.checkpoint not in recorded:
            return Step.CONFIRM
        return _as_it_is(seen, bool(seen.next or len(seen.serving) > 1), Step.REST)
    return Step.TRY_OUT if seen.next == champion.checkpoint else Step.BRING_UP


def _as_it_is(seen: Seen, untidy: bool, rest: Step) -> Step:
    """The next step where the version that serves goes on serving."""
    if seen.outdated is not None:
        return Step.TRY_RENEWED if seen.renewed else Step.RENEW
    return Step.CLEAR if untidy else rest


class Rollout:
    """Carries out the steps. `tell` receives a line for people about each."""

    def __init__(
        self,
        services: Services,
        versions: Versions,
        check: Callable[[Version, Sampler], str],
        tell: Callable[[str], None],
    ) -> None:
        self.services, self.versions, self.check, self.tell = services, versions, check, tell

    def settle(self) -> tuple[Step, Seen]:
        """Take steps until nothing is left to do; returns the last one and the state after it."""
        while True:
            seen = self.look()
            step = decide(seen)
            if step in SETTLED:
                return step, seen
            self.carry_out(step, seen)

    def look(self) -> Seen:
        """The current state."""
        serving = tuple(self.versions.tagged(SERVING, self.services.where))
        stable, outdated, renewed = self.services.checkpoint(STABLE), None, False
        for served in (v for v in serving if v.checkpoint == stable):
            wanted = self.services.wanted(served)
            if wanted not in (self.services.definition(STABLE), served.tags.get(KEPT, "").partition(" ")[0]):
                outdated, renewed = served, self.services.definition(NEXT) == wanted
        return Seen(
            champion=self.versions.champion(),
            serving=serving,
            stable=stable,
            next=self.services.checkpoint(NEXT),
            outdated=outdated,
            renewed=renewed,
        )

    def carry_out(self, step: Step, seen: Seen) -> None:
        """Take one step."""
        champion = seen.champion
        assert champion is not None, "without a champion there is no step to take"
        if step is Step.BRING_UP:
            self.tell(f"version {champion.version}: bringing up {NEXT}")
            self.services.put(NEXT, champion)
        elif step is Step.TRY_OUT:
            if reason := self._trouble(NEXT, champion):
                self._failed(champion, reason)
            else:
                self.tell(f"version {champion.version}: {STABLE} is switched to it")
                self.services.put(STABLE, champion)
        elif step is Step.CONFIRM:
            if reason := self._trouble(STABLE, champion):
                self._failed(champion, reason)
            else:
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                self.versions.tag(champion.version, {SERVING: self.services.where, SINCE: now, FAILED: None})
                self.tell(f"version {champion.version} serves at {self.services.where}")
        elif step is Step.RENEW:
            assert seen.outdated is not None
            self.tell(f"version {seen.outdated.version}: the release's settings changed, bringing it up so as {NEXT}")
            self.services.put(NEXT, seen.outdated)
        elif step is Step.TRY_RENEWED:
            assert seen.outdated is not None
            self._renew(seen.outdated)
        elif step is Step.BACK:
            before = max(
                (v for v in seen.serving if v.checkpoint != champion.checkpoint),
                key=lambda v: v.tags.get(SINCE, ""),
                default=None,
            )
            if before is None:
                self.tell(f"{STABLE} is removed: nothing served before")
                self.services.remove(STABLE)
            else:
                self.tell(f"version {before.version} serves again")
                self.services.put(STABLE, before)
        elif step is Step.CLEAR:
            self.services.remove(NEXT)
            for other in seen.serving:
                if other.checkpoint != seen.stable:
                    self.versions.tag(other.version, {SERVING: None})

    def _renew(self, version: Version) -> None:
        if reason := self._trouble(NEXT, version):
            self.tell(f"version {version.version} goes on as it was, not as the settings have it now: {reason}")
            self.versions.tag(version.version, {KEPT: f"{self.services.wanted(version)} {reason}"[:4000]})
        else:
            self.tell(f"version {version.version}: {STABLE} is switched to the settings as they are now")
            self.services.put(STABLE, version)
            self.versions.tag(version.version, {KEPT: None})

    def _trouble(self, name: str, version: Version) -> str:
        """Why this version must not be served; empty if it may. A platform error is raised: it is no verdict."""
        try:
            with self.services.sampler(name, version) as sampler:
                return self.check(version, sampler)
        except UserError as e:  # its files cannot be loaded
            return str(e)

    def _failed(self, version: Version, reason: str) -> None:
        self.tell(f"version {version.version} is not served: {reason}")
        self.versions.tag(version.version, {FAILED: reason[:4000]})


def smoke_test(store: Store, version: Version, sampler: Sampler, filed: Sequence[MethodFile] = ()) -> str:
    """Repeat requests of the evaluation; returns why the answers are not those of this model, or nothing.

    `filed` are the methods of its run that stand in files.

    For `ENOUGH` of the held-out problems that the version solved greedily when it was measured, the answer or the
    program must be the same.
    """
    solved = known_solved(store, version)
    if not solved:
        return f"the evaluation {version.evaluation or '(none)'} holds no greedy solution to compare with"
    requests = [
        Request(
            id=c.sample.id, prompt=c.sample.prompt, n=1, seed=0, temperature=0.0, top_p=1.0,
            max_tokens=max(1, c.sample.tokens), stop=(), problem_id=c.sample.problem_id, method=c.sample.method,
        )
        for c in solved
    ]  # fmt: skip
    answers = sampler.sample(requests)
    if failure := next((c.failure for answer in answers for c in answer if c.failure), ""):
        raise SamplerError(f"a request of the smoke test failed: {failure}")
    same = sum(_same(c, texts[0].text, filed) for c, texts in zip(solved, answers, strict=True))
    if same >= ENOUGH * len(solved):
        return ""
    return f"it solves {same} of {len(solved)} problems that this version is known to solve"


def known_solved(store: Store, version: Version) -> list[CheckedSample]:
    """Greedy solutions that passed in the version's evaluation, at most `ASKED`, evenly from all methods."""
    place = next((p for p in pointers(store, version.run) if p[1] == version.evaluation), None)
    if place is None or "checked" not in place[2]:
        return []
    found: dict[str, list[CheckedSample]] = {}
    for c in records(store, load(store, place[2]["checked"]), CheckedSample):
        kept = found.setdefault(c.sample.method, [])
        if c.passed and not c.nondeterministic and c.sample.index == 0 and len(kept) < ASKED:
            kept.append(c)
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*found.values()))
    return [c for c in rounds if c is not None][:ASKED]


def _same(known: CheckedSample, text: str, filed: Sequence[MethodFile]) -> bool:
    by = method(known.sample.method, filed)
    solution = by.solution(text)
    if by.canonical(solution) == by.canonical(known.solution):
        return True
    answer = None if by.executes else by.answer(solution, None)
    return answer is not None and known.answer is not None and equal(known.answer, answer)
