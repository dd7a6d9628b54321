"""What people do on the pages, as the tests and the screenshot command repeat it."""

from playwright.sync_api import Page, expect

PROJECT = "/p/phantom-mammography"
PASSWORD = "unitscope"
MOST_MALIGNANT = f"{PROJECT}/cases/?predicted=2&sort=class-2"


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    with page.expect_navigation(wait_until="networkidle"):
        page.keyboard.press("Enter")


def open_a_unit(page: Page) -> None:
    page.goto(f"{PROJECT}/units/")
    page.locator("main a[href*='/dissections/']").last.click()
    expect(page.get_by_role("heading", name="What excites it most")).to_be_visible()


def open_most_malignant_case(page: Page) -> None:
    """Open the case with the highest probability of malignant and wait for its explanation."""
    page.goto(MOST_MALIGNANT)
    page.locator("main .case-link").first.click()
    wait_for_explanation(page)


def wait_for_explanation(page: Page) -> None:
    expect(page.get_by_role("heading", name="Why malignant?")).to_be_visible(timeout=90_000)


def name_unit_by_keyboard(page: Page, term: str) -> None:
    """On a unit's page: type the term, take the first match, and wait until it is saved."""
    expect(page.locator("#term-input")).to_be_visible()
    page.wait_for_load_state("networkidle")  # keys work once the scripts are there
    page.keyboard.press("t")
    page.keyboard.type(term)
    expect(page.locator("[role=option]").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#save-status")).to_have_attribute("data-state", "saved")
    expect(page.locator("#label-terms")).not_to_be_empty()
    page.keyboard.press("Escape")
