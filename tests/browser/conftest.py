"""The whole product as its user gets it: the demo command, and a real Chromium in front of it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.running import Demo, chromium, start_demo


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    # Not in pytest's own folder: another run of pytest closes that to all users but its own, and
    # with it to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(prefix="unitscope-demo-") as folder:
        running = start_demo(Path(folder) / "var")
        yield running
        running.stop()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return chromium()


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A page of a fresh browser profile; an error in the page's own scripts fails the test."""
    context = browser.new_context(base_url=demo.address, viewport={"width": 1360, "height": 900})
    context.set_default_timeout(15_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    yield opened
    context.close()
    assert not errors, errors
