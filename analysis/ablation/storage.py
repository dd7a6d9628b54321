"""Arrays that grow with the number of images: in memory, or past a budget in a temporary file."""

from __future__ import annotations

import math
import tempfile

import numpy as np

from analysis.ablation.settings import AblationSettings


def new_array(shape: tuple[int, ...], settings: AblationSettings) -> np.ndarray:
    """Float32 array of NaN. The file of a large one is gone when the array is."""
    if 4 * math.prod(shape) <= settings.cache_bytes:
        return np.full(shape, np.nan, np.float32)
    with tempfile.TemporaryFile(prefix="unitscope-ablation-", dir=settings.cache_folder) as file:
        array = np.memmap(file, np.float32, "w+", shape=shape)
    for part in array:
        part[...] = np.nan
    return array
