"""Activation maps of one layer over the data set, in memory or in a temporary file."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from analysis.dissection.settings import DissectionError


def _reserve(file: int, size: int) -> None:
    """Take the disk space now: running out of it inside a memory map would kill the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise DissectionError(
            f"There is no room for {size / 2**30:.1f} GB of activations on the disk "
            f"({error.strerror}). Free some space, or dissect fewer layers at a time."
        ) from error


class ActivationCache:
    """float32 array [rows, K, h, w]; a memory map on disk when larger than `budget` bytes.

    float32 is kept rather than a smaller type so that thresholds and overlaps are exact.
    Use as a context manager: the file is removed at its end.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], budget: int, folder: Path | None = None
    ) -> None:
        self.shape = shape
        self._file = None
        self._rows = 0
        size = 4 * math.prod(shape)
        if size <= budget:
            self._data: np.ndarray = np.empty(shape, np.float32)
        else:
            self._file = tempfile.TemporaryFile(prefix="unitscope-maps-", dir=folder)  # noqa: SIM115
            _reserve(self._file.fileno(), size)
            self._data = np.memmap(self._file, np.float32, mode="w+", shape=shape)

    def __enter__(self) -> ActivationCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data = np.empty((0, 0, 0, 0), np.float32)
        if self._file is not None:
            self._file.close()

    @property
    def in_file(self) -> bool:
        return self._file is not None

    @property
    def maps(self) -> np.ndarray:
        """The rows written so far, [rows, K, h, w]."""
        return self._data[: self._rows]

    def append(self, maps: np.ndarray) -> None:
        """Add rows [n, K, h, w]."""
        stop = self._rows + len(maps)
        self._data[self._rows : stop] = maps
        self._rows = stop

    def unit_values(self, start: int, stop: int) -> np.ndarray:
        """All values of units start..stop-1, a new array [stop - start, rows * h * w]."""
        chunk = np.moveaxis(self.maps[:, start:stop], 1, 0)
        return np.ascontiguousarray(chunk).reshape(stop - start, -1)
