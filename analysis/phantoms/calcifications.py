"""Calcifications: morphology and distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.phantoms.anatomy import BreastView
from analysis.phantoms.drawing import SIZE, Array, draw_dots, random_stream
from analysis.phantoms.findings import towards_nipple

Points = NDArray[np.float64]

BENIGN = ("vascular", "coarse", "large-rod-like", "round", "rim")


@dataclass(frozen=True)
class Calcifications:
    """A group of ``count`` calcifications spread over about ``spread`` pixels.

    ``distribution`` is None where BI-RADS has no use for one (vascular, single coarse ones).
    """

    morphology: str
    distribution: str | None
    count: int
    spread: float

    code = "calcification"

    @property
    def descriptors(self) -> tuple[str, ...]:
        family = "benign" if self.morphology in BENIGN else "suspicious"
        morphology = f"calcification.{family}.{self.morphology}"
        if self.distribution is None:
            return (morphology,)
        return (morphology, f"calcification.distribution.{self.distribution}")

    @property
    def concepts(self) -> tuple[str, ...]:
        return ("calcification", f"calcification-{self.morphology}")

    @property
    def margin(self) -> float:
        return 10 + 0.3 * self.spread

    def draw(self, view: BreastView, center: tuple[float, float], key: tuple[int, ...]) -> Array:
        """Bright specks whose size, shape and arrangement follow the two descriptors."""
        rng = random_stream(*key)
        canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
        if self.morphology == "vascular":
            _draw_tracks(canvas, rng, view)
        else:
            heading = towards_nipple(view, center)
            points = np.asarray(center) + self._arrange(rng, heading)
            getattr(self, f"_draw_{self.morphology.replace('-', '_')}")(
                canvas, rng, points, heading
            )
        return canvas * view.breast

    def _arrange(self, rng: np.random.Generator, heading: float) -> Points:
        """Offsets from the centre, ``[count, 2]``; ducts run to the nipple."""
        along = rng.uniform(-1, 1, self.count)
        across = rng.uniform(-1, 1, self.count)
        if self.distribution == "linear":
            along, across = 1.3 * along, 0.08 * across
        elif self.distribution == "segmental":
            along = 1.3 * np.sqrt(np.abs(along)) * 2 - 1.3
            across = 0.30 * across * (1.3 - along)
        elif self.distribution == "regional":
            along, across = 1.5 * along, 1.3 * across
        else:
            radius, angle = np.sqrt(np.abs(along)), np.pi * across
            along, across = radius * np.cos(angle), 0.8 * radius * np.sin(angle)
        turn = np.array([[np.sin(heading), np.cos(heading)], [np.cos(heading), -np.sin(heading)]])
        return self.spread * np.stack([along, across], axis=1) @ turn

    def _draw_round(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        draw_dots(canvas, points, rng.uniform(1.2, 1.6), rng.uniform(0.34, 0.42), 0.35)

    def _draw_coarse(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        for point in points:
            lobes = point + rng.normal(0, 2.2, (int(rng.integers(6, 11)), 2))
            draw_dots(canvas, lobes, rng.uniform(1.4, 2.6, len(lobes)), rng.uniform(0.38, 0.5))

    def _draw_rim(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        for point in points:
            turn = np.linspace(0, 2 * np.pi, 40)[:, None]
            radius = rng.uniform(3.0, 5.0)
            ring = point + radius * np.hstack([np.sin(turn), np.cos(turn)])
            draw_dots(canvas, ring, 0.7, rng.uniform(0.30, 0.40))

    def _draw_large_rod_like(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        for point in points:
            angle = heading + rng.normal(0, 0.25)
            steps = np.linspace(-0.5, 0.5, 25)[:, None] * rng.uniform(8, 15)
            rod = point + steps * np.array([np.sin(angle), np.cos(angle)])
            draw_dots(canvas, rod, rng.uniform(0.9, 1.3), rng.uniform(0.32, 0.42))

    def _draw_amorphous(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        n = len(points)
        draw_dots(canvas, points, rng.uniform(0.5, 1.1, n), rng.uniform(0.09, 0.17, n), 0.7)

    def _draw_fine_pleomorphic(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        n = len(points)
        heights = rng.uniform(0.20, 0.5, n)
        draw_dots(canvas, points, rng.uniform(0.4, 1.1, n), heights, 0.3)
        shards = points + rng.normal(0, 1.0, (n, 2))
        draw_dots(canvas, shards, rng.uniform(0.3, 0.7, n), 0.8 * heights, 0.3)

    def _draw_fine_linear(
        self, canvas: Array, rng: np.random.Generator, points: Points, heading: float
    ) -> None:
        for point in points:
            branches = 2 if rng.random() < 0.35 else 1
            for branch in range(branches):
                angle = heading + rng.normal(0, 0.3) + 0.9 * branch
                steps = np.linspace(0, rng.uniform(2.5, 6), 9)[:, None]
                line = point + steps * np.array([np.sin(angle), np.cos(angle)])
                draw_dots(canvas, line, 0.5, rng.uniform(0.24, 0.42), 0.3)


def _draw_tracks(canvas: Array, rng: np.random.Generator, view: BreastView) -> None:
    """Calcified artery walls: two broken parallel lines along one of the vessels."""
    path = view.vessels[int(rng.integers(len(view.vessels)))]
    direction = np.gradient(path, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-6
    normal = direction[:, ::-1] * np.array([1.0, -1.0])
    first, last = sorted(rng.uniform(0.05, 0.95, 2))
    if last - first < 0.4:
        first, last = 0.2, 0.75
    span = slice(int(first * len(path)), int(last * len(path)))
    for wall in (-1.0, 1.0):
        points = (path + wall * rng.uniform(1.4, 2.0) * normal)[span]
        rhythm = np.sin(np.arange(len(points)) / rng.uniform(3, 6) + rng.uniform(0, 6))
        kept = points[rhythm > -0.35]
        draw_dots(canvas, kept, 0.6, rng.uniform(0.22, 0.34), 0.35)
