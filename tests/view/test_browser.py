"""`mmst view` in a real browser: clicks and keys, a phone, the dark. Needs a Chromium on this machine."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mmst.view.app import application
from mmst.view.server import LOOPBACK
from tests.view.conftest import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture(scope="module")
def address(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("browser")
    app = application(run.store, lambda name: folder / name, hosts=LOOPBACK, cache=folder / "cache")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=["desktop", "phone, dark"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """A page that complains of errors, and of requests to other hosts."""
    phone = request.param != "desktop"
    size = {"width": 360, "height": 740} if phone else {"width": 1200, "height": 900}
    context = browser.new_context(viewport=size, color_scheme="dark" if phone else "light", base_url=address)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog: a script of the model's ran"))
    page.on("request", lambda asked: None if asked.url.startswith(address) else complaints.append(asked.url))
    yield page
    context.close()
    assert complaints == []


def fits(page: Any) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_one_goes_from_the_runs_to_a_problem_by_clicks(page: Any, run: Run, tmp_path: Path) -> None:
    page.goto("/")
    page.get_by_role("link", name=run.name).click()
    assert page.get_by_role("heading", level=1).inner_text() == "A small model teaches itself arithmetic"
    assert fits(page)
    page.get_by_role("link", name="Samples", exact=True).click()
    page.get_by_label("verdict").select_option("passed")
    page.get_by_label("method").select_option("code")
    page.get_by_role("button", name="Show").click()
    assert page.locator("article.sample").count() == 50
    assert set(page.locator("article.sample .verdict").all_inner_texts()) == {"passed"}
    assert fits(page)
    page.get_by_role("link", name="next").click()
    assert "page 2 of" in page.get_by_role("status").inner_text()
    assert page.get_by_label("method").input_value() == "code"
    page.get_by_role("link", name="its problem's whole story").first.click()
    assert page.get_by_role("heading", name="Round 1").is_visible()
    assert fits(page)
    page.get_by_text("the prompt").first.click()
    assert page.get_by_text("Question:").first.is_visible()


def test_samples_are_searched_by_the_keyboard_alone(page: Any, run: Run) -> None:
    page.goto(f"/runs/{run.name}/samples")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "text":
            break
    page.keyboard.type("script")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=script**")
    assert "<script>alert('x')</script>" in page.locator("article.sample pre").first.inner_text()


def test_what_is_filtered_is_downloaded(page: Any, run: Run) -> None:
    page.goto(f"/runs/{run.name}/samples?kind=translation&round=2")
    with page.expect_download() as coming:
        page.get_by_role("link", name="download these").click()
    lines = Path(coming.value.path()).read_text().splitlines()
    wanted = sum(s.place.step == "verify-translations" and s.place.round == 2 for s, _ in run.samples())
    assert len(lines) == wanted


def test_two_arms_are_chosen_and_compared(page: Any, run: Run) -> None:
    page.goto(f"/runs/{run.name}")
    page.get_by_role("link", name="Compare").click()
    page.get_by_label("first").select_option(f"{run.name}/base")
    page.get_by_label("second").select_option(f"{run.name}/mmst")
    page.get_by_role("button", name="Compare").click()
    assert page.get_by_role("heading", name="main by code").is_visible()
    assert fits(page)


def test_text_can_be_read_on_its_ground(page: Any, run: Run) -> None:
    """Contrast of 4.5 at least (WCAG 2 AA), of what is shown in the page's own colours."""
    page.goto(f"/runs/{run.name}/samples")
    ratios = page.evaluate(
        """() => {
          const luminance = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126*r + 0.7152*g + 0.0722*b; };
          const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (!c.startsWith('rgba(0, 0, 0, 0')) return c; } return 'rgb(255, 255, 255)'; };
          return [...document.querySelectorAll('p, a, pre, label, h1, select, button, .verdict')].map(e => {
            const [a, b] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((x, y) => y - x);
            return [(a + 0.05) / (b + 0.05), e.className || e.tagName]; }); }"""
    )
    assert min(ratios) >= [4.5, ""]
