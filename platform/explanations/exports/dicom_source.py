"""The DICOM image that the exported objects refer to, and what all of them have in common."""

import io
import re
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sc import SCImage
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code

from explanations.exports.codes import OWN, code_system
from explanations.exports.record import Material, Record, VocabularyRecord

NAMESPACE = uuid.UUID("5a3c1d0e-7b52-4c0e-9d52-3f3f6c1b8a47")
MANUFACTURER = "Unitscope"
IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
LONGEST_STRING = 64
BLANK = (
    "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


@dataclass(frozen=True)
class SourceImage:
    dataset: Dataset
    wrapped: bool
    """Made here, as the case's image is no DICOM instance."""


def source_image(material: Material) -> SourceImage:
    """Raises ImageError where an image that has to be wrapped cannot be read."""
    original = _identified(material)
    if original is not None:
        return SourceImage(_reference(original, material.record), wrapped=False)
    return SourceImage(_wrapped(material), wrapped=True)


def uid(*facts: str) -> str:
    """An identifier that depends on the facts alone (PS3.5 B.2: 2.25 and a UUID)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, '|'.join(facts)).int}"


def short(text: str) -> str:
    """Text as a DICOM string (LO) holds it: 64 characters, no backslash, no control character."""
    cleaned = re.sub(r"[\x00-\x1f\x7f]", " ", text.replace("\\", "/")).strip()
    if len(cleaned) > LONGEST_STRING:
        return cleaned[: LONGEST_STRING - 1] + "…"
    return cleaned


def own_code(value: str, meaning: str) -> Code:
    return Code(value, OWN, short(meaning))


def term_code(code: str, system_name: str, name: str, vocabulary: VocabularyRecord) -> Code:
    system = code_system(system_name, vocabulary)
    return Code(code, system.designator, short(name), system.version)


def common_elements(record: Record, description: str) -> dict[str, Any]:
    """Elements of the report and the segmentation alike, as highdicom's classes take them."""
    software = record.software
    vocabulary = record.vocabulary
    scheme = CodingSchemeIdentificationItem(
        OWN,
        name=short(f"Unitscope, vocabulary {vocabulary.slug}"),
        version=vocabulary.version,
        responsible_organization=MANUFACTURER,
    )
    commit = f" ({software.commit[:10]})" if software.commit else ""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": short(record.model.name),
        "software_versions": f"{software.version}{commit}",
        "series_description": short(description),
        "coding_schemes": [scheme],
        "content_date": record.time.date(),
        "content_time": record.time.time(),
        "specific_character_set": "ISO_IR 192",
    }


def fix_time(dataset: Dataset, record: Record) -> None:
    """Date the object as the explanation, where highdicom noted the time of writing."""
    _forget_writing(dataset)
    dataset.InstanceCreationDate = f"{record.time:%Y%m%d}"
    dataset.InstanceCreationTime = f"{record.time:%H%M%S}"
    dataset.TimezoneOffsetFromUTC = f"{record.time:%z}"


def _identified(material: Material) -> Dataset | None:
    try:
        dataset = dcmread(
            io.BytesIO(material.image),
            stop_before_pixels=True,
            force=material.suffix.lower() in (".dcm", ".dicom"),
        )
    except InvalidDicomError:
        return None
    return dataset if all(dataset.get(name) for name in IDENTIFIERS) else None


def _reference(original: Dataset, record: Record) -> Dataset:
    """What the report and the segmentation need to refer to an image: its identifiers and size."""
    dataset = Dataset()
    for name in (*IDENTIFIERS, "Modality", "Rows", "Columns"):
        setattr(dataset, name, original.get(name))
    dataset.PatientID = short(record.image.patient)
    for name in BLANK:
        setattr(dataset, name, "")
    return dataset


def _wrapped(material: Material) -> Dataset:
    record, image = material.record, material.record.image
    pixels = _levels(material)
    study = image.study or image.sha256
    facts = (record.project, image.patient, study)
    dataset = SCImage(
        pixel_array=pixels,
        photometric_interpretation="MONOCHROME2" if pixels.ndim == 2 else "RGB",
        bits_allocated=8 * pixels.itemsize,
        coordinate_system="PATIENT",
        study_instance_uid=uid("study", *facts),
        series_instance_uid=uid("image series", *facts, image.sha256),
        series_number=1,
        sop_instance_uid=uid("image", *facts, image.name, image.sha256),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_id=short(image.patient),
        patient_orientation=("L", "F"),
        laterality=image.laterality if image.laterality in ("L", "R") else None,
        series_description=short(image.name),
        specific_character_set="ISO_IR 192",
    )
    # highdicom has to be told how the patient lies; neither that nor when the image was taken is
    # known.
    _forget_writing(dataset)
    del dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture
    for name in ("PatientOrientation", "ContentDate", "ContentTime"):
        if name in dataset:
            setattr(dataset, name, "")
    return dataset


def _forget_writing(dataset: Dataset) -> None:
    del dataset.InstanceCreationDate, dataset.InstanceCreationTime
    for equipment in dataset.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)


def _levels(material: Material) -> np.ndarray:
    """The image as it was stored, in 8 or 16 bits."""
    deep = material.record.image.bits > 8 and material.pixels.ndim == 2
    top, kind = (65535, np.uint16) if deep else (255, np.uint8)
    return np.rint(material.pixels * top).astype(kind)
