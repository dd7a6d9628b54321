"""The structured report of an image, in BI-RADS terms."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from analysis.phantoms.anatomy import COMPOSITIONS
from analysis.phantoms.drawing import PIXEL_MM
from analysis.phantoms.findings import Place
from analysis.phantoms.populations import Plan, PlannedFinding

SIDE_NAMES = {"L": "left", "R": "right"}

SUSPICION = {
    "mass.margin.spiculated": 4,
    "mass.margin.indistinct": 2,
    "mass.margin.microlobulated": 2,
    "mass.margin.obscured": 1,
    "mass.margin.circumscribed": 1,
    "mass.shape.irregular": 2,
    "mass.density.high": 1,
    "mass.density.fat-containing": -4,
    "calcification.suspicious.amorphous": 2,
    "calcification.suspicious.fine-pleomorphic": 3,
    "calcification.suspicious.fine-linear": 4,
    "calcification.distribution.linear": 1,
    "calcification.distribution.segmental": 1,
    "architectural-distortion": 3,
    "associated.skin-thickening": 2,
    "asymmetry.focal": 1,
}
"""Points that a reader gives a descriptor; the sum over the findings decides the category."""


class ReportedFinding(TypedDict):
    """One line of the report."""

    code: str
    descriptors: list[str]
    side: str
    quadrant: str | None
    depth: str | None
    size_mm: float


class Report(TypedDict):
    """What a reader wrote about one image; ``assessment`` is a BI-RADS category 0 to 6."""

    image: str
    patient: str
    laterality: str
    view: str
    composition: str
    findings: list[ReportedFinding]
    assessment: str


def write_report(
    stem: str,
    plan: Plan,
    side: str,
    view: str,
    visible: Sequence[tuple[PlannedFinding, NDArray[np.bool_]]],
) -> Report:
    """The report of image ``stem`` on the ``visible`` findings, each with its mask.

    It describes what can be seen and never the true nature of a finding. Category 6 (proven
    malignancy) needs a biopsy and so never occurs.
    """
    return Report(
        image=stem,
        patient=stem.split("_")[0],
        laterality=side,
        view=view,
        composition=COMPOSITIONS[plan.anatomy.composition],
        findings=[_describe(planned, mask) for planned, mask in visible],
        assessment=assess([planned for planned, _ in visible]),
    )


def _describe(planned: PlannedFinding, mask: NDArray[np.bool_]) -> ReportedFinding:
    spread_out = planned.finding.descriptors[:1] == ("calcification.benign.vascular",)
    size = (np.ptp(np.argwhere(mask), axis=0) + 1).max() * PIXEL_MM
    return ReportedFinding(
        code=planned.finding.code,
        descriptors=list(planned.finding.descriptors),
        side=SIDE_NAMES[planned.side],
        quadrant=None if spread_out else quadrant(planned.place),
        depth=None if spread_out else depth(planned.place),
        size_mm=round(float(size), 1),
    )


def quadrant(place: Place) -> str:
    """The quadrant of the breast, such as "upper outer"."""
    return f"{'upper' if place.upper >= 0 else 'lower'} {'outer' if place.outer >= 0 else 'inner'}"


def depth(place: Place) -> str:
    """Anterior, middle or posterior third."""
    return ("anterior", "middle", "posterior")[min(2, int(place.depth * 3))]


def assess(findings: Sequence[PlannedFinding]) -> str:
    """The BI-RADS category that the appearance of the findings calls for.

    1 nothing, 2 typically benign, 3 probably benign, 4A to 4C suspicious, 5 highly suggestive
    of malignancy, 0 more images needed (something seen in one view only).
    """
    if not findings:
        return "1"
    terms = [
        term
        for planned in findings
        for term in (planned.finding.code, *planned.finding.descriptors)
    ]
    points = sum(SUSPICION.get(term, 0) for term in terms)
    if points <= 1 and "asymmetry.asymmetry" in terms:
        return "0"
    for limit, category in ((0, "2"), (1, "3"), (2, "4A"), (4, "4B"), (6, "4C")):
        if points <= limit:
            return category
    return "5"
