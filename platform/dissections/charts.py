"""Geometry of the small charts on pages; templates draw it as SVG (no inline styles, no script)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT = 400.0, 120.0
TABLE_ROWS = 8


@dataclass(frozen=True)
class Column:
    x: float
    y: float
    width: float
    height: float
    above: bool


@dataclass(frozen=True)
class CountRow:
    """How many places have a value from `low` to `high`."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class HistogramChart:
    """Columns on a logarithmic count axis; `threshold_x` is where the unit's threshold lies.

    `table`: the same in a few rows, for who cannot see the columns.
    """

    columns: list[Column]
    table: list[CountRow]
    low: float
    high: float
    highest: int
    threshold_x: float
    width: float = HISTOGRAM_WIDTH
    height: float = HISTOGRAM_HEIGHT


@dataclass(frozen=True)
class SignedBar:
    """A value as a bar from a zero line; x, width and zero are percentages."""

    name: str
    value: float
    x: float
    width: float
    zero: float

    @property
    def sign(self) -> str:
        return "positive" if self.value > 0 else "negative" if self.value < 0 else "neutral"


def histogram_chart(
    edges: np.ndarray, counts: np.ndarray, threshold: float | None
) -> HistogramChart | None:
    """Chart of a histogram with edges [B + 1] and counts [B]; None for a unit that never varies
    (it has no threshold)."""
    low, high = float(edges[0]), float(edges[-1])
    if threshold is None or high <= low or counts.max() == 0:
        return None
    heights = np.log1p(counts.astype(np.float64))
    heights *= HISTOGRAM_HEIGHT / heights.max()
    positions = (edges.astype(np.float64) - low) / (high - low) * HISTOGRAM_WIDTH
    columns = [
        Column(
            x=round(float(left), 2),
            y=round(HISTOGRAM_HEIGHT - float(height), 2),
            width=round(max(float(right - left) - 0.5, 0.5), 2),
            height=round(float(height), 2),
            above=float(edge) >= threshold,
        )
        for left, right, height, edge in zip(
            positions[:-1], positions[1:], heights, edges[:-1], strict=True
        )
        if height > 0
    ]
    share = min(max((threshold - low) / (high - low), 0.0), 1.0)
    return HistogramChart(
        columns=columns,
        table=_count_rows(edges, counts),
        low=low,
        high=high,
        highest=int(counts.max()),
        threshold_x=round(share * HISTOGRAM_WIDTH, 2),
    )


def _count_rows(edges: np.ndarray, counts: np.ndarray) -> list[CountRow]:
    starts = np.linspace(0, len(counts), min(TABLE_ROWS, len(counts)) + 1).astype(int)
    return [
        CountRow(float(edges[start]), float(edges[stop]), int(counts[start:stop].sum()))
        for start, stop in pairwise(starts)
    ]


def signed_bars(names: Sequence[str], values: Sequence[float | None]) -> list[SignedBar]:
    """Bars on one common scale, for values of either sign; missing values are left out."""
    known = [(name, value) for name, value in zip(names, values, strict=False) if value is not None]
    low = min([0.0, *(value for _, value in known)])
    high = max([0.0, *(value for _, value in known)])
    span = (high - low) or 1.0
    zero = -low / span * 100
    return [
        SignedBar(
            name=name,
            value=value,
            x=round(zero + min(value, 0.0) / span * 100, 2),
            width=round(abs(value) / span * 100, 2),
            zero=round(zero, 2),
        )
        for name, value in known
    ]
