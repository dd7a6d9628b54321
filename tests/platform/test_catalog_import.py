"""Imports of folders and archives: what comes in, what is left out, what is refused."""

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage

from analysis.errors import Cancelled
from catalog import vocabularies
from catalog.importing import DatasetError, ImportReport, import_dataset, sources
from catalog.models import Concept, ConceptMask, Dataset, Image, ImportState, Project
from catalog.services import create_project
from tests.platform.datasets import full_dataset, manifest, mask, png, write, zipped

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return create_project(
        slug="study", name="Study", vocabulary=vocabularies.load("bi-rads-mammography")
    )


@pytest.fixture
def dataset(project: Project) -> Dataset:
    return Dataset.objects.create(project=project, name="Images")


def run(
    dataset: Dataset, source: Path, should_stop: Callable[[], bool] = lambda: False
) -> ImportReport:
    return import_dataset(
        dataset, source, progress=lambda done, total, stage: None, should_stop=should_stop
    )


def stored_files(dataset: Dataset) -> list[str]:
    home = Path(default_storage.path(f"projects/{dataset.project.slug}/datasets/{dataset.pk}"))
    return sorted(str(path) for path in home.rglob("*"))


def assert_untouched(dataset: Dataset) -> None:
    dataset.refresh_from_db()
    assert dataset.state == ImportState.CHECKING
    assert not Image.objects.exists()
    assert not Concept.objects.exists()
    assert stored_files(dataset) == []


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_manifest_brings_patients_classes_splits_masks_and_reports(
    dataset: Dataset, tmp_path: Path, as_zip: bool
) -> None:
    files = full_dataset()
    around = {f"small/{name}": content for name, content in files.items()}
    source = zipped(tmp_path / "a.zip", around) if as_zip else write(tmp_path / "a", files)
    report = run(dataset, source)
    assert (report.imported, report.errors) == (3, [])
    dataset.refresh_from_db()
    assert dataset.state == ImportState.READY
    assert dataset.message == ""
    assert dataset.class_names == ["normal", "benign"]
    assert dataset.description == "Three images."
    rows = dataset.images.values_list(
        "name", "patient", "study", "laterality", "view", "class_index", "split", "report"
    )
    assert list(rows) == [
        ("p1_L_CC", "p1", "p1-1", "L", "CC", 1, "validation", {"assessment": "2"}),
        ("p1_R_CC", "p1", "p1-1", "R", "CC", 0, "validation", None),
        ("p2_L_CC", "p2", "p2-1", "L", "CC", None, "test", None),
    ]
    image = dataset.images.get(name="p1_L_CC")
    assert (image.width, image.height, image.bits) == (12, 12, 8)
    assert image.file.read() == files["images/p1_L_CC.png"]
    stored = ConceptMask.objects.get()
    assert (stored.image, stored.concept.key) == (image, "mass")
    assert stored.file.read() == mask()
    terms = {concept.key: concept.term for concept in dataset.concepts.select_related("term")}
    assert terms["vessel"] is None
    assert terms["mass"] is not None
    assert terms["mass"].code == "mass"


def test_class_folders_give_classes_and_patients(dataset: Dataset, tmp_path: Path) -> None:
    source = write(
        tmp_path,
        {
            "dog/1.png": png(), "cat/1.png": png(), "cat/rex__left.png": png(),
            "cat/tom/2.png": png(), "cat/.DS_Store": b"x",
        },
    )  # fmt: skip
    assert run(dataset, source).errors == []
    dataset.refresh_from_db()
    assert dataset.class_names == ["cat", "dog"]
    rows = dataset.images.values_list("name", "patient", "class_index", "split")
    assert list(rows) == [
        ("cat/1", "cat/1", 0, "validation"),
        ("cat/rex__left", "rex", 0, "validation"),
        ("cat/tom/2", "tom", 0, "validation"),
        ("dog/1", "dog/1", 1, "validation"),
    ]


def test_files_named_by_a_uid_keep_all_of_it(dataset: Dataset, tmp_path: Path) -> None:
    source = write(tmp_path, {"cat/1.2.840.0": png(), "cat/1.2.840.1": png(), "cat/9.8.PNG": png()})
    assert run(dataset, source).errors == []
    names = dataset.images.values_list("name", flat=True)
    assert list(names) == ["cat/1.2.840.0", "cat/1.2.840.1", "cat/9.8"]


def test_masks_find_images_named_by_a_uid(dataset: Dataset, tmp_path: Path) -> None:
    files = full_dataset() | {
        "manifest.csv": manifest({"image": "images/1.2.0"}, {"image": "images/1.2.1"}),
        "images/1.2.0": png(),
        "images/1.2.1": png(),
        "masks/mass/1.2.1.png": mask(),
    }
    assert run(dataset, write(tmp_path, files)).errors == []
    assert ConceptMask.objects.get().image.name == "1.2.1"


def test_split_folders_above_the_classes(dataset: Dataset, tmp_path: Path) -> None:
    files = {"Train/cat/1.png": png(), "val/cat/2.png": png(), "test/dog/3.png": png()}
    run(dataset, zipped(tmp_path / "a.zip", files))
    rows = dataset.images.order_by("split").values_list("split", "class_index")
    assert list(rows) == [("test", 1), ("train", 0), ("validation", 0)]


def test_a_folder_around_everything_and_rubbish_of_other_systems_are_ignored(
    dataset: Dataset, tmp_path: Path
) -> None:
    files = {
        "photos/cat/1.png": png(), "photos/dog/1.png": png(), "__MACOSX/photos/cat/._1.png": b"x",
        "photos/Thumbs.db": b"x",
    }  # fmt: skip
    assert run(dataset, zipped(tmp_path / "a.zip", files)).errors == []
    dataset.refresh_from_db()
    assert dataset.class_names == ["cat", "dog"]


def test_contents_decide_and_not_names(dataset: Dataset, tmp_path: Path) -> None:
    source = write(tmp_path, {"a/1.jpg": png(), "a/2.png": b"#!/bin/sh", "a/3": png()})
    report = run(dataset, source)
    assert [name for name, _ in report.errors] == ["a/2.png"]
    assert "not a PNG, JPEG or DICOM" in report.errors[0][1]
    endings = {Path(image.file.name or "").suffix for image in dataset.images.all()}
    assert endings == {".png"}


def test_a_broken_image_is_listed_and_the_rest_comes_in(dataset: Dataset, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    source = write(tmp_path, {"a/1.png": png(noise)[:-200], "a/2.png": png(), "a/3.png": b""})
    report = run(dataset, source)
    assert report.imported == 1
    assert {name for name, _ in report.errors} == {"a/1.png", "a/3.png"}
    dataset.refresh_from_db()
    assert dataset.message.startswith("Left out: 2.")
    assert "a/1.png" in dataset.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(255, side=11), "12 x 12 pixels"),
        (png(128), "0 and 255"),
        (b"\x89PNG nonsense", "cannot be used"),
        (b"\xff\xd8\xff", "must be a PNG"),
    ],
)
def test_an_image_with_a_damaged_mask_is_left_out_rather_than_called_free_of_the_concept(
    dataset: Dataset, tmp_path: Path, content: bytes, reason: str
) -> None:
    files = full_dataset() | {"masks/mass/p1_L_CC.png": content}
    report = run(dataset, write(tmp_path, files))
    assert report.imported == 2
    [(name, why)] = report.errors
    assert name == "images/p1_L_CC.png"
    assert reason in why


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"a": NaN}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', "[" * 100_000]
)
def test_a_damaged_report_is_left_out_and_its_image_comes_in(
    dataset: Dataset, tmp_path: Path, content: str
) -> None:
    files = full_dataset() | {"reports/p1_L_CC.json": content}
    report = run(dataset, write(tmp_path, files))
    assert report.imported == 3
    assert [name for name, _ in report.errors] == ["reports/p1_L_CC.json"]
    assert dataset.images.get(name="p1_L_CC").report is None


def test_rows_of_the_manifest_that_cannot_be_used_are_listed(
    dataset: Dataset, tmp_path: Path
) -> None:
    rows = [
        {"image": "images/p1_L_CC.png"},
        {"image": "images/absent.png"},
        {"image": "../../etc/passwd"},
        {"image": "images/p1_R_CC.png", "class": "weird"},
        {"image": "images/p2_L_CC.png", "split": "holdout"},
    ]
    files = full_dataset() | {"manifest.csv": manifest(*rows), "masks/odd/x.png": mask()}
    report = run(dataset, write(tmp_path, files))
    assert report.imported == 1
    reasons = dict(report.errors)
    assert "no such file" in reasons["images/absent.png"]
    assert "no such file" in reasons["../../etc/passwd"]
    assert "normal, benign" in reasons["images/p1_R_CC.png"]
    assert "train, validation, test" in reasons["images/p2_L_CC.png"]
    assert "no concept “odd”" in reasons["masks/odd"]
    assert dataset.images.get().patient == "p1_L_CC"


def test_a_concept_with_an_unknown_term_comes_in_without_one(
    dataset: Dataset, tmp_path: Path
) -> None:
    description = {"classes": ["normal", "benign"], "concepts": [{"key": "m", "term": "no.term"}]}
    files = full_dataset() | {"dataset.json": json.dumps(description)}
    report = run(dataset, write(tmp_path, files))
    assert ("no.term" in dict(report.errors)["concept m"]) is True
    assert dataset.concepts.get().term is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest.csv": "file,patient\na,b\n"}, "needs a header line with the column image"),
        ({"manifest.csv": b"image\n\xff\xfe"}, "not UTF-8"),
        ({"manifest.csv": "image\nimages/a\0.png\n"}, "no text"),
        ({"dataset.json": "{"}, "not valid JSON"),
        ({"dataset.json": '{"classes": "normal"}'}, "lists classes and concepts"),
        ({"dataset.json": '{"concepts": [{"key": "../x"}]}'}, "needs a key"),
        ({"dataset.json": '{"concepts": [{"key": "a"}, {"key": "a"}]}'}, "more than once"),
    ],
)
def test_a_faulty_manifest_refuses_the_dataset_and_leaves_nothing(
    dataset: Dataset, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        run(dataset, write(tmp_path, full_dataset() | change))
    assert_untouched(dataset)


def test_a_patient_in_two_splits_refuses_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    rows = [
        {"image": "images/p1_L_CC.png", "patient": "p1", "split": "train"},
        {"image": "images/p1_R_CC.png", "patient": "p1", "split": "test"},
    ]
    with pytest.raises(DatasetError, match=r"more than one split \(first: p1\)"):
        run(dataset, write(tmp_path, full_dataset() | {"manifest.csv": manifest(*rows)}))
    assert_untouched(dataset)


def test_nothing_usable_refuses_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"could be imported(.|\n)*notes\.txt"):
        run(dataset, write(tmp_path / "a", {"notes.txt": "hello"}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no files in it"):
        run(dataset, tmp_path / "empty")
    assert_untouched(dataset)


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "a\\..\\evil.png"]
)
def test_an_archive_that_points_outside_is_refused_as_a_whole(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    source = zipped(tmp_path / "a.zip", {"cat/1.png": png(), name: png()})
    with pytest.raises(DatasetError, match="points outside"):
        run(dataset, source)
    assert_untouched(dataset)
    assert not list(tmp_path.parent.rglob("evil.png"))


def test_a_symbolic_link_in_an_archive_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/2.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("cat/1.png", png())
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="symbolic link"):
        run(dataset, source)
    assert_untouched(dataset)


def test_symbolic_links_of_a_folder_are_not_followed(dataset: Dataset, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.png": png()})
    source = write(tmp_path / "data", {"cat/1.png": png()})
    (source / "cat/2.png").symlink_to(outside / "secret.png")
    (source / "dog").symlink_to(outside)
    report = run(dataset, source)
    assert report.imported == 1
    assert {name for name, _ in report.errors} == {"cat/2.png", "dog"}


def test_a_bomb_is_refused_before_it_is_unpacked(dataset: Dataset, tmp_path: Path) -> None:
    zeros = b"\0" * (sources.RATIO_MATTERS_FROM + 1)
    source = zipped(tmp_path / "a.zip", {"cat/1.png": zeros})
    assert source.stat().st_size < len(zeros) // 500
    with pytest.raises(DatasetError, match="times its size"):
        run(dataset, source)
    assert_untouched(dataset)


def test_too_many_files_and_too_many_bytes_are_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = zipped(tmp_path / "a.zip", {f"cat/{i}.png": png() for i in range(4)})
    monkeypatch.setattr(sources, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(DatasetError, match="Split the dataset"):
        run(dataset, source)
    monkeypatch.setattr(sources, "MAX_FILES", 3)
    for path in (source, write(tmp_path / "b", {f"{i}.png": png() for i in range(4)})):
        with pytest.raises(DatasetError, match="at most 3"):
            run(dataset, path)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06 short", b"nonsense" * 50])
def test_a_damaged_archive_is_refused(dataset: Dataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        run(dataset, tmp_path / "a.zip")


def test_an_archive_with_a_damaged_member_loses_only_that(dataset: Dataset, tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", {"cat/1.png": png(), "cat/2.png": png(7)})
    content = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as archive:
        member = archive.getinfo("cat/1.png")
    start = member.header_offset + 30 + len("cat/1.png")
    content[start + 4 : start + 12] = os.urandom(8)
    source.write_bytes(content)
    report = run(dataset, source)
    assert report.imported == 1
    assert [name for name, _ in report.errors] == ["cat/1.png"]


def test_a_cancelled_import_leaves_nothing_and_can_run_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    source = write(tmp_path, {f"cat/{i}.png": png() for i in range(40)})
    with pytest.raises(Cancelled):
        run(dataset, source, should_stop=lambda: True)
    assert_untouched(dataset)
    assert run(dataset, source).imported == 40


def test_an_import_cancelled_while_it_writes_leaves_nothing(
    dataset: Dataset, tmp_path: Path
) -> None:
    source = write(tmp_path, full_dataset())
    with pytest.raises(Cancelled):
        run(dataset, source, should_stop=lambda: True)
    assert_untouched(dataset)


def test_running_twice_imports_once_and_what_a_killed_run_left_is_removed(
    dataset: Dataset, tmp_path: Path
) -> None:
    left = Path(default_storage.path(f"projects/study/datasets/{dataset.pk}/0dead0/images"))
    write(left, {"000001-x.png": png()})
    source = write(tmp_path, full_dataset())
    run(dataset, source)
    assert not left.exists()
    files = stored_files(dataset)
    assert run(dataset, source).imported == 3
    assert dataset.images.count() == 3
    assert stored_files(dataset) == files


def test_names_that_no_database_takes_are_left_out(dataset: Dataset, tmp_path: Path) -> None:
    source = write(tmp_path, {"cat/1.png": png(), f"cat/{'x' * 170}.png": png()})
    (source / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(png())
    report = run(dataset, source)
    assert report.imported == 1
    assert {name for name, _ in report.errors} == {f"cat/{'x' * 170}.png", "cat/caf?.png"}
