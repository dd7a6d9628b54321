"""Sums of floats that do not depend on the order of the additions."""

from __future__ import annotations

import numpy as np

_SCALES = np.array([2.0**64, 2.0**32, 1.0, 2.0**-32, 2.0**-64])
_LIMIT = 2.0**95


class ExactSums:
    """An array of exact sums, as fixed-point numbers of five 32-bit digits in int64.

    Each value is cut into multiples of 2^64, 2^32, 1, 2^-32 and 2^-64, each below 2^32, which are
    added as integers; so sums of up to 2^31 values are the same in any order and grouping. Values
    are cut at 2^-64; beyond 2^95 in size they are clipped.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.digits = np.zeros((len(_SCALES), *shape), np.int64)

    def add(self, values: np.ndarray, place: tuple[object, ...] = ()) -> None:
        """Add values [n, *shape of digits[0][place]] summed over n."""
        rest = np.clip(values.astype(np.float64), -_LIMIT, _LIMIT)
        for digit, scale in zip(self.digits, _SCALES, strict=True):
            whole = np.trunc(rest / scale)
            rest -= whole * scale
            digit[place] += whole.astype(np.int64).sum(axis=0)

    def merge(self, other: ExactSums) -> ExactSums:
        merged = ExactSums(self.digits.shape[1:])
        merged.digits = self.digits + other.digits
        return merged

    @property
    def total(self) -> np.ndarray:
        """The sums, float64."""
        return np.tensordot(_SCALES[::-1], self.digits[::-1].astype(np.float64), axes=1)
