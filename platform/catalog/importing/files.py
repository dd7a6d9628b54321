"""Checks of single files: by their content, never by their name."""

import io
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from analysis.errors import AnalysisError
from analysis.imaging import ImageInfo, image_info, read_image
from catalog.importing.errors import FileError
from catalog.importing.layout import Entry
from catalog.importing.sources import Source
from catalog.importing.text import strict_json

MAX_REPORT_BYTES = 1 << 20
DICOM_SUFFIXES = {".dcm", ".dicom"}


@dataclass(frozen=True)
class CheckedImage:
    """Contents that were seen to be readable, ready to be stored.

    masks: concept key -> PNG of the image's size. report_error: why the report was left out.
    """

    entry: Entry
    content: bytes
    suffix: str
    info: ImageInfo
    masks: dict[str, bytes]
    report: dict[str, Any] | None
    report_error: str


def check_image(entry: Entry, source: Source) -> CheckedImage:
    """Read and decode an image, its masks and its report.

    Raises:
        FileError: the image or a mask cannot be used. A missing mask means that the concept is
            absent, so an image with a damaged one is left out rather than imported without it.
    """
    content = source.read(entry.path)
    suffix = image_suffix(content, entry.path)
    try:
        read_image(io.BytesIO(content), suffix=suffix)
        info = image_info(io.BytesIO(content), suffix)
    except AnalysisError as error:
        raise FileError(str(error)) from error
    masks = {}
    for key, path in entry.masks.items():
        try:
            masks[key] = _check_mask(source.read(path), info)
        except AnalysisError as error:
            raise FileError(f"Its mask {path} cannot be used. {error}") from error
    report, report_error = None, ""
    if entry.report:
        try:
            report = _read_report(source, entry.report)
        except FileError as error:
            report_error = str(error)
    return CheckedImage(entry, content, suffix, info, masks, report, report_error)


def image_suffix(content: bytes, path: str) -> str:
    """The suffix that the content calls for. Raises FileError where it is no known image."""
    if content.startswith(b"\x89PNG"):
        return ".png"
    if content.startswith(b"\xff\xd8"):
        return ".jpg"
    if content[128:132] == b"DICM" or PurePosixPath(path).suffix.lower() in DICOM_SUFFIXES:
        return ".dcm"
    raise FileError("This is not a PNG, JPEG or DICOM image. Convert it to one of these.")


def _check_mask(content: bytes, image: ImageInfo) -> bytes:
    if not content.startswith(b"\x89PNG"):
        raise FileError("A mask must be a PNG image.")
    mask = read_image(io.BytesIO(content), suffix=".png")
    if mask.shape != (image.height, image.width):
        raise FileError(
            f"A mask must be grey and {image.width} x {image.height} pixels, as its image."
        )
    if not np.isin(mask, (0.0, 1.0)).all():
        raise FileError("A mask must hold the values 0 and 255 only.")
    return content


def _read_report(source: Source, path: str) -> dict[str, Any]:
    if path not in source.files:
        raise FileError("The manifest lists it, but there is no such file.")
    content = source.read(path)
    if len(content) > MAX_REPORT_BYTES:
        raise FileError(f"A report may have at most {MAX_REPORT_BYTES >> 20} MiB.")
    try:
        report = strict_json(content)
    except ValueError as error:
        raise FileError(f"The report is not valid JSON ({error}).") from error
    if not isinstance(report, dict):
        raise FileError("The report must be a JSON object.")
    return report
