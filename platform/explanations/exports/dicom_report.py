"""The explanation as a DICOM structured report: a measurement report after template TID 1500.

The prediction is a group of measurements, and so is each finding, which refers to its segment. The
narrative and the causal check stand beside the groups, for which the template leaves room.
"""

from collections.abc import Sequence

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from explanations.content import Finding, Removal
from explanations.exports.dicom_segmentation import Segments
from explanations.exports.dicom_source import (
    MANUFACTURER,
    common_elements,
    fix_time,
    own_code,
    term_code,
    uid,
)
from explanations.exports.record import Record
from explanations.wording import listing

PERCENT = Code("%", "UCUM", "Percent")
NO_UNITS = Code("1", "UCUM", "no units")
CONTAINS = sr.RelationshipTypeValues.CONTAINS


def structured_report(record: Record, source: Dataset, segments: Segments | None) -> Dataset:
    """A preliminary, unverified report on `source` that refers to the segments of its findings."""
    content = sr.MeasurementReport(
        observation_context=_observer(record),
        procedure_reported=codes.SCT.Imaging,
        imaging_measurements=[
            _prediction(record, source),
            *(_finding(record, finding, source, segments) for finding in record.content.findings()),
        ],
        title=Code("126000", "DCM", "Imaging Measurement Report"),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            Code("en-GB", "RFC5646", "English (United Kingdom)")
        ),
        referenced_images=None,
    )
    root = content[0].ContentSequence
    if record.narrative.warning:
        root.append(_words(codes.DCM.Comment, record.narrative.warning))
    root.append(_words(codes.DCM.Summary, record.narrative.text))
    if record.content.removal:
        root.append(_check(record, record.content.removal))
    report = sr.ComprehensiveSR(
        evidence=[source, segments.dataset] if segments else [source],
        content=content[0],
        series_instance_uid=uid("report series", record.digest),
        series_number=3,
        sop_instance_uid=uid("report", record.digest),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **common_elements(record, f"Explanation: {record.content.target_name}"),
    )
    fix_time(report, record)
    return report


def _observer(record: Record) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid("model", record.model.sha256),
        name=record.model.name,
        manufacturer_name=MANUFACTURER,
        model_name=record.software.name,
        serial_number=record.model.sha256,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _finding(
    record: Record, finding: Finding, source: Dataset, segments: Segments | None
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    content = record.content
    side = "for" if finding.key.startswith("for") else "against"
    common = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=uid("finding", record.digest, finding.key), identifier=finding.key
        ),
        "finding_type": term_code(
            finding.code, finding.code_system, finding.name, record.vocabulary
        ),
        "algorithm_id": _algorithm(record),
        "measurements": [
            sr.Measurement(
                name=own_code("evidence-share", f"Share of the evidence {side}"),
                value=round(100 * finding.share, 4),
                unit=PERCENT,
            ),
            sr.Measurement(
                name=own_code("score-part", "Part of the score (logit)"),
                value=round(finding.effect, 4),
                unit=NO_UNITS,
            ),
        ],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(
                name=own_code("evidence", "Evidence"),
                value=own_code(f"evidence-{side}", f"Evidence {side} {content.target_name}"),
            )
        ],
    }
    group: (
        sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
    )
    if segments and finding.key in segments.numbers:
        group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_segment(segments, segments.numbers[finding.key], source),
            **common,
        )
    else:
        group = sr.MeasurementsAndQualitativeEvaluations(source_images=[_image(source)], **common)
    units = [content.unit_label(unit.index) for unit in finding.units]
    items = group[0].ContentSequence
    items.append(
        _words(own_code("named-by", "Experts who named the units"), listing(finding.namers))
    )
    items.append(_words(own_code("units", "Units of the model"), ", ".join(units)))
    if finding.place:
        items.append(_words(own_code("place", "Place"), finding.place.phrase))
    return group


def _segment(segments: Segments, number: int, source: Dataset) -> sr.ReferencedSegmentationFrame:
    return sr.ReferencedSegmentationFrame(
        sop_class_uid=segments.dataset.SOPClassUID,
        sop_instance_uid=segments.dataset.SOPInstanceUID,
        frame_number=number,  # every segment has one frame, in their order
        segment_number=number,
        source_image=sr.SourceImageForSegmentation.from_source_image(source),
    )


def _image(source: Dataset) -> sr.SourceImageForMeasurementGroup:
    return sr.SourceImageForMeasurementGroup.from_source_image(source)


def _prediction(record: Record, source: Dataset) -> sr.MeasurementsAndQualitativeEvaluations:
    content = record.content
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid("prediction", record.digest), identifier="prediction"
        ),
        finding_type=own_code("prediction", "Prediction"),
        algorithm_id=_algorithm(record),
        measurements=[
            sr.Measurement(
                name=own_code(f"class-{index}", f"Probability of {name}"),
                value=round(100 * probability, 4),
                unit=PERCENT,
            )
            for index, (name, probability) in enumerate(
                zip(content.class_names, content.probabilities, strict=True)
            )
        ],
        source_images=[_image(source)],
    )
    predicted = content.class_names[content.predicted]
    words = _words(own_code("predicted-class", "Predicted class"), predicted)
    group[0].ContentSequence.append(words)
    return group


def _algorithm(record: Record) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=record.model.name,
        version=record.model.sha256,
        parameters=[f"layer={record.content.layer}", f"labels={record.labels_digest}"],
    )


def _check(record: Record, check: Removal) -> sr.ContainerContentItem:
    verdict = own_code("supported", "Supports the explanation")
    if not check.supported:
        verdict = own_code("not-supported", "Does not support the explanation")
    items = [
        sr.CodeContentItem(
            name=own_code("verdict", "Verdict"), value=verdict, relationship_type=CONTAINS
        ),
        _percent(own_code("before", "Probability before"), check.before),
        _percent(own_code("after", "Probability with the named units removed"), check.after),
        _percent(own_code("kept", "Probability with only the named units kept"), check.kept),
        _count(own_code("random-sets", "Random sets removed"), len(check.random_after)),
        _count(own_code("beaten", "Random sets that lower it less"), check.beaten),
        _words(codes.DCM.Comment, record.narrative.warning or record.narrative.check),
    ]
    return _container(own_code("causal-check", "Causal check"), items)


def _container(name: Code, items: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name=name, relationship_type=CONTAINS)
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _words(name: Code, text: str) -> sr.TextContentItem:
    return sr.TextContentItem(name=name, value=text or "none", relationship_type=CONTAINS)


def _percent(name: Code, share: float) -> sr.NumContentItem:
    value = round(100 * share, 4)
    return sr.NumContentItem(name=name, value=value, unit=PERCENT, relationship_type=CONTAINS)


def _count(name: Code, count: int) -> sr.NumContentItem:
    return sr.NumContentItem(name=name, value=count, unit=NO_UNITS, relationship_type=CONTAINS)
