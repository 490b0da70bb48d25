"""report.html in a browser: what somebody sees of it, hears of it, and can do with it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from page import HOSTILE, Made
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect, sync_playwright

from importer.reports.html import write_page

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it, or name it in CHROMIUM")

PHONE, TABLET, DESKTOP = (390, 844), (1030, 800), (1280, 800)


class Opened:
    """A page in a context of its own that reaches nothing, and all that the browser said while it was open.

    `asked` is whatever the page asked for, `left` what of it its policy let through.
    """

    def __init__(self, context: BrowserContext, path: Path) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.left: list[str] = []
        self.url = path.as_uri()
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", self._asks)
        context.route("**", self._answer)
        self.page.goto(self.url)

    def _asks(self, request: Request) -> None:
        if request.url not in (self.url, "data:,"):
            self.asked.append(request.url)

    def _answer(self, route: Route) -> None:
        if route.request.url == self.url:
            route.continue_()
        else:
            self.left.append(route.request.url)
            route.abort()

    def ready(self) -> Page:
        """The page once its tables can be used."""
        self.page.wait_for_selector("body[data-ready]")
        return self.page


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # the module's own: while it is open, its event loop runs in this thread, where other tests start theirs
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Reports by name, each written once."""
    folder = tmp_path_factory.mktemp("reports")
    made = {
        "large": Made(100_000, bad_every=50),
        "ordinary": Made(60, bad_every=7),
        "hostile": Made(60, bad_every=2, refs=HOSTILE),
        "done": Made(60),
    }

    def path_of(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            write_page(path, made[name].report())
        return path

    return path_of


@pytest.fixture
def opened(browser: Browser, reports: Callable[[str], Path]) -> Iterator[Open]:
    contexts: list[BrowserContext] = []

    def go(name: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False, script: bool = True) -> Opened:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light",
            java_script_enabled=script, offline=True,
        )  # fmt: skip
        contexts.append(context)
        return Opened(context, reports(name))

    yield go
    for context in contexts:
        context.close()


def cells(page: Page, heading: str, column: str) -> list[str]:
    """The texts of one column that is shown."""
    return page.get_by_role("region", name=heading).locator(f'tbody td[data-label="{column}"]').all_inner_texts()


def test_a_hundred_thousand_rows_open_at_once_and_ask_for_nothing(opened: Open) -> None:
    report = opened("large")
    page = report.ready()

    paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    usable_ms = page.evaluate("performance.now()")

    assert paint_ms < 3_000
    assert usable_ms < 6_000
    assert report.asked == []
    assert report.complaints == []
    expect(page.get_by_role("heading", level=1)).to_have_text("98,000 of 100,000 rows are done; 2,000 rejected.")
    expect(page.get_by_role("region", name="Each row").get_by_role("status")).to_have_text("1–25 of 100,000")


def test_a_hundred_thousand_rows_are_sorted_filtered_and_paged(opened: Open) -> None:
    report = opened("large")
    page = report.ready()
    rows = page.get_by_role("region", name="Each row")
    said = rows.get_by_role("status")

    rows.get_by_role("button", name="row", exact=True).click()
    rows.get_by_role("button", name="row", exact=True).click()
    assert cells(page, "Each row", "row")[:2] == ["100000", "99999"]

    rows.get_by_role("button", name="group").click()  # a number within a text counts as one
    assert cells(page, "Each row", "group")[:3] == ["org-1", "org-2", "org-3"]

    rows.get_by_label("outcome").select_option("rejected")
    expect(said).to_have_text("1–25 of 2,000 found of 100,000")
    assert set(cells(page, "Each row", "outcome")) == {"rejected"}

    rows.get_by_label("Find").fill("USER-77")
    expect(said).to_have_text("1–22 of 22 found of 100,000")
    rows.get_by_label("Find").fill("nobody has this")
    expect(said).to_have_text("nothing found in 100,000")
    rows.get_by_label("Find").fill("")
    expect(said).to_have_text("1–25 of 2,000 found of 100,000")

    rows.get_by_role("button", name="Next").click()
    expect(said).to_have_text("26–50 of 2,000 found of 100,000")
    assert report.complaints == []


def test_problems_are_grouped_with_examples_and_can_be_filtered(opened: Open) -> None:
    page = opened("ordinary").ready()
    fixes = page.get_by_role("region", name="What to fix")

    fixes.get_by_label("provider").select_option("slack")

    assert set(cells(page, "What to fix", "provider")) == {"slack"}
    assert "rows.csv row 7" in cells(page, "What to fix", "for example")[0]
    assert "Check the column." in cells(page, "What to fix", "what to do")[0]


def test_hostile_texts_are_shown_as_texts(opened: Open) -> None:
    report = opened("hostile")
    page = report.ready()
    page.get_by_role("region", name="Each row").get_by_label("outcome").select_option("created")

    seen = set(cells(page, "Each row", "group"))

    assert {"<script>alert(1)</script>", "invoice‹U+202E›gpj.exe"} & seen
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1
    assert report.complaints == []
    assert report.asked == []


def test_the_content_policy_stops_what_is_not_ours(opened: Open) -> None:
    report = opened("ordinary")
    page = report.ready()

    page.evaluate(
        """() => {
          document.body.append(Object.assign(document.createElement("script"), {textContent: "document.title = 'x'"}));
          document.body.append(Object.assign(document.createElement("img"), {src: "https://127.0.0.1:1/x.png"}));
          document.querySelector("h1").setAttribute("style", "color: red");
        }"""
    )

    assert page.title() != "x"
    assert report.left == []  # it was asked for, and stopped before it left the browser
    assert sum("Content Security Policy" in complaint for complaint in report.complaints) >= 3


def test_the_keyboard_is_enough(opened: Open) -> None:
    page = opened("ordinary").ready()
    rows = page.get_by_role("region", name="Each row")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the rows")).to_be_focused()
    rows.get_by_label("Find").focus()
    page.keyboard.type("user-7@")
    expect(rows.get_by_role("status")).to_have_text("1–1 of 1 found of 60")
    for _ in range(3):
        page.keyboard.press("Tab")  # past the two choices, to the first column
    page.keyboard.press("Enter")

    expect(rows.get_by_role("columnheader", name="source")).to_have_attribute("aria-sort", "ascending")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP])
@pytest.mark.parametrize("name", ["ordinary", "hostile"])
def test_it_fits_and_can_be_read_by_everybody(opened: Open, name: str, size: tuple[int, int], dark: bool) -> None:
    """axe-core's rules (WCAG 2 A and AA, and best practices), contrast in both schemes among them."""
    page = opened(name, size, dark=dark).ready()
    page.locator("details").first.evaluate("details => { details.open = true; }")

    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.get_by_role("columnheader").count() > 10  # a table is one as blocks, too
    found = Axe().run(page)
    assert [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in found.response["violations"]
    ] == []


def test_light_and_dark_follow_the_system(opened: Open) -> None:
    def lightness(dark: bool) -> int:
        page = opened("ordinary", dark=dark).ready()
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    assert lightness(dark=False) > 700
    assert lightness(dark=True) < 150


def test_it_prints(opened: Open) -> None:
    page = opened("ordinary", dark=True).ready()

    page.emulate_media(media="print")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.get_by_label("Find").first).to_be_hidden()
    assert page.pdf().startswith(b"%PDF")


def test_without_a_script_the_outcome_and_the_fixes_are_there(opened: Open) -> None:
    report = opened("ordinary", script=False)
    page = report.page

    expect(page.get_by_role("heading", level=1)).to_have_text("52 of 60 rows are done; 8 rejected.")
    assert len(cells(page, "What to fix", "rows")) > 1
    expect(page.get_by_text("Single rows are shown by a script")).to_be_visible()


def test_a_page_without_problems_has_none_to_show(opened: Open) -> None:
    page = opened("done").ready()

    expect(page.get_by_role("heading", level=1)).to_have_text("All 60 rows are done.")
    expect(page.get_by_role("region", name="What to fix")).to_have_count(0)
    expect(page.get_by_role("img", name="Outcomes: 60 created")).to_be_visible()
    expect(page.get_by_role("img", name="Pace, a second")).to_be_visible()
