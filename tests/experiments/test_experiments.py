"""Experiments: what is compared, how sure one may be of it, and what is said of claims."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmst.core.arms import built_in
from mmst.core.config import Config, run_id
from mmst.core.errors import ConfigError, DataError, UserError
from mmst.core.manifest import Manifest, Place
from mmst.core.records import Outcome
from mmst.core.stage_folder import StageFolder
from mmst.experiments import definition, results
from mmst.experiments.definition import Experiment, load
from mmst.experiments.findings import Verdict, overlaps
from mmst.experiments.inference import holm, mean_difference, rank_correlation, spearman
from mmst.experiments.outcomes import Item, Outcomes
from mmst.experiments.written import Written, experiments
from mmst.storage.folder import FolderStore

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


# --- inference ----------------------------------------------------------------------------------


@given(p_values)
def test_holms_p_values_are_never_smaller_and_keep_their_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(p <= a <= 1 for p, a in zip(ps, adjusted, strict=True))
    assert sorted(range(len(ps)), key=lambda i: (ps[i], i)) == sorted(
        range(len(ps)), key=lambda i: (adjusted[i], ps[i], i)
    )


def test_one_claim_needs_no_correction_and_the_least_of_n_is_multiplied_by_n() -> None:
    assert holm([0.02]) == [0.02]
    assert holm([0.5, 0.01, 0.9, 0.7])[1] == pytest.approx(0.04)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(2, 60), st.randoms(use_true_random=False))
def test_the_interval_is_mirrored_when_the_arms_are_exchanged(seeds: int, items: int, random: Any) -> None:
    differences = np.array([[float(random.randint(-1, 1)) for _ in range(items)] for _ in range(seeds)])
    one, other = mean_difference(differences, resamples=500), mean_difference(-differences, resamples=500)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.p == other.p
    assert one.low <= one.value + 1e-9
    assert one.high >= one.value - 1e-9


def test_no_difference_at_all_is_certain_to_be_none() -> None:
    same = mean_difference(np.zeros((3, 40)))
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(-1, 2, (5, 400)).astype(float)
    apart = noise + np.array([-0.3, 0.3, -0.2, 0.2, 0.0])[:, None]
    alike, unlike = mean_difference(noise), mean_difference(apart)
    assert unlike.high - unlike.low > 2 * (alike.high - alike.low)


def test_under_the_null_five_in_a_hundred_are_called_different() -> None:
    """Problems and seeds both of their own effect: what a t-test over problems alone would take for a finding."""
    rng, called = np.random.default_rng(7), 0
    for _ in range(300):
        truth = rng.normal(0, 0.05, (5, 1)) + rng.normal(0, 0.2, (1, 200)) + rng.normal(0, 0.4, (5, 200))
        called += mean_difference(truth, resamples=600).p < 0.05
    assert 3 <= called <= 36, "5 % of 300 are 15; with five seeds up to 12 % are to be borne"


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=20))
def test_ranks_know_only_order(values: list[int]) -> None:
    a = np.array(values, dtype=float)
    assert spearman(a, a**3) == pytest.approx(spearman(a, a))
    assert spearman(a, -a) == pytest.approx(-spearman(a, a))


def test_gains_that_follow_disagreement_are_found_to() -> None:
    families = [f"f{i // 40}" for i in range(240)]
    apart = np.array([[(i // 40) / 6 for i in range(240)]] * 2)
    rng = np.random.default_rng(0)
    gains = (rng.random((3, 2, 240)) < apart).astype(float)
    found = rank_correlation(gains, apart, families, resamples=200)
    assert found.value > 0.8
    assert 0 < found.low <= found.value
    assert rank_correlation(-gains, apart, families, resamples=200).high < 0


# --- definition ---------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "recipe": "demo",
    "seeds": 2,
    "vary": {"sampling.seed": 7},
    "arms": {
        "base": {},
        "control": {"arm": "annotated-only"},
        "mmst": {"arm": "mmst"},
        "mmst-3": {"arm": "mmst", "rounds": 3},
        "slow": {"arm": "mmst", "set": {"train.lr": 0.0001}},
    },
    "claims": [
        {"says": "it gains", "of": "mmst", "over": "control"},
        {"says": "it loses", "of": "control", "over": "mmst", "method": "text"},
        {"says": "nothing is related", "of": "mmst-3", "over": "mmst", "task": "related"},
        {"says": "more examples", "of": "mmst", "over": "control", "measure": "examples"},
        {"says": "it follows disagreement", "of": "mmst", "over": "control", "measure": "disagreement"},
    ],
}


def defined(folder: Path, *, on_dev: bool = False, **changes: Any) -> Experiment:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return load(str(path), dev=on_dev)


def test_arms_of_one_round_are_one_runs_arm_and_controls(tmp_path: Path) -> None:
    (one, yielded), (longer, rounds), (slow, _) = defined(tmp_path).runs(1)
    assert (one.loop.arm, one.loop.controls, one.loop.rounds) == ("mmst", ("annotated-only",), 1)
    assert yielded == {"base": (0, "base"), "control": (1, "annotated-only"), "mmst": (1, "mmst")}
    assert (longer.loop.rounds, longer.loop.controls, rounds) == (3, (), {"mmst-3": (3, "mmst")})
    assert (slow.train.lr, one.train.lr) == (0.0001, 0.0005)


def test_an_arm_that_is_run_alone_is_a_control_in_the_same_run(tmp_path: Path) -> None:
    experiment = defined(tmp_path)
    (one, yielded), *others = experiment.only(["control"]).runs(1)
    assert yielded == {"base": (0, "base"), "control": (1, "annotated-only"), "mmst": (1, "mmst")}
    assert one == next(iter(experiment.runs(1)))[0]
    assert not others
    assert list(experiment.only(["slow"]).arms) == ["base", "slow"]


def test_an_unknown_arm_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'fast'.*mmst-3"):
        defined(tmp_path).only(["mmst", "fast"])


def test_seeds_vary_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    experiment = defined(tmp_path)
    (first, _), (second, _) = (next(iter(experiment.runs(seed))) for seed in (1, 2))
    assert (first.sampling.seed, second.sampling.seed) == (7, 8)
    assert first.problems == second.problems
    assert first.promote.name != second.promote.name


def test_the_development_set_is_another_experiment_on_other_problems(tmp_path: Path) -> None:
    choices = {"problems.test.0.split": "dev"}
    test, dev = defined(tmp_path, dev=choices), defined(tmp_path, on_dev=True, dev=choices)
    assert test.id != dev.id
    assert [definition.first_config(e).problems.test[0].split for e in (test, dev)] == ["test", "dev"]


def test_a_releases_settings_are_laid_over_the_recipe_and_change_no_result(tmp_path: Path) -> None:
    alone = defined(tmp_path)
    released = load(str(tmp_path / "small.yaml"), release="{out: s3://bucket/x, check: {sandbox: gvisor_job}}")
    assert released.id == alone.id
    assert definition.first_config(released).out == "s3://bucket/x"


@pytest.mark.parametrize("name", definition.SHIPPED.names())
def test_shipped_experiments_are_sound(name: str) -> None:
    experiment = load(name)
    for seed in (1, experiment.seeds):
        yielded = [arm for _, arms in experiment.runs(seed) for arm in arms]
        assert sorted(yielded) == sorted(experiment.arms)
    assert load(name, dev=True).id != experiment.id, "choices are made elsewhere than on the test set"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipe": "demos"}, "unknown recipe"),
        ({"recipe": 3}, "must name its recipe"),
        ({"arms": {"mmst": {"arm": "mmst"}}}, "also measure the base"),
        ({"arms": {**SMALL["arms"], "odd": {"arm": "own-poetry"}}}, "got 'own-poetry'"),
        ({"arms": {**SMALL["arms"], "odd": {"arm": "mmst", "rounds": 0}}}, "arm 'odd': rounds"),
        ({"arms": {**SMALL["arms"], "odd": {"arm": "mmst", "set": {"train.lrr": 1}}}}, "unknown recipe key"),
        ({"vary": {}}, "nothing differs between the seeds"),
        ({"seeds": 0}, "at least 1"),
        ({"claims": [{"says": "x", "of": "mmst", "over": "bass"}]}, "claim 'x': unknown arm, got 'bass'"),
        ({"claims": [{"says": "x", "of": "mmst", "over": "base", "method": "poem"}]}, "unknown method"),
        ({"claims": [{"says": "x", "of": "mmst"}]}, "over"),
    ],
)
def test_a_definition_that_cannot_be_run_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        defined(tmp_path, **changes)


READING = {"format": "jsonl", "path": "x.jsonl", "methods": ["text"], "name": "reading"}


def with_reading(folder: Path, **claim: Any) -> Experiment:
    """An experiment that also measures a task of its own name by text alone, with one claim about it."""
    recipe = yaml.safe_load((definition.SHIPPED.folder.parent / "demo.yaml").read_text())
    recipe["problems"]["related"].append(READING)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    claims = [{"says": "it reads", "of": "mmst", "over": "base", "task": "reading", **claim}]
    return defined(folder, recipe=str(folder / "recipe.yaml"), claims=claims)


def test_a_claim_may_be_about_a_task_by_its_name(tmp_path: Path) -> None:
    assert with_reading(tmp_path, method="text").claims[0].task == "reading"


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ({"method": "code"}, "reading is measured by text alone, got 'code'"),
        ({"measure": "disagreement"}, "only tasks that every method is measured on"),
        ({"task": "writing"}, r"unknown task, got 'writing'.*main, related, reading"),
    ],
)
def test_a_claim_about_what_is_not_measured_is_refused(tmp_path: Path, claim: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_reading(tmp_path, **claim)


def test_an_unknown_experiment_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="paper-small"):
        load("paper-tiny")


# --- results ------------------------------------------------------------------------------------

RATES = {"base": 0.3, "annotated-only": 0.3, "mmst": 0.8}


def put(store: FolderStore, config: Config, place: Place, step: str, made: Mapping[str, Any]) -> Manifest:
    at = Place(run=place.run, round=place.round, arm=place.arm, step=step)
    stage = StageFolder.open(store, step, version=1, config={"at": at.name}, inputs={}, place=at)
    if "records" in made:
        stage.write_records("shard-00000.jsonl", made["records"])
    return stage.finish(
        shards=["shard-00000.jsonl"] if "records" in made else [],
        counts=made.get("counts", {}),
        timing={"seconds": 60.0},
    )


def ran(
    store: FolderStore, experiment: Experiment, seed: int, problems: int = 120, skip: str = "", read: int = 0
) -> None:
    """Write what the runs of a seed would have left: outcomes with the rates of `RATES`, and `read` of text alone."""
    for config, yielded in experiment.runs(seed):
        for name, (round, arm) in yielded.items():
            rng = np.random.default_rng([seed, *name.encode()])
            place = Place(run=run_id(config), round=round, arm=arm, step="")
            outcomes = [
                Outcome(
                    problem_id=f"p-{i}",
                    task="main" if i % 4 else "related",
                    family=f"f{i % 5}",
                    method=method,
                    passed=bool(rng.random() < RATES[arm]),
                )
                for i in range(problems)
                for method in config.methods
            ]
            outcomes += [
                Outcome(problem_id=f"r-{i}", task="reading", family="", method="text", passed=True) for i in range(read)
            ]
            counts = {"new": 30, "new.text.own": 10, "new.code.own": 15, "new.code.translation": 5}
            put(store, config, place, "build_trainset", {"counts": counts if arm == "mmst" else {"new": 0}})
            if name != skip:
                put(store, config, place, "evaluate", {"records": outcomes})


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def test_claims_are_told_apart_by_what_was_found(tmp_path: Path, store: FolderStore) -> None:
    experiment = defined(tmp_path)
    for seed in (1, 2):
        ran(store, experiment, seed)
    written = results.write(experiment, store, (1, 2))
    assert [f.verdict for f in written.findings] == [
        Verdict.SUPPORTED,
        Verdict.CONTRADICTED,
        Verdict.NOT_RESOLVED,
        Verdict.SUPPORTED,
        Verdict.NOT_RESOLVED,
    ]
    gain, _, _, examples, _ = written.findings
    assert 0.35 < gain.estimate.low < gain.estimate.value < gain.estimate.high < 0.65
    assert (examples.estimate.seeds, examples.p) == ((30, 30), None)


def test_claims_about_arms_that_were_not_run_wait_and_count_in_the_correction(
    tmp_path: Path, store: FolderStore
) -> None:
    experiment = defined(tmp_path)
    for seed in (1, 2):
        ran(store, experiment, seed)
    whole = results.write(experiment, store, (1, 2))
    part = results.write(experiment.only(["mmst", "control"]), store, (1, 2))
    assert part.prefix != whole.prefix
    assert [f.claim.says for f in part.findings] == [c.says for c in experiment.claims if c.of != "mmst-3"]
    assert [f.estimate for f in part.findings] == [f.estimate for f in whole.findings if f.claim.of != "mmst-3"]
    first = min((f for f in part.findings if f.p is not None), key=lambda f: f.estimate.p)
    assert first.p == min(1, 4 * first.estimate.p), "four claims are tested in all"
    page = (store.read(f"{part.prefix}/page.html") or b"").decode()
    assert "nothing is related" in page


def test_what_methods_have_in_common_is_counted_per_problem_at_the_base() -> None:
    text, code = [1, 1, 0, 0, 1, 0], [1, 0, 1, 1, 0, 0]
    later = [[1.0] * 6, [1.0] * 6]
    items = tuple(Item(problem=f"p-{i}", task="main" if i < 4 else "related", family="") for i in range(6))
    passed = {"base": np.array([[text, code]] * 2, dtype=float), "mmst": np.array([later] * 2)}
    found = Outcomes(
        seeds=(1, 2), methods=("text", "code"), items=items, passed=passed, examples={"base": {}, "mmst": {}}, seconds=0
    )
    main, related = overlaps(found)
    assert (main.task, main.several, main.only, main.none) == ("main", 0.25, {"text": 0.25, "code": 0.5}, 0.0)
    assert (related.task, related.several, related.only, related.none) == ("related", 0, {"text": 0.5, "code": 0}, 0.5)
    assert main.phi == pytest.approx(-0.577, abs=0.001)
    assert related.phi is None, "code solves none"


def test_a_task_of_one_method_has_its_accuracy_alone_and_changes_no_other(tmp_path: Path, store: FolderStore) -> None:
    experiment, read = with_reading(tmp_path, task="main"), 10
    for seed in (1, 2):
        ran(store, experiment, seed)
    plain = results.write(experiment, store, (1, 2))
    for seed in (1, 2):
        ran(store, experiment, seed, read=read)
    written = results.write(experiment, store, (1, 2))
    levels = {(x.arm, x.task, x.method): x.estimate.value for x in written.levels}
    assert {method for _, task, method in levels if task == "reading"} == {"text", "all"}
    assert levels["mmst", "reading", "all"] == levels["mmst", "reading", "text"] == 1.0
    assert {k: v for k, v in levels.items() if k[1] != "reading"} == {
        (x.arm, x.task, x.method): x.estimate.value for x in plain.levels
    }
    assert (written.outcomes.left_out, len(written.outcomes.items)) == (0, 120 + read)
    assert [o.task for o in overlaps(written.outcomes)] == ["main", "related"]
    rows = gzip.decompress(store.read(f"{written.prefix}/outcomes.csv.gz") or b"").decode().splitlines()
    assert sum(",reading," in row for row in rows) == 2 * len(experiment.arms) * read


def test_everything_is_written_and_says_the_same(tmp_path: Path, store: FolderStore) -> None:
    experiment = defined(tmp_path)
    for seed in (1, 2):
        ran(store, experiment, seed)
    written = results.write(experiment, store, (1, 2))
    read = {n: store.read(f"experiments/{experiment.id}/{n}") or b"" for n in ("page.html", "results.json", "arms.csv")}
    data = json.loads(read["results.json"])
    assert list(experiments(store)) == [
        (
            experiment.id,
            Written(
                id=experiment.id,
                title=experiment.title or experiment.name,
                seeds=2,
                problems=len(written.outcomes.items),
                verdicts=tuple(f.verdict for f in written.findings),
            ),
        )
    ]
    assert [c["verdict"] for c in data["claims"]] == [f.verdict for f in written.findings]
    assert b"it follows disagreement" in read["page.html"]
    assert b"<script" not in read["page.html"]
    rows = list(
        csv.DictReader(gzip.decompress(store.read(f"{written.prefix}/outcomes.csv.gz") or b"").decode().split())
    )
    assert len(rows) == 2 * len(experiment.arms) * 2 * 120
    mine = [int(r["passed"]) for r in rows if (r["arm"], r["method"], r["task"]) == ("mmst", "text", "main")]
    [level] = [x for x in written.levels if (x.arm, x.method, x.task) == ("mmst", "text", "main")]
    assert level.estimate.value == pytest.approx(sum(mine) / len(mine))
    assert results.write(experiment, store, (1, 2)).data == written.data


def test_a_seed_that_lacks_an_arm_does_not_count(tmp_path: Path, store: FolderStore) -> None:
    experiment = defined(tmp_path)
    ran(store, experiment, 1)
    ran(store, experiment, 2, skip="mmst-3")
    assert results.write(experiment, store, (1, 2)).outcomes.seeds == (1,)


def test_without_a_complete_seed_there_is_no_page(tmp_path: Path, store: FolderStore) -> None:
    with pytest.raises(UserError, match="no seed of 'small' is complete"):
        results.write(defined(tmp_path), store, (1, 2))


def test_seeds_measured_on_other_problems_are_refused(tmp_path: Path, store: FolderStore) -> None:
    experiment = defined(tmp_path)
    ran(store, experiment, 1)
    ran(store, experiment, 2, problems=119)
    with pytest.raises(DataError, match="other held-out problems"):
        results.write(experiment, store, (1, 2))


def test_every_arm_has_a_name_that_a_run_knows() -> None:
    assert {a.arm for a in load("paper-small").arms.values() if a.arm} <= set(built_in(("text", "code")))
