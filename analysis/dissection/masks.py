"""Concept masks on the grid where units and concepts are compared, packed small."""

from __future__ import annotations

import math
import tempfile
import zlib
from collections.abc import Sequence

import numpy as np

from analysis.data import Sample
from analysis.imaging import read_image

MAX_GRID_SIDE = 256

PackedMask = bytes | None

_IN_MEMORY = 64 * 2**20


class MaskStore:
    """Packed masks of images in order; past 64 MB in a temporary file, 8 bytes an entry remain."""

    def __init__(self, n_concepts: int) -> None:
        self.n_concepts = n_concepts
        self._ends: list[np.ndarray] = []
        self._size = 0
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    @classmethod
    def of(cls, ends: np.ndarray, content: bytes) -> MaskStore:
        """From what `arrays` gave."""
        store = cls(ends.shape[1])
        store._ends = list(ends)
        store._size = len(content)
        store._file.write(content)
        return store

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends [rows, M] int64 of the entries in the content, and the content uint8."""
        self._file.seek(0)
        ends = np.array(self._ends, np.int64).reshape(len(self._ends), self.n_concepts)
        return ends, np.frombuffer(self._file.read(), np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, masks: Sequence[PackedMask]) -> None:
        content = b"".join(mask or b"" for mask in masks)
        sizes = [len(mask or b"") for mask in masks]
        self._ends.append(self._size + np.cumsum(sizes, dtype=np.int64))
        self._file.seek(self._size)
        self._file.write(content)
        self._size += len(content)

    def present(self, row: int) -> dict[int, bytes]:
        """Concept -> packed mask of one image."""
        if self.n_concepts == 0:
            return {}
        start = int(self._ends[row - 1][-1]) if row else 0
        ends = (self._ends[row] - start).tolist()
        self._file.seek(start)
        content = self._file.read(ends[-1])
        return {
            concept: content[begin:end]
            for concept, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
            if end > begin
        }

    def close(self) -> None:
        self._file.close()


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
        packed.append(pack(cells) if cells.any() else None)
    return packed


def pack(mask: np.ndarray) -> bytes:
    """A bool mask [height, width], packed."""
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def unpack(packed: bytes, grid: tuple[int, int]) -> np.ndarray:
    """Bool [height, width] of a packed mask."""
    bits = np.frombuffer(zlib.decompress(packed), np.uint8)
    return np.unpackbits(bits, count=grid[0] * grid[1]).astype(bool).reshape(grid)
