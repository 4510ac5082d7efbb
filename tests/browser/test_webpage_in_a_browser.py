"""The web page in a real Chromium: quiet, legible on a phone and on a desk, by day and by night, by eye and by ear.

Screenshots are written to the folder that ``HARNESS_SCREENSHOTS`` names, else to one of pytest's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsing import Page, chromium, hostile, planted_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

pytestmark = pytest.mark.browser

WIDTHS_PX = (360, 768, 1280)
SCHEMES = ("light", "dark")

LEAST_CONTRAST = 4.5
"""Of text and its background [WCAG 2.2, 1.4.3]."""

OPENED = "for (const one of document.querySelectorAll('details')) one.open = true"

TOO_WIDE = """
() => [...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 0.5 || box.left < -0.5) && !one.closest('.scroll, svg, thead');
}).map(one => one.outerHTML.slice(0, 90))
"""

PALE = """
(least) => {
  const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (let at = one; at; at = at.parentElement) {
      const found = channels(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
  };
  const onColour = ['rgb(0, 0, 0)', 'rgb(255, 255, 255)'];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Map();
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || one.closest('script, title, desc')) continue;
    const style = getComputedStyle(one), drawn = one.closest('text');
    const colour = drawn ? style.fill : style.color;
    if (drawn && onColour.includes(colour)) continue;
    const [low, high] = [light(channels(colour)), light(behind(one))].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    const pair = `${colour} on ${behind(one)}: ${contrast.toFixed(2)}`;
    if (contrast < least) found.set(pair, walker.currentNode.data.trim());
  }
  return [...found];
}
"""

CUT = """
() => [...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.getAttribute('aria-label'))
"""

NAMES = """
() => [...document.querySelectorAll('svg[role=img], figure, .scroll, nav, section')].map(one => {
  const by = one.getAttribute('aria-labelledby');
  const named = by && by.split(' ').map(id => document.getElementById(id)?.textContent ?? '').join(' ').trim();
  return [one.outerHTML.slice(0, 80), one.getAttribute('aria-label') || named || ''];
})
"""

DANGLING = """
() => {
  const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
  const named = [...document.querySelectorAll('a[href^="#"]')].map(one => one.getAttribute('href').slice(1));
  const used = [...document.querySelectorAll('svg *')].flatMap(one => [...one.attributes])
    .flatMap(one => [...one.value.matchAll(/url\\(#([^)]+)\\)/g)].map(found => found[1]));
  return { twice, missing: [...named, ...used].filter(id => !ids.includes(id)) };
}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return planted_page(tmp_path_factory.mktemp("run") / "planted")


@pytest.fixture(scope="module")
def files(page: Page, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of the page of a planted run, and of one full of hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, each in (("planted", page), ("hostile", hostile(page))):
        path = folder / f"{name}.html"
        path.write_text(each.html, encoding="utf-8")
        found[name] = path.as_uri()
    return found


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("HARNESS_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield running
        running.close()


class Watched:
    """A tab, and all that it complained of or asked for."""

    def __init__(self, browser: Browser, address: str, width_px: int = 1280, **settings: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        viewport = {"width": width_px, "height": 800}
        self._context = browser.new_context(viewport=viewport, **settings)  # type: ignore[arg-type]
        self.tab: Tab = self._context.new_page()
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(address, wait_until="load")

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()


@pytest.mark.parametrize("name", ["planted", "hostile"])
def test_the_page_is_alone(browser: Browser, files: dict[str, str], name: str) -> None:
    """It says nothing on the console, asks for nothing but itself, and no name in it becomes a program."""
    with Watched(browser, files[name]) as seen:
        seen.tab.evaluate(OPENED)
        seen.tab.wait_for_timeout(200)
        assert seen.said == []
        assert [url for url in seen.requests if not url.startswith(("data:", "blob:"))] == [files[name]]
        assert seen.tab.evaluate("window.hacked") is None
        assert seen.tab.locator("script").count() == 3
        assert seen.tab.locator("img, iframe, object, embed, form").count() == 0


def test_the_policy_is_in_force(browser: Browser, files: dict[str, str]) -> None:
    """A script that came into the page does not run, and a picture from elsewhere is not asked for."""
    with Watched(browser, files["planted"]) as seen:
        seen.tab.evaluate(
            "const one = document.createElement('script'); one.textContent = 'window.hacked = 3';"
            "document.body.append(one); const two = new Image(); two.src = 'http://192.0.2.1/z.png';"
            "document.body.append(two)"
        )
        seen.tab.wait_for_timeout(200)
        assert seen.tab.evaluate("window.hacked") is None
        assert len([text for text in seen.said if "Content Security Policy" in text]) == 2


@pytest.mark.parametrize("width_px", WIDTHS_PX)
@pytest.mark.parametrize("name", ["planted", "hostile"])
def test_nothing_hangs_over_the_edge(browser: Browser, files: dict[str, str], name: str, width_px: int) -> None:
    """With all details open no part but a table in its own box is wider than the screen."""
    with Watched(browser, files[name], width_px) as seen:
        seen.tab.evaluate(OPENED)
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= width_px
        assert seen.tab.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_stands_out(browser: Browser, files: dict[str, str], scheme: str) -> None:
    """Every text, those of the figures too, has the contrast that people with weak eyes need."""
    with Watched(browser, files["planted"], color_scheme=scheme) as seen:
        seen.tab.evaluate(OPENED)
        assert seen.tab.evaluate(PALE, LEAST_CONTRAST) == []
        background = seen.tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (background == "rgb(252, 251, 248)") == (scheme == "light")


def test_data_can_be_saved(browser: Browser, files: dict[str, str], page: Page, tmp_path: Path) -> None:
    """What is saved is the summary and the manifest."""
    with Watched(browser, files["planted"]) as seen:
        for name, content in (("summary.json", page.summary), ("manifest.json", page.manifest)):
            with seen.tab.expect_download() as download:
                seen.tab.get_by_role("link", name=f"Save {name}").click()
            assert download.value.suggested_filename == name
            download.value.save_as(tmp_path / name)
            assert json.loads((tmp_path / name).read_text(encoding="utf-8")) == content
            in_page = seen.tab.evaluate("key => document.getElementById(key).textContent", name.replace(".", "-"))
            assert json.loads(in_page) == content


def test_headings_are_in_order(browser: Browser, files: dict[str, str]) -> None:
    """One of the first level, and none is more than one level below that before it."""
    with Watched(browser, files["planted"]) as seen:
        found = seen.tab.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => +one.tagName[1])")
    assert found.count(1) == 1
    assert found[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(found))


def test_everything_has_a_name(browser: Browser, files: dict[str, str], page: Page) -> None:
    """Figures, sections and boxes that scroll can be told apart by those who hear the page."""
    with Watched(browser, files["planted"]) as seen:
        named = seen.tab.evaluate(NAMES)
        assert seen.tab.get_by_role("img").count() == len(page.figures)
    assert [element for element, name in named if not name] == []
    assert len([element for element, _ in named if element.startswith("<figure")]) == len(page.figures)


@pytest.mark.parametrize("name", ["planted", "hostile"])
def test_references_hold(browser: Browser, files: dict[str, str], name: str) -> None:
    """No id stands twice, and what is referred to is there."""
    with Watched(browser, files[name]) as seen:
        assert seen.tab.evaluate(DANGLING) == {"twice": [], "missing": []}


def test_a_link_opens_what_it_leads_to(browser: Browser, files: dict[str, str]) -> None:
    """The numbers of a figure are in a part that is folded at first."""
    with Watched(browser, files["planted"]) as seen:
        target = seen.tab.locator("#part-where-the-time-goes")
        assert not target.is_visible()
        seen.tab.locator("#plate-stages").get_by_role("link", name="The same in numbers").click()
        seen.tab.wait_for_timeout(100)
        assert target.is_visible()


def test_the_numbers_of_the_claims_figure_are_where_it_leads(browser: Browser, files: dict[str, str]) -> None:
    """In a block that holds some of them, opened where it was folded."""
    with Watched(browser, files["planted"]) as seen:
        for link in seen.tab.locator("#plate-published figcaption a").all():
            link.click()
            seen.tab.wait_for_timeout(100)
            block = seen.tab.locator(str(link.get_attribute("href")))
            assert block.is_visible()
            table = (
                block if block.evaluate("one => one.tagName") == "TABLE" else block.locator("xpath=following::table[1]")
            )
            assert table.get_by_role("cell").count()


def test_no_table_is_cut_off_on_a_phone(browser: Browser, files: dict[str, str]) -> None:
    """Rows are stacked there, so that none scrolls sideways."""
    with Watched(browser, files["planted"], WIDTHS_PX[0]) as seen:
        seen.tab.evaluate(OPENED)
        assert seen.tab.evaluate(CUT) == []


def test_on_paper_all_is_shown(browser: Browser, files: dict[str, str]) -> None:
    """Nothing can be unfolded there, and paper is white by night, too."""
    with Watched(browser, files["planted"], color_scheme="dark") as seen:
        seen.tab.emulate_media(media="print", color_scheme="dark")
        assert seen.tab.locator("#part-machine").bounding_box()
        assert seen.tab.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width_px", [WIDTHS_PX[0], WIDTHS_PX[-1]])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_screenshots_to_look_at(
    browser: Browser, files: dict[str, str], screenshots: Path, scheme: str, width_px: int
) -> None:
    """All of the page, for a person; here only that it is as wide as the screen."""
    with Watched(browser, files["planted"], width_px, color_scheme=scheme) as seen:
        path = screenshots / f"report-{width_px}-{scheme}.png"
        seen.tab.screenshot(path=path, full_page=True)
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.width == width_px
