"""Architectural distortion, asymmetries and skin thickening."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from analysis.phantoms.anatomy import BreastView
from analysis.phantoms.drawing import (
    SIZE,
    Array,
    draw_dots,
    power_law_texture,
    random_stream,
    sample_path,
    sigmoid,
)
from analysis.phantoms.findings import local_grid


@dataclass(frozen=True)
class Distortion:
    """Architectural distortion: tissue pulled to a point and radiating lines, without a mass."""

    radius: float

    code = "architectural-distortion"
    descriptors: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ("architectural-distortion",)

    @property
    def margin(self) -> float:
        return self.radius + 3

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """The tissue shifted towards the centre, minus the tissue, plus thin straight lines."""
        rng = random_stream(*key)
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        window, offset = local_grid(center, 1.9 * self.radius)
        distance = np.hypot(offset[0], offset[1])
        pull = 1 + 0.9 * np.exp(-((distance / (0.75 * self.radius)) ** 2))
        rows, columns = (offset * pull) + np.asarray(center, dtype=np.float32)[:, None, None]
        pulled = ndimage.map_coordinates(view.base, (rows, columns), order=1, mode="nearest")
        canvas[window] = pulled - view.base[window]

        lines = np.zeros_like(canvas)
        count = int(rng.integers(12, 20))
        angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.4, 0.4, count)) / count
        for angle in angles:
            heading = np.array([np.sin(angle), np.cos(angle)])
            start, end = rng.uniform(0.08, 0.25), rng.uniform(0.9, 1.6)
            path = sample_path(np.asarray(center) + self.radius * np.outer([start, end], heading))
            fade = np.linspace(1, 0.2, len(path))
            draw_dots(lines, path, 0.4 + 0.5 * fade, rng.uniform(0.10, 0.18) * fade)
        return (canvas + lines) * view.breast


@dataclass(frozen=True)
class Asymmetry:
    """Extra tissue without a mass's outline; ``kind`` is "asymmetry" (one view) or "focal"."""

    kind: str
    radius: float

    @property
    def code(self) -> str:
        return f"asymmetry.{self.kind}"

    descriptors: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ("asymmetry",)

    @property
    def margin(self) -> float:
        return self.radius

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """A soft cloud of power-law tissue with ragged edges."""
        rng = random_stream(*key)
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        window, (down, right) = local_grid(center, 2.6 * self.radius)
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 1.4)
        along = (right * np.cos(turn) + down * np.sin(turn)) / stretch
        across = (down * np.cos(turn) - right * np.sin(turn)) * stretch
        hill = 1.6 * np.exp(-(along**2 + across**2) / (2 * (0.62 * self.radius) ** 2))
        cloud = hill * (1 + 0.4 * power_law_texture(rng, 3.0)[window])
        canvas[window] = rng.uniform(0.13, 0.19) * sigmoid((cloud - 0.75) / 0.16)
        return canvas * view.breast


@dataclass(frozen=True)
class SkinThickening:
    """A stretch of thickened skin, on the side of the breast where the place lies."""

    width: float

    code = "associated.skin-thickening"
    descriptors: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ("skin-thickening",)

    @property
    def margin(self) -> float:
        return 8.0

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """A bright band of ``width`` pixels under the skin, fading along the skin line."""
        row, column = np.mgrid[:SIZE, :SIZE].astype(np.float32)
        tip = np.asarray(view.nipple)
        middle = np.array([center[0], float(view.extent[int(center[0])])])
        if np.linalg.norm(middle - tip) < 30:
            middle = np.array([tip[0] + 45, float(view.extent[min(int(tip[0]) + 45, SIZE - 1)])])
        distance = np.hypot(row - middle[0], column - middle[1])
        band = sigmoid((self.width - view.skin_depth) / 0.8) * view.breast
        return (0.17 * band * np.exp(-((distance / 42) ** 2))).astype(np.float32)
