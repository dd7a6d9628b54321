"""A clinician's own image: uploaded, explained, findings switched off, exported."""

import re

from playwright.sync_api import Page, expect

from tests.browser.running import Demo
from tests.browser.steps import sign_in


def test_an_uploaded_image_opens_by_itself_and_its_findings_can_be_switched_off(
    page: Page, demo: Demo
) -> None:
    sign_in(page, "admin")
    _name_units(page)
    page.goto("/p/phantom-mammography/cases/upload/")
    image = sorted((demo.folder / "demo-dataset" / "images").glob("*.png"))[0]
    page.get_by_label("Image").set_input_files(image)
    page.get_by_role("button", name="Upload and predict").click()
    expect(page.locator("#what-if")).to_be_visible(timeout=60_000)

    shares = page.locator("#what-if output")
    before = shares.all_inner_texts()
    boxes = page.locator("[data-what-if]")
    for number in range(boxes.count()):
        boxes.nth(number).uncheck()
    without = shares.all_inner_texts()
    assert without != before
    removed = page.get_by_text("Named units removed").locator("..").locator("dd").inner_text()
    assert without[0] == removed, "all findings off is what the causal check measured"
    page.keyboard.press("r")
    assert shares.all_inner_texts() == before

    page.locator("summary", has_text=re.compile("Export")).first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("PDF")).first.click()
    assert download.value.path().read_bytes().startswith(b"%PDF")


def test_a_file_that_is_no_image_is_refused_and_the_form_stays(page: Page) -> None:
    sign_in(page, "clinician")
    page.goto("/p/phantom-mammography/cases/upload/")
    page.get_by_label("Patient").fill("P-1")
    page.get_by_label("Image").set_input_files(
        {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.get_by_role("button", name="Upload and predict").click()
    expect(page.locator(".field-error")).to_contain_text("PNG, JPEG or DICOM")
    expect(page.get_by_label("Patient")).to_have_value("P-1")


def _name_units(page: Page) -> None:
    """Give the three most influential units a name each, through the API of the page's session."""
    layer = page.request.get("/api/layers/?name=stage4").json()["results"][0]
    units = page.request.get(f"/api/units/?layer={layer['id']}").json()["results"]
    strongest = sorted(units, key=lambda unit: -max(map(abs, unit["results"]["influence"])))[:3]
    token = next(c["value"] for c in page.context.cookies() if c["name"] == "csrftoken")
    model = page.request.get("/api/models/").json()["results"][0]["id"]
    for unit, term in zip(strongest, ["mass", "other.vessel", "other.nipple"], strict=True):
        answer = page.request.post(
            "/api/labels/",
            data={
                "model": model,
                "layer_name": "stage4",
                "unit_index": unit["index"],
                "recognisable": "yes",
                "terms": [term],
            },
            headers={"X-CSRFToken": token, "Referer": page.url},
        )
        assert answer.ok, answer.text()
