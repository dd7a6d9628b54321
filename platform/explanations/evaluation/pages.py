"""What the pages, the command and the downloads say of a finished evaluation."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.models import Split, Vocabulary
from explanations.evaluation.charts import (
    IntervalChart,
    SquareChart,
    curve_chart,
    interval_chart,
    reliability_chart,
)
from explanations.models import Evaluation
from explanations.wording import listing

READINGS = {
    "active": (
        "Findings that stand out",
        "A term is named where at least half of its units exceed their threshold on the image (the "
        "value that only 0.5 % of all positions of the dissected images reach).",
    ),
    "listed": (
        "Everything with a share of the evidence",
        "A term is named where its units carry at least 2 % of the evidence for the predicted "
        "class, as the case page lists findings.",
    ),
    "strongest": (
        "The three strongest units",
        "The terms of the three named units that speak most for the predicted class, as in "
        "DeepMiner.",
    ),
}
SCOPES = {
    "nameable": "terms that a named unit carries and a reference has",
    "all": "every term of the references, also those that no unit is named after",
}
CONTROLS = {
    "base_rate": "Always the most frequent terms",
    "shuffled": "Names shuffled among units",
    "random_units": "Units drawn at random",
    "centre": "Centre of the image",
    "average_map": "Mean map of other patients",
    "shifted": "Own map, shifted",
    "other_images": "Explanation of another patient",
}
OWN = "Explanations"
DASH = "–"
MORE_PATIENTS = "Intervals, and so comparisons with controls, need images of more patients."
MEASURES = {"precision": "Precision", "recall": "Recall", "f1": "F1", "macro_f1": "Macro F1"}


@dataclass(frozen=True)
class Row:
    """A line of a table: a name and cells of text; `beaten` where it is a control."""

    name: str
    cells: list[str]
    beaten: bool | None = None

    @property
    def own(self) -> bool:
        return self.name == OWN


@dataclass(frozen=True)
class TermRow:
    name: str
    named: int
    reference: int
    both: int
    f1: str


@dataclass(frozen=True)
class AgreementTable:
    scope: str
    rows: list[Row]
    verdict: str
    beats: bool
    chart: IntervalChart
    terms: list[TermRow]


@dataclass(frozen=True)
class ReadingSection:
    key: str
    title: str
    text: str
    images: int
    tables: list[AgreementTable]
    similarity: list[Row]


@dataclass(frozen=True)
class CurveSection:
    title: str
    text: str
    chart: SquareChart
    area: str
    random_area: str
    advantage: str


@dataclass(frozen=True)
class PlaceSection:
    rows: list[Row]
    verdict: str
    terms: list[Row]
    findings: int
    images: int
    tolerance: str


@dataclass(frozen=True)
class CalibrationSection:
    temperature: str
    fitted: str
    rows: list[Row]
    chart: SquareChart


def estimate_text(estimate: Mapping[str, float | None] | None, *, signed: bool = False) -> str:
    """ "0.62 (0.55 to 0.69)"."""
    if estimate is None or estimate["value"] is None:
        return DASH
    value, low, high = (
        None if estimate[name] is None else f"{estimate[name]:{'+' if signed else ''}.2f}"
        for name in ("value", "low", "high")
    )
    text = f"{value}" if low is None else f"{value} ({low} to {high})"
    return text.replace("-", "\u2212")


def verdict(agreement: Mapping[str, Any]) -> str:
    """Whether the terms agree with the references better than the controls do, in a sentence."""
    beaten = [CONTROLS[c["key"]].lower() for c in agreement["controls"] if c["beaten"]]
    others = [c for c in agreement["controls"] if not c["beaten"]]
    own = f"F1 is {estimate_text(agreement['f1'])}"
    if _too_few_patients(agreement["f1"]):
        return f"{own}. {MORE_PATIENTS}"
    if not others:
        return f"{own}: above every control, and no interval overlaps with theirs."
    reasons = [
        f"{CONTROLS[c['key']].lower()} ({estimate_text(c['f1'])}"
        + (", although the paired difference is above 0)" if _above_zero(c["difference"]) else ")")
        for c in others
    ]
    start = f"{own}: above {listing(beaten)}, but not" if beaten else f"{own}: not"
    return f"{start} clearly above {listing(reasons)}; there the intervals overlap or lie lower."


def _too_few_patients(estimate: Mapping[str, float | None]) -> bool:
    return estimate["value"] is not None and estimate["low"] is None


def _above_zero(difference: Mapping[str, float | None]) -> bool:
    return difference["low"] is not None and difference["low"] > 0


def reading_sections(result: Mapping[str, Any], vocabulary: Vocabulary) -> list[ReadingSection]:
    names = dict(vocabulary.terms.values_list("code", "name"))
    sections = []
    for reading in result["readings"]:
        title, text = READINGS[reading["key"]]
        similarity = reading["similarity"]
        sections.append(
            ReadingSection(
                key=reading["key"],
                title=title,
                text=text,
                images=reading["images"],
                tables=[_agreement(reading[scope], scope, names) for scope in SCOPES],
                similarity=[
                    Row(OWN, [estimate_text(similarity["own"]), DASH]),
                    Row(
                        CONTROLS["other_images"],
                        [
                            estimate_text(similarity["other_images"]),
                            estimate_text(similarity["difference"], signed=True),
                        ],
                        similarity["beaten"],
                    ),
                ],
            )
        )
    return sections


def _agreement(
    agreement: Mapping[str, Any], scope: str, names: Mapping[str, str]
) -> AgreementTable:
    controls = agreement["controls"]
    own = Row(OWN, [*(estimate_text(agreement[measure]) for measure in MEASURES), DASH])
    return AgreementTable(
        scope=SCOPES[scope],
        rows=[
            own,
            *(
                Row(
                    CONTROLS[control["key"]],
                    [
                        DASH,
                        DASH,
                        estimate_text(control["f1"]),
                        estimate_text(control["macro_f1"]),
                        estimate_text(control["difference"], signed=True),
                    ],
                    control["beaten"],
                )
                for control in controls
            ),
        ],
        verdict=verdict(agreement),
        beats=all(control["beaten"] for control in controls),
        chart=interval_chart(
            [(OWN, agreement["f1"]), *((CONTROLS[c["key"]], c["f1"]) for c in controls)]
        ),
        terms=[
            TermRow(
                name=names.get(term["code"], term["code"]),
                named=term["named"],
                reference=term["reference"],
                both=term["both"],
                f1=_f1(term),
            )
            for term in agreement["terms"]
        ],
    )


def _f1(term: Mapping[str, int]) -> str:
    total = term["named"] + term["reference"]
    return f"{2 * term['both'] / total:.2f}" if total else DASH


def place_section(result: Mapping[str, Any], vocabulary: Vocabulary) -> PlaceSection | None:
    found = result["localisation"]
    if found is None:
        return None
    names = dict(vocabulary.terms.values_list("code", "name"))
    return PlaceSection(
        rows=[
            Row(OWN, [estimate_text(found["own"]["hit"]), estimate_text(found["own"]["iou"])]),
            *(
                Row(
                    CONTROLS[key],
                    [estimate_text(score["hit"]), estimate_text(score["iou"])],
                    found["beaten"][key],
                )
                for key, score in found["controls"].items()
            ),
        ],
        verdict=_place_verdict(found),
        terms=[
            Row(
                names.get(term["code"], term["code"]),
                [str(term["findings"]), f"{term['hit']:.2f}", f"{term['iou']:.2f}"],
            )
            for term in found["terms"]
        ],
        findings=found["findings"],
        images=found["images"],
        tolerance=f"{100 * found['tolerance']:g} %",
    )


def _place_verdict(found: Mapping[str, Any]) -> str:
    if _too_few_patients(found["own"]["hit"]):
        return MORE_PATIENTS
    if all(found["beaten"].values()):
        return (
            "The peaks of findings lie on the marked findings more often than those of every "
            "control; no interval overlaps."
        )
    return (
        "The peaks of findings do not lie on the marked findings clearly more often than those of "
        "every control."
    )


def curve_sections(result: Mapping[str, Any]) -> list[CurveSection]:
    found = result["faithfulness"]
    if found is None:
        return []
    kinds = {
        "deletion": (
            "Deletion",
            "Named units are removed, the strongest first. The sooner the probability falls, the "
            "better: a small area is good.",
        ),
        "insertion": (
            "Insertion",
            "All named units are removed and put back, the strongest first. The sooner the "
            "probability rises, the better: a large area is good.",
        ),
    }
    return [
        CurveSection(
            title=title,
            text=text,
            chart=curve_chart(found["shares"], found[key]),
            area=estimate_text(found[key]["area"]),
            random_area=estimate_text(found[key]["random_area"]),
            advantage=estimate_text(found[key]["advantage"], signed=True),
        )
        for key, (title, text) in kinds.items()
    ]


def calibration_section(result: Mapping[str, Any]) -> CalibrationSection | None:
    found = result.get("calibration")
    if found is None:
        return None
    measures = {
        "ece": "Calibration error (ECE, 10 bins of equal width)",
        "adaptive_ece": "Calibration error (10 bins of equal counts)",
        "brier": "Brier score",
        "nll": "Negative log-likelihood",
        "accuracy": "Accuracy",
    }
    return CalibrationSection(
        temperature=f"{found['temperature']:.2f}",
        fitted=f"{found['fitted_images']} {Split(found['split']).label.lower()} images",
        rows=[
            Row(name, [estimate_text(found["before"][key]), estimate_text(found["after"][key])])
            for key, name in measures.items()
        ],
        chart=reliability_chart(found["before"]["bins"], found["after"]["bins"]),
    )


def detail(evaluation: Evaluation, result: Mapping[str, Any]) -> dict[str, Any]:
    """The context of a finished evaluation; `result` is what the reader may see of it."""
    vocabulary = evaluation.project.vocabulary
    names = dict(vocabulary.terms.values_list("code", "name"))
    readings = reading_sections(result, vocabulary)
    return {
        "result": result,
        "readings": readings,
        "headline": readings[0].tables[0],
        "coverage": estimate_text(result["coverage"]),
        "named_share": f"{100 * result['named_units'] / result['units']:.0f} %",
        "unmentioned": listing([names.get(code, code) for code in result["unmentioned"]]),
        "places": place_section(result, vocabulary),
        "curves": curve_sections(result),
        "calibration": calibration_section(result),
        "measure_heads": [*MEASURES.values(), "Ahead by"],
        "similarity_heads": ["Similarity", "Ahead by"],
        "place_heads": ["Pointing game", "IoU"],
        "place_term_heads": ["Findings", "Pointing game", "IoU"],
        "calibration_heads": ["As given", "Calibrated"],
    }


def text_lines(evaluation: Evaluation) -> list[str]:
    """The evaluation as the command prints it."""
    result, vocabulary = evaluation.result, evaluation.project.vocabulary
    lines = [
        f"{evaluation}",
        f"{result['images']} images of {result['patients']} patients, {result['named_units']} of "
        f"{result['units']} units named; 95 % intervals over patients.",
        f"Evidence for the predicted class carried by named units: "
        f"{estimate_text(result['coverage'])}",
    ]
    for section in reading_sections(result, vocabulary):
        for table in section.tables:
            lines += ["", f"{section.title}: {table.scope}"]
            lines += _columns(["", *MEASURES.values(), "Ahead by"], table.rows)
            lines.append(f"  {table.verdict}")
        lines += ["", f"{section.title}: similarity in the term tree"]
        lines += _columns(["", "Similarity", "Ahead by"], section.similarity)
    if places := place_section(result, vocabulary):
        lines += ["", f"Place of {places.findings} findings on {places.images} images"]
        lines += _columns(["", "Pointing game", "IoU"], places.rows)
    for curve in curve_sections(result):
        lines.append(
            f"{curve.title}: area {curve.area}, in random order {curve.random_area}, "
            f"better by {curve.advantage}"
        )
    if calibration := calibration_section(result):
        title = (
            f"Calibration: temperature {calibration.temperature}, fitted on {calibration.fitted}"
        )
        lines += ["", title]
        lines += _columns(["", "As given", "Calibrated"], calibration.rows)
    elif result["calibration_note"]:
        lines.append(f"No calibration: {result['calibration_note']}")
    return lines


def _columns(head: list[str], rows: Iterable[Row]) -> list[str]:
    table = [head, *([row.name, *row.cells] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def to_csv(result: Mapping[str, Any]) -> str:
    """Every estimate of a result, one a line: where it stands in the record, value, interval."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["measure", "value", "low", "high"])
    writer.writerows(_estimates("", result))
    return stream.getvalue()


def _estimates(path: str, value: Any) -> Iterable[tuple[str, Any, Any, Any]]:
    if isinstance(value, Mapping):
        if {"value", "low", "high"} == value.keys():
            yield path, value["value"], value["low"], value["high"]
            return
        for key, item in value.items():
            yield from _estimates(f"{path}.{key}".lstrip("."), item)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for place, item in enumerate(value):
            label = item.get("key") or item.get("code") or place
            yield from _estimates(f"{path}.{label}", item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value, None, None
