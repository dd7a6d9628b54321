"""A histogram per unit with bins of fixed relative width: quantiles in fixed memory.

The idea of DDSketch (Masson, Rim, Lee 2019, VLDB 12(12)): with bins whose bounds grow
geometrically, the quantile read from the bin that holds it is off by a fixed share of itself. Here
a bin is all float32 numbers that share sign, exponent and the first 7 bits of the mantissa (128
bins an octave), so that a value finds its bin by one shift.

Error bound: for each order statistic stands the middle of the bin that holds it. A bin spans at
most 2^-7 of its lower end, so the middle is off by at most 2^-8 (0.39 %) of the order statistic for
sizes in [2^-20, 2^24), and by at most 2^-20 (about 1e-6) for smaller ones. Larger sizes share one
bin, bounded by the exact minimum and maximum. Quantiles interpolate between two order statistics as
`numpy.quantile` does, and inherit the bound; `bounds` gives it for each unit and level. Merging
adds counts, so it loses nothing.
"""

from __future__ import annotations

import numpy as np
import torch

from analysis.dissection.sums import ExactSums

RELATIVE_ERROR = 2.0**-8
SMALLEST = 2.0**-20
LARGEST = 2.0**24
_LOW = (127 - 20) << 7
_HIGH = (127 + 24) << 7
_MIDDLE = _HIGH - _LOW + 1
BINS = 2 * _MIDDLE + 1
_UNITS_AT_ONCE = 64  # their counts stay in the processor's cache


def _edges() -> np.ndarray:
    """Lower ends of the bins for positive values, and the end of the last: float64."""
    bits = np.arange(_LOW, _HIGH + 1, dtype=np.uint32) << 16
    return np.append(bits.view(np.float32).astype(np.float64), np.inf)


_UP = _edges()
_LOWER = np.concatenate([-_UP[:0:-1], [-SMALLEST], _UP[:-1]])
_UPPER = np.concatenate([-_UP[-2::-1], [SMALLEST], _UP[1:]])


class QuantileSketch:
    """Counts [K, BINS] of K units' values, their exact extremes, sums and sums of squares."""

    def __init__(self, units: int) -> None:
        self.counts = np.zeros((units, BINS), np.int64)
        self.minimum = np.full(units, np.inf, np.float32)
        self.maximum = np.full(units, -np.inf, np.float32)
        self.positive = np.zeros(units, np.int64)
        self.sums = ExactSums((units,))
        self.squares = ExactSums((units,))

    def update(self, maps: torch.Tensor) -> None:
        """Add finite maps [n, K, h, w] on the CPU, float32."""
        for start in range(0, len(self.counts), _UNITS_AT_ONCE):
            self._update(slice(start, start + _UNITS_AT_ONCE), maps)

    def _update(self, units: slice, maps: torch.Tensor) -> None:
        flat = maps[:, units].flatten(2)
        places = _bins(flat) + torch.arange(flat.shape[1])[:, None] * BINS
        ones = torch.ones(1, dtype=torch.int64).expand(places.numel())
        torch.from_numpy(self.counts[units]).view(-1).scatter_add_(0, places.flatten(), ones)
        self.minimum[units] = np.minimum(self.minimum[units], flat.amin((0, 2)).numpy())
        self.maximum[units] = np.maximum(self.maximum[units], flat.amax((0, 2)).numpy())
        self.positive[units] += (flat > 0).sum((0, 2)).numpy()
        wide = flat.double()
        self.sums.add(wide.sum(2).numpy(), (units,))
        self.squares.add(wide.square().sum(2).numpy(), (units,))

    def merge(self, other: QuantileSketch) -> QuantileSketch:
        merged = QuantileSketch(len(self.counts))
        merged.counts = self.counts + other.counts
        merged.minimum = np.minimum(self.minimum, other.minimum)
        merged.maximum = np.maximum(self.maximum, other.maximum)
        merged.positive = self.positive + other.positive
        merged.sums = self.sums.merge(other.sums)
        merged.squares = self.squares.merge(other.squares)
        return merged

    def bounds(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound [K, Q], float64, of the quantiles at levels [Q] (numpy's "linear"
        definition)."""
        position = np.asarray(levels) * (self.counts[0].sum() - 1)
        rank = np.floor(position).astype(np.int64)
        lower, upper = self._bins_at(rank)
        following = self._bins_at(np.minimum(rank + 1, self.counts[0].sum() - 1))
        fraction = position - rank
        return (
            lower + fraction * (following[0] - lower),
            upper + fraction * (following[1] - upper),
        )

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """[K, Q] float32: the middle between the bounds; 0, the value of a rectified unit at rest,
        where the bounds are those of the bin around zero and hold it."""
        lower, upper = self.bounds(levels)
        around = (lower >= -SMALLEST) & (lower <= 0) & (upper >= 0) & (upper <= SMALLEST)
        return np.where(around, 0, (lower + upper) / 2).astype(np.float32)

    def _bins_at(self, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounds [K, Q] of the bins that hold the order statistics at ranks [Q] (from 0)."""
        lower = np.empty((len(self.counts), len(ranks)))
        upper = np.empty_like(lower)
        for unit, counts in enumerate(self.counts):
            below = np.cumsum(counts)
            place = np.searchsorted(below, ranks, side="right")
            lower[unit] = np.maximum(_LOWER[place], self.minimum[unit])
            upper[unit] = np.minimum(_UPPER[place], self.maximum[unit])
            lower[unit, ranks == 0] = upper[unit, ranks == 0] = self.minimum[unit]
            last = ranks == below[-1] - 1
            lower[unit, last] = upper[unit, last] = self.maximum[unit]
        return lower, upper

    def histogram(self, edges: np.ndarray) -> np.ndarray:
        """Counts [K, B] between edges [K, B + 1]; each bin goes where its middle lies."""
        result = np.zeros((len(edges), edges.shape[1] - 1), np.int64)
        for unit, (row, counts) in enumerate(zip(edges, self.counts, strict=True)):
            used = np.flatnonzero(counts)
            lower = np.maximum(_LOWER[used], self.minimum[unit])
            upper = np.minimum(_UPPER[used], self.maximum[unit])
            place = np.searchsorted(row, (lower + upper) / 2, side="right") - 1
            np.add.at(result[unit], np.clip(place, 0, edges.shape[1] - 2), counts[used])
        return result


def _bins(values: torch.Tensor) -> torch.Tensor:
    """Bin of each float32 value, int64 of the same shape."""
    bits = values.contiguous().view(torch.int32)
    size = ((bits >> 16) & 0x7FFF).clamp_(_LOW - 1, _HIGH) - (_LOW - 1)
    return torch.where(bits < 0, _MIDDLE - size, _MIDDLE + size).long()
