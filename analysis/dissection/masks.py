"""Concept masks on the grid where units and concepts are compared, packed small."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from analysis.data import Sample
from analysis.imaging import read_image

MAX_GRID_SIDE = 256

PackedMask = bytes | None


def mask_grid(input_size: tuple[int, int]) -> tuple[int, int]:
    """Grid (height, width) on which masks and units are compared.

    The model's input size, divided by the smallest whole number that brings its longer side to at
    most 256.
    """
    divisor = math.ceil(max(input_size) / MAX_GRID_SIDE)
    return max(1, input_size[0] // divisor), max(1, input_size[1] // divisor)


def read_masks(sample: Sample, concepts: Sequence[str], grid: tuple[int, int]) -> list[PackedMask]:
    """The sample's masks on the grid, packed; None where the concept is absent.

    A grid cell carries the concept if the mask is above half of full scale at the cell's centre
    (nearest neighbour), which keeps the area of a concept right on average, however small it is.
    """
    packed: list[PackedMask] = []
    for concept in concepts:
        opener = sample.masks.get(concept)
        if opener is None:
            packed.append(None)
            continue
        with opener() as stream:
            image = read_image(stream)
        mask = (image if image.ndim == 2 else image.max(axis=2)) > 0.5
        rows = ((np.arange(grid[0]) + 0.5) * mask.shape[0] / grid[0]).astype(np.int64)
        columns = ((np.arange(grid[1]) + 0.5) * mask.shape[1] / grid[1]).astype(np.int64)
        cells = mask[rows[:, None], columns]
        packed.append(zlib.compress(np.packbits(cells).tobytes(), 1) if cells.any() else None)
    return packed


def unpack(packed: bytes, grid: tuple[int, int]) -> np.ndarray:
    """Bool [height, width] of a packed mask."""
    bits = np.frombuffer(zlib.decompress(packed), np.uint8)
    return np.unpackbits(bits, count=grid[0] * grid[1]).astype(bool).reshape(grid)
