"""Writes phantom patients as a dataset folder: PNG, DICOM, masks, reports, manifest."""

import csv
import datetime
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from analysis.phantoms.concepts import CONCEPTS
from analysis.phantoms.drawing import PIXEL_MM, SIZE, Array
from analysis.phantoms.patients import DEMO_SEED, Patient, PhantomImage, generate_patient
from analysis.phantoms.populations import CLASSES

MANIFEST_COLUMNS = (
    "image",
    "patient",
    "study",
    "laterality",
    "view",
    "class",
    "split",
    "report",
)
STORED_BITS = 12


def write_dataset(
    root: Path,
    patients: Iterable[int],
    seed: int = DEMO_SEED,
    dicom: bool = False,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the given patients of population ``seed`` to the folder ``root``.

    With ``dicom`` every image is also written as a 12-bit DICOM file. ``progress`` is called
    after each patient with the number of patients written so far. Raises FileExistsError when
    ``root`` already holds a dataset.
    """
    root = Path(root)
    if (root / "manifest.csv").exists():
        raise FileExistsError(f"{root} already holds a dataset. Choose another folder.")
    root.mkdir(parents=True, exist_ok=True)
    description = {
        "name": "Phantom mammograms",
        "description": "Synthetic mammograms with exact masks; no real person is shown.",
        "classes": list(CLASSES),
        "concepts": [vars(concept) for concept in CONCEPTS],
    }
    (root / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")
    with (root / "manifest.csv").open("w", newline="") as file:
        manifest = csv.DictWriter(file, MANIFEST_COLUMNS)
        manifest.writeheader()
        for done, number in enumerate(patients, start=1):
            patient = generate_patient(number, seed)
            for image in patient.images:
                _write_image(root, patient, image, dicom)
                manifest.writerow(_manifest_row(patient, image))
            if progress:
                progress(done)


def _manifest_row(patient: Patient, image: PhantomImage) -> dict[str, str]:
    return {
        "image": f"images/{image.stem}.png",
        "patient": patient.identifier,
        "study": f"{patient.identifier}-1",
        "laterality": image.side,
        "view": image.view,
        "class": image.label,
        "split": patient.split,
        "report": f"reports/{image.stem}.json",
    }


def _write_image(root: Path, patient: Patient, image: PhantomImage, dicom: bool) -> None:
    _save_png(root / "images" / f"{image.stem}.png", to_bits(image.pixels, 8).astype(np.uint8))
    for key, mask in image.masks.items():
        _save_png(root / "masks" / key / f"{image.stem}.png", mask.astype(np.uint8) * 255)
    report = root / "reports" / f"{image.stem}.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(image.report, indent=2) + "\n")
    if dicom:
        target = root / "dicom" / f"{image.stem}.dcm"
        target.parent.mkdir(exist_ok=True)
        to_dicom(patient, image).save_as(target, enforce_file_format=True)


def _save_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, compress_level=3)


def to_bits(pixels: Array, bits: int) -> np.ndarray:
    """Pixels in [0, 1] as whole numbers from 0 to ``2**bits - 1``, rounded to nearest."""
    return np.rint(pixels * (2**bits - 1)).astype(np.uint16)


def to_dicom(patient: Patient, image: PhantomImage) -> FileDataset:
    """The image as a digital mammogram: MONOCHROME2, 12 of 16 bits, full window, no compression.

    UIDs follow from the file name and the seed, so that writing twice gives the same file.
    """
    origin = [image.stem, str(patient.seed)]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[*origin, "image"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    study = [patient.identifier, str(patient.seed)]
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[*study, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*study, "series"])
    dataset.PatientID = patient.identifier
    dataset.PatientName = f"Phantom^{patient.identifier}"
    dataset.PatientSex = "F"
    dataset.PatientBirthDate = ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Synthetic phantom, no real person"
    dataset.StudyID = "1"
    dataset.StudyDate = dataset.ContentDate = datetime.date(2000, 1, 1).strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = "000000"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Modality = "MG"
    dataset.Manufacturer = "Unitscope"
    dataset.ManufacturerModelName = "Phantom"
    dataset.BodyPartExamined = "BREAST"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ImageLaterality = image.side
    dataset.ViewPosition = image.view
    dataset.PatientOrientation = [
        "A" if image.side == "L" else "P",
        "L" if image.view == "CC" else "F",
    ]
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1 + [other.stem for other in patient.images].index(image.stem)
    dataset.Rows = dataset.Columns = SIZE
    dataset.ImagerPixelSpacing = [PIXEL_MM, PIXEL_MM]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 16
    dataset.BitsStored = STORED_BITS
    dataset.HighBit = STORED_BITS - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = 0
    dataset.RescaleSlope = 1
    dataset.RescaleType = "US"
    dataset.WindowCenter = 2 ** (STORED_BITS - 1)
    dataset.WindowWidth = 2**STORED_BITS
    dataset.PixelData = to_bits(image.pixels, STORED_BITS).astype("<u2").tobytes()
    return dataset
