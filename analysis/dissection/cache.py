"""Activation maps of one layer over images, in memory or, past a budget, in a file.

The file is read and written with plain reads and writes of whole rows, not through a memory map:
pages of a map would count as this process's memory and grow with the number of images.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from analysis.dissection.settings import DissectionError

BLOCK_BYTES = 64 * 2**20


def _reserve(file: int, size: int) -> None:
    """Take the disk space now, so that running out of it shows before the work is done."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise DissectionError(
            f"There is no room for {size / 2**30:.1f} GB of activations on the disk "
            f"({error.strerror}). Free some space, or dissect fewer layers at a time."
        ) from error


class ActivationCache:
    """Rows of maps [K, h, w], kept as `dtype` and given back as float32.

    At most shape[0] rows; in a temporary file in `folder` when larger than `budget` bytes.
    float32 keeps every value. float16 halves the size: a value is rounded by at most 2^-11 of
    itself (by 2^-25 below 2^-14) and clipped at 65504, so only positions that close to a threshold
    can change sides. Use as a context manager: a temporary file is removed at its end.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        budget: int,
        folder: Path | None = None,
        dtype: str = "float32",
    ) -> None:
        self.row_shape = shape[1:]
        self.rows = 0
        self.dtype = np.dtype(dtype)
        self._file: BinaryIO | None = None
        self._data = np.empty((0, *self.row_shape), self.dtype)
        size = self.dtype.itemsize * math.prod(shape)
        if size <= budget:
            self._data = np.empty(shape, self.dtype)
        else:
            self._file = tempfile.TemporaryFile(prefix="unitscope-maps-", dir=folder)  # noqa: SIM115
            _reserve(self._file.fileno(), size)

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int, int, int], dtype: str) -> ActivationCache:
        """Rows that `save` wrote, read when they are needed. Raises ValueError on a wrong size."""
        cache = cls((0, *shape[1:]), 0, dtype=dtype)
        if path.stat().st_size != cache.dtype.itemsize * math.prod(shape):
            raise ValueError(f"{path.name} is not complete. Compute this shard again.")
        cache._file = path.open("rb")
        cache.rows = shape[0]
        return cache

    def save(self, path: Path) -> None:
        """Write the rows, without a header, to a file."""
        if self._file is None:
            self._data[: self.rows].tofile(path)
            return
        self._file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self._file, target, 2**20)
            target.truncate(self.dtype.itemsize * self.rows * math.prod(self.row_shape))

    def __enter__(self) -> ActivationCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.rows = 0
        self._data = np.empty((0, *self.row_shape), self.dtype)
        if self._file is not None:
            self._file.close()

    @property
    def in_file(self) -> bool:
        return self._file is not None

    def append(self, maps: np.ndarray) -> None:
        """Add rows [n, K, h, w]."""
        if self.dtype == np.float16:
            limit = np.finfo(np.float16).max
            maps = np.clip(maps, -limit, limit)
        start, self.rows = self.rows, self.rows + len(maps)
        if self._file is None:
            self._data[start : self.rows] = maps
        else:
            self._file.seek(self.dtype.itemsize * start * math.prod(self.row_shape))
            self._file.write(np.ascontiguousarray(maps, self.dtype).data)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop-1, float32 [n, K, h, w]; not to be written to."""
        if self._file is None:
            return self._data[start : min(stop, self.rows)].astype(np.float32, copy=False)
        count = max(0, min(stop, self.rows) - start)
        values = np.empty((count, *self.row_shape), self.dtype)
        self._file.seek(self.dtype.itemsize * start * math.prod(self.row_shape))
        self._file.readinto(values.reshape(-1).view(np.uint8).data)  # type: ignore[attr-defined]
        return values.astype(np.float32, copy=False)


class Maps:
    """The rows of several caches, one after the other."""

    def __init__(self, caches: Sequence[ActivationCache]) -> None:
        self._caches = caches
        self._starts = np.cumsum([0, *(cache.rows for cache in caches)])
        self.rows = int(self._starts[-1])
        self.units, self.height, self.width = caches[0].row_shape

    @property
    def in_file(self) -> bool:
        return any(cache.in_file for cache in self._caches)

    def row(self, row: int) -> np.ndarray:
        """One row, float32 [K, h, w]."""
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        start = row - int(self._starts[place])
        return self._caches[place].read(start, start + 1)[0]

    def unit_values(self, start: int, stop: int) -> np.ndarray:
        """All values of units start..stop-1, a new array float32 [stop - start, rows * h * w]."""
        values = np.empty((stop - start, self.rows, self.height * self.width), np.float32)
        step = max(1, BLOCK_BYTES // (4 * self.units * self.height * self.width))
        for first, cache in zip(self._starts, self._caches, strict=False):
            for begin in range(0, cache.rows, step):
                block = cache.read(begin, begin + step)[:, start:stop]
                rows = slice(first + begin, first + begin + len(block))
                values[:, rows] = np.moveaxis(block.reshape(*block.shape[:2], -1), 1, 0)
        return values.reshape(stop - start, -1)
