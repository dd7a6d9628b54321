"""The healthy breast: outline, fat and glandular tissue, pectoral muscle, skin, nipple, vessels.

Views are built with the chest wall at column 0 and the nipple pointing right, as in a left
breast; the images of a right breast are mirrored when they are finished. Rows run from outer to
inner in the CC view and from upper to lower in the MLO view.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from analysis.phantoms.drawing import (
    SIZE,
    Array,
    draw_dots,
    power_law_texture,
    random_stream,
    sample_path,
    sigmoid,
)

VISIBLE = 0.02
"""Grey levels (range [0, 1]) from which a change counts as visible and enters a mask."""

COMPOSITIONS = (
    "composition.almost-entirely-fatty",
    "composition.scattered-fibroglandular",
    "composition.heterogeneously-dense",
    "composition.extremely-dense",
)
DENSE_SHARE = ((0.04, 0.12), (0.18, 0.32), (0.42, 0.58), (0.68, 0.84))
"""Share of the breast covered by glandular tissue, for each composition (a to d)."""

TEXTURE_BETA = 3.0


@dataclass(frozen=True)
class Anatomy:
    """What the four images of one patient share. Lengths in pixels, brightness in [0, 1]."""

    composition: int
    depth: float
    half_height: float
    dense_share: float
    fat_level: float
    gland_level: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Anatomy":
        """A random patient; the four compositions occur as 12, 40, 36 and 12 per cent."""
        composition = int(rng.choice(4, p=(0.12, 0.40, 0.36, 0.12)))
        return cls(
            composition=composition,
            depth=rng.uniform(125, 200),
            half_height=rng.uniform(92, 116),
            dense_share=rng.uniform(*DENSE_SHARE[composition]),
            fat_level=rng.uniform(0.21, 0.28),
            gland_level=rng.uniform(0.20, 0.27),
        )


@dataclass(frozen=True)
class BreastView:
    """One view of a healthy breast, ``[SIZE, SIZE]`` arrays, chest wall at column 0."""

    base: Array
    breast: NDArray[np.bool_]
    skin_depth: Array
    """Distance of a pixel from the skin surface, in pixels; 0 outside."""
    masks: dict[str, NDArray[np.bool_]]
    vessels: list[NDArray[np.float64]]
    nipple: tuple[float, float]
    extent: Array
    """Column where the breast ends, for each row."""
    upper: float
    lower: float
    """Rows above and below the nipple that the breast reaches."""
    wall: Array
    """Column where the muscle ends, for each row (0 where there is none)."""

    def locate(self, lateral: float, depth: float, margin: float) -> tuple[float, float]:
        """Row and column of a place in the breast.

        ``lateral`` runs from -1 (first rows) to 1 (last rows), ``depth`` from 0 (nipple) to 1
        (chest wall or muscle). The place keeps ``margin`` pixels from skin and image border.
        """
        row = self.nipple[0] + lateral * (self.upper if lateral < 0 else self.lower)
        row = float(np.clip(row, margin, SIZE - 1 - margin))
        first = max(float(self.wall[int(row)]) + 0.3 * margin, margin)
        last = float(self.extent[int(row)]) - margin
        if last < first:
            row = self.nipple[0]
            last = max(first, float(self.extent[int(row)]) - margin)
        return row, last + depth * (first - last)


def build_view(anatomy: Anatomy, view: str, key: tuple[int, ...]) -> BreastView:
    """Render the healthy breast of ``anatomy`` in ``view`` ("CC" or "MLO").

    ``key`` seeds the random parts of this image (texture, vessels, positioning).
    """
    rng = random_stream(*key)
    row, column = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    nipple_row = rng.uniform(118, 138) if view == "CC" else rng.uniform(146, 164)
    upper = anatomy.half_height if view == "CC" else nipple_row * rng.uniform(1.15, 1.4)
    lower = min(anatomy.half_height, SIZE - 8 - nipple_row)
    upper = min(upper, nipple_row - 6) if view == "CC" else upper
    extent = _outline(anatomy.depth, nipple_row, upper, lower, rng)
    tip = float(extent[int(nipple_row)])

    breast = column < extent[:, None]
    nipple_radius = rng.uniform(4.2, 6.0)
    nipple_disc = np.hypot(row - nipple_row, column - tip + 2)
    breast |= nipple_disc < nipple_radius
    skin_depth = ndimage.distance_transform_edt(breast).astype(np.float32)
    thickness = np.sqrt(1 - (1 - np.clip(skin_depth / 34, 0, 1)) ** 2)

    fine = power_law_texture(rng, TEXTURE_BETA)
    share = _gland_share(anatomy, rng, row, column, nipple_row, tip, upper, lower, breast)
    share = share * np.clip((skin_depth - 5) / 12, 0, 1)
    strands = np.exp(-((power_law_texture(rng, 2.2) / 0.16) ** 2))
    strands *= 0.05 * (0.45 + share) * np.clip((skin_depth - 3) / 6, 0, 1)

    muscle = np.zeros_like(share)
    if view == "MLO":
        muscle = _muscle(rng, row, column)
    nipple = 0.17 * sigmoid((nipple_radius - nipple_disc) / 1.1)
    skin = 0.13 * np.exp(-(((skin_depth - 1.6) / 1.1) ** 2)) * breast
    paths, vessel = _vessels(rng, nipple_row, tip, extent, upper, lower)
    vessel *= np.clip((skin_depth - 2) / 5, 0, 1)

    gland = share * (anatomy.gland_level + 0.06 * fine)
    base = thickness * (anatomy.fat_level + 0.022 * fine + gland + strands)
    base = (base + muscle * (1 - 0.7 * share) + nipple + skin + vessel) * breast
    edge = _muscle_edge(muscle)
    masks = {
        "dense-tissue": share * thickness > 0.5,
        "breast-edge": ndimage.maximum_filter(breast, 7) & ~ndimage.minimum_filter(breast, 7),
        "vessel": (vessel >= VISIBLE) & breast,
        "skin": skin >= VISIBLE,
        "nipple": (nipple >= VISIBLE) & breast,
        "pectoral": (muscle >= 0.06) & breast,
    }
    return BreastView(
        base=base.astype(np.float32),
        breast=breast,
        skin_depth=skin_depth,
        masks=masks,
        vessels=paths,
        nipple=(nipple_row, tip),
        extent=extent,
        upper=upper,
        lower=lower,
        wall=edge,
    )


def _outline(
    depth: float, nipple_row: float, upper: float, lower: float, rng: np.random.Generator
) -> Array:
    """Column of the skin for each row: a superellipse with a slight random undulation."""
    offset = np.arange(SIZE, dtype=np.float32) - nipple_row
    reach = np.where(offset < 0, upper, lower)
    power = rng.uniform(2.0, 2.5)
    profile = np.clip(1 - np.abs(offset / reach) ** power, 0, None) ** (1 / 2.0)
    wave = 1 + 0.015 * np.sin(offset / rng.uniform(18, 40) + rng.uniform(0, 6))
    return np.clip(depth * profile * wave, 0, SIZE - 12).astype(np.float32)


def _gland_share(
    anatomy: Anatomy,
    rng: np.random.Generator,
    row: Array,
    column: Array,
    nipple_row: float,
    tip: float,
    upper: float,
    lower: float,
    breast: NDArray[np.bool_],
) -> Array:
    """Local share of glandular tissue in [0, 1]: power-law clouds in a cone behind the nipple."""
    reach = np.where(row < nipple_row, upper, lower)
    cone = np.exp(
        -(((column - 0.55 * tip) / (0.48 * tip)) ** 2) - ((row - nipple_row) / (0.62 * reach)) ** 2
    )
    field = power_law_texture(rng, TEXTURE_BETA) + 2.4 * cone
    cut = np.quantile(field[breast][::7], 1 - anatomy.dense_share)
    return sigmoid((field - cut) / 0.42)


def _muscle(rng: np.random.Generator, row: Array, column: Array) -> Array:
    """Grey levels added by the pectoral muscle: a triangle at the chest wall, upper corner."""
    width, height = rng.uniform(58, 92), rng.uniform(125, 185)
    bulge = rng.uniform(-0.06, 0.10)
    inside = 1 - column / width - row / height
    inside = inside + bulge * np.sin(np.pi * np.clip(row / height, 0, 1))
    fibres = 1 + 0.02 * np.sin((column / width + row / height) * rng.uniform(24, 36))
    return (rng.uniform(0.24, 0.32) * fibres * sigmoid(inside / 0.022)).astype(np.float32)


def _muscle_edge(muscle: Array) -> Array:
    return (muscle >= 0.06).sum(axis=1).astype(np.float32)


def _vessels(
    rng: np.random.Generator,
    nipple_row: float,
    tip: float,
    extent: Array,
    upper: float,
    lower: float,
) -> tuple[list[NDArray[np.float64]], Array]:
    """Two to four veins and arteries running from the chest wall towards the nipple."""
    canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
    paths = []
    for _ in range(int(rng.integers(2, 5))):
        side = rng.choice((-1.0, 1.0))
        reach = upper if side < 0 else lower
        start = nipple_row + side * reach * rng.uniform(0.25, 0.7)
        end = nipple_row + side * reach * rng.uniform(0.05, 0.35)
        start = float(np.clip(start, 4, SIZE - 5))
        knots = np.array(
            [
                (start, 0.0),
                (start + rng.normal(0, 16), 0.3 * tip),
                (0.5 * (start + end) + rng.normal(0, 20), 0.55 * tip),
                (end, tip * rng.uniform(0.7, 0.9)),
            ]
        )
        path = sample_path(knots)
        path[:, 0] += 1.3 * np.sin(np.arange(len(path)) / rng.uniform(9, 16) + rng.uniform(0, 6))
        radius = rng.uniform(1.0, 1.9) * np.linspace(1.15, 0.6, len(path))
        draw_dots(canvas, path, radius, rng.uniform(0.06, 0.11), softness=0.6)
        paths.append(path)
    return paths, canvas
