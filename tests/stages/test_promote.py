"""Promotion: the decision's rules, and that carrying it out survives races and kills."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmst.core import sealed
from mmst.core.config import PromoteConfig
from mmst.core.errors import ConfigError
from mmst.core.manifest import LOSSES, Manifest, Place
from mmst.core.ports import Champion
from mmst.core.records import Decision, Outcome, Report, from_data, to_data, to_json
from mmst.core.results import Promoted
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import Losses
from mmst.stages import champion as champions
from mmst.stages import promote
from mmst.stages.champion import follow
from mmst.stages.decision import Evaluated, decide
from tests.support.promotion import LightRegistry, candidate, engines, place, problem, promotion

RULE = PromoteConfig()
CELLS = [("main", "text"), ("main", "code"), ("related", "text"), ("related", "code")]


def result(name: str, **passed: Sequence[bool]) -> Evaluated:
    """Outcomes per cell (`main_text=[…]`), one a problem."""
    outcomes = [
        Outcome(problem_id=f"{task}-{i}", task=task, family="", method=method, passed=p)
        for cell, results in passed.items()
        for task, method in [cell.split("_")]
        for i, p in enumerate(results)
    ]
    return Evaluated(report=Report(checkpoint=name, heldout="h", round=1, arm="mmst", scores=()), outcomes=outcomes)


def first(n: int, of: int = 100) -> list[bool]:
    return [i < n for i in range(of)]


def uniform(name: str, n: int) -> Evaluated:
    return result(name, **{f"{t}_{m}": first(n) for t, m in CELLS})


# --- the decision -----------------------------------------------------------------------------


def test_without_a_champion_the_first_is_promoted() -> None:
    decision = decide(uniform("a", 0), None, RULE)
    assert decision.promote
    assert decision.champion == ""


def test_a_clear_gain_is_promoted_with_its_figures() -> None:
    decision = decide(uniform("b", 60), uniform("a", 50), RULE)
    assert decision.promote
    assert (decision.challenger, decision.champion) == ("b", "a")
    assert decision.gain == pytest.approx(0.1)
    assert decision.p_value == pytest.approx(2 / 2**10)
    assert "better by +10.0 points" in decision.reason
    assert len(decision.checks) == 1 + len(CELLS)


def test_a_gain_that_chance_explains_is_rejected() -> None:
    decision = decide(uniform("b", 52), uniform("a", 50), RULE)
    assert not decision.promote
    assert decision.reason.startswith("not better: +2.0 points, p = 0.5")


def test_a_certain_loss_is_rejected() -> None:
    decision = decide(uniform("b", 40), uniform("a", 50), RULE)
    assert not decision.promote
    assert decision.p_value < 0.05


@pytest.mark.parametrize("cell", ["main_code", "related_text", "related_code"])
def test_no_method_and_no_related_task_may_lose_more_than_the_tolerance(cell: str) -> None:
    before = {f"{t}_{m}": first(50) for t, m in CELLS}
    after = {**before, "main_text": first(90), cell: first(46)}
    decision = decide(result("b", **after), result("a", **before), RULE)
    assert not decision.promote
    task, method = cell.split("_")
    assert f"worse in {method} on {task} by 4.0 points" in decision.reason
    assert decide(result("b", **{**after, cell: first(47)}), result("a", **before), RULE).promote


def test_a_related_task_of_one_method_counts_by_that_method_alone() -> None:
    before = {"main_text": first(50), "main_code": first(50), "reading_text": first(50)}
    better = {**before, "main_text": first(70)}
    kept = decide(result("b", **better), result("a", **before), RULE)
    assert kept.promote
    assert [check.partition(":")[0] for check in kept.checks] == [
        "main, all methods", "main, code", "main, text", "reading, text",
    ]  # fmt: skip
    lost = decide(result("b", **{**better, "reading_text": first(40)}), result("a", **before), RULE)
    assert "worse in text on reading by 10.0 points" in lost.reason


def test_the_gain_is_per_problem_and_method_that_was_measured() -> None:
    # Both methods on 50 problems, text alone on 50 more: of 150 solutions 30 are gained.
    both, alone = {"main_code": first(0, 50)}, {"main_text": first(0, 100)}
    gained = decide(result("b", main_text=first(30, 100), main_code=first(0, 50)), result("a", **both, **alone), RULE)
    assert gained.gain == pytest.approx(30 / 150)


def test_two_methods_on_one_problem_are_not_two_problems() -> None:
    # Four problems gained by both methods: p is that of 4 pairs (0.125), not of 8 (0.008).
    decision = decide(
        result("b", main_text=first(54), main_code=first(54)),
        result("a", main_text=first(50), main_code=first(50)),
        RULE,
    )
    assert decision.p_value == pytest.approx(0.125)


def test_the_standing_champion_does_not_succeed_itself() -> None:
    decision = decide(uniform("a", 60), uniform("a", 50), RULE)
    assert not decision.promote
    assert "already" in decision.reason


def test_reports_on_other_problems_or_methods_are_not_compared() -> None:
    a = uniform("a", 50)
    other_set = Evaluated(
        report=Report(checkpoint="b", heldout="other", round=1, arm="mmst", scores=()),
        outcomes=uniform("b", 99).outcomes,
    )
    fewer = result("b", main_text=first(99))
    for challenger in (other_set, fewer):
        decision = decide(challenger, a, RULE)
        assert not decision.promote
        assert "not comparable" in decision.reason


def test_no_main_task_is_nothing_to_decide_by() -> None:
    decision = decide(result("b", related_text=first(99)), result("a", related_text=first(1)), RULE)
    assert not decision.promote
    assert "main task" in decision.reason


grids = st.integers(1, 25).flatmap(
    lambda n: st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n) for _ in range(8)])
)


@settings(deadline=None, max_examples=30)
@given(grids, st.floats(0.001, 0.5), st.floats(0, 0.5))
def test_whatever_is_promoted_is_better_and_nowhere_worse(grid: Any, alpha: float, tolerance: float) -> None:
    rule = PromoteConfig(alpha=alpha, tolerance=tolerance)
    names = [f"{t}_{m}" for t, m in CELLS]
    before, after = (dict(zip(names, half, strict=True)) for half in (grid[:4], grid[4:]))
    decision = decide(result("b", **after), result("a", **before), rule)
    reverse = decide(result("a", **before), result("b", **after), rule)
    assert decision == decide(result("b", **after), result("a", **before), rule)
    assert not (decision.promote and reverse.promote)
    assert from_data(Decision, to_data(decision)) == decision
    if decision.promote:
        main = [n for n in names if n.startswith("main")]
        assert sum(sum(after[n]) - sum(before[n]) for n in main) > 0
        assert all((sum(after[n]) - sum(before[n])) / len(after[n]) >= -tolerance for n in names)
        assert decision.p_value < alpha


# --- carrying it out --------------------------------------------------------------------------

PROBLEMS = [problem(n) for n in range(60)] + [problem(n, "related") for n in range(20)]


def skilled(world: Any, name: str, share: int, at: Any = None) -> tuple[Manifest, Manifest]:
    """A candidate that solves the first `share` percent of each task's problems, by every method."""
    right = {
        p.id
        for t in ("main", "related")
        for ps in [[p for p in PROBLEMS if p.task == t]]
        for p in ps[: len(ps) * share // 100]
    }
    return candidate(world, name, lambda p, m, i: p.id in right, PROBLEMS, at=at)


def world(tmp_path: Path, **settings: Any) -> Any:
    return engines(tmp_path / "store", LightRegistry(tmp_path / "registry.json"), **settings)


def promoted(w: Any, name: str, share: int, **controls: Manifest) -> Manifest:
    model, evaluation = skilled(w, name, share)
    return promotion(w, evaluation, model, controls)


def decision_of(manifest: Manifest) -> Decision:
    return manifest.result(Promoted).decision


def test_the_better_challenger_becomes_champion_in_record_and_registry(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 50)
    second = promoted(w, "b", 80)
    assert decision_of(second).promote
    standing = champions.standing(w.store, "mmst")
    assert standing is not None
    assert standing.checkpoint == decision_of(second).challenger
    assert w.made.read()["alias"] == standing.version == second.facts["version"]


def test_a_rejected_challenger_is_registered_and_changes_nothing_else(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 50)
    before = champions.read(w.store, "mmst")
    second = promoted(w, "b", 40)
    data = w.made.read()
    assert champions.read(w.store, "mmst") == before
    assert data["alias"] == before[-1].champion.version
    tags = data["versions"][second.facts["version"]]["tags"]
    assert tags["mmst.decision"] == "rejected"
    assert tags["mmst.reason"] == decision_of(second).reason


def test_a_champion_that_comes_between_is_decided_against(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 30)
    model, evaluation = skilled(w, "slow", 60)
    rival = world(tmp_path)
    original, raced = w.store.replace, list[Manifest]()

    def replace(name: str, data: bytes, expected: bytes | None) -> bool:
        if not raced:
            raced.append(promoted(rival, "fast", 90))
        return bool(original(name, data, expected))

    w.store.replace = replace
    late = decision_of(promotion(w, evaluation, model))
    fast = decision_of(raced[0])
    assert fast.promote
    assert not late.promote
    assert late.champion == fast.challenger
    assert w.made.read()["alias"] == raced[0].facts["version"]


def test_the_alias_ends_at_the_champion_also_when_it_changes_while_it_is_set(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 30)
    second = promoted(w, "b", 90)
    (first_reign, second_reign) = champions.read(w.store, "mmst")
    store, registry = world(tmp_path / "again").store, w.made
    champions.crown(store, "mmst", (), first_reign)
    point, calls = registry.point, list[str]()

    def slow_point(name: str, version: str) -> None:
        if not calls:
            champions.crown(store, "mmst", (first_reign,), second_reign)
        calls.append(version)
        point(name, version)

    registry.point = slow_point
    follow(store, registry, "mmst")
    assert calls == [first_reign.champion.version, second_reign.champion.version]
    assert registry.read()["alias"] == second.facts["version"]


class Killed(BaseException):
    """The process dies here."""


class DiesAt:
    """Passes calls through to store or registry and dies before, or after, the n-th one that changes something."""

    def __init__(self, count: dict[str, int], real: Any, *, after: bool) -> None:
        self._count, self._real, self._after = count, real, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in ("write", "create", "replace", "register", "point", "log_round"):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self._count["left"] -= 1
            if self._count["left"] == 0 and not self._after:
                raise Killed
            made = real(*args, **kwargs)
            if self._count["left"] == 0:
                raise Killed
            return made

        return call


@pytest.mark.parametrize("share", [80, 40])
@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_and_run_again_it_ends_the_same_without_doubles(
    tmp_path: Path, after: bool, share: int
) -> None:
    def state(w: Any, manifest: Manifest) -> Any:
        logged = json.loads(json.dumps(w.made.read()).replace(w.store.uri, "STORE"))
        for each in logged["rounds"].values():
            each["metrics"] = {k: v for k, v in each["metrics"].items() if not k.startswith("system/")}
        return manifest.digest, champions.read(w.store, "mmst"), logged

    calm = world(tmp_path / "0")
    promoted(calm, "a", 50)
    model, evaluation = skilled(calm, "b", share)
    for n in range(1, 40):
        shutil.copytree(tmp_path / "0", tmp_path / f"{n}")
    expected = state(calm, promoted(calm, "b", share))
    for n in range(1, 40):
        w, dying = world(tmp_path / f"{n}"), world(tmp_path / f"{n}")
        count = {"left": n}
        dying.store, dying.made = DiesAt(count, w.store, after=after), DiesAt(count, w.made, after=after)
        try:
            promotion(dying, evaluation, model)
        except Killed:
            assert state(w, promotion(w, evaluation, model)) == expected
        else:
            assert n > 8, "the loop reached every step"
            return
    pytest.fail("promotion makes more calls than were tried")


def test_overtaken_after_the_kill_the_promotion_that_was_made_is_still_reported(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 20)
    model, evaluation = skilled(w, "b", 50)
    dying = engines(tmp_path / "store", None)
    dying.made = DiesAt({"left": 2}, w.made, after=False)
    with pytest.raises(Killed):
        promotion(dying, evaluation, model)
    assert decision_of(promoted(w, "c", 90)).promote
    late = decision_of(promotion(w, evaluation, model))
    assert late.promote
    assert [r.champion.checkpoint for r in champions.read(w.store, "mmst")].count(late.challenger) == 1
    assert w.made.read()["alias"] == champions.read(w.store, "mmst")[-1].champion.version


def test_a_champion_without_a_report_here_is_not_replaced_until_it_is_measured(tmp_path: Path) -> None:
    w = world(tmp_path)
    old, _ = skilled(w, "old", 50)
    stranger = Champion(checkpoint=old.digest, ref=old.ref, version="1")
    champions.crown(w.store, "mmst", (), champions.Reign(champion=stranger, by="stages/promote/elsewhere"))
    w.made.register("mmst", "", checkpoint=old.digest, tags={})
    for report in (tmp_path / "store" / "reports").rglob("*.ref"):
        report.unlink()
    model, evaluation = skilled(w, "new", 90)
    for report in (tmp_path / "store" / "reports").rglob(f"{old.digest[7:23]}.ref"):
        report.unlink()
    unmeasured = decision_of(promotion(w, evaluation, model))
    assert not unmeasured.promote
    assert "Remedy: promote under another name" in unmeasured.reason
    skilled(w, "old", 50)
    assert decision_of(promotion(w, evaluation, model)).promote


def test_the_second_call_changes_neither_store_nor_registry(tmp_path: Path) -> None:
    w = world(tmp_path)
    promoted(w, "a", 50)
    model, evaluation = skilled(w, "a", 50)
    before = w.made.read()
    count = {"left": 1}
    watched = engines(tmp_path / "store", None)
    watched.store, watched.made = DiesAt(count, w.store, after=False), w.made
    w.made.register = w.made.log_round = None
    promotion(watched, evaluation, model)
    assert count == {"left": 1}
    assert w.made.read() == before


@pytest.mark.parametrize("share", [80, 40])
def test_an_alias_that_was_set_back_is_set_right_by_running_any_promotion_again(tmp_path: Path, share: int) -> None:
    w = world(tmp_path)
    promoted(w, "a", 50)
    again = skilled(w, "b", share)
    promoted(w, "b", share)
    standing = champions.standing(w.store, "mmst")
    assert standing is not None
    other = str(3 - int(standing.version))
    for model, evaluation in (again, skilled(w, "a", 50)):
        w.made.point("mmst", other)
        promotion(w, evaluation, model)
        assert w.made.read()["alias"] == standing.version


def killed(now: bool) -> None:
    """The process dies here, or not."""
    if now:
        raise Killed


def steps(store: Any, registry: Any) -> tuple[dict[str, Any], Any, Any]:
    """Store and registry, which call `at["do"]` before the n-th call of any kind, and `at["then"]` after it."""
    at: dict[str, Any] = {"left": 0, "do": lambda: None, "then": lambda: None}

    class Watched:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            real = getattr(self._real, name)
            if not callable(real) or name in ("folder", "scratch"):
                return real

            def call(*args: Any, **kwargs: Any) -> Any:
                at["left"] -= 1
                now = at["left"] == 0
                if now:
                    at["do"]()
                made = real(*args, **kwargs)
                if now:
                    at["then"]()
                return made

            return call

    return at, Watched(store), Watched(registry)


@pytest.mark.parametrize("end", ["goes on", "is killed", "is killed after one more step"])
@pytest.mark.parametrize(("mine", "rivals"), [(60, 90), (90, 60)])
def test_held_up_at_any_step_while_another_promotes_the_alias_ends_at_the_champion(
    tmp_path: Path, mine: int, rivals: int, end: str
) -> None:
    start = world(tmp_path / "0")
    promoted(start, "a", 30)
    own, rival = skilled(start, "mine", mine), skilled(start, "rival", rivals)
    best = own[0] if mine > rivals else rival[0]
    for n in range(1, 40):
        shutil.copytree(tmp_path / "0", tmp_path / f"{n}")
        w, held, reached = world(tmp_path / f"{n}"), world(tmp_path / f"{n}"), list[Any]()
        at, held.store, held.made = steps(w.store, w.made)

        def meanwhile(w: Any = w, reached: list[int] = reached) -> None:
            reached.append(1)
            promotion(w, rival[1], rival[0], at=place("rival"))
            killed(end == "is killed")

        at |= {"left": n, "do": meanwhile, "then": lambda: killed(end == "is killed after one more step")}
        with contextlib.suppress(Killed):
            promotion(held, own[1], own[0])
        if not reached:
            assert n > 15, "the loop reached every step"
            return
        if end != "goes on":  # the winner is run again
            promotion(w, rival[1], rival[0], at=place("again"))
        record = champions.read(w.store, "mmst")
        assert w.made.read()["alias"] == record[-1].champion.version, n
        assert len({r.champion.checkpoint for r in record}) == len(record)
        if end == "goes on":
            assert record[-1].champion.checkpoint == best.digest, n
    pytest.fail("promotion makes more calls than were tried")


def test_the_round_is_logged_with_its_controls_and_the_base_at_its_own_round(tmp_path: Path) -> None:
    w = world(tmp_path)
    _, base = skilled(w, "base", 20, at=place(round=0, arm="base"))
    _, control = skilled(w, "control", 40, at=place(arm="annotated-only"))
    promoted(w, "a", 50, base=base, **{"annotated-only": control})
    rounds = w.made.read()["rounds"]
    assert rounds["test-run/0"]["metrics"]["main.code.pass_at_1"] == 0.2
    logged = rounds["test-run/1"]["metrics"]
    assert (logged["main.all.pass_at_1"], logged["control.annotated-only.main.code.pass_at_1"]) == (0.5, 0.4)
    assert logged["main.text.low"] < 0.5 < logged["main.text.high"]
    assert rounds["test-run/1"]["params"]["sampling.k"] == "4"
    assert json.loads(rounds["test-run/1"]["artifacts"]["decision.json"])["promote"]


def test_the_round_is_logged_with_the_losses_of_all_its_arms(tmp_path: Path) -> None:
    w = world(tmp_path)
    for round, arm, loss in ((1, "mmst", 0.25), (1, "own-code", 0.5), (2, "mmst", 0.125)):
        at = Place(run="test-run", round=round, arm=arm, step="train")
        trained = StageFolder.open(w.store, "train", version=1, config=[round, arm], inputs={}, place=at).finish()
        sealed.write(w.store, f"{trained.ref}/{LOSSES}", to_json(Losses(steps=(1,), losses=(loss,))))
    promoted(w, "a", 50)
    curves = {"mmst.round-01.loss": {"1": 0.25}, "own-code.round-01.loss": {"1": 0.5}}
    assert w.made.read()["rounds"]["test-run/1"]["curves"] == curves


def test_the_round_is_logged_with_its_data_sets_times_and_what_was_decided(tmp_path: Path) -> None:
    w = world(tmp_path, title="A title")
    for round, arm, step, shards in (
        (0, "base", "prepare", {"train-00000.jsonl": 2, "heldout-00000.jsonl": 3, "annotated-00000.jsonl": 0}),
        (1, "mmst", "build_trainset", {"new-00000.jsonl": 4, "annotated-00000.jsonl": 5}),
        (2, "mmst", "build_trainset", {"new-00000.jsonl": 1}),
    ):
        at = Place(run="test-run", round=round, arm=arm, step=step)
        folder = StageFolder.open(w.store, step, version=1, config=[round], inputs={}, place=at)
        for shard, n in shards.items():
            folder.write_records(shard, [problem(i) for i in range(n)])
        folder.finish(shards=list(shards), timing={"seconds": 1.5})
    promoted(w, "a", 50)
    logged = w.made.read()["rounds"]["test-run/1"]
    assert {(d["name"], d["context"], d["records"]) for d in logged["data"]} == {
        ("train", "training", 2),
        ("heldout", "evaluation", 3),
        ("mmst.round-01.trainset", "training", 9),
    }
    assert len({d["digest"] for d in logged["data"]}) == 3
    assert logged["about"].startswith("A title\n\nRound 1: promoted: ")
    assert f"mmst view test-run --out {w.store.uri}" in logged["about"]
    assert logged["metrics"]["system/mmst.build_trainset.seconds"] == 1.5


def test_another_run_that_shares_the_decision_is_logged_too(tmp_path: Path) -> None:
    w = world(tmp_path)
    first_time = promoted(w, "a", 50)
    model, evaluation = skilled(w, "a", 50)
    w.run = "other-run"
    assert promotion(w, evaluation, model).digest == first_time.digest
    assert set(w.made.read()["rounds"]) == {"test-run/1", "other-run/1"}
    assert len(champions.read(w.store, "mmst")) == 1


def test_a_large_checkpoint_is_referred_to_and_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote, "COPY_BELOW", 0)
    w = world(tmp_path)
    manifest = promoted(w, "a", 50)
    model, _ = skilled(w, "a", 50)
    assert w.made.read()["versions"][manifest.facts["version"]]["source"] == f"{w.store.uri}/{model.ref}"


def test_a_name_that_cannot_be_registered_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    w = world(tmp_path, promote__name="my/model")
    model, evaluation = skilled(w, "a", 50)
    with pytest.raises(ConfigError, match=r"promote\.name"):
        promotion(w, evaluation, model)
    assert not list(w.store.names("stages/promote"))
