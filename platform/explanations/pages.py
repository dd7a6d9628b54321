"""What the case page shows of a finished explanation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy.special import softmax

from dissections.models import Layer
from explanations import rendering, selectors
from explanations.content import Content, Finding, FindingUnit
from explanations.exports.forms import FORMS
from explanations.findings import Summary
from explanations.models import Calibration, Case, Explanation
from explanations.selectors import UnitPreview
from explanations.wording import listing, narrate, number, percent, signed

NUMBER_KEYS = 9
UNNAMED_SHOWN = 6
SMALL_SHARE = 0.02


@dataclass(frozen=True)
class CaseLine:
    case: Case
    text: str
    truth: str
    """The reference class by name; empty where it is unknown or not to be shown."""
    summary: Summary | None


@dataclass(frozen=True)
class PredictionRow:
    index: int
    name: str
    probability: float
    text: str
    predicted: bool
    explained: bool
    calibrated: str = ""
    """The calibrated probability; empty where the model has no calibration."""


@dataclass(frozen=True)
class ComparisonCell:
    """An effect, and its bar in a picture 100 wide with zero in the middle."""

    text: str
    x: float
    width: float
    positive: bool


@dataclass(frozen=True)
class ComparisonTable:
    """scores: the sum of each column; none where effects do not add up."""

    classes: list[str]
    rows: list[tuple[str, list[ComparisonCell]]]
    scores: list[str]


@dataclass(frozen=True)
class UnitLine:
    """A unit of a finding, with its page where the dissection has it."""

    label: str
    effect: str
    shared_by: int
    experts: str
    support: str
    preview: UnitPreview | None


@dataclass(frozen=True)
class FindingCard:
    finding: Finding
    colour: int
    number: int | None
    """The key that toggles it, 1 to 9."""
    shown: bool
    small: bool
    """So small that the page folds it away."""
    share: str
    effect: str
    units: list[UnitLine]


@dataclass(frozen=True)
class UnnamedLine:
    label: str
    share: str
    answered: int
    preview: UnitPreview | None


@dataclass(frozen=True)
class NamedLine:
    label: str
    names: str
    experts: str
    changed: datetime | None


def case_lines(
    cases: Iterable[Case], found: Mapping[int, Summary], *, with_truth: bool
) -> list[CaseLine]:
    """`found`: what explanations say, by the case's primary key."""
    return [
        CaseLine(
            case,
            percent(case.probability),
            reference_class(case) if with_truth else "",
            found.get(case.pk),
        )
        for case in cases
    ]


def reference_class(case: Case) -> str:
    return case.image.class_name or ""


def prediction_rows(
    case: Case, target: int, calibration: Calibration | None
) -> list[PredictionRow]:
    calibrated = [""] * len(case.probabilities)
    if calibration is not None:
        scaled = softmax(np.array(case.logits) / calibration.temperature)
        calibrated = [percent(float(value)) for value in scaled]
    return [
        PredictionRow(
            index=index,
            name=name,
            probability=probability,
            text=percent(probability),
            calibrated=calibrated[index],
            predicted=index == case.predicted,
            explained=index == target,
        )
        for index, (name, probability) in enumerate(
            zip(case.model.class_names, case.probabilities, strict=True)
        )
    ]


def explanation_page(explanation: Explanation, content: Content, layer: Layer) -> dict[str, Any]:
    """The context of a finished explanation.

    `content` is what the reader may see of it; `layer` is where links to units lead.
    """
    unnamed = content.support.rest.strongest[:UNNAMED_SHOWN]
    indices = {unit.index for finding in content.findings() for unit in finding.units}
    previews = selectors.unit_previews(layer, sorted(indices | {unit.index for unit in unnamed}))
    check = content.removal
    return {
        "content": content,
        "narrative": narrate(content),
        "supporting": _cards(content, content.support.findings, 0, previews),
        "opposing": _cards(
            content, content.against.findings, len(content.support.findings), previews
        ),
        "what_if_rows": _what_if_rows(content),
        "comparison": _comparison(content),
        "score": signed(content.logit),
        "bars": rendering.bar_rows(content),
        "coverage_text": None if content.coverage is None else percent(content.coverage),
        "check": check,
        "check_text": _check_numbers(content),
        "plot": rendering.dot_plot(check) if check else None,
        "unnamed": [
            UnnamedLine(
                label=content.unit_label(unit.index),
                share=percent(unit.share),
                answered=unit.answered,
                preview=previews.get(unit.index),
            )
            for unit in unnamed
        ],
        "unnamed_more": max(0, content.support.rest.count - len(unnamed)),
        "named_lines": _named_lines(content),
        "export_forms": FORMS,
        "earlier": selectors.earlier_explanations(explanation),
    }


def _cards(
    content: Content, findings: list[Finding], before: int, previews: dict[int, UnitPreview]
) -> list[FindingCard]:
    return [
        FindingCard(
            finding=finding,
            colour=position % len(rendering.PALETTE),
            number=position + 1 if position < NUMBER_KEYS else None,
            shown=position == 0 and finding.key.startswith("for"),
            small=position > before and finding.share < SMALL_SHARE,
            share=percent(finding.share),
            effect=signed(finding.effect),
            units=[_unit_line(content, unit, previews) for unit in finding.units],
        )
        for position, finding in enumerate(findings, start=before)
    ]


def _unit_line(content: Content, unit: FindingUnit, previews: dict[int, UnitPreview]) -> UnitLine:
    return UnitLine(
        label=content.unit_label(unit.index),
        effect=signed(unit.effect),
        shared_by=unit.shared_by,
        experts=listing(unit.namers),
        support=f"{len(unit.experts)} of {number(unit.answered, 'expert')}",
        preview=previews.get(unit.index),
    )


def _what_if_rows(content: Content) -> list[PredictionRow]:
    """The prediction with all findings; none where there is nothing to switch off."""
    if content.what_if is None or not content.what_if.terms:
        return []
    probabilities = content.what_if.probabilities[0]
    return [
        PredictionRow(
            index=index,
            name=content.class_names[index],
            probability=probability,
            text=percent(probability),
            predicted=index == content.predicted,
            explained=index == content.target,
        )
        for index, probability in zip(content.what_if.classes, probabilities, strict=True)
    ]


def _comparison(content: Content) -> ComparisonTable | None:
    """Terms by their largest effect on any compared class."""
    found = content.comparison
    if found is None or not found.terms:
        return None
    terms = sorted(found.terms, key=lambda term: -max(map(abs, term.effects)))
    rows = [(term.name, term.effects) for term in terms]
    rows.append(("Units without a name", found.rest))
    if found.bias is not None:
        rows.append(("Starting point of the model", found.bias))
    scale = max(1e-12, *(abs(effect) for _, effects in rows for effect in effects))
    scores = [content.logits[index] for index in found.classes]
    return ComparisonTable(
        classes=[content.class_names[index] for index in found.classes],
        rows=[(name, [_comparison_cell(e, scale) for e in effects]) for name, effects in rows],
        scores=[] if found.bias is None else [signed(score) for score in scores],
    )


def _comparison_cell(effect: float, scale: float) -> ComparisonCell:
    width = round(49 * abs(effect) / scale, 2)
    return ComparisonCell(signed(effect), 50 - width if effect < 0 else 50, width, effect > 0)


def _check_numbers(content: Content) -> dict[str, str]:
    check = content.removal
    if check is None:
        return {}
    return {
        "before": percent(check.before),
        "after": percent(check.after),
        "kept": percent(check.kept),
        "beaten": f"{check.beaten} of {len(check.random_after)}",
    }


def _named_lines(content: Content) -> list[NamedLine]:
    return [
        NamedLine(
            label=content.unit_label(unit.index),
            names=listing([term.name for term in unit.terms]),
            experts=listing(unit.namers),
            changed=datetime.fromisoformat(unit.changed) if unit.changed else None,
        )
        for unit in content.labels.named
    ]
