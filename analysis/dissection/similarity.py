"""Which units of a layer respond alike: Pearson correlation over all positions of all images.

This is the within-network correlation of Li et al. 2016 (Convergent Learning, ICLR), who also take
every position of a convolutional map as an observation. Two units that fire in the same images
but at different places are not alike in this sense; with the images' maxima they would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.dissection.cache import BLOCK_BYTES, Maps

NEAREST = 8


@dataclass(frozen=True)
class Nearest:
    """Per unit the others that are most like it, best first: index [K, n] int32 (-1 where there are
    fewer) and correlation [K, n] float32 (NaN there). A unit that never varies has none and is
    nobody's."""

    index: np.ndarray
    correlation: np.ndarray


def nearest_units(
    maps: Maps,
    mean: np.ndarray,
    std: np.ndarray,
    varies: np.ndarray,
    *,
    count: int = NEAREST,
    advance: Callable[[int], None],
) -> Nearest:
    """The `count` most similar units of each unit of a layer.

    mean, std [K]: about the units' own, to keep the sums well scaled; exact ones are not needed.
    varies [K] bool: units with more than one value. Ties go to the lower unit number.
    `advance(0)` is called after each block of maps.
    """
    return _nearest(correlations(maps, mean, std, varies, advance=advance), count)


def correlations(
    maps: Maps,
    mean: np.ndarray,
    std: np.ndarray,
    varies: np.ndarray,
    *,
    advance: Callable[[int], None],
) -> np.ndarray:
    """Correlation matrix [K, K] float64 of a layer's units; NaN where a unit does not vary.

    Blocks are counted in rows of the whole data set, so the result does not depend on how the maps
    are spread over shards. Memory: two matrices K x K and one block of maps.
    """
    units, positions = maps.units, maps.height * maps.width
    step = max(1, BLOCK_BYTES // (4 * units * positions))
    shift = mean.astype(np.float32)[:, None]
    scale = np.where(varies & (std > 0), std, 1).astype(np.float32)[:, None]
    products, sums = np.zeros((units, units)), np.zeros(units)
    for start in range(0, maps.rows, step):
        rows = range(start, min(start + step, maps.rows))
        block = np.concatenate([maps.row(row).reshape(units, positions) for row in rows], axis=1)
        block -= shift
        block /= scale
        products += block @ block.T
        sums += block.sum(axis=1, dtype=np.float64)
        advance(0)
    products -= np.outer(sums, sums) / (maps.rows * positions)
    variance = np.where(varies, np.diagonal(products), np.nan)
    spread = np.sqrt(np.where(variance > 0, variance, np.nan))
    products /= spread[:, None]
    products /= spread[None, :]
    return np.clip(products, -1, 1, out=products)


def _nearest(correlation: np.ndarray, count: int) -> Nearest:
    units = len(correlation)
    index = np.full((units, count), -1, np.int32)
    value = np.full((units, count), np.nan, np.float32)
    for unit in range(units):
        row = correlation[unit].copy()
        row[unit] = np.nan
        best = np.argsort(-row, kind="stable")[:count]
        best = best[np.isfinite(row[best])]
        index[unit, : len(best)] = best
        value[unit, : len(best)] = row[best]
    return Nearest(index, value)
