"""Every page of the product, as admin and as expert: axe, 200 % zoom and a tablet.

The pages are those of the permission table, served from the project of `tests.platform.stage`, so
a new page is looked at as soon as it has its line there.
"""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test.testcases import LiveServerThread, _StaticFilesHandler
from playwright.sync_api import Browser, Page, ViewportSize, expect

from annotation.models import TermProposal
from tests.platform.routes import PAGES, Route
from tests.platform.stage import Stage, build_stage

DESKTOP = ViewportSize(width=1280, height=900)
# The same window at 200 % has half as many CSS pixels.
ZOOMED = ViewportSize(width=640, height=450)
TABLET = ViewportSize(width=820, height=1180)
REFUSED = 400


@pytest.fixture
def served(transactional_db: None) -> Iterator[str]:
    """The address of a server on the test database. It serves the collected static files, whose
    names hold hashes, which pytest-django's own server does not know.
    """
    server = LiveServerThread("127.0.0.1", _StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    yield f"http://127.0.0.1:{server.port}"
    server.terminate()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, served: str) -> Stage:
    # Playwright's event loop runs in this thread, where Django would refuse its database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    return build_stage()


@pytest.fixture
def window(browser: Browser, served: str) -> Iterator[Page]:
    context = browser.new_context(base_url=served, viewport=DESKTOP)
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


def sign_in(page: Page, stage: Stage, person: str) -> None:
    page.context.add_cookies(
        [
            {
                "name": settings.SESSION_COOKIE_NAME,
                "value": stage.session(person),
                "domain": "127.0.0.1",
                "path": "/",
            }
        ]
    )


def pages_of(person: str) -> list[Route]:
    """The pages that open for a person, and do not only lead somewhere else."""
    return [route for route in PAGES if route.page and route.expected("get", person) == 200]


def violations(page: Page, where: str = "body") -> list[str]:
    found = Axe().run(page, context=where).response["violations"]
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def overflow(page: Page, size: ViewportSize) -> list[str]:
    """What sticks out to the right where the page as a whole can be scrolled sideways."""
    page.set_viewport_size(size)
    return page.evaluate(
        """() => {
          const root = document.documentElement;
          if (root.scrollWidth <= root.clientWidth) return [];
          const wide = [...document.querySelectorAll("body *")].filter(
            (e) => e.getBoundingClientRect().right > root.clientWidth + 1);
          return wide.slice(0, 5).map((e) => `${e.tagName}.${e.className} is too wide`);
        }"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("person", ["admin", "expert", "anonymous"])
def test_no_page_has_a_serious_violation(
    stage: Stage, window: Page, person: str, scheme: str
) -> None:
    window.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    if person != "anonymous":
        sign_in(window, stage, person)
    found: dict[str, list[str]] = {}
    for route in pages_of(person):
        address = stage.address(route)
        window.set_viewport_size(DESKTOP)
        response = window.goto(address, wait_until="networkidle")
        assert response is not None
        assert response.status < REFUSED, address
        problems = violations(window)
        if scheme == "light":
            for name, size in (("zoom 200 %", ZOOMED), ("tablet", TABLET)):
                problems += [f"{name}: {text}" for text in overflow(window, size)]
        if problems:
            found[f"{route.name} {address}"] = problems
    assert not found, "\n".join(f"{key}: {texts}" for key, texts in found.items())


def test_axe_and_the_ruler_notice_what_is_wrong(stage: Stage, window: Page) -> None:
    """The control: a page made worse on purpose is found out."""
    window.goto("/login/")
    window.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend",
            "<img src='/healthz'><svg width='3000' height='9' class='big'></svg>");
          document.querySelector(".big").setAttribute("overflow", "visible");
          document.querySelector("svg.big").style.maxWidth = "none";
        }"""
    )
    assert any("image-alt" in text for text in violations(window))
    assert overflow(window, ZOOMED)


def test_an_expert_proposes_a_missing_term_by_keyboard_without_leaving_the_unit(
    stage: Stage, window: Page
) -> None:
    sign_in(window, stage, "expert")
    route = next(route for route in PAGES if route.name == "unit")
    window.goto(stage.address(route), wait_until="networkidle")
    window.locator("#term-input").focus()
    window.keyboard.type("Corona")
    expect(window.get_by_role("option", name="Propose “Corona”")).to_be_visible()
    window.keyboard.press("Enter")
    dialog = window.get_by_role("dialog", name="Propose a missing term")
    expect(dialog.get_by_label("Name")).to_have_value("Corona")
    assert not violations(window, "#propose-dialog")
    dialog.get_by_label("What it means").fill("A bright ring.")
    dialog.get_by_label("Name").press("Enter")
    expect(dialog).to_be_hidden()
    expect(window.locator("#label-proposals")).to_contain_text("Corona")
    assert TermProposal.objects.filter(name="Corona", definition="A bright ring.").exists()
