"""Two experts differ, an adjudicator settles it by keyboard, and the explanation says so."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.steps import PROJECT, name_unit_by_keyboard, sign_in


def test_a_disagreement_is_settled_by_keyboard(page: Page) -> None:
    for who, term in (("expert1", "spiculated"), ("expert2", "circumscribed")):
        page.context.clear_cookies()
        sign_in(page, who)
        page.goto(f"{PROJECT}/units/")
        # A unit that no other test of this demo answers.
        page.locator("main a[href*='/dissections/']").nth(-3).click()
        expect(page.get_by_role("heading", name="What excites it most")).to_be_visible()
        page.wait_for_load_state("networkidle")
        number = re.findall(r"/(\d+)/", page.url)[-1]
        name_unit_by_keyboard(page, term)
    page.context.clear_cookies()
    sign_in(page, "admin")
    page.goto(f"{PROJECT}/agreement/")
    expect(page.locator("main")).to_contain_text("Ada Reyes and Ben Okafor")
    assert not _serious(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("What does unit")
    # Other tests of this demo may have left disagreements that come first.
    page.goto(re.sub(r"/\d+/$", f"/{number}/", page.url))
    assert not _serious(page)
    unit = page.url
    page.keyboard.press("2")
    expect(page.get_by_role("checkbox", name=re.compile("Circumscribed"))).to_be_checked()
    expect(page.get_by_role("checkbox", name=re.compile("Spiculated"))).not_to_be_checked()
    page.keyboard.press("t")
    page.keyboard.type("vascular")
    expect(page.locator("[role=option]").first).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("departs from what most experts said")
    expect(page.get_by_role("checkbox", name=re.compile("Vascular"))).to_be_checked()
    page.keyboard.press("m")
    page.keyboard.type("A vessel crosses it.")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("is settled")
    page.goto(unit)
    expect(page.locator("main")).to_contain_text("A vessel crosses it.")
    expect(page.locator("main")).to_contain_text("Rests on 2 answers")
    page.keyboard.press("z")
    expect(page.locator("#messages")).to_contain_text("taken back")


def _serious(page: Page) -> list[str]:
    page.wait_for_load_state("networkidle")
    return [
        f"{page.url}: {violation['id']}: {violation['help']}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
