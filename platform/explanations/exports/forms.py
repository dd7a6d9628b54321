"""The forms in which an explanation is exported, and the one function that writes them."""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.text import slugify

from explanations.exports.record import Material, Record, material_of
from explanations.models import Explanation

ENCODING = 1
"""Raised when the bytes of an export change for the same record and the same code version."""


class Form(StrEnum):
    PDF = "pdf"
    JSON = "json"
    FHIR = "fhir"
    DICOM = "dicom"


@dataclass(frozen=True)
class FormInfo:
    title: str
    help: str
    media_type: str
    ending: str


FORMS = {
    Form.PDF: FormInfo("PDF report", "to read and file", "application/pdf", ".pdf"),
    Form.JSON: FormInfo("JSON record", "everything, for programs", "application/json", ".json"),
    Form.FHIR: FormInfo(
        "FHIR report", "DiagnosticReport, R4", "application/fhir+json", ".fhir.json"
    ),
    Form.DICOM: FormInfo(
        "DICOM objects", "structured report and segmentation", "application/zip", "-dicom.zip"
    ),
}


def write(form: Form, explanation: Explanation, record: Record) -> bytes:
    """The file. The same record gives the same bytes.

    Raises:
        OSError, ImageError: the stored image or maps cannot be read.
    """
    if form == Form.JSON:
        return record.json
    return _written(form, material_of(explanation, record))


def _written(form: Form, material: Material) -> bytes:
    # The libraries behind these take long to import, which the web process does only here.
    if form == Form.PDF:
        from explanations.exports.pdf import pdf_report

        return pdf_report(material)
    if form == Form.FHIR:
        from explanations.exports.fhir import diagnostic_report

        return diagnostic_report(material)
    from explanations.exports.dicom import dicom_archive

    return dicom_archive(material)


def file_name(form: Form, record: Record) -> str:
    """ "p001-lmlo-malignant-explanation-12.pdf"."""
    words = f"{record.image.name} {record.content.target_name}"
    return f"{slugify(words)[:120] or 'case'}-explanation-{record.number}{FORMS[form].ending}"


def entity_tag(form: Form, record: Record) -> str:
    """Names the bytes of the file without writing it."""
    return f"{record.digest}-{form}-{ENCODING}"
