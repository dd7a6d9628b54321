"""The large view of patches, judged by the pixels of its canvas."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.analysis import pictures
from tests.browser.running import Demo
from tests.browser.steps import open_a_unit, sign_in

READ_CANVAS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { width: canvas.width, values: [...data.filter((_, i) => i % 4 === 0)] };
}"""
VALUES = re.compile(r"Window ([\d,]+) · Level ([\d,]+) · (\d+) bit · Zoom ([\d,]+) %")


@dataclass
class Shown:
    """What stands below the canvas."""

    window: int
    level: int
    bits: int
    zoom: int


@pytest.fixture
def deep_images(page: Page, demo: Demo) -> Iterator[list[Path]]:
    """The files of the first patches of a unit, for this test with a ramp of 16 bits in them; the
    unit's page is open."""
    sign_in(page, "admin")
    open_a_unit(page)
    page.wait_for_load_state()
    files = [image_file(page, demo, rank) for rank in (0, 1)]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(pictures.dicom(ramp(), 16))
    yield files
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)


def image_file(page: Page, demo: Demo, rank: int) -> Path:
    source = page.locator("#patches .tile").nth(rank).get_attribute("data-source")
    found = re.search(r"/units/(\d+)/", source or "")
    assert found
    patches = page.request.get(f"/api/units/{found[1]}/").json()["top_patches"]
    [file] = (demo.folder / "media").rglob(f"images/*{patches[rank]['image_name']}.png")
    return file


def ramp(side: int = 256) -> np.ndarray:
    """Rises to the right through the whole range of 16 bits: uint16 [side, side]."""
    return np.linspace(0, 65535, side).astype(np.uint16)[None].repeat(side, axis=0)


def open_whole_image(page: Page) -> None:
    page.keyboard.press("h")
    page.keyboard.press("w")
    page.keyboard.press("v")
    expect(page.locator("#lightbox-values")).to_contain_text("16 bit", timeout=20_000)


def shown(page: Page) -> Shown:
    page.wait_for_timeout(100)
    found = VALUES.search(page.locator("#lightbox-values").inner_text())
    assert found
    return Shown(*(int(text.replace(",", "")) for text in found.groups()))


def canvas_row(page: Page) -> np.ndarray:
    """The grey values along a line near the canvas's upper edge, where no frame lies."""
    page.wait_for_timeout(100)
    read = page.locator("#lightbox-canvas").evaluate(READ_CANVAS)
    rows = np.array(read["values"], float).reshape(-1, read["width"])
    return np.asarray(rows[8])


def expected_row(width: int, side: int, now: Shown) -> np.ndarray:
    """A fitted ramp through the window, by the standard's formula (PS3.3 C.11.2.1.2.1)."""
    place = (np.arange(width) + 0.5 - (width - side) / 2) / side * 256 - 0.5
    value = np.interp(place, np.arange(256), ramp()[0])
    grey = ((value - (now.level - 0.5)) / (now.window - 1) + 0.5) * 255
    inside = (place > 0) & (place < 255)
    return np.where(inside, np.clip(grey, 0, 255), np.nan)


def check_row(page: Page, now: Shown, *, inverted: bool = False) -> None:
    row = canvas_row(page)
    height = page.locator("#lightbox-canvas").evaluate("canvas => canvas.height")
    expected = expected_row(len(row), height, now)
    expected = 255 - expected if inverted else expected
    difference = np.abs(row - expected)[~np.isnan(expected)]
    assert np.quantile(difference, 0.97) < 4, "up to 3 % may lie on the frame and on steep edges"
    assert len(difference) > 200


def test_window_and_level_change_the_pixels_of_a_16_bit_image(
    page: Page, deep_images: list[Path]
) -> None:
    open_whole_image(page)
    stored = shown(page)
    assert (stored.window, stored.level, stored.bits) == (65536, 32768, 16)
    check_row(page, stored)

    for key in "nnnnnnnnnnnnbb":
        page.keyboard.press(key)
    narrow = shown(page)
    assert narrow.window < 0.25 * stored.window
    assert narrow.level < stored.level
    check_row(page, narrow)

    page.locator("#lightbox-canvas").hover(position={"x": 300, "y": 200})
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(500, 160, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    dragged = shown(page)
    assert dragged.window != narrow.window
    assert dragged.level != narrow.level
    check_row(page, dragged)

    page.keyboard.press("i")
    check_row(page, dragged, inverted=True)
    page.keyboard.press("j")
    expect(page.locator("#lightbox-title")).to_contain_text("Patch 2 of")
    assert shown(page) == dragged, "the window stays from patch to patch"
    check_row(page, dragged, inverted=True)
    page.keyboard.press("r")
    check_row(page, stored)


def test_zoom_and_pan_by_keyboard_and_wheel(page: Page, deep_images: list[Path]) -> None:
    open_whole_image(page)
    fitted = shown(page).zoom
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert shown(page).zoom == pytest.approx(fitted * 1.25**2, abs=2)
    before = canvas_row(page)
    page.keyboard.press("ArrowRight")
    after = canvas_row(page)
    assert np.quantile(np.abs(after[100:-160] - before[160:-100]), 0.95) < 4
    assert np.abs(after - before).max() > 10
    page.keyboard.press("o")
    assert shown(page).zoom == 100
    page.locator("#lightbox-canvas").hover()
    page.mouse.wheel(0, -200)
    assert shown(page).zoom > 130
    page.keyboard.press("f")
    assert shown(page).zoom == fitted
    assert not [
        violation["id"]
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]


def test_a_missing_image_is_said_and_the_next_one_opens(
    page: Page, deep_images: list[Path]
) -> None:
    deep_images[0].unlink()
    page.keyboard.press("v")
    expect(page.locator("#lightbox-problem")).to_contain_text("file is missing or damaged")
    page.keyboard.press("j")
    expect(page.locator("#lightbox-values")).to_contain_text("16 bit", timeout=20_000)
    expect(page.locator("#lightbox-problem")).to_be_hidden()


def test_the_style_of_the_highlight_is_remembered(page: Page) -> None:
    sign_in(page, "admin")
    open_a_unit(page)
    page.wait_for_load_state()
    tile = page.locator("#patches .tile").first
    expect(tile.locator(".view-patch .contour")).to_be_visible()
    page.keyboard.press("l")
    page.reload()
    expect(tile.locator(".view-patch .dim")).to_be_visible()
    expect(tile.locator(".view-patch .contour")).to_be_hidden()
    page.keyboard.press("c")
    page.get_by_label("Unit number").fill("3")
    page.keyboard.press("Enter")
    page.locator(".compare .tile").last.click()
    expect(page.locator("#lightbox-title")).to_contain_text("Unit 03 Patch 16 of 16")
