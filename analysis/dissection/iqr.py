"""The threshold per unit and concept that maximises the information quality ratio.

Bau et al. 2019 (GAN Dissection, ICLR), eq. 2: with M = (map > t) and S = mask, over pixels,

    t(u, c) = argmax_t I(M; S) / H(M, S),   chosen on images other than those it is judged on.

As published: 100 candidates at the unit's own quantiles, with tail fractions log-spaced from 0.001
to 1. Not as published: pixels are counted by cells (`analysis.dissection.cells`); a random half of
the images chooses and the other half judges; instead of asking for an agreement above 0.8, which a
rare concept reaches by itself, M and S must be positively associated (the ratio is as high for a
unit that is off on the concept); concepts are not dropped for being rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TAIL_FRACTIONS = np.geomspace(1e-3, 1, 100)


@dataclass(frozen=True)
class InformationQuality:
    """threshold [K, M], NaN where no candidate is positively associated; iqr, iou [K, M] at that
    threshold on the judging images (0 where there is none)."""

    threshold: np.ndarray
    iqr: np.ndarray
    iou: np.ndarray


class JointCounts:
    """Pixels by unit level and concept, in two halves of the images."""

    def __init__(self, levels: np.ndarray, n_concepts: int) -> None:
        """levels [K, L]: candidate thresholds of each unit, in any order."""
        self._levels = np.sort(levels, axis=1)
        units, count = levels.shape
        self._pixels = np.zeros((2, units, count + 1))
        self._shared = np.zeros((2, units, count + 1, n_concepts))
        self._concepts = np.zeros((2, n_concepts))

    def update(
        self,
        half: int,
        maps: np.ndarray,
        counts: np.ndarray,
        concepts: list[int],
        pixels: np.ndarray,
    ) -> None:
        """One image: maps [K, h, w]; counts [c, h, w] of the concepts present; pixels [h, w]."""
        units, bins = self._pixels.shape[1:]
        cells = pixels.size
        flat = maps.reshape(units, cells)
        # Number of candidates below the value: those for which it counts as on.
        places = np.stack([np.searchsorted(*pair) for pair in zip(self._levels, flat, strict=True)])
        places += np.arange(units)[:, None] * bins
        self._pixels[half] += np.bincount(
            places.ravel(), np.broadcast_to(pixels.ravel(), places.shape).ravel(), units * bins
        ).reshape(units, bins)
        for concept, count in zip(concepts, counts.reshape(len(counts), cells), strict=True):
            covered = np.flatnonzero(count)
            chosen = places[:, covered]
            self._shared[half, :, :, concept] += np.bincount(
                chosen.ravel(), np.broadcast_to(count[covered], chosen.shape).ravel(), units * bins
            ).reshape(units, bins)
            self._concepts[half, concept] += count.sum()

    def result(self) -> InformationQuality:
        chosen_by = self._tables(0)
        ratio = information_quality_ratio(*chosen_by)
        associated = chosen_by[0] * chosen_by[3] > chosen_by[1] * chosen_by[2]
        ratio = np.where(associated, ratio, -1)
        best = ratio.argmax(axis=1)[:, None]
        found = np.take_along_axis(ratio, best, axis=1)[:, 0] > 0
        both, unit, concept, rest = (
            np.take_along_axis(np.broadcast_to(table, ratio.shape), best, axis=1)[:, 0]
            for table in self._tables(1)
        )
        iqr = information_quality_ratio(both, unit, concept, rest)
        iqr[both * rest <= unit * concept] = 0
        union = both + unit + concept
        iou = np.divide(both, union, out=np.zeros(union.shape), where=union > 0)
        threshold = np.take_along_axis(self._levels, best[:, 0], axis=1)
        return InformationQuality(
            np.where(found, threshold, np.nan).astype(np.float32),
            np.where(found, iqr, 0).astype(np.float32),
            np.where(found, iou, 0).astype(np.float32),
        )

    def _tables(self, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pixels [K, L, M]: with both, unit only, concept only, neither, for each candidate."""
        on = self._pixels[half][:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:, None]
        both = self._shared[half][:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        total = self._pixels[half].sum(axis=1)[:, None, None]
        area = self._concepts[half]
        return both, on - both, area - both, total - on - area + both


def information_quality_ratio(
    both: np.ndarray, unit: np.ndarray, concept: np.ndarray, neither: np.ndarray
) -> np.ndarray:
    """I(M; S) / H(M, S) of 2 x 2 tables of counts, 0 where the joint entropy is 0."""
    total = both + unit + concept + neither
    scale = np.where(total > 0, total, 1)
    joint = sum(_entropy(part / scale) for part in (both, unit, concept, neither))
    on, inside = (both + unit) / scale, (both + concept) / scale
    separate = _entropy(on) + _entropy(1 - on) + _entropy(inside) + _entropy(1 - inside)
    information = np.maximum(separate - joint, 0)
    return np.divide(information, joint, out=np.zeros(np.shape(joint)), where=joint > 1e-12)


def _entropy(share: np.ndarray) -> np.ndarray:
    share = np.maximum(share, 0)
    return -share * np.log(np.where(share > 0, share, 1))
