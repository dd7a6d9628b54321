"""The explanation as DICOM objects: a structured report and a segmentation of its findings.

They refer to the case's image where that is a DICOM instance with its own identifiers. Any other
image is wrapped as a secondary capture, which the archive then holds too. Of the patient the
objects know what Unitscope's record of the image knows, the identifier; no name, date or number
of an uploaded DICOM file is copied. Identifiers derive from what they identify, so that writing the
same objects again gives the same ones.
"""

import io
import zipfile

from pydicom import Dataset

from explanations.exports.dicom_report import structured_report
from explanations.exports.dicom_segmentation import segmentation
from explanations.exports.dicom_source import source_image
from explanations.exports.record import Material, Record


def dicom_archive(material: Material) -> bytes:
    """A zip of report.dcm, segmentation.dcm (where a finding has a place) and, where the case's
    image is no DICOM instance, image.dcm.

    Raises:
        ImageError: the image cannot be read.
    """
    source = source_image(material)
    segments = segmentation(material, source.dataset)
    report = structured_report(material.record, source.dataset, segments)
    objects = {"report.dcm": report}
    if segments:
        objects["segmentation.dcm"] = segments.dataset
    if source.wrapped:
        objects["image.dcm"] = source.dataset
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, dataset in objects.items():
            archive.writestr(_entry(name, material.record), _encoded(dataset))
    return buffer.getvalue()


def _entry(name: str, record: Record) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, record.time.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _encoded(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
