"""How units respond to the classes of a data set."""

from __future__ import annotations

import numpy as np

from analysis.dissection.sums import ExactSums


class ClassSums:
    """Sums of spatial means and maxima per class, over labelled images; exact in any order."""

    def __init__(self, units: int, n_classes: int) -> None:
        self.counts = np.zeros(n_classes, np.int64)
        self.means = ExactSums((units, n_classes))
        self.maxima = ExactSums((units, n_classes))

    def update(self, mean: np.ndarray, maximum: np.ndarray, labels: list[int | None]) -> None:
        """Add a batch: spatial mean and maximum [n, K], class index or None per image."""
        for label in sorted({label for label in labels if label is not None}):
            rows = [row for row, other in enumerate(labels) if other == label]
            self.counts[label] += len(rows)
            self.means.add(mean[rows], (slice(None), label))
            self.maxima.add(maximum[rows], (slice(None), label))

    def merge(self, other: ClassSums) -> ClassSums:
        merged = ClassSums(*self.means.digits.shape[1:])
        merged.counts = self.counts + other.counts
        merged.means = self.means.merge(other.means)
        merged.maxima = self.maxima.merge(other.maxima)
        return merged

    @property
    def mean(self) -> np.ndarray:
        """[K, C] mean over the images of a class of the spatial mean; NaN for empty classes."""
        return self._divided(self.means)

    @property
    def max_mean(self) -> np.ndarray:
        """[K, C] mean over the images of a class of the spatial maximum; NaN for empty classes."""
        return self._divided(self.maxima)

    def _divided(self, sums: ExactSums) -> np.ndarray:
        counts = np.where(self.counts > 0, self.counts, np.nan)
        return (sums.total / counts).astype(np.float32)


def selectivity(class_mean: np.ndarray) -> np.ndarray:
    """Class selectivity [K] = (m_top - m_rest) / (m_top + m_rest), Morcos et al. 2018.

    m_top is the largest class mean, m_rest the mean of the other class means; classes without
    images (NaN) are left out. 0 for a unit that is always 0. NaN where the index is not defined:
    fewer than two classes with images, or a negative class mean (layers without ReLU).
    """
    present = ~np.isnan(class_mean).all(axis=0)
    means = class_mean[:, present].astype(np.float64)
    if means.shape[1] < 2:
        return np.full(len(class_mean), np.nan, np.float32)
    top = means.max(axis=1)
    rest = (means.sum(axis=1) - top) / (means.shape[1] - 1)
    total = top + rest
    index = np.divide(top - rest, total, out=np.zeros_like(total), where=total > 0)
    return np.where((means < 0).any(axis=1), np.nan, index).astype(np.float32)
