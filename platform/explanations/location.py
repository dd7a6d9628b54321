"""Where on an image a map of evidence lies, in words.

Orientation of mammograms, the only place that states it: images hang the usual way, as the phantom
generator draws them (analysis/phantoms/anatomy.py) and hanging protocols show them. The chest wall
of a left breast is at the left image edge and that of a right breast at the right edge. From top to
bottom a CC view runs from outer to inner, an MLO view from upper to lower. One view shows one of
these two directions and the depth, so a phrase never claims a quadrant. Where the picture
contradicts the convention (tissue at the wrong edge), the phrase speaks of the image instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.imaging import resize, upsample_map
from analysis.regions import evidence_region
from explanations.content import Place

GRID = 128
WIDE_AREA = 0.25
"""A region larger than this share of the image has no place worth naming."""
ONE_PLACE = 0.65
"""Share of a region's evidence in its strongest part from which that part stands for it."""
CENTRAL = 0.18
"""Within this share of the way from nipple level to the outline, a place is central."""
TISSUE_LEVEL = 0.12
"""Pixels above this share of the image's bright end (99th percentile) are taken as tissue."""

SIDES = {"L": "left", "R": "right"}
ACROSS = {"CC": ("outer", "inner"), "MLO": ("upper", "lower")}
DEPTHS = ("anterior", "middle", "posterior")

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def place_of(
    density: NDArray[np.floating], image: Array, *, laterality: str = "", view: str = ""
) -> Place | None:
    """Name the place of a map [h, w] of non-negative evidence on `image` [H, W] or [H, W, 3].

    `laterality` L or R and `view` CC or MLO give phrases in terms of the breast, anything else
    phrases in terms of the image. None where the map is zero everywhere.
    """
    height, width = image.shape[:2]
    scale = GRID / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    fine = np.maximum(upsample_map(np.asarray(density, np.float32), size), 0)
    region = evidence_region(fine)
    if not region.any():
        return None
    area = float(region.mean())
    breast = _breast(resize(image, size), laterality, view)
    whole = f"the {SIDES[laterality]} breast" if breast else "the image"
    if area > WIDE_AREA:
        return Place(f"spread widely over {whole}", area)
    labels, count = ndimage.label(region, np.ones((3, 3)))
    weights = ndimage.sum_labels(fine, labels, np.arange(1, count + 1))
    strongest = int(np.argmax(weights))
    row, column = ndimage.center_of_mass(fine, labels, strongest + 1)
    spot = breast.phrase(row, column) if breast else _image_phrase(row, column, size)
    if weights[strongest] < ONE_PLACE * weights.sum():
        return Place(f"in several places, most of it {spot}", area)
    return Place(spot, area)


def _image_phrase(row: float, column: float, size: tuple[int, int]) -> str:
    """One of nine fields of the image."""
    vertical = ("upper", "", "lower")[min(2, int(3 * (row + 0.5) / size[0]))]
    horizontal = ("left", "", "right")[min(2, int(3 * (column + 0.5) / size[1]))]
    words = " ".join(filter(None, (vertical, horizontal)))
    return f"in the {words} part of the image" if words else "in the centre of the image"


@dataclass(frozen=True)
class _Breast:
    """The breast as its outline shows it, rows and columns of the grid; column 0 = chest wall."""

    tissue: Mask
    mirrored: bool
    side: str
    view: str
    nipple_row: float
    depth: float
    """Columns from the chest wall to the nipple."""

    def phrase(self, row: float, column: float) -> str:
        width = self.tissue.shape[1]
        from_wall = width - 1 - column if self.mirrored else column
        near = ndimage.binary_dilation(self.tissue, iterations=2)
        if not near[round(row), round(from_wall)]:
            return "outside the outline of the breast"
        column_rows = np.flatnonzero(self.tissue.any(axis=1))
        first, last = float(column_rows[0]), float(column_rows[-1])
        offset = row - self.nipple_row
        reach = self.nipple_row - first if offset < 0 else last - self.nipple_row
        across = "central"
        if abs(offset) > CENTRAL * max(reach, 1.0):
            across = ACROSS[self.view][0 if offset < 0 else 1]
        from_nipple = 1 - from_wall / max(self.depth, 1.0)
        depth = DEPTHS[int(np.clip(3 * from_nipple, 0, 2))]
        return f"in the {across} {SIDES[self.side]} breast at {depth} depth"


def _breast(image: Array, laterality: str, view: str) -> _Breast | None:
    """The outline of the breast, or None where view, side or picture give no frame to name."""
    if laterality not in SIDES or view not in ACROSS:
        return None
    grey = image.mean(axis=2) if image.ndim == 3 else image
    mirrored = laterality == "R"
    grey = grey[:, ::-1] if mirrored else grey
    dark = float(grey.min())
    tissue = grey > dark + TISSUE_LEVEL * (float(np.percentile(grey, 99)) - dark)
    labels, count = ndimage.label(tissue)
    if not count:
        return None
    sizes = ndimage.sum_labels(tissue, labels, np.arange(1, count + 1))
    tissue = ndimage.binary_fill_holes(labels == int(np.argmax(sizes)) + 1)
    strip = max(1, tissue.shape[1] // 20)
    at_wall, opposite = tissue[:, :strip].mean(), tissue[:, -strip:].mean()
    if not 0.05 < tissue.mean() < 0.98 or at_wall <= opposite:
        return None
    columns = np.flatnonzero(tissue.any(axis=0))
    depth = float(columns[-1])
    tip_rows = np.nonzero(tissue[:, max(0, int(depth) - 1) :])[0]
    return _Breast(tissue, mirrored, laterality, view, float(tip_rows.mean()), depth)
