"""What a radiologist could report: every finding knows its BI-RADS terms and how to draw itself.

``draw`` returns the grey levels that the finding adds to the healthy breast, ``[SIZE, SIZE]``
in units of the image range [0, 1] (negative where it darkens). Findings are added, never
painted over each other, so leaving one out changes nothing about the others.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.phantoms.anatomy import BreastView
from analysis.phantoms.drawing import SIZE, Array


@dataclass(frozen=True)
class Place:
    """Where a finding sits in the breast, the same for both views of a side.

    ``depth`` runs from 0 (nipple) to 1 (chest wall), ``outer`` from -1 (inner) to 1 (outer),
    ``upper`` from -1 (lower) to 1 (upper).
    """

    depth: float
    outer: float
    upper: float

    def lateral(self, view: str) -> float:
        """Position along the rows of the view, -1 first row to 1 last row."""
        return -self.outer if view == "CC" else -self.upper


class Finding(Protocol):
    """One reportable thing."""

    @property
    def code(self) -> str:
        """Term code of the kind of finding."""

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Term codes that describe it."""

    @property
    def concepts(self) -> tuple[str, ...]:
        """Keys of the concepts whose masks contain the pixels it changed."""

    @property
    def margin(self) -> float:
        """Pixels to keep between its centre and the skin."""

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """Grey levels added to ``view``; ``key`` seeds the random details."""


def local_grid(center: tuple[float, float], reach: float) -> tuple[tuple[slice, slice], Array]:
    """The window of the image within ``reach`` pixels of ``center``.

    Returns the two slices and the offsets from the centre, ``[2, h, w]`` (rows, columns).
    """
    spans = [slice(max(0, int(c - reach)), min(SIZE, int(c + reach) + 2)) for c in center]
    offsets = np.mgrid[spans[0], spans[1]].astype(np.float32)
    offsets -= np.asarray(center, dtype=np.float32)[:, None, None]
    return (spans[0], spans[1]), offsets


def towards_nipple(view: BreastView, center: tuple[float, float]) -> float:
    """Direction in radians (from the column axis to the row axis) from ``center`` to the nipple."""
    return float(np.arctan2(view.nipple[0] - center[0], view.nipple[1] - center[1]))
