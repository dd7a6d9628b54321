"""The FHIR report, parsed again by fhir.resources."""

import io
import json
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from pydantic import ValidationError
from pypdf import PdfReader

from explanations.exports.codes import code_system
from explanations.exports.fhir import diagnostic_report
from explanations.exports.pdf import pdf_report
from explanations.exports.record import Material, VocabularyRecord
from tests.platform.exporting import FAILS, material, settled_units


def read(source: Material) -> Any:
    """Any: of the optional elements the tests read those that must be there."""
    return DiagnosticReport.model_validate_json(diagnostic_report(source))


def observations(report: Any) -> dict[str, Any]:
    return {str(part.id): part for part in report.contained if isinstance(part, Observation)}


def components(observation: Any) -> dict[str, Any]:
    return {part.code.coding[0].code: part for part in observation.component}


def test_every_finding_is_an_observation_coded_with_its_term() -> None:
    source = material()
    report = read(source)
    found = observations(report)
    assert [reference.reference for reference in report.result] == [f"#{name}" for name in found]
    findings = source.record.content.findings()
    assert [name for name in found if name.startswith("finding")] == [
        f"finding-{finding.key}" for finding in findings
    ]
    for finding in findings:
        observation = found[f"finding-{finding.key}"]
        (coding,) = observation.code.coding
        assert coding.system == "urn:unitscope:vocabulary:bi-rads-mammography"
        assert (coding.code, coding.version) == (finding.code, "5")
        assert coding.display == finding.name
        share = components(observation)["share"].valueQuantity
        assert share.value == pytest.approx(Decimal(100 * finding.share), abs=Decimal("0.0001"))
        assert share.code == "%"
        assert components(observation)["named-by"].valueString.startswith("Dr Ada Reyes")
        assert finding.place
        assert observation.bodySite.text == finding.place.phrase
        side = "for" if finding.effect > 0 else "against"
        assert observation.interpretation[0].text == f"Evidence {side} malignant"
        assert observation.note is None
    support = [
        found[f"finding-{finding.key}"] for finding in source.record.content.support.findings
    ]
    shares = [components(one)["share"].valueQuantity.value for one in support]
    assert sum(shares) == pytest.approx(found["coverage"].valueQuantity.value, abs=Decimal("0.001"))


def test_it_is_a_preliminary_report_with_the_narrative_and_the_pdf() -> None:
    source = material()
    report = read(source)
    assert report.status == "preliminary"
    assert all(one.status == "preliminary" for one in observations(report).values())
    assert report.conclusion == source.record.narrative.text
    assert report.subject.identifier.value == "p0001"
    assert report.issued == source.record.time
    (form,) = report.presentedForm
    assert form.data == pdf_report(source)
    assert form.size == len(form.data)
    assert len(PdfReader(io.BytesIO(form.data)).pages) <= 2
    check = observations(report)["causal-check"]
    assert check.valueBoolean is True
    assert components(check)["random-sets-beaten"].valueInteger == 98
    assert diagnostic_report(material()) == diagnostic_report(material())


def test_a_failed_check_is_in_the_conclusion_and_on_every_finding() -> None:
    source = material(check=FAILS)
    report = read(source)
    warning = source.record.narrative.warning
    assert report.conclusion.startswith(warning)
    found = observations(report)
    assert found["causal-check"].valueBoolean is False
    assert found["causal-check"].interpretation[0].text == "Does not support the explanation"
    noted = [one for name, one in found.items() if name.startswith(("finding", "causal"))]
    assert len(noted) == 4
    assert all(one.note[0].text == warning for one in noted)


def test_without_names_there_is_neither_finding_nor_check() -> None:
    assert list(observations(read(material(units=[])))) == ["prediction", "coverage"]


def test_the_reader_refuses_what_is_no_report() -> None:
    """The control: the validation above can fail."""
    data = json.loads(diagnostic_report(material()))
    nameless = [
        {key: value for key, value in part.items() if key != "code"} for part in data["contained"]
    ]
    changes: list[dict[str, Any]] = [{"status": 3}, {"findings": []}, {"contained": nameless}]
    for change in changes:
        with pytest.raises(ValidationError):
            DiagnosticReport.model_validate({**data, **change})


@pytest.mark.parametrize(
    ("name", "uri", "designator"),
    [
        ("SNOMED CT", "http://snomed.info/sct", "SCT"),
        ("RadLex", "http://radlex.org", "RADLEX"),
        ("BI-RADS 5", "urn:unitscope:vocabulary:lexicon", "99UNITSCOPE"),
        ("UNITSCOPE", "urn:unitscope:vocabulary:lexicon", "99UNITSCOPE"),
    ],
)
def test_code_systems(name: str, uri: str, designator: str) -> None:
    system = code_system(name, VocabularyRecord("lexicon", "5", None))
    assert (system.uri, system.designator) == (uri, designator)
    assert system.version == ("5" if designator == "99UNITSCOPE" else None)


def test_two_projects_vocabularies_of_one_name_are_told_apart() -> None:
    mine, yours = (VocabularyRecord("own", "1", owner) for owner in ("one", "two"))
    assert code_system("Own", mine).uri == "urn:unitscope:vocabulary:one:own"
    assert code_system("Own", mine).uri != code_system("Own", yours).uri


def test_a_term_that_no_expert_chose_is_named_by_who_settled_it() -> None:
    settled = observations(read(material(units=settled_units("Prof Okafor (adjudicated)"))))
    named_by = components(settled["finding-for-1"])["named-by"]
    assert named_by.valueString == "Prof Okafor (adjudicated)"
    unknown = observations(read(material(units=settled_units(""))))
    assert "named-by" not in components(unknown["finding-for-1"])
