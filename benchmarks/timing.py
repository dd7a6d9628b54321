"""Measure ways of doing the same work side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Way = Callable[[], object]


def side_by_side(ways: Mapping[str, Way], repeats: int) -> dict[str, float]:
    """Median seconds of each way.

    All ways run once unmeasured, then `repeats` times in turn, so that a busy moment of the
    machine meets all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Exponent e of the fit seconds ~ size^e: 1 is linear, less is better."""
    return float(np.polyfit([math.log(n) for n in sizes], [math.log(s) for s in seconds], 1)[0])
