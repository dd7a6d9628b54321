"""Could the overlap of a unit and a concept be chance? Tested against shifted masks.

Null hypothesis: within each image, where the mask lies has nothing to do with where the unit is on.
Under it, every shift of the mask along the map's cells (rows and columns wrap around) is equally
likely, independently in each image. Over all h * w shifts the mean and the variance of the
intersection I = sum_i X_i are known exactly, without drawing any:

    E[X_i] = on_i * area_i / (h w)
    E[X_i^2] = sum_f |F(on_i)(f)|^2 |F(mask_i)(f)|^2 / (h w)^2     (Parseval; F: 2-d Fourier sum)

Bennett's inequality (1962) turns them into an upper bound of the p-value that holds for any number
of images: with V = sum_i Var[X_i], b >= max_i (X_i - E[X_i]) and t = I - E[I] > 0,

    P(I - E[I] >= t) <= exp(-V / b^2 * h(b t / V)),  h(u) = (1 + u) log(1 + u) - u.

q-values correct for testing all pairs of a layer by Benjamini and Hochberg (1995): among pairs with
q <= 0.05, at most 5 % are expected to be false.

A unit and a concept that both keep to the middle of all images overlap more than chance in this
sense. `LayerResult.iou_chance`, with the masks of other images, is the control for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Significance:
    """iou [K, M]: the IoU that shifted masks are expected to give, counted by cells.

    p [K, M]: upper bound of the p-value of the overlap; 1 where it is not above the expected one.
    q [K, M]: p corrected for all pairs. NaN (p and q) where the unit or the concept is nowhere.
    """

    iou: np.ndarray
    p: np.ndarray
    q: np.ndarray


class ShiftTest:
    """Adds up images; on: where units are on, by cells; counts: mask pixels by cells."""

    def __init__(self, units: int, n_concepts: int) -> None:
        self._overlap = np.zeros((units, n_concepts))
        self._expected = np.zeros((units, n_concepts))
        self._variance = np.zeros((units, n_concepts))
        self._largest = np.zeros((units, n_concepts))
        self._unit_area = np.zeros(units)
        self._concept_area = np.zeros(n_concepts)

    def update(
        self, on: np.ndarray, counts: np.ndarray, concepts: list[int], pixels: np.ndarray
    ) -> None:
        """One image: on [K, h, w] bool; counts [c, h, w] of the concepts present; pixels [h, w]."""
        cells = on[0].size
        self._unit_area += on.reshape(len(on), cells) @ pixels.reshape(cells)
        units = np.flatnonzero(on.any(axis=(1, 2)))
        if not concepts or not len(units):
            self._concept_area[concepts] += counts.sum(axis=(1, 2))
            return
        area, active = counts.sum(axis=(1, 2), dtype=np.float64), on[units]
        self._concept_area[concepts] += area
        expected = active.sum(axis=(1, 2))[:, None] * area / cells
        squares = _power(active) @ _power(counts).T / cells**2
        place = np.ix_(units, np.array(concepts))
        flat = active.reshape(len(units), cells).astype(np.float32)
        self._overlap[place] += flat @ counts.reshape(len(counts), cells).T
        self._expected[place] += expected
        self._variance[place] += np.maximum(squares - expected**2, 0)
        bound = np.minimum(
            area, active.sum(axis=(1, 2))[:, None] * counts.max(axis=(1, 2))[None, :]
        )
        self._largest[place] = np.maximum(self._largest[place], bound - expected)

    def result(self) -> Significance:
        union = self._unit_area[:, None] + self._concept_area - self._expected
        iou = np.divide(self._expected, union, out=np.zeros(union.shape), where=union > 0)
        p = bennett(self._overlap - self._expected, self._variance, self._largest)
        p[(self._unit_area[:, None] == 0) | (self._concept_area == 0)] = np.nan
        return Significance(
            iou.astype(np.float32), p.astype(np.float32), benjamini_hochberg(p).astype(np.float32)
        )


def bennett(excess: np.ndarray, variance: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Upper bound of P(sum - mean >= excess) for independent terms with the given total variance,
    none of which exceeds its mean by more than `largest`."""
    p = np.ones(excess.shape)
    above = (excess > 0) & (variance > 0) & (largest > 0)
    t, v, b = excess[above], variance[above], largest[above]
    u = b * t / v
    p[above] = np.exp(-v / b**2 * ((1 + u) * np.log1p(u) - u))
    return p


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q-values of the same shape; NaN entries are no tests and stay NaN."""
    q = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    values = p[tested]
    order = np.argsort(values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    q[tested] = np.minimum(corrected, 1)
    return q


def _power(maps: np.ndarray) -> np.ndarray:
    """Squared Fourier sums [n, h * w] of maps [n, h, w]."""
    transformed = np.fft.fft2(maps)
    return (transformed.real**2 + transformed.imag**2).reshape(len(maps), -1)
