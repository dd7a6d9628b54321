"""Nothing that was answered or typed is lost: the server is cut off, the session ends, the page is
closed. And the keys that answer can be changed."""

import re
from contextlib import suppress
from typing import Any

from playwright.sync_api import Error, Page, expect

from tests.browser.running import Demo
from tests.browser.steps import PROJECT, open_a_unit, sign_in

LAYER = "stage4"
NOTE = "thin lines that meet"


def open_unit(page: Page, unit: int) -> None:
    open_a_unit(page)
    page.goto(re.sub(r"[^/]+/\d+/\?.*", f"{LAYER}/{unit}/", page.url))
    page.wait_for_load_state("networkidle")


def label(page: Page, unit: int, who: str) -> dict[str, Any]:
    """What the database holds on this unit, read through the API."""
    query: dict[str, str | float | bool] = {"author": who, "unit_index": unit, "layer_name": LAYER}
    found = page.request.get("/api/labels/", params=query).json()["results"]
    return found[0] if found else {}


def expect_saved(page: Page) -> None:
    expect(page.locator("#save-status")).to_have_attribute("data-state", "saved", timeout=90_000)
    expect(page.locator("#outbox")).to_be_hidden()
    assert page.evaluate("window.unitscopeOutbox.waiting().length") == 0


def test_answers_given_while_the_server_is_down_are_in_the_database_after_it(
    page: Page, demo: Demo
) -> None:
    sign_in(page, "admin")
    open_unit(page, 3)
    demo.stop()
    page.keyboard.press("u")
    page.keyboard.press("f")
    page.keyboard.press("1")
    page.keyboard.press("3")
    page.keyboard.press("d")
    page.keyboard.press("e")
    page.keyboard.type(NOTE)
    waiting = page.locator("#outbox-text")
    expect(waiting).to_contain_text("5 answers wait to be sent. The server cannot be reached")
    expect(page.locator("#save-status")).to_have_attribute("data-state", "failed")
    page.get_by_role("link", name="Next", exact=False).first.click()
    expect(page.locator("#label-note")).to_have_value(NOTE)
    demo.start_again()
    expect_saved(page)
    saved = label(page, 3, "admin")
    assert (saved["recognisable"], saved["confidence"], saved["note"]) == ("unsure", 3, NOTE)
    assert saved["answers"] == {"association": ["normal", "malignant"]}
    page.reload()
    expect(page.locator("#label-history-list summary")).to_contain_text("(5)")


def test_an_answer_outlives_an_expired_session_and_is_sent_as_nobody_else(page: Page) -> None:
    sign_in(page, "expert1")
    open_unit(page, 4)
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("n")
    expect(page.locator("#outbox-text")).to_contain_text("1 answer waits to be sent. You are sign")
    other = page.context.new_page()
    sign_in(other, "expert2")
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#outbox-text")).to_contain_text("Somebody else is signed in")
    assert not label(page, 4, "expert2")
    other.goto("/")
    other.locator("details.menu summary").click()
    other.get_by_role("button", name="Sign out").click()
    sign_in(other, "expert1")
    other.goto(f"{PROJECT}/")
    expect(page.locator("#outbox")).to_be_hidden(timeout=30_000)
    assert label(page, 4, "expert1")["recognisable"] == "no"


def test_text_typed_before_a_crash_is_sent_by_the_next_page(page: Page) -> None:
    sign_in(page, "expert1")
    open_unit(page, 5)
    page.route("**/label/", lambda route: route.abort())
    page.keyboard.press("e")
    page.keyboard.type("half a sent")
    with suppress(Error):
        page.goto("chrome://crash")
    again = page.context.new_page()
    again.goto("/")
    again.evaluate("window.unitscopeOutbox.flush()")
    assert label(again, 5, "expert1")["note"] == "half a sent"


def test_what_the_server_refuses_stays_with_its_reason_until_it_is_discarded(page: Page) -> None:
    sign_in(page, "expert1")
    open_unit(page, 6)
    page.evaluate(
        """window.unitscopeOutbox.put({url: document.getElementById("label").dataset.save,
           values: {answers: {riddle: "42"}}, what: "Unit 6: Riddle", text: "42"})"""
    )
    refused = page.get_by_role("list", name="Answers that were refused")
    expect(refused).to_contain_text("“riddle” is not asked by question set")
    page.goto(f"{PROJECT}/")
    expect(refused).to_contain_text("42")
    refused.get_by_role("button", name="Discard").click()
    expect(page.locator("#outbox")).to_be_hidden()


def test_a_key_is_changed_in_the_help_and_a_taken_one_is_refused(page: Page) -> None:
    sign_in(page, "expert1")
    open_unit(page, 7)
    page.keyboard.press("?")
    change = page.get_by_role("button", name="Change the key of “Nothing recognisable”")
    change.click()
    page.keyboard.press("h")
    message = page.locator("#keys-message")
    expect(message).to_contain_text("H is the key of “Highlight on or off”")
    page.keyboard.press("m")
    expect(message).to_contain_text("M holds from now on")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator("#answer-no")).not_to_be_checked()
    page.keyboard.press("m")
    expect_saved(page)
    page.reload()
    expect(page.locator("label[for=answer-no] kbd")).to_have_text("M")
    page.keyboard.press("?")
    page.get_by_role("button", name="Reset all keys").click()
    expect(page.locator("label[for=answer-no] kbd")).to_have_text("N")
