"""Masses and intramammary lymph nodes."""

from dataclasses import dataclass

import numpy as np

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

BRIGHTNESS = {"high": 0.35, "equal": 0.27, "low": 0.18, "fat-containing": 0.20}
EDGE = {
    "circumscribed": 0.7,
    "obscured": 1.0,
    "microlobulated": 0.9,
    "indistinct": 3.2,
    "spiculated": 1.8,
}
"""Width of the edge in pixels, for each margin."""


@dataclass(frozen=True)
class Mass:
    """A mass of ``radius`` pixels; the words are the BI-RADS descriptors."""

    shape: str
    edge: str
    density: str
    radius: float

    code = "mass"

    @property
    def descriptors(self) -> tuple[str, ...]:
        return (
            f"mass.shape.{self.shape}",
            f"mass.margin.{self.edge}",
            f"mass.density.{self.density}",
        )

    @property
    def concepts(self) -> tuple[str, ...]:
        return ("mass", f"mass-{self.shape}", f"mass-{self.edge}")

    @property
    def margin(self) -> float:
        return self.radius * (1.5 if self.edge == "spiculated" else 1.15) + 3

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """A projected solid body with the boundary that shape and margin ask for."""
        rng = random_stream(*key)
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        window, offset = local_grid(center, 3 * self.radius)
        angle, distance = np.arctan2(offset[0], offset[1]), np.hypot(offset[0], offset[1])
        boundary = self._boundary(rng, angle)
        width = np.full_like(angle, EDGE[self.edge])
        strength = np.ones_like(angle)
        if self.edge == "obscured":
            hidden = 0.5 + 0.5 * np.cos(angle - rng.uniform(0, 2 * np.pi))
            width = width + 5 * hidden**2
            strength = 1 - 0.75 * hidden**2
        solid = sigmoid((boundary - distance) / width)
        dome = 0.72 + 0.28 * np.sqrt(np.clip(1 - (distance / boundary) ** 2, 0, 1))
        grain = 1 + 0.10 * power_law_texture(rng, 2.6)[window]
        body = solid * dome * strength * grain
        if self.density == "fat-containing":
            core = sigmoid((0.82 * boundary - distance) / 1.2)
            body = body - core * (1.15 + 0.35 * np.sin(offset[0] / 2.5 + rng.uniform(0, 6)))
        canvas[window] = BRIGHTNESS[self.density] * body
        if self.edge == "spiculated":
            np.maximum(canvas, self._spicules(rng, center), out=canvas)
        return canvas * view.breast

    def _boundary(self, rng: np.random.Generator, angle: Array) -> Array:
        """Distance from the centre to the edge in each direction, in pixels."""
        elongation = {"oval": rng.uniform(1.3, 1.7), "round": rng.uniform(1.0, 1.1)}
        stretch = elongation.get(self.shape, rng.uniform(1.1, 1.4))
        turned = angle - rng.uniform(0, np.pi)
        ellipse = 1 / np.hypot(np.cos(turned) / np.sqrt(stretch), np.sin(turned) * np.sqrt(stretch))
        wave = np.ones_like(angle)
        if self.shape == "irregular":
            for order in range(2, 7):
                size = rng.uniform(0.04, 0.13)
                wave += size * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        if self.edge == "microlobulated":
            lobes = np.abs(np.cos(rng.integers(5, 8) * angle + rng.uniform(0, 2 * np.pi)))
            wave += 0.20 * (lobes - 0.6)
        return (self.radius * ellipse * wave).astype(np.float32)

    def _spicules(self, rng: np.random.Generator, center: tuple[float, float]) -> Array:
        """Thin lines radiating from the mass, fading outwards."""
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        count = int(rng.integers(13, 22))
        angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / count
        for angle in angles:
            length = self.radius * rng.uniform(1.5, 2.5)
            bend = angle + rng.normal(0, 0.12)
            knots = np.asarray(center) + np.array(
                [
                    0.5 * self.radius * np.array([np.sin(angle), np.cos(angle)]),
                    0.6 * length * np.array([np.sin(angle), np.cos(angle)]),
                    length * np.array([np.sin(bend), np.cos(bend)]),
                ]
            )
            path = sample_path(knots)
            fade = np.linspace(1, 0.25, len(path))
            draw_dots(canvas, path, 0.35 + 0.75 * fade, 0.75 * BRIGHTNESS[self.density] * fade)
        return canvas


@dataclass(frozen=True)
class LymphNode:
    """An intramammary lymph node: a small bean with a dark fatty hilum."""

    radius: float

    code = "intramammary-lymph-node"
    descriptors: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ("lymph-node",)

    @property
    def margin(self) -> float:
        return self.radius + 6

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """A bright ellipse with a notch of fat near one edge."""
        rng = random_stream(*key)
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        window, (down, right) = local_grid(center, 2.5 * self.radius)
        turn = rng.uniform(0, np.pi)
        along = (right * np.cos(turn) + down * np.sin(turn)) / 1.25
        across = (down * np.cos(turn) - right * np.sin(turn)) * 1.25
        body = sigmoid((self.radius - np.hypot(along, across)) / 0.7)
        hilum = sigmoid((0.45 * self.radius - np.hypot(along, across - 0.55 * self.radius)) / 0.7)
        canvas[window] = 0.21 * body * (1 - 1.1 * hilum)
        return canvas * view.breast
