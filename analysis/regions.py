"""Where evidence lies, as a region of pixels. No torch: pages draw the same regions."""

import numpy as np
from numpy.typing import NDArray

REGION_SHARE = 0.5
"""A finding's region is the smallest area that holds this share of its evidence."""


def evidence_region(
    density: NDArray[np.floating], share: float = REGION_SHARE
) -> NDArray[np.bool_]:
    """The smallest set of pixels that holds `share` of a non-negative map [h, w]; equal values
    enter together, so that a flat map has no favoured part. Empty where the map is zero."""
    total = float(density.sum())
    if total <= 0:
        return np.zeros(density.shape, bool)
    falling = np.sort(density, axis=None)[::-1]
    reached = int(np.searchsorted(np.cumsum(falling, dtype=np.float64), share * total))
    return density >= falling[min(reached, falling.size - 1)]
