"""A reading list in a browser: made by an admin, read by an expert with the keyboard alone."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.steps import PROJECT, sign_in

# Pictures of patches that came over the network after a moment (a cached one transfers nothing).
FETCHED_SINCE = """since => performance.getEntriesByType("resource")
  .filter(entry => entry.name.includes("/patches/") && entry.startTime > since)
  .filter(entry => entry.transferSize > 0)
  .map(entry => entry.name)"""
NEXT_IS_LOADED = """() => {
  const reading = address => Number(address.match(/readings.(\\d+)/)[1]);
  const shown = reading(document.querySelector("#patches button").dataset.source);
  const wanted = document.querySelectorAll("#patches .view-patch img:not(.dim)").length;
  return performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => /part=(patch|highlight)&/.test(name) && reading(name) > shown)
    .length >= wanted;
}"""
ALL_LOADED = """() => [...document.querySelectorAll("#patches .view-patch img:not(.dim)")]
  .every(image => image.complete && image.naturalWidth > 1)"""


def test_three_units_by_keyboard_one_put_off_and_taken_up_again(page: Page) -> None:
    make_list(page, "Round by keyboard", units=4)
    sign_in_anew(page, "expert1")
    expect(
        page.get_by_role("heading", name=re.compile("4 units of “Round by keyboard”"))
    ).to_be_visible()
    page.keyboard.press("Enter")
    on_unit(page, 1, of=4)

    answer(page, "n")
    page.keyboard.press("Enter")
    on_unit(page, 2, of=4)
    page.keyboard.press("j")
    on_unit(page, 3, of=4)
    expect(page.locator("#reading-status")).to_contain_text("Put off")

    page.keyboard.press("t")
    page.keyboard.type("spiculated")
    expect(page.locator("[role=option]").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#label-terms")).to_contain_text("Spiculated")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    on_unit(page, 4, of=4)
    answer(page, "u")

    page.keyboard.press("k")
    on_unit(page, 3, of=4)
    expect(page.locator("#label-terms")).to_contain_text("Spiculated")
    page.keyboard.press("Enter")
    on_unit(page, 2, of=4)
    answer(page, "n")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("You have read everything that was yours")
    expect(page.locator(".facts")).to_contain_text("4 of 4")
    page.go_back()
    on_unit(page, 2, of=4)


def test_the_next_unit_s_pictures_are_there_before_the_key_is_pressed(page: Page) -> None:
    page.add_init_script("performance.setResourceTimingBufferSize(5000)")
    make_list(page, "Round with pictures", units=3)
    sign_in_anew(page, "expert2")
    page.goto(f"{PROJECT}/reading/")
    page.get_by_role("link", name="Start reading Round with pictures").click()
    for number in (1, 2):
        on_unit(page, number, of=3)
        page.wait_for_function(NEXT_IS_LOADED, timeout=60_000)
        shown = page.locator("#patches img").first.get_attribute("src")
        pressed = page.evaluate("performance.now()")
        page.keyboard.press("j")
        on_unit(page, number + 1, of=3)
        page.wait_for_function(ALL_LOADED)
        of_this_unit = page.locator("#patches").get_by_role("button").first
        base = str(of_this_unit.get_attribute("data-source")).removesuffix("0.png")
        assert shown
        assert not shown.startswith(base), "another unit's pictures"
        fetched = page.evaluate(FETCHED_SINCE, pressed)
        assert not [name for name in fetched if base in name]


def test_no_page_of_reading_lists_has_a_serious_accessibility_violation(page: Page) -> None:
    sign_in_anew(page, "admin")
    serious = look_at(page, f"{PROJECT}/reading/new/")
    made = make_list(page, "Round for everyone", units=3)
    serious += look_at(page, made)
    serious += look_at(page, f"{PROJECT}/reading/")
    sign_in_anew(page, "expert1")
    serious += look_at(page, f"{made}mine/")
    serious += look_at(page, f"{made}read/")
    assert not serious


def make_list(page: Page, name: str, *, units: int) -> str:
    """Make a list of the most influential units for both experts; returns its address."""
    sign_in_anew(page, "admin")
    page.goto(f"{PROJECT}/reading/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("How many of the most influential").fill(str(units))
    page.get_by_label("Hidden repeats (%)").fill("0")
    page.get_by_role("button", name="Make the list").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return page.url


def sign_in_anew(page: Page, username: str) -> None:
    page.context.clear_cookies()
    sign_in(page, username)
    expect(page.get_by_text("Signed in as")).to_be_attached()


def on_unit(page: Page, number: int, *, of: int) -> None:
    """Wait until the unit is shown, and the page hears keys."""
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Unit {number} of {of}")
    page.wait_for_load_state("load")


def answer(page: Page, key: str) -> None:
    page.keyboard.press(key)
    expect(page.locator("#save-status")).to_have_attribute("data-state", "saved")


def look_at(page: Page, address: str) -> list[str]:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {violation['id']}: {violation['help']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
