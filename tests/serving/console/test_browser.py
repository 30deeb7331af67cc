"""The pages in a real browser: no script but ours, nothing from elsewhere, keyboard, small."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from features.home import Home
from serving.calls.api import create_app
from serving.console.customer import customer_file, customer_page
from serving.console.looking import Looking
from serving.settings import Settings

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="no Chromium: install it, or set CHROMIUM to its path",
    ),
]
PAGES = (
    *("/app/home", "/app/customers", "/app/customers/C-lapsing/why", "/app/models"),
    "/app/pauses",
)
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective));
"""


@dataclass
class Watched:
    """A page, and all that went wrong or elsewhere in it."""

    page: object
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


def watched(browser, **context) -> Watched:  # type: ignore[no-untyped-def]
    page = browser.new_context(**context).new_page()
    found = Watched(page)
    page.add_init_script(VIOLATIONS)
    page.on("console", lambda message: found.wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.wrong.append(str(error)))
    page.on("dialog", lambda dialog: (found.wrong.append("a script ran"), dialog.dismiss()))
    page.on("request", lambda request: found.asked.append(request.url))
    return found


def sign_in(page, site) -> None:  # type: ignore[no-untyped-def]
    """As somebody would without a mouse."""
    page.goto(site.address + "/app/home")
    page.locator("input:focus").wait_for()  # the field has the focus by itself
    page.keyboard.type(site.key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/app/home")


def look(page, address: str) -> None:  # type: ignore[no-untyped-def]
    page.goto(address)
    if address.endswith("/home"):
        page.wait_for_selector(".people", timeout=30_000)


@pytest.fixture
def hostile_site(hostile_home: Home) -> Iterator[object]:
    from tests.serving.console.conftest import running  # type: ignore[import-not-found]

    app = create_app(Settings(hostile_home.path), rng=np.random.default_rng(7))
    yield from running(app)
    app.state.service.store.close()


def assert_quiet(found: Watched, site) -> None:  # type: ignore[no-untyped-def]
    assert found.wrong == []
    assert all(url.startswith(site.address) for url in found.asked)


def test_all_pages_are_quiet_narrow_and_dark(browser, site) -> None:  # type: ignore[no-untyped-def]
    size = {"width": 320, "height": 640}
    found = watched(browser, viewport=size, color_scheme="dark")
    page = found.page
    sign_in(page, site)
    for path in PAGES:
        look(page, site.address + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320, path
        assert page.evaluate("violations") == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(20, 22, 27)"
        assert page.evaluate("document.fonts.check('15px Inter')")
    assert_quiet(found, site)
    page.context.close()


def test_typing_filters_customers_without_leaving_the_page(browser, site) -> None:  # type: ignore[no-untyped-def]
    found = watched(browser)
    page = found.page
    sign_in(page, site)
    page.goto(site.address + "/app/customers")
    assert page.locator("#found tbody tr").count() == 3
    page.evaluate("window.same = true")
    page.locator("#id").press_sequentially("C-l")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    assert page.evaluate("window.same") is True
    assert page.url.endswith("?id=C-l")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/app/customers/C-lapsing/why")
    assert page.evaluate("violations") == []
    assert_quiet(found, site)
    page.context.close()


def test_everything_works_without_script(browser, site) -> None:  # type: ignore[no-untyped-def]
    found = watched(browser, java_script_enabled=False)
    page = found.page
    sign_in(page, site)
    page.wait_for_selector(".people", timeout=30_000)  # the page asks again by itself
    page.click("details summary >> nth=0")
    assert page.locator("details[open] table").count() == 1
    page.goto(site.address + "/app/customers")
    page.fill("#id", "C-new")
    page.keyboard.press("Enter")
    page.wait_for_url("**/app/customers?id=C-new")
    page.click("text=C-new")
    assert "Next best communication" in page.inner_text("main")
    page.click("text=Sign out")
    page.wait_for_url("**/app/sign-in")
    page.context.close()


def test_texts_that_try_to_run_stay_texts(browser, hostile_site) -> None:  # type: ignore[no-untyped-def]
    site = hostile_site
    found = watched(browser)
    page = found.page
    sign_in(page, site)
    for path in (*PAGES, "/app/customers?id=<img src=x onerror=alert(1)>"):
        look(page, site.address + path)
        text = page.inner_text("body")
        assert "<script>document.title='ran'</script>" in text
        assert "{{ 7 * 7 }}" in text
        assert page.title() != "ran"
        assert page.locator("script").count() == 1  # htmx, and nothing else
        assert page.locator("img, iframe, object, style, [onload], [onerror]").count() == 0
        assert page.evaluate("violations") == []
    for place in ("/app/<script>alert(1)</script>", "/app/customers/<img onerror=alert(1)>/why"):
        page.goto(site.address + place)
        assert "Not found" in page.inner_text("main")
    expected = "error: Failed to load resource: the server responded with a status of 404"
    assert [one for one in found.wrong if not one.startswith(expected)] == []
    assert all(url.startswith(site.address) for url in found.asked)
    page.context.close()


def test_a_customer_as_one_file_needs_nothing_else(  # type: ignore[no-untyped-def]
    browser, app, hostile_home: Home, tmp_path: Path
) -> None:
    service = app.state.service
    engine = service.champion.last.engine
    looking = Looking(service.store, engine, service.surroundings, service.now())
    file = tmp_path / "customer.html"
    file.write_text(customer_file(customer_page("C-lapsing", looking), looking), encoding="utf-8")
    found = watched(browser, viewport={"width": 320, "height": 640})
    found.page.goto(file.as_uri())
    assert "Next best communication" in found.page.inner_text("main")
    assert found.page.locator("script, link, img").count() == 0
    assert found.page.evaluate("violations") == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert found.asked == [file.as_uri()]
    assert found.wrong == []
    found.page.context.close()
