"""The report: deterministic where it must be, whole, bounded, and safe whatever a model wrote."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.manifest import Place
from mmst.core.records import Verdict
from mmst.report import stage
from mmst.report.charts import ceiling
from mmst.report.content import safe
from mmst.runs.summary import summarise
from tests.support import report_run as made_up


class Page(HTMLParser):
    """What a browser would make of it: tags, attributes, the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "line", "circle", "polyline", "polygon"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def make(folder: Path, **sizes: Any) -> tuple[Any, str, Any, str]:
    e = made_up.engines(folder)
    run = made_up.make_run(e, **sizes)
    manifest = stage.Report().run(e, Place(run=run, round=0, arm="base", step="report"))
    page = e.store.read(f"runs/{run}/report.html")
    assert page is not None
    return e, run, manifest, page.decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str, Any, str]:
    return make(tmp_path_factory.mktemp("store"))


def test_every_tag_is_closed_and_nothing_is_fetched_or_run(made: Any) -> None:
    page = Page(made[3])
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "img"} & {tag for tag, _ in page.tags}
    assert not [a for _, attrs in page.tags for a in attrs if a in ("src", "srcset", "action") or a.startswith("on")]
    assert all(str(attrs["href"]).startswith("#") for tag, attrs in page.tags if tag == "a")
    assert "url(" not in made[3]
    assert "@import" not in made[3]


def test_hostile_completions_are_shown_as_text(made: Any) -> None:
    assert (
        "</pre><script>alert('x')</script><img src=x onerror=alert(1)>\ufffdtxt\ufffd &lt;ok&gt;" in Page(made[3]).text
    )


def test_it_shows_every_part(made: Any) -> None:
    names = re.findall(r"<h2>(.*?)</h2>", made[3])
    assert names == [
        "Decision",
        "Accuracy",
        "From samples to examples",
        "Verdicts",
        "Who solves what",
        "Real samples",
        "Translations",
        "Training loss",
        "Time",
        "Caveats",
        "Recipe",
    ]


def test_the_recipe_is_there_with_all_its_keys(made: Any) -> None:
    text = Page(made[3]).text
    for key, value in (("loop.rounds", "2"), ("problems.train.0.count", "40"), ("train.lr", "0.0")):
        assert re.search(rf"{re.escape(key)}\s*{value}", text), key


def test_each_training_has_its_curve(made: Any) -> None:
    assert made[3].count("0.500 at step 2") == 6  # three arms, two rounds


def test_accuracies_stand_beside_their_controls_with_intervals(made: Any) -> None:
    e, run, _, html = made
    text = Page(html).text
    report_ = next(summarise(e.store, run).rounds[-1].arms[arm] for arm in ("no-translation",))
    score = report_.scores[0]
    assert f"{100 * score.pass_at_1:.1f} {100 * score.low:.1f}–{100 * score.high:.1f}" in text


def test_twenty_samples_show_every_method_and_verdict(made: Any) -> None:
    e, run, manifest, _ = made
    assert manifest.counts == {"samples": 20, "translations": 6}
    shown = [c.sample.id for c in stage.various(_checked(e, run), 20)]
    kinds = {(c.sample.method, c.verdict) for c in _checked(e, run)}
    by_id = {c.sample.id: c for c in _checked(e, run)}
    assert {(by_id[i].sample.method, by_id[i].verdict) for i in shown} == kinds
    assert {v for _, v in kinds} == set(Verdict) - {Verdict.UNLABELLED}


def test_the_manifest_is_the_same_though_the_times_differ(tmp_path: Path, made: Any) -> None:
    e, run, manifest, html = make(tmp_path)
    for name in list(e.store.names("stages/")):
        if name.endswith("timing.json"):
            e.store.write(name, b'{"seconds": 12345.6}')
        if name.startswith("stages/report/"):
            (tmp_path / name).unlink()
    again = stage.Report().run(e, Place(run=run, round=0, arm="base", step="report"))
    assert again.digest == manifest.digest == made[2].digest
    slower = e.store.read(f"runs/{run}/report.html").decode()
    assert "12,345.6" in slower
    assert slower != html


def test_a_second_report_is_the_first_one_and_mends_a_lost_page(tmp_path: Path) -> None:
    e, run, manifest, html = make(tmp_path)
    (tmp_path / f"runs/{run}/report.html").unlink()
    assert stage.Report().run(e, Place(run=run, round=0, arm="base", step="report")) == manifest
    assert e.store.read(f"runs/{run}/report.html").decode() == html


def test_a_run_that_has_only_begun_has_a_page_too(tmp_path: Path) -> None:
    e = made_up.engines(tmp_path)
    made = stage.Report().run(e, Place(run="demo-0", round=0, arm="base", step="report"))
    assert made.counts == {"samples": 0, "translations": 0}
    assert b"Caveats" in (e.store.read("runs/demo-0/report.html") or b"")


def test_the_page_does_not_grow_with_the_run(tmp_path: Path, made: Any) -> None:
    larger = make(tmp_path, problems=600)[3]
    assert len(larger) < 1.1 * len(made[3])


def test_solvers_add_up_to_the_heldout_problems(made: Any) -> None:
    e, run, _, _ = made
    summary = summarise(e.store, run)
    table = stage.solvers(e.store, summary.rounds[-1].stage("evaluate"))
    assert sum(sum(counts.values()) for counts in table.values()) == 60 + 30
    assert {key for counts in table.values() for key in counts} <= {"", "code", "text", "code+text"}


def test_every_translation_stands_beside_its_own_source(made: Any) -> None:
    e, run, _, _ = made
    translations = list(stage._window(e.store, summarise(e.store, run).rounds[-1].written("verify-translations")))
    pairs = stage.couples(_checked(e, run), translations, 6)
    assert all(t.sample.source_sample == s.sample.id for s, t in pairs)
    assert {(s.sample.method, t.sample.method) for s, t in pairs} == {("code", "text"), ("text", "code")}


@given(st.text())
def test_safe_text_is_text_whatever_it_is(text: str) -> None:
    page = Page(f"<p>{safe(text)}</p>")
    assert [tag for tag, _ in page.tags] == ["p"]
    page.text.encode("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.text)


@given(st.floats(0, 1))
def test_no_point_stands_above_the_chart(highest: Any) -> None:
    assert highest <= ceiling(highest) <= 1.0


def _checked(e: Any, run: str) -> list[Any]:
    return list(stage._window(e.store, summarise(e.store, run).rounds[-1].written("verify")))
