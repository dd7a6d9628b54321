"""Where upsampled maps exceed a threshold, without upsampling them.

A bilinearly interpolated value lies between its four neighbouring cells, so it can exceed the
threshold only next to a cell that does. With a threshold that 0.5 % of the cells exceed, only a few
tiles of the grid need to be computed; the result is that of upsampling everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_ELEMENTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Axis:
    """Positions of one axis of the grid, grouped by the pair of cells that they lie between.

    Group i of n + 1 lies between the centres of cells `before[i]` and `after[i]` (the same cell
    beyond the first and the last centre). `position` [n + 1, R]: grid positions of the group;
    `fraction` [n + 1, R]: their distance from `before`, NaN in unused places. `group` [N]: the
    group of each position.
    """

    before: torch.Tensor
    after: torch.Tensor
    position: torch.Tensor
    fraction: torch.Tensor
    group: torch.Tensor

    @classmethod
    def of(cls, cells: int, positions: int, device: torch.device) -> Axis:
        """Half-pixel centres, as torch's bilinear interpolation with align_corners=False."""
        centre = (np.arange(positions) + 0.5) * cells / positions - 0.5
        group = np.floor(centre).astype(np.int64) + 1
        sizes = np.bincount(group, minlength=cells + 1)
        place = np.arange(positions) - np.concatenate([[0], np.cumsum(sizes)])[group]
        position = np.zeros((cells + 1, sizes.max()), np.int64)
        fraction = np.full((cells + 1, sizes.max()), np.nan, np.float32)
        position[group, place] = np.arange(positions)
        inside = (group > 0) & (group < cells)
        fraction[group, place] = np.where(inside, centre - (group - 1), 0)
        edges = np.arange(cells + 1)
        return cls(
            before=torch.from_numpy(np.maximum(edges - 1, 0)).to(device),
            after=torch.from_numpy(np.minimum(edges, cells - 1)).to(device),
            position=torch.from_numpy(position).to(device),
            fraction=torch.from_numpy(fraction).to(device),
            group=torch.from_numpy(group).to(device),
        )


class Hotspots:
    """Counts pixels of a grid where maps [K, h, w] of a fixed size exceed thresholds."""

    def __init__(self, cells: tuple[int, int], grid: tuple[int, int], device: torch.device) -> None:
        self._rows = Axis.of(cells[0], grid[0], device)
        self._columns = Axis.of(cells[1], grid[1], device)
        self._grid = grid
        tile = self._rows.fraction.shape[1] * self._columns.fraction.shape[1]
        self._tiles_at_once = max(1, _ELEMENTS_AT_ONCE // tile)

    def count(
        self, maps: torch.Tensor, threshold: torch.Tensor, masks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Area [K] where the upsampled maps exceed threshold [K], and its overlap [K, c] with
        masks [c, H, W] (bool), both int64."""
        area = torch.zeros(len(maps), dtype=torch.int64, device=maps.device)
        shared = torch.zeros((len(maps), len(masks)), dtype=torch.int64, device=maps.device)
        number, tiles = self._covered_tiles(masks)
        hot = self._hot_tiles(maps > threshold[:, None, None])
        for unit, row, column in zip(
            *(part.split(self._tiles_at_once) for part in hot), strict=True
        ):
            on = self._tile(maps, unit, row, column) > threshold[unit, None, None]
            area.index_add_(0, unit, on.sum((1, 2)))
            chosen = (number[row, column] >= 0).nonzero()[:, 0]
            under = tiles[number[row[chosen], column[chosen]]]
            counts = torch.bmm(under, on[chosen].flatten(1).float()[:, :, None])[:, :, 0]
            shared.index_add_(0, unit[chosen], counts.long())
        return area, shared

    def _hot_tiles(self, hot: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Unit, row group and column group of the tiles with a corner in hot [K, h, w]."""
        rows = hot[:, self._rows.before] | hot[:, self._rows.after]
        tiles = rows[:, :, self._columns.before] | rows[:, :, self._columns.after]
        return torch.nonzero(tiles, as_tuple=True)

    def _tile(
        self, maps: torch.Tensor, unit: torch.Tensor, row: torch.Tensor, column: torch.Tensor
    ) -> torch.Tensor:
        """Interpolated values [t, R, C] of tiles, NaN in unused places."""
        above, below = self._rows.before[row], self._rows.after[row]
        left, right = self._columns.before[column], self._columns.after[column]
        across = self._columns.fraction[column]
        down = self._rows.fraction[row][:, :, None]

        def blend(cell_row: torch.Tensor) -> torch.Tensor:
            first, second = maps[unit, cell_row, left], maps[unit, cell_row, right]
            return ((1 - across) * first[:, None] + across * second[:, None])[:, None, :]

        return (1 - down) * blend(above) + down * blend(below)

    def _covered_tiles(self, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Number of each tile that some mask [c, H, W] reaches, -1 for others, as [rows, columns],
        and the masks under the numbered tiles, float [tiles, c, R * C]."""
        marked = masks.any(dim=0).nonzero()
        shape = (len(self._rows.before), len(self._columns.before))
        number = torch.full(shape, -1, device=masks.device)
        number[self._rows.group[marked[:, 0]], self._columns.group[marked[:, 1]]] = 0
        row, column = (number == 0).nonzero(as_tuple=True)
        number[row, column] = torch.arange(len(row), device=masks.device)
        tiles = masks[
            :, self._rows.position[row][:, :, None], self._columns.position[column][:, None, :]
        ]
        return number, tiles.transpose(0, 1).flatten(2).float()
