"""The loop the product exists for, in a browser: an expert names units, a clinician reads why."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.steps import (
    MOST_MALIGNANT,
    PROJECT,
    name_unit_by_keyboard,
    open_a_unit,
    open_most_malignant_case,
    sign_in,
    wait_for_explanation,
)

NAME_THIS_UNIT = re.compile("^Name this unit")


def test_a_wrong_password_is_refused_in_words_and_the_name_is_kept(page: Page) -> None:
    sign_in(page, "expert1", "wrong")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("password", re.IGNORECASE))
    expect(page.get_by_label("User name")).to_have_value("expert1")


def test_a_name_that_an_expert_gives_by_keyboard_is_read_in_the_explanation(page: Page) -> None:
    sign_in(page, "expert1")
    open_most_malignant_case(page)
    expect(page.locator("main")).to_contain_text("No unit of this layer has an agreed name yet")

    page.get_by_role("link", name=NAME_THIS_UNIT).first.click()
    unit = page.get_by_role("heading", level=1).inner_text()
    name_unit_by_keyboard(page, "spiculated")
    expect(page.locator("#label-terms")).to_contain_text("Spiculated")
    expect(page.locator("#answer-yes")).to_be_checked()

    page.keyboard.press("z")
    expect(page.locator("#label-terms")).not_to_contain_text("Spiculated")
    name_unit_by_keyboard(page, "spiculated")
    page.reload()
    expect(page.locator("#label-terms")).to_contain_text("Spiculated")

    open_most_malignant_case(page)
    main = page.locator("main")
    expect(main).to_contain_text(re.compile("spiculated", re.IGNORECASE), timeout=90_000)
    expect(main).to_contain_text("Ada Reyes")
    expect(main).to_contain_text(unit.split()[-1])
    expect(main).to_contain_text(re.compile(r"random sets"))
    overlay = page.locator("#overlays img").first
    expect(overlay).to_be_attached()
    assert overlay.evaluate("image => image.decode().then(() => image.naturalWidth)") > 1


def test_a_clinician_reads_the_same_and_cannot_label(page: Page) -> None:
    sign_in(page, "clinician")
    open_most_malignant_case(page)
    expect(page.locator("main")).to_contain_text("Ada Reyes")
    open_a_unit(page)
    expect(page.locator("#term-input")).to_have_count(0)


def test_nothing_recognisable_is_one_key_and_enter_leads_to_the_next_unit(page: Page) -> None:
    sign_in(page, "expert2")
    page.get_by_role("link", name="Label the next unit").click()
    page.wait_for_load_state("networkidle")
    first = page.get_by_role("heading", level=1).inner_text()
    page.keyboard.press("n")
    expect(page.locator("#save-status")).to_have_attribute("data-state", "saved")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_have_text(first)
    page.goto(f"{PROJECT}/")
    expect(page.locator("main")).to_contain_text("1 by you")


def test_the_highlight_is_switched_by_key(page: Page) -> None:
    sign_in(page, "expert2")
    page.get_by_role("link", name="Label the next unit").click()
    page.wait_for_load_state("networkidle")
    button = page.get_by_role("button", name=re.compile("^Highlight"))
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("h")
    expect(button).to_have_attribute("aria-pressed", "false")


def test_an_admin_runs_a_dissection_from_the_page_and_sees_it_finish(page: Page) -> None:
    sign_in(page, "admin")
    page.goto(f"{PROJECT}/jobs/")
    expect(page.locator("main")).to_contain_text("Dissect Phantom classifier")
    page.get_by_role("link", name=re.compile("Dissect Phantom classifier")).first.click()
    expect(page.locator("main")).to_contain_text("Succeeded")
    expect(page.locator("main")).to_contain_text("240 images, 2 layers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_violation(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.goto("/login/")
    serious = _serious(page)
    sign_in(page, "expert1")
    for address in ("/", "/units/", "/cases/", "/jobs/", "/catalog/", "/vocabulary/"):
        page.goto(f"{PROJECT}{address}")
        serious += _serious(page)
    open_a_unit(page)
    serious += _serious(page)
    page.goto(MOST_MALIGNANT)
    page.locator("main .case-link").first.click()
    wait_for_explanation(page)
    serious += _serious(page)
    assert not serious


def _serious(page: Page) -> list[str]:
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {violation['id']}: {violation['help']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
