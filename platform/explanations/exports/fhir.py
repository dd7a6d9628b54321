"""The explanation as a FHIR R4 DiagnosticReport with its observations contained.

`fhir.resources` offers R4B (4.3.0) and no longer R4 (4.0.1). The two differ in no element of the
resources used here (DiagnosticReport, Observation, Device), so what its R4B classes accept is R4.

R4 reports have no `note`: a failed causal check is said first in `conclusion`, by the value and
note of the check's own observation and as a note of every finding. An observation of a finding
gives no value for presence: experts named units of the model, and nobody looked for the finding in
the patient.
"""

import base64
import hashlib
from typing import Any
from xml.sax.saxutils import escape

from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from explanations.content import Finding, Removal
from explanations.exports.codes import code_system
from explanations.exports.pdf import pdf_report
from explanations.exports.record import Material, Record
from explanations.wording import listing

OWN = "urn:unitscope:explanation"
"""System of the codes below that no terminology has."""

Resource = dict[str, Any]


def diagnostic_report(material: Material) -> bytes:
    """The report in JSON, with the PDF as its presented form.

    Raises:
        ImageError: the image cannot be read.
    """
    record = material.record
    report = DiagnosticReport.model_validate(_report(record, pdf_report(material)))
    return report.model_dump_json(indent=2).encode() + b"\n"


def _report(record: Record, pdf: bytes) -> Resource:
    content, observations = record.content, _observations(record)
    return {
        "resourceType": "DiagnosticReport",
        "language": "en-GB",
        "text": {"status": "generated", "div": _div(record)},
        "contained": [_device(record), *observations],
        "identifier": [{"system": OWN, "value": record.digest}],
        "status": "preliminary",
        "category": [
            _coding("http://terminology.hl7.org/CodeSystem/v2-0074", "IMG", "Diagnostic Imaging")
        ],
        "code": {
            "coding": [
                {
                    "system": "http://loinc.org",
                    "code": "18748-4",
                    "display": "Diagnostic imaging study",
                }
            ],
            "text": f"Explanation of a prediction: {content.target_name}",
        },
        "subject": _subject(record),
        "issued": record.completed,
        "result": [{"reference": f"#{resource['id']}"} for resource in observations],
        "conclusion": record.narrative.text,
        "presentedForm": [
            {
                "contentType": "application/pdf",
                "language": "en-GB",
                "title": f"Explanation of {record.image.name}",
                "creation": record.completed,
                "size": len(pdf),
                "hash": _base64(hashlib.sha1(pdf, usedforsecurity=False).digest()),
                "data": _base64(pdf),
            }
        ],
    }


def _observations(record: Record) -> list[Resource]:
    content = record.content
    found = [_prediction(record)]
    found += [_finding(record, finding) for finding in content.findings()]
    if content.coverage is not None:
        found.append(
            _observation(
                record,
                "coverage",
                _own("coverage", "Share of the evidence that named units carry"),
                valueQuantity=_percentage(content.coverage),
            )
        )
    if content.removal:
        found.append(_check(record, content.removal))
    return found


def _observation(record: Record, name: str, code: Resource, **elements: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "preliminary",
        "category": [
            _coding(
                "http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging"
            )
        ],
        "code": code,
        "subject": _subject(record),
        "issued": record.completed,
        "device": {"reference": "#model"},
        **elements,
    }


def _prediction(record: Record) -> Resource:
    content = record.content
    components = [
        _component(
            _own("probability", f"Probability of {name}"), valueQuantity=_percentage(probability)
        )
        for name, probability in zip(content.class_names, content.probabilities, strict=True)
    ]
    return _observation(
        record,
        "prediction",
        _own("prediction", "Class predicted by the model"),
        valueCodeableConcept={"text": content.class_names[content.predicted]},
        component=components,
    )


def _finding(record: Record, finding: Finding) -> Resource:
    content = record.content
    side = "for" if finding.key.startswith("for") else "against"
    system = code_system(finding.code_system, record.vocabulary)
    coding = {"system": system.uri, "code": finding.code, "display": finding.name}
    if system.version:
        coding["version"] = system.version
    units = [content.unit_label(unit.index) for unit in finding.units]
    elements: Resource = {
        "interpretation": [_own(f"evidence-{side}", f"Evidence {side} {content.target_name}")],
        "method": {
            "text": "Named units of the model: what experts named them, not what is present"
        },
        "component": [
            _component(
                _own("share", f"Share of the evidence {side} {content.target_name}"),
                valueQuantity=_percentage(finding.share),
            ),
            _component(
                _own("effect", f"Part of the score (logit) of {content.target_name}"),
                valueQuantity=_quantity(finding.effect, "1", "logit"),
            ),
            _component(_own("units", "Units of the model"), valueString=", ".join(units)),
        ],
    }
    if finding.namers:
        elements["component"].append(
            _component(
                _own("named-by", "Experts who named them"), valueString=listing(finding.namers)
            )
        )
    if finding.place:
        elements["bodySite"] = {"text": finding.place.phrase}
    if record.narrative.warning:
        elements["note"] = [{"text": record.narrative.warning}]
    return _observation(
        record, f"finding-{finding.key}", {"coding": [coding], "text": finding.phrase}, **elements
    )


def _check(record: Record, check: Removal) -> Resource:
    verdict = ("supported", "Supports the explanation")
    if not check.supported:
        verdict = ("not-supported", "Does not support the explanation")
    numbers = {
        "before": ("Probability before", check.before),
        "after": ("Probability with the named units removed", check.after),
        "kept": ("Probability with only the named units kept", check.kept),
    }
    components = [
        _component(_own(f"probability-{code}", text), valueQuantity=_percentage(value))
        for code, (text, value) in numbers.items()
    ]
    components += [
        _component(
            _own("random-sets", "Random sets of as many other units removed"),
            valueInteger=len(check.random_after),
        ),
        _component(
            _own("random-sets-beaten", "Random sets whose removal lowers the probability less"),
            valueInteger=check.beaten,
        ),
    ]
    return _observation(
        record,
        "causal-check",
        _own("causal-check", "Causal check: removal of the named units"),
        valueBoolean=check.supported,
        interpretation=[_own(*verdict)],
        note=[{"text": record.narrative.warning or record.narrative.check}],
        component=components,
    )


def _device(record: Record) -> Resource:
    software = record.software
    commit = f" ({software.commit})" if software.commit else ""
    return {
        "resourceType": "Device",
        "id": "model",
        "identifier": [{"system": "urn:unitscope:model-sha256", "value": record.model.sha256}],
        "deviceName": [{"name": record.model.name, "type": "model-name"}],
        "version": [
            {"value": record.model.sha256, "type": {"text": "SHA-256 of the model’s file"}},
            {"value": f"{software.version}{commit}", "type": {"text": software.name}},
        ],
    }


def _subject(record: Record) -> Resource:
    system = f"urn:unitscope:project:{record.project}:patient"
    return {"type": "Patient", "identifier": {"system": system, "value": record.image.patient}}


def _div(record: Record) -> str:
    words = record.narrative
    parts = [
        words.warning, words.prediction, " ".join(words.support), words.against, words.coverage,
        "" if words.warning else words.check,
    ]  # fmt: skip
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in parts if part)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'


def _component(code: Resource, **value: Any) -> Resource:
    return {"code": code, **value}


def _own(code: str, text: str) -> Resource:
    return {"coding": [{"system": OWN, "code": code}], "text": text}


def _coding(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _percentage(share: float) -> Resource:
    return _quantity(100 * share, "%", "%")


def _quantity(value: float, code: str, unit: str) -> Resource:
    return {
        "value": round(value, 4), "unit": unit, "system": "http://unitsofmeasure.org", "code": code,
    }  # fmt: skip


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
