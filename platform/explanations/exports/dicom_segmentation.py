"""Where the findings lie, as a DICOM segmentation: one segment per finding at the image's size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes

from explanations import rendering
from explanations.content import Finding
from explanations.exports.dicom_source import (
    MANUFACTURER,
    common_elements,
    fix_time,
    short,
    term_code,
    uid,
)
from explanations.exports.record import Material, Record


@dataclass(frozen=True)
class Segments:
    dataset: Dataset
    numbers: Mapping[str, int]
    """The segment's number by the finding's key; findings without a place have none."""


def segmentation(material: Material, source: Dataset) -> Segments | None:
    """The contours' insides as binary segments on `source`; None where no finding has a place."""
    record, image = material.record, material.record.image
    masks = {
        finding.key: rendering.region_mask(
            material.maps[finding.key], width=image.width, height=image.height
        )
        for finding in record.content.findings()
    }
    placed = [finding for finding in record.content.findings() if masks[finding.key].any()]
    if not placed:
        return None
    dataset = Segmentation(
        source_images=[source],
        pixel_array=np.stack([masks[finding.key] for finding in placed], axis=-1)[None],
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(record, finding, number) for number, finding in enumerate(placed, start=1)
        ],
        series_instance_uid=uid("segmentation series", record.digest),
        series_number=2,
        sop_instance_uid=uid("segmentation", record.digest),
        instance_number=1,
        device_serial_number="1",
        content_label="FINDINGS",
        content_description=short(f"Findings for {record.content.target_name}"),
        **common_elements(record, f"Findings: {record.content.target_name}"),
    )
    fix_time(dataset, record)
    _name_dimensions(dataset, uid("dimensions", record.digest))
    numbers = {finding.key: number for number, finding in enumerate(placed, start=1)}
    return Segments(dataset, numbers)


def _name_dimensions(dataset: Dataset, identifier: str) -> None:
    """highdicom draws a new identifier of the frames' order for every object."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = identifier


def _description(record: Record, finding: Finding, number: int) -> SegmentDescription:
    content = record.content
    side = "for" if finding.key.startswith("for") else "against"
    colour = rendering.PALETTE[rendering.colour_index(content, finding.key) or 0]
    return SegmentDescription(
        segment_number=number,
        segment_label=short(f"{finding.name} ({side} {content.target_name})"),
        # A region of the model's evidence, whatever lies there.
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=term_code(
            finding.code, finding.code_system, finding.name, record.vocabulary
        ),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=short(record.model.name),
            family=codes.DCM.ArtificialIntelligence,
            version=record.model.sha256,
            source=MANUFACTURER,
            parameters={"layer": record.content.layer, "labels": record.labels_digest},
        ),
        tracking_uid=uid("finding", record.digest, finding.key),
        tracking_id=finding.key,
        display_color=CIELabColor.from_rgb(*colour),
    )
