"""The README's picture, from a demo of its own: `make screenshot`.

It names six units of the last stage by keyboard, as an expert would, opens the most malignant case
and writes docs/case.png. The names were given by looking at the units' top patches.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright

from tests.browser.running import ROOT, chromium, start_demo
from tests.browser.steps import (
    PROJECT,
    name_unit_by_keyboard,
    open_most_malignant_case,
    sign_in,
)

NAMES = {
    66: "spiculated",
    48: "spiculated",
    11: "pleomorphic",
    1: "grouped",
    2: "fine linear",
    5: "vascular",
}
SIZE = ViewportSize(width=1360, height=900)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = start_demo(Path(folder) / "var")
        try:
            browser = playwright.chromium.launch(**chromium())
            page = browser.new_page(base_url=demo.address, viewport=SIZE, color_scheme="dark")
            sign_in(page, "expert1")
            for unit, term in NAMES.items():
                page.goto(f"{PROJECT}/dissections/1/stage4/{unit}/")
                name_unit_by_keyboard(page, term)
            open_most_malignant_case(page)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=ROOT / "docs" / "case.png")
            browser.close()
        finally:
            demo.stop()


if __name__ == "__main__":
    main()
