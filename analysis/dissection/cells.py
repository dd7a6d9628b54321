"""Masks counted by the cells of a layer's maps.

A pixel of the mask grid belongs to the cell that it lies in (nearest neighbour). That is coarser
than the bilinear maps of `analysis.dissection.hotspots`, and cheap enough to look at every
threshold and every shift.
"""

from __future__ import annotations

import numpy as np


class CellCounter:
    """Counts the pixels of masks on a grid (H, W) in each of h x w cells."""

    def __init__(self, cells: tuple[int, int], grid: tuple[int, int]) -> None:
        self._rows, self._columns = (
            _membership(count, positions) for count, positions in zip(cells, grid, strict=True)
        )

    def pixels(self) -> np.ndarray:
        """Pixels [h, w] of each cell, float32."""
        return self._rows.sum(1)[:, None] * self._columns.sum(1)

    def count(self, masks: np.ndarray) -> np.ndarray:
        """Mask pixels [c, h, w] float32 under each cell, of masks [c, H, W] (bool)."""
        return self._rows @ masks.astype(np.float32) @ self._columns.T


def _membership(cells: int, positions: int) -> np.ndarray:
    """1 where the position's centre lies in the cell, float32 [cells, positions]."""
    cell = np.floor((np.arange(positions) + 0.5) * cells / positions).astype(np.int64)
    return (np.arange(cells)[:, None] == cell).astype(np.float32)
