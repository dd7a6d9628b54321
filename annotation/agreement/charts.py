"""Geometry of the plot of statistics with their intervals; templates draw it as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.agreement.statistics import Estimate


@dataclass(frozen=True)
class IntervalMark:
    """A value with its interval on the scale of its plot, in percent of the width."""

    estimate: Estimate
    value: float | None
    low: float | None
    width: float
    zero: float


def interval_marks(estimates: Sequence[Estimate]) -> tuple[list[IntervalMark], float]:
    """Marks on one scale from its left end, which is 0 or the lowest bound below it, to 1."""
    bounds = [
        bound for entry in estimates for bound in (entry.low, entry.value) if bound is not None
    ]
    left = min([0.0, *bounds])

    def place(value: float) -> float:
        return round((value - left) / (1 - left) * 100, 2)

    marks = [
        IntervalMark(
            estimate=entry,
            value=None if entry.value is None else place(entry.value),
            low=None if entry.low is None else place(entry.low),
            width=0.0
            if entry.low is None or entry.high is None
            else round(place(entry.high) - place(entry.low), 2),
            zero=place(0.0),
        )
        for entry in estimates
    ]
    return marks, left
