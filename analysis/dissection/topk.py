"""The images that excite each unit most, one per patient, kept while images stream by."""

from __future__ import annotations

import numpy as np


class TopImages:
    """Per unit the k best (image, value, position), with at most one image per group.

    Equal values are settled by the lower image index, so the order of updates and merges does not
    matter: a group among the k best of all images has its best image among the k best of the part
    that holds it.
    """

    def __init__(self, units: int, k: int) -> None:
        self.value = np.full((units, k), -np.inf, np.float32)
        self.index = np.full((units, k), -1, np.int32)
        self.cell = np.zeros((units, k), np.int32)
        self.group = np.full((units, k), -1, np.int64)

    def update(
        self, value: np.ndarray, cell: np.ndarray, index: np.ndarray, group: np.ndarray
    ) -> None:
        """Add a batch: value and cell [n, K] (maximum and flat position), index and group [n]."""
        shape = value.T.shape
        self._add(
            value.T,
            cell.T.astype(np.int32),
            np.broadcast_to(index.astype(np.int32), shape),
            np.broadcast_to(group, shape),
        )

    def merge(self, other: TopImages) -> TopImages:
        """The best of both."""
        merged = TopImages(*self.value.shape)
        for part in (self, other):
            merged._add(part.value, part.cell, part.index, part.group)
        return merged

    def _add(
        self, value: np.ndarray, cell: np.ndarray, index: np.ndarray, group: np.ndarray
    ) -> None:
        """Add candidates, all [K, n]; those with index -1 are none."""
        units = np.flatnonzero((value >= self.value[:, -1:]).any(axis=1))
        values = np.concatenate([self.value[units], value[units]], axis=1)
        cells = np.concatenate([self.cell[units], cell[units]], axis=1)
        indices = np.concatenate([self.index[units], index[units]], axis=1)
        groups = np.concatenate([self.group[units], group[units]], axis=1)
        order = np.lexsort((indices, -values), axis=1)
        values, cells, indices, groups = (
            np.take_along_axis(part, order, axis=1) for part in (values, cells, indices, groups)
        )
        repeated = _seen_before(groups) | (indices < 0)
        keep = np.argsort(repeated, axis=1, kind="stable")[:, : self.value.shape[1]]
        empty = np.take_along_axis(repeated, keep, axis=1)
        self.value[units] = np.where(empty, -np.inf, np.take_along_axis(values, keep, axis=1))
        self.index[units] = np.where(empty, -1, np.take_along_axis(indices, keep, axis=1))
        self.cell[units] = np.where(empty, 0, np.take_along_axis(cells, keep, axis=1))
        self.group[units] = np.where(empty, -1, np.take_along_axis(groups, keep, axis=1))


def _seen_before(groups: np.ndarray) -> np.ndarray:
    """Whether an entry's group occurs earlier in its row, bool of the same shape."""
    order = np.argsort(groups, axis=1, kind="stable")
    ordered = np.take_along_axis(groups, order, axis=1)
    repeated = np.zeros(groups.shape, bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    result = np.empty_like(repeated)
    np.put_along_axis(result, order, repeated, axis=1)
    return result
