"""Geometry of the plots of an evaluation; templates draw it as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEFT, WIDTH = 8.0, 384.0
ROW = 26.0
PLOT_LEFT, PLOT_TOP, PLOT_SIDE = 34.0, 10.0, 200.0

Estimate = Mapping[str, float | None]


@dataclass(frozen=True)
class IntervalMark:
    """A value with its interval on a line from 0 to 1."""

    name: str
    own: bool
    y: float
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalChart:
    marks: list[IntervalMark]
    height: float
    ticks: list[tuple[float, str]]
    left: float = LEFT
    right: float = LEFT + WIDTH


@dataclass(frozen=True)
class Line:
    name: str
    style: str
    """A class of the stylesheet: "own", "control" or "diagonal"."""
    points: str
    dots: list[tuple[float, float]]


@dataclass(frozen=True)
class SquareChart:
    """Lines in a square from (0, 0) to (1, 1), the origin at the lower left."""

    lines: list[Line]
    left: float = PLOT_LEFT
    right: float = PLOT_LEFT + PLOT_SIDE
    top: float = PLOT_TOP
    bottom: float = PLOT_TOP + PLOT_SIDE
    middle_x: float = PLOT_LEFT + PLOT_SIDE / 2
    middle_y: float = PLOT_TOP + PLOT_SIDE / 2


def interval_chart(rows: Sequence[tuple[str, Estimate]]) -> IntervalChart:
    """Rows of estimates in [0, 1], the first of which is the explanations' own."""
    marks = []
    for place, (name, estimate) in enumerate(rows):
        value = estimate["value"]
        if value is None:
            continue
        low, high = estimate["low"], estimate["high"]
        marks.append(
            IntervalMark(
                name=name,
                own=place == 0,
                y=ROW * place + ROW / 2,
                x=_along(value),
                low=_along(value if low is None else low),
                high=_along(value if high is None else high),
            )
        )
    ticks = [(_along(share), f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    return IntervalChart(marks, ROW * len(rows), ticks)


def curve_chart(shares: Sequence[float], score: Mapping[str, Any]) -> SquareChart:
    """A deletion or insertion curve beside that of random orders."""
    return SquareChart(
        [
            _line("Random order", "control", shares, score["random_curve"], dots=False),
            _line("By effect", "own", shares, score["curve"], dots=True),
        ]
    )


def reliability_chart(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]
) -> SquareChart:
    """How often the model is right, by how sure it is: before and after calibration."""

    def line(name: str, style: str, bins: Sequence[Mapping[str, float]]) -> Line:
        xs = [one["confidence"] for one in bins]
        return _line(name, style, xs, [one["accuracy"] for one in bins], dots=True)

    return SquareChart(
        [
            _line("Perfect", "diagonal", (0, 1), (0, 1), dots=False),
            line("As given by the model", "control", before),
            line("Calibrated", "own", after),
        ]
    )


def _line(name: str, style: str, xs: Sequence[float], ys: Sequence[float], *, dots: bool) -> Line:
    places = [
        (round(PLOT_LEFT + PLOT_SIDE * x, 2), round(PLOT_TOP + PLOT_SIDE * (1 - y), 2))
        for x, y in zip(xs, ys, strict=True)
    ]
    points = " ".join(f"{x},{y}" for x, y in places)
    return Line(name, style, points, places if dots else [])


def _along(share: float) -> float:
    return round(LEFT + WIDTH * min(max(share, 0.0), 1.0), 2)
