"""The PDF report, read again by pypdf."""

import io
import re

import numpy as np
import pytest
from pypdf import PdfReader

from explanations.exports.pdf import pdf_report
from explanations.exports.record import Material
from explanations.rendering import PALETTE
from tests.platform.explaining import TERMS, named
from tests.platform.exporting import FAILS, material, named_units, settled_units

WARNING = "Not supported by its causal check"


def read(source: Material) -> PdfReader:
    return PdfReader(io.BytesIO(pdf_report(source)))


def text_of(reader: PdfReader) -> str:
    return flat(" ".join(page.extract_text() for page in reader.pages))


def flat(text: str) -> str:
    """Text without its line breaks, to which breaks inside long words belong."""
    return re.sub(r"\s+", " ", text)


def test_the_report_says_what_the_page_says() -> None:
    source = material()
    reader = read(source)
    text = text_of(reader)
    words = source.record.narrative
    for sentence in (words.prediction, *words.support, words.against, words.coverage, words.check):
        assert flat(sentence) in text, sentence
    for fact in ("p0001 L MLO", "left MLO view", "Small classifier", "2 Jan 2026, 03:04 UTC"):
        assert fact in text, fact
    assert "ab" * 32 in text
    assert "Evidence for malignant" in text
    assert "Evidence against malignant" in text
    assert "Zoë Müller-Łukasz" in text
    assert "83 % Named units removed" not in text
    assert "98 of 100" in text
    assert "Causal check: supports the explanation" in text
    assert "no diagnosis" in text
    assert WARNING not in text
    assert len(reader.pages) <= 2
    for number, page in enumerate(reader.pages, start=1):
        assert f"Page {number} of {len(reader.pages)}" in page.extract_text()


def test_a_failed_check_is_said_first() -> None:
    source = material(check=FAILS)
    reader = read(source)
    first = flat(reader.pages[0].extract_text())
    assert flat(source.record.narrative.warning) in first
    assert first.index(WARNING) < first.index("Prediction")
    assert "Causal check: does not support the explanation" in text_of(reader)


def test_the_bytes_depend_on_the_material_alone() -> None:
    assert pdf_report(material()) == pdf_report(material())
    assert pdf_report(material()) != pdf_report(material(patient="p0002"))


def test_contours_have_the_colours_of_the_page() -> None:
    """The control: a colour that no finding has is not there."""
    source = material()
    (image,) = read(source).pages[0].images
    pixels = np.asarray(image.image.convert("RGB")).reshape(-1, 3)  # type: ignore[union-attr]
    counts = [int((pixels == colour).all(axis=1).sum()) for colour in PALETTE]
    findings = len(source.record.content.findings())
    assert findings == 3
    assert min(counts[:findings]) > 200
    assert max(counts[findings:]) == 0


def test_the_image_stays_visible_under_many_findings() -> None:
    units = [named(index, key) for index, key in enumerate(TERMS)]
    source = material(units=units, effects=[5.0, 4.0, 3.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    (image,) = read(source).pages[0].images
    pixels = np.asarray(image.image.convert("RGB")).reshape(-1, 3)  # type: ignore[union-attr]
    drawn = [bool((pixels == colour).all(axis=1).any()) for colour in PALETTE]
    assert len(source.record.content.findings()) == 4
    assert drawn == [True] * 3 + [False] * 5


def test_its_font_is_embedded_and_names_in_any_script_are_kept() -> None:
    experts = ("王小明", "佐藤さくら", "Şükrü Öztürk", "Łucja <b>& Sons</b>")
    reader = read(material(units=named_units(experts)))
    text = text_of(reader)
    for name in experts:
        assert name in text, name
    fonts = [
        font.get_object()
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    ]
    ours = [font for font in fonts if "DejaVu" in font["/BaseFont"]]
    assert ours
    assert all("/FontFile2" in font["/FontDescriptor"] for font in ours)


def test_without_names_there_is_a_report_too() -> None:
    text = text_of(read(material(units=[])))
    assert "there was nothing to remove" in text
    assert "No unit of this layer has an agreed name yet" in text


def test_many_small_findings_share_a_line() -> None:
    keys = list(TERMS)
    units = [named(0, keys[1])] + [named(index, keys[index % 4]) for index in range(1, 8)]
    effects = [100.0, *([0.5] * 7)]
    text = text_of(read(material(units=units, effects=effects)))
    assert "3 smaller findings" in text


@pytest.mark.parametrize("classes", [3, 40])
def test_many_classes_do_not_fill_the_report(classes: int) -> None:
    source = material()
    content = source.record.content
    names = [f"class {number}" for number in range(classes)]
    shares = [1 / classes] * classes
    object.__setattr__(content, "class_names", names)
    object.__setattr__(content, "probabilities", shares)
    object.__setattr__(content, "target", classes - 1)
    reader = read(source)
    assert f"class {classes - 1}" in text_of(reader)
    assert len(reader.pages) <= 2


def test_a_term_that_no_expert_chose_is_named_by_who_settled_it() -> None:
    text = text_of(read(material(units=settled_units("Prof Okafor"))))
    assert "Prof Okafor" in flat(text)
