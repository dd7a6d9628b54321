"""The phantom generator: masks, statistics, determinism and files."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from analysis.phantoms import (
    CLASSES,
    CONCEPTS,
    SIZE,
    VISIBLE,
    Patient,
    demo_patients,
    generate_patient,
    plan_patient,
    power_law_texture,
    render_view,
    split_of,
    write_dataset,
)
from analysis.phantoms.calcifications import Calcifications
from analysis.phantoms.masses import Mass
from analysis.phantoms.patients import outline
from analysis.phantoms.populations import SIDES, VIEWS

SEED = 5
ANATOMY_KEYS = {"vessel", "skin", "nipple", "dense-tissue", "breast-edge"}


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [generate_patient(number, SEED) for number in range(24)]


def periodogram_slope(image: np.ndarray, low: int, high: int) -> float:
    """Slope of log power against log frequency, averaged over rings of whole frequencies."""
    image = image.astype(np.float64) - image.mean()
    power = np.abs(np.fft.fftshift(np.fft.fft2(image))) ** 2
    center = image.shape[0] // 2
    y, x = np.indices(image.shape) - center
    ring = np.rint(np.sqrt(y**2 + x**2)).astype(int)
    spectrum = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    frequencies = np.arange(low, high)
    return float(np.polyfit(np.log(frequencies), np.log(spectrum[low:high]), 1)[0])


def test_a_patient_has_four_complete_images(patients: list[Patient]) -> None:
    for patient in patients:
        assert [(i.side, i.view) for i in patient.images] == [(s, v) for s in SIDES for v in VIEWS]
        for image in patient.images:
            assert image.pixels.shape == (SIZE, SIZE)
            assert image.pixels.dtype == np.float32
            assert 0 <= image.pixels.min() < 0.05
            assert 0.3 < image.pixels.max() <= 1
            assert image.label in CLASSES
            assert image.masks.keys() >= ANATOMY_KEYS
            assert ("pectoral" in image.masks) == (image.view == "MLO")


def test_finding_masks_are_the_pixels_that_change_without_the_finding(
    patients: list[Patient],
) -> None:
    checked = Counter[str]()
    for patient in patients:
        plan = plan_patient(patient.number, patient.seed)
        for image in patient.images:
            complete = render_view(plan, image.side, image.view)
            np.testing.assert_array_equal(complete, image.pixels)
            for finding in image.findings:
                without = render_view(plan, image.side, image.view, omit={finding.index})
                changed = np.abs(complete - without) >= VISIBLE
                np.testing.assert_array_equal(finding.mask, changed)
                for key in finding.planned.finding.concepts:
                    assert (image.masks[key] & changed).sum() == changed.sum()
                    checked[key] += 1
    assert checked["mass"] > 5
    assert checked["calcification"] > 5


def test_concept_masks_hold_nothing_but_their_findings(patients: list[Patient]) -> None:
    for patient in patients:
        for image in patient.images:
            for key in ("mass", "calcification", "mass-spiculated", "calcification-vascular"):
                parts = [f.mask for f in image.findings if key in f.planned.finding.concepts]
                assert (key in image.masks) == bool(parts)
                if parts:
                    np.testing.assert_array_equal(image.masks[key], np.any(parts, axis=0))


def test_distribution_masks_are_the_convex_area_around_the_specks() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    for row, column in ((10, 10), (10, 40), (40, 10), (40, 40)):
        mask[row, column] = True
    area = outline(mask)
    assert area[10:41, 10:41].all()
    assert not area[:8].any()
    assert not area[:, 43:].any()


def test_findings_are_brighter_than_what_they_cover(patients: list[Patient]) -> None:
    for patient in patients:
        plan = plan_patient(patient.number, patient.seed)
        for image in patient.images:
            for finding in image.findings:
                if finding.planned.finding.code == "calcification":
                    without = render_view(plan, image.side, image.view, omit={finding.index})
                    assert (image.pixels - without)[finding.mask].min() > 0


def test_a_patient_depends_on_seed_and_number_alone(patients: list[Patient]) -> None:
    again = generate_patient(7, SEED)
    for first, second in zip(patients[7].images, again.images, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)
        assert first.label == second.label
        assert first.report == second.report
        assert first.masks.keys() == second.masks.keys()
    other = generate_patient(7, SEED + 1)
    assert not np.array_equal(again.images[0].pixels, other.images[0].pixels)
    with pytest.raises(ValueError, match="start at 0"):
        generate_patient(-1, SEED)


def test_splits_are_by_patient_and_the_demo_is_held_out() -> None:
    shares = Counter(split_of(number) for number in range(1000))
    assert shares == {"train": 600, "validation": 200, "test": 200}
    demo = demo_patients()
    assert len(demo) == len(set(demo)) == 120
    assert Counter(map(split_of, demo)) == {"validation": 60, "test": 60}


@pytest.mark.parametrize("beta", [2.0, 3.0])
def test_texture_follows_the_power_law(beta: float) -> None:
    slopes = [
        periodogram_slope(power_law_texture(np.random.default_rng(seed), beta), 3, 90)
        for seed in range(6)
    ]
    assert np.mean(slopes) == pytest.approx(-beta, abs=0.1)
    white = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    assert abs(periodogram_slope(white, 3, 90)) < 0.1


def test_tissue_in_the_finished_image_is_still_close_to_a_power_law(
    patients: list[Patient],
) -> None:
    window = np.outer(np.hanning(80), np.hanning(80))
    slopes = []
    for patient in patients:
        patch = patient.images[0].pixels[88:168, 20:100].astype(np.float64)
        slopes.append(periodogram_slope((patch - patch.mean()) * window, 3, 20))
    assert 2 < -np.mean(slopes) < 4


def test_class_follows_from_the_findings_with_overlap() -> None:
    natures: dict[str, Counter[str]] = {}
    for number in range(1500):
        for planned in plan_patient(number, SEED).findings:
            thing = planned.finding
            if isinstance(thing, Mass):
                natures.setdefault(thing.edge, Counter())[planned.nature] += 1
            if isinstance(thing, Calcifications):
                natures.setdefault(thing.morphology, Counter())[planned.nature] += 1

    def malignant(word: str) -> float:
        return natures[word]["malignant"] / natures[word].total()

    assert 0.85 < malignant("spiculated") < 1
    assert 0.02 < malignant("circumscribed") < 0.25
    assert 0.7 < malignant("fine-pleomorphic") < 1
    assert malignant("fine-linear") > 0.9
    assert malignant("coarse") == 0
    assert set(natures["vascular"]) == {"incidental"}


def test_image_class_is_what_the_image_shows_up_to_label_noise() -> None:
    agree = total = 0
    vascular_classes = set()
    for number in range(60):
        for image in generate_patient(number, SEED).images:
            natures = {finding.planned.nature for finding in image.findings}
            expected = "benign" if "benign" in natures else "normal"
            expected = "malignant" if "malignant" in natures else expected
            agree += image.label == expected
            total += 1
            if "calcification-vascular" in image.masks:
                vascular_classes.add(image.label)
    assert 0.93 < agree / total < 1
    assert vascular_classes == set(CLASSES)


def test_density_classes_differ_in_dense_area(patients: list[Patient]) -> None:
    shares: dict[int, list[float]] = {}
    for patient in patients:
        composition = plan_patient(patient.number, SEED).anatomy.composition
        dense = [float(image.masks["dense-tissue"].mean()) for image in patient.images]
        shares.setdefault(composition, []).extend(dense)
    means = [np.mean(shares[key]) for key in sorted(shares)]
    assert len(means) >= 3
    assert means == sorted(means)
    assert means[-1] > 2.5 * means[0]


def test_reports_use_bi_rads_codes_and_never_the_truth(patients: list[Patient]) -> None:
    families = (
        "mass.",
        "calcification.benign.",
        "calcification.suspicious.",
        "calcification.distribution.",
    )
    kinds = {
        "mass",
        "calcification",
        "architectural-distortion",
        "asymmetry.asymmetry",
        "asymmetry.focal",
        "intramammary-lymph-node",
        "associated.skin-thickening",
    }
    assessments = set()
    for patient in patients:
        for image in patient.images:
            report = image.report
            assert report["patient"] == patient.identifier
            assert report["composition"].startswith("composition.")
            assert report["assessment"] in {"0", "1", "2", "3", "4A", "4B", "4C", "5"}
            assert (report["assessment"] == "1") == (not report["findings"])
            assert not any(word in json.dumps(report) for word in ('"malignant"', '"normal"'))
            assert len(report["findings"]) == len(image.findings)
            for finding in report["findings"]:
                assert finding["code"] in kinds
                assert finding["side"] == {"L": "left", "R": "right"}[image.side]
                assert all(term.startswith(families) for term in finding["descriptors"])
                assert finding["size_mm"] > 0
            assessments.add(report["assessment"])
    assert {"1", "2", "5"} <= assessments


def test_concept_keys_are_unique_and_cover_all_masks(patients: list[Patient]) -> None:
    keys = [concept.key for concept in CONCEPTS]
    assert len(keys) == len(set(keys))
    for patient in patients:
        for image in patient.images:
            assert set(image.masks) <= set(keys)


def test_dataset_folder_round_trip(tmp_path: Path) -> None:
    seen: list[int] = []
    write_dataset(tmp_path / "set", [3, 4], SEED, dicom=True, progress=seen.append)
    assert seen == [1, 2]
    root = tmp_path / "set"
    description = json.loads((root / "dataset.json").read_text())
    assert description["classes"] == list(CLASSES)
    assert {c["key"] for c in description["concepts"]} == {c.key for c in CONCEPTS}
    with (root / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["validation"] * 4 + ["test"] * 4
    expected = {i.stem: i for n in (3, 4) for i in generate_patient(n, SEED).images}
    assert len(rows) == len(expected) == 8
    for row in rows:
        stem = Path(row["image"]).stem
        image = expected[stem]
        assert (row["class"], row["laterality"], row["view"]) == (
            image.label,
            image.side,
            image.view,
        )
        png = np.asarray(Image.open(root / row["image"]))
        assert png.dtype == np.uint8
        np.testing.assert_allclose(png / 255, image.pixels, atol=0.5 / 255 + 1e-6)
        assert json.loads((root / row["report"]).read_text()) == image.report
        for concept in CONCEPTS:
            path = root / "masks" / concept.key / f"{stem}.png"
            assert path.exists() == (concept.key in image.masks)
            if path.exists():
                stored = np.asarray(Image.open(path))
                assert set(np.unique(stored)) <= {0, 255}
                np.testing.assert_array_equal(stored > 0, image.masks[concept.key])
        dicom = pydicom.dcmread(root / "dicom" / f"{stem}.dcm")
        assert dicom.PatientID == row["patient"]
        assert (dicom.ImageLaterality, dicom.ViewPosition) == (row["laterality"], row["view"])
        assert dicom.PhotometricInterpretation == "MONOCHROME2"
        assert (dicom.BitsAllocated, dicom.BitsStored) == (16, 12)
        assert dicom.PatientIdentityRemoved == "YES"
        assert dicom.pixel_array.max() <= 4095
        np.testing.assert_allclose(dicom.pixel_array / 4095, image.pixels, atol=0.5 / 4095 + 1e-6)
    with pytest.raises(FileExistsError, match="already holds"):
        write_dataset(root, [3], SEED)


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dataset(tmp_path / name, [2], SEED, dicom=True)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
