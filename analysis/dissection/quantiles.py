"""What the values of each unit look like over all positions of all images, exact or sketched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.dissection.cache import BLOCK_BYTES, Maps
from analysis.dissection.iqr import TAIL_FRACTIONS
from analysis.dissection.sketch import QuantileSketch

LEVELS = np.array([0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1])
BINS = 64


@dataclass(frozen=True)
class Distribution:
    """Per unit, over ALL positions of ALL images.

    threshold [K]: the settings' quantile. quantiles [K, Q] at `levels` [Q]. Exact: as
    `numpy.quantile` (linear interpolation between order statistics), error bound 0 beyond float32
    rounding; sketched: within the bound stated in `analysis.dissection.sketch`.
    histogram [K, B] with edges [K, B + 1] from the unit's minimum to its maximum. mean, std
    (population), maximum [K]. active_fraction [K]: share of positions above 0. tail [K, L]:
    quantiles at one minus `iqr.TAIL_FRACTIONS`.
    """

    levels: np.ndarray
    threshold: np.ndarray
    quantiles: np.ndarray
    edges: np.ndarray
    histogram: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    maximum: np.ndarray
    active_fraction: np.ndarray
    tail: np.ndarray


def distribution(maps: Maps, quantile: float, memory: int = BLOCK_BYTES) -> Distribution:
    """Exact: sort the cached values of a few units at a time, within `memory` bytes.

    Maps in a file are read once per `memory` bytes of float32 values.
    """
    chunk = max(1, memory // (4 * maps.rows * maps.height * maps.width))
    parts = [
        _of_values(maps.unit_values(start, min(start + chunk, maps.units)), quantile)
        for start in range(0, maps.units, chunk)
    ]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Distribution.__dataclass_fields__
        if name != "levels"
    }
    return Distribution(levels=LEVELS, **joined)


def sketched_distribution(sketch: QuantileSketch, quantile: float) -> Distribution:
    """From a sketch. Mean, std, maximum and active_fraction are exact up to float rounding."""
    count = sketch.counts[0].sum()
    mean = sketch.sums.total / count
    edges = np.linspace(sketch.minimum, sketch.maximum, BINS + 1, axis=1, dtype=np.float32)
    return Distribution(
        levels=LEVELS,
        threshold=sketch.quantiles(np.array([quantile]))[:, 0],
        quantiles=sketch.quantiles(LEVELS),
        edges=edges,
        histogram=sketch.histogram(edges),
        mean=mean.astype(np.float32),
        std=np.sqrt(np.maximum(sketch.squares.total / count - mean**2, 0)).astype(np.float32),
        maximum=sketch.maximum,
        active_fraction=(sketch.positive / count).astype(np.float32),
        tail=sketch.quantiles(1 - TAIL_FRACTIONS),
    )


def _of_values(values: np.ndarray, quantile: float) -> Distribution:
    """Of values [k, n], which are sorted in place."""
    mean = values.mean(axis=1, dtype=np.float64)
    std = values.std(axis=1, dtype=np.float64)
    values.sort(axis=1)
    count = values.shape[1]
    edges = np.linspace(values[:, 0], values[:, -1], BINS + 1, axis=1, dtype=np.float32)
    edges[:, 0], edges[:, -1] = values[:, 0], values[:, -1]
    below = np.stack([np.searchsorted(row, edge) for row, edge in zip(values, edges, strict=True)])
    below[:, -1] = count
    positive = np.array([count - np.searchsorted(row, 0, side="right") for row in values])
    return Distribution(
        levels=LEVELS,
        threshold=_at(values, np.array([quantile]))[:, 0],
        quantiles=_at(values, LEVELS),
        edges=edges,
        histogram=np.diff(below, axis=1),
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        maximum=values[:, -1].copy(),
        active_fraction=(positive / count).astype(np.float32),
        tail=_at(values, 1 - TAIL_FRACTIONS),
    )


def _at(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles [k, Q] of rows in ascending order, numpy's "linear" definition."""
    position = levels * (ordered.shape[1] - 1)
    left = np.floor(position).astype(np.int64)
    right = np.minimum(left + 1, ordered.shape[1] - 1)
    fraction = position - left
    low, high = ordered[:, left].astype(np.float64), ordered[:, right].astype(np.float64)
    return (low + fraction * (high - low)).astype(np.float32)
