"""What the pages of reader tests show. Nothing here tells a reader the class or the prediction."""

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from explanations.content import Finding
from explanations.models import ReaderTest, ReaderTestAnswer
from explanations.reader_tests.results import Estimate, Results
from explanations.services import content_of
from explanations.wording import percent

SHOWN_FINDINGS = 12
PLOT_WIDTH = 300


@dataclass(frozen=True)
class TestLine:
    test: ReaderTest
    readers: int
    answered: int
    planned: int
    mine: bool


@dataclass(frozen=True)
class AccuracyRow:
    """A row of the table and of the plot, in units of PLOT_WIDTH."""

    name: str
    text: str
    interval: str
    count: int
    known: bool
    low: float
    value: float
    high: float


@dataclass(frozen=True)
class FindingLine:
    name: str
    place: str
    share: str
    overlay: str
    colour: int


def test_line(test: ReaderTest, user: User) -> TestLine:
    answers = test.answers.all()
    mine = test.readers.filter(pk=user.pk).exists()
    counted = answers.filter(reader=user) if mine else answers
    return TestLine(
        test=test,
        readers=test.readers.count(),
        answered=counted.filter(guess__isnull=False).count(),
        planned=counted.count(),
        mine=mine,
    )


def turn_context(turn: ReaderTestAnswer) -> dict[str, Any]:
    """What the reader sees of the case: findings without the class that they speak for."""
    content = content_of(turn.explanation)
    seen = ReaderTestAnswer.Seen(turn.seen)
    findings = seen != ReaderTestAnswer.Seen.IMAGE
    return {
        "classes": list(enumerate(turn.test.model.class_names)),
        "image": turn.explanation.case.image if seen != "explanation" else None,
        "shows_findings": findings,
        "supporting": _lines(content.support.findings, 0) if findings else [],
        "opposing": (
            _lines(content.against.findings, len(content.support.findings)) if findings else []
        ),
        "unnamed": percent(content.support.rest.share) if findings else "",
    }


def result_context(test: ReaderTest, found: Results) -> dict[str, Any]:
    names = dict(ReaderTestAnswer.Seen.choices)
    return {
        "rows": [_row(names[way], estimate) for way, estimate in found.accuracy.items()],
        "gain": _signed_row(found.gain),
        "chance": percent(found.chance),
        "chance_x": found.chance * PLOT_WIDTH,
        "plot_width": PLOT_WIDTH,
        "model_accuracy": None if found.model is None else percent(found.model),
        "tables": [
            (names[way], list(zip(test.model.class_names, rows, strict=True)))
            for way, rows in found.guesses.items()
        ],
    }


def _lines(findings: list[Finding], before: int) -> list[FindingLine]:
    return [
        FindingLine(
            name=finding.name,
            place=finding.place.phrase if finding.place else "",
            share=percent(finding.share),
            overlay=finding.key,
            colour=before + number,
        )
        for number, finding in enumerate(findings[:SHOWN_FINDINGS])
    ]


def _row(name: str, estimate: Estimate) -> AccuracyRow:
    if estimate.value is None:
        return AccuracyRow(name, "no answers yet", "", estimate.count, False, 0, 0, 0)
    if estimate.low is None or estimate.high is None:
        text = percent(estimate.value)
        return AccuracyRow(name, text, "needs more patients", estimate.count, False, 0, 0, 0)
    return AccuracyRow(
        name=name,
        text=percent(estimate.value),
        interval=f"{percent(estimate.low)} to {percent(estimate.high)}",
        count=estimate.count,
        known=True,
        low=estimate.low * PLOT_WIDTH,
        value=estimate.value * PLOT_WIDTH,
        high=estimate.high * PLOT_WIDTH,
    )


def _signed_row(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return ""
    value, low, high = map(_points, (estimate.value, estimate.low, estimate.high))
    return f"{value} points (95 % interval {low} to {high})"


def _points(share: float) -> str:
    points = round(100 * share)
    sign = "+" if points > 0 else "−" if points < 0 else ""
    return f"{sign}{abs(points)}"
