"""Where upsampled maps exceed a threshold, without upsampling them.

A bilinearly interpolated value lies between its four neighbouring cells, so it can exceed the
threshold only next to a cell that does. With a threshold that 0.5 % of the cells exceed, only a few
tiles of the grid need to be computed; the result is that of upsampling everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_ELEMENTS_AT_ONCE = 2**18  # stays in the processor's cache


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
    fraction: torch.Tensor
    position: np.ndarray
    group: np.ndarray

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
            fraction=torch.from_numpy(fraction).to(device),
            position=position,
            group=group,
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
        self, maps: torch.Tensor, threshold: torch.Tensor, masks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Area [K] where the upsampled maps exceed threshold [K], and its overlap [K, c] with
        masks [c, H, W] (bool), both int64."""
        area = np.zeros(len(maps), np.int64)
        shared = np.zeros((len(maps), len(masks)), np.int64)
        number, under = self._covered_tiles(masks)
        hot = self._hot_tiles(maps > threshold[:, None, None])
        for unit, row, column in zip(
            *(part.split(self._tiles_at_once) for part in hot), strict=True
        ):
            on = self._tile(maps, unit, row, column) > threshold[unit, None, None]
            bits = _packed(on.flatten(1).cpu().numpy())
            units = unit.cpu().numpy()
            _add_by_unit(area, units, _count_ones(bits))
            place = number[row.cpu().numpy(), column.cpu().numpy()]
            chosen = np.flatnonzero(place >= 0)
            both = bits[chosen, None] & under[place[chosen]]
            _add_by_unit(shared, units[chosen], _count_ones(both))
        return area, shared

    def _hot_tiles(self, hot: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Unit (ascending), row group and column group of the tiles with a corner in hot
        [K, h, w]: cell i is a corner of the groups i and i + 1."""
        rows, columns = hot.shape[1] + 1, hot.shape[2] + 1
        unit, row, column = torch.nonzero(hot, as_tuple=True)
        corner = (unit * rows + row) * columns + column
        tiles = torch.unique(torch.cat([corner + i * columns + j for i in (0, 1) for j in (0, 1)]))
        return tiles // (rows * columns), tiles // columns % rows, tiles % columns

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
            return torch.addcmul(first[:, None], across, (second - first)[:, None])[:, None, :]

        upper = blend(above)
        return (down * (blend(below) - upper)).add_(upper)

    def _covered_tiles(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of each tile that some mask [c, H, W] reaches, -1 for others, as [rows, columns],
        and the masks under the numbered tiles as bits [tiles, c, words]."""
        rows, columns = self._rows, self._columns
        marked = np.nonzero(masks.any(axis=0))
        number = np.full((len(rows.position), len(columns.position)), -1)
        number[rows.group[marked[0]], columns.group[marked[1]]] = 0
        row, column = np.nonzero(number == 0)
        number[row, column] = np.arange(len(row))
        tiles = masks[:, rows.position[row][:, :, None], columns.position[column][:, None, :]]
        under = tiles.reshape(
            len(masks), len(row), rows.position.shape[1] * columns.position.shape[1]
        )
        return number, _packed(np.ascontiguousarray(under.transpose(1, 0, 2)))


def _packed(values: np.ndarray) -> np.ndarray:
    """Bools [..., n] as bits in words of 64, padded with zeros."""
    octets = np.packbits(values, axis=-1)
    spare = -octets.shape[-1] % 8
    if spare:
        octets = np.pad(octets, [(0, 0)] * (octets.ndim - 1) + [(0, spare)])
    return np.ascontiguousarray(octets).view(np.uint64)


def _count_ones(words: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)


def _add_by_unit(total: np.ndarray, units: np.ndarray, counts: np.ndarray) -> None:
    """Add counts [t, ...] to total[units]; units [t] ascending."""
    if len(units):
        starts = np.flatnonzero(np.diff(units, prepend=-1))
        total[units[starts]] += np.add.reduceat(counts, starts, axis=0)
