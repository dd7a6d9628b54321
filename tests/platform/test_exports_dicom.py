"""The DICOM objects, opened again by pydicom alone."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest
import torch
from pydicom import Dataset
from torch.nn.functional import interpolate

from explanations.exports.dicom import dicom_archive
from explanations.exports.record import Material
from explanations.rendering import region_mask
from tests.analysis import pictures
from tests.platform.explaining import named
from tests.platform.exporting import (
    EFFECTS,
    FAILS,
    HEIGHT,
    WIDTH,
    material,
    picture,
    settled_units,
    unit_maps,
)

ORIGINAL = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2",
    "SOPInstanceUID": "1.2.3.4",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.1",
    "Modality": "MG",
    "PatientName": "Secret^Name",
    "PatientID": "HOSPITAL-77",
    "PatientBirthDate": "19600101",
    "AccessionNumber": "ACC1",
    "StudyDate": "20200101",
}


def objects(source: Material) -> dict[str, Dataset]:
    with zipfile.ZipFile(io.BytesIO(dicom_archive(source))) as archive:
        return {
            name: pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()
        }


def segments(segmentation: Dataset) -> dict[str, np.ndarray]:
    """The masks by tracking identifier, put together from the frames."""
    frames = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    numbers = {
        int(item.SegmentNumber): str(item.TrackingID) for item in segmentation.SegmentSequence
    }
    masks = {}
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        place = groups if "SegmentIdentificationSequence" in groups else shared
        number = int(place.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        masks[numbers[number]] = frame.astype(bool)
    return masks


def walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from walk(child)


def named_item(root: Dataset, meaning: str) -> Dataset:
    return next(
        item
        for item in walk(root)
        if "ConceptNameCodeSequence" in item
        and item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    )


def value(root: Dataset, meaning: str) -> float:
    measured = named_item(root, meaning).MeasuredValueSequence[0]
    return float(measured.NumericValue)


def half_of_the_evidence(density: np.ndarray) -> np.ndarray:
    """The smallest area with half of the evidence, enlarged by torch and picked by its cumulative
    sum: an independent way to a finding's mask."""
    fine = interpolate(
        torch.from_numpy(density.astype(np.float64))[None, None],
        (HEIGHT, WIDTH),
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()
    order = np.argsort(-fine, axis=None)
    needed = int(np.searchsorted(np.cumsum(fine.flat[order]), fine.sum() / 2)) + 1
    mask = np.zeros(fine.size, bool)
    mask[order[:needed]] = True
    return mask.reshape(fine.shape)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_segments_are_the_findings_masks() -> None:
    source = material()
    masks = segments(objects(source)["segmentation.dcm"])
    assert list(masks) == [finding.key for finding in source.record.content.findings()]
    expected = {key: half_of_the_evidence(source.maps[key]) for key in masks}
    for key, mask in masks.items():
        assert mask.shape == (HEIGHT, WIDTH)
        assert overlap(mask, expected[key]) > 0.998, key
        assert np.array_equal(mask, region_mask(source.maps[key], width=WIDTH, height=HEIGHT))
    assert overlap(masks["for-1"], expected["against-1"]) < 0.5, "a wrong mask is noticed"


@pytest.mark.parametrize("size", [(97, 61), (2000, 1501)])
def test_masks_of_any_size_agree_with_the_contour(size: tuple[int, int]) -> None:
    height, width = size
    density = material().maps["for-1"]
    mask = region_mask(density, width=width, height=height)
    assert mask.shape == size
    rows = (np.arange(HEIGHT) + 0.5) * height / HEIGHT
    columns = (np.arange(WIDTH) + 0.5) * width / WIDTH
    seen = mask[rows.astype(int)][:, columns.astype(int)]
    assert overlap(seen, half_of_the_evidence(density)) > 0.97


def test_the_report_refers_to_segments_and_says_what_the_record_says() -> None:
    source = material()
    record = source.record
    found = objects(source)
    report, segmentation = found["report.dcm"], found["segmentation.dcm"]
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    prediction, *measurements = named_item(report, "Imaging Measurements").ContentSequence
    assert value(prediction, "Probability of malignant") == pytest.approx(83, abs=1e-3)
    assert len(measurements) == len(record.content.findings()) == 3
    numbers = {item.TrackingID: item.SegmentNumber for item in segmentation.SegmentSequence}
    for group, finding in zip(measurements, record.content.findings(), strict=True):
        assert named_item(group, "Tracking Identifier").TextValue == finding.key
        coded = named_item(group, "Finding").ConceptCodeSequence[0]
        long = coded.get("LongCodeValue") or coded.CodeValue
        assert (long, coded.CodingSchemeDesignator) == (finding.code, "99UNITSCOPE")
        side = "for" if finding.effect > 0 else "against"
        share = value(group, f"Share of the evidence {side}")
        assert share == pytest.approx(100 * finding.share, abs=1e-3)
        assert "Dr Ada Reyes" in named_item(group, "Experts who named the units").TextValue
        reference = named_item(group, "Referenced Segmentation Frame").ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == numbers[finding.key]
        frame = segmentation.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert number == numbers[finding.key]
        assert named_item(group, "Algorithm Name").TextValue == record.model.name
        assert named_item(group, "Algorithm Version").TextValue == record.model.sha256
    assert named_item(report, "Summary").TextValue == record.narrative.text
    assert value(report, "Random sets that lower it less") == 98
    verdict = named_item(report, "Verdict").ConceptCodeSequence[0]
    assert verdict.CodeMeaning == "Supports the explanation"


def test_a_failed_check_is_said_at_the_top() -> None:
    source = material(check=FAILS)
    report = objects(source)["report.dcm"]
    top = [item for item in report.ContentSequence if item.get("TextValue")]
    assert source.record.narrative.warning in [item.TextValue for item in top]
    verdict = named_item(report, "Verdict").ConceptCodeSequence[0]
    assert verdict.CodeMeaning == "Does not support the explanation"


@pytest.mark.parametrize("bits", [8, 16])
def test_other_images_are_wrapped_without_loss(bits: int) -> None:
    found = objects(material(bits=bits))
    image, report = found["image.dcm"], found["report.dcm"]
    assert np.array_equal(image.pixel_array, picture(bits))
    assert (image.PatientID, str(image.PatientName), image.Laterality) == ("p0001", "", "L")
    source = found["segmentation.dcm"].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert report.StudyInstanceUID == image.StudyInstanceUID
    other = objects(material(bits=bits, patient="p0002"))["image.dcm"]
    assert other.SOPInstanceUID != image.SOPInstanceUID


def test_a_colour_image_is_wrapped_in_colour() -> None:
    colours = np.stack([picture(), picture()[::-1], picture()], axis=-1)
    image = objects(material(image=pictures.png(colours)))["image.dcm"]
    assert image.PhotometricInterpretation == "RGB"
    assert np.array_equal(image.pixel_array, colours)


def test_a_dicom_image_is_referred_to_and_none_of_its_header_copied() -> None:
    file = pictures.dicom(picture(16) >> 4, 12, **ORIGINAL)
    found = objects(material(image=file, suffix=".dcm", bits=12))
    assert set(found) == {"report.dcm", "segmentation.dcm"}
    for name, dataset in found.items():
        assert dataset.StudyInstanceUID == "1.2.3", name
        assert "1.2.3.4" in str(dataset)
        assert dataset.PatientID == "p0001"
        for secret in ("Secret", "HOSPITAL-77", "19600101", "ACC1", "20200101"):
            assert secret not in str(dataset), (name, secret)
    reference = found["segmentation.dcm"].SourceImageSequence[0]
    assert reference.ReferencedSOPClassUID == ORIGINAL["SOPClassUID"]


def test_a_dicom_image_without_identifiers_is_wrapped() -> None:
    file = pictures.dicom(picture(16) >> 4, 12)
    found = objects(material(image=file, suffix=".dcm", bits=12))
    pixels = found["image.dcm"].pixel_array.astype(float) / 65535
    np.testing.assert_allclose(pixels, (picture(16) >> 4) / 4095, atol=1e-5)


def test_a_finding_without_a_place_has_a_group_and_no_segment() -> None:
    maps = unit_maps()
    maps[3] = 0
    found = objects(material(maps=maps))
    assert list(segments(found["segmentation.dcm"])) == ["for-1", "for-2"]
    groups = named_item(found["report.dcm"], "Imaging Measurements").ContentSequence
    assert len(groups) == 1 + 3
    assert set(objects(material(units=[]))) == {"report.dcm", "image.dcm"}


def test_awkward_names_fit() -> None:
    units = [named(0, "spiculated", experts=("Zoë \\ " + "x" * 100, "王小明"))]
    found = objects(material(units=units, effects=EFFECTS, patient="back\\slash " + "9" * 70))
    report = found["report.dcm"]
    assert list(segments(found["segmentation.dcm"])) == ["for-1"], "a single segment"
    assert "王小明" in named_item(report, "Experts who named the units").TextValue
    assert report.PatientID.startswith("back/slash 999")
    assert len(report.PatientID) <= 64


def test_the_same_record_gives_the_same_bytes_dated_as_the_explanation() -> None:
    assert dicom_archive(material()) == dicom_archive(material())
    today = f"{datetime.now(UTC):%Y%m%d}"
    for name, dataset in objects(material()).items():
        for element in dataset.iterall():
            if element.VR in ("DA", "DT"):
                assert str(element.value) in ("", "20260102"), (name, element)
                assert today not in str(element.value)


def test_a_term_that_no_expert_chose_is_named_by_who_settled_it() -> None:
    report = objects(material(units=settled_units("Prof Okafor")))["report.dcm"]
    assert named_item(report, "Experts who named the units").TextValue == "Prof Okafor"
