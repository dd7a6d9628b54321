"""Drawing primitives shared by the anatomy and the findings: power-law noise, dots and strokes."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float32]

SIZE = 256
"""Image height and width in pixels."""

PIXEL_MM = 0.8
"""Size of one pixel in the breast, in millimetres."""


def random_stream(*key: int) -> np.random.Generator:
    """A generator that depends on ``key`` alone, so parts can be drawn in any order.

    The length leads the key because NumPy's seeding ignores trailing zeros.
    """
    return np.random.default_rng([len(key), *key])


def power_law_texture(rng: np.random.Generator, beta: float, size: int = SIZE) -> Array:
    """Isotropic Gaussian noise whose power spectrum falls as ``1 / f**beta``.

    Mammographic parenchyma follows such a law with beta near 3 (Burgess, Jacobson and Judy,
    "Human observer detection experiments with mammograms and power-law noise", Medical Physics
    28, 2001). Returns ``[size, size]``, mean 0, standard deviation 1.
    """
    spectrum = fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]).astype(
        np.float32
    )
    frequency[0, 0] = np.inf
    texture = fft.irfft2(spectrum * frequency ** (-beta / 2), s=(size, size))
    return ((texture - texture.mean()) / texture.std()).astype(np.float32)


def sigmoid(x: NDArray[np.floating]) -> Array:
    """The logistic function, safe for large arguments."""
    return (0.5 + 0.5 * np.tanh(0.5 * x)).astype(np.float32)


def draw_dots(
    canvas: Array,
    points: NDArray[np.floating],
    radius: NDArray[np.floating] | float,
    height: NDArray[np.floating] | float,
    softness: float = 0.45,
) -> None:
    """Draw round dots with soft edges into ``canvas``, keeping the larger value.

    ``points`` is ``[n, 2]`` as (row, column); ``radius`` in pixels and ``height`` in grey levels
    (canvas range) are per dot or common. ``softness`` is the width of the edge in pixels.
    """
    if len(points) == 0:
        return
    radius = np.broadcast_to(np.asarray(radius, dtype=np.float32), len(points))
    height = np.broadcast_to(np.asarray(height, dtype=np.float32), len(points))
    reach = int(np.ceil(radius.max() + 4 * softness))
    corner = np.floor(points).astype(np.int64)
    window = np.arange(-reach, reach + 1)
    rows = corner[:, 0, None, None] + window[None, :, None]
    columns = corner[:, 1, None, None] + window[None, None, :]
    distance = np.hypot(rows - points[:, 0, None, None], columns - points[:, 1, None, None])
    values = height[:, None, None] * sigmoid((radius[:, None, None] - distance) / softness)
    rows, columns = np.broadcast_arrays(rows, columns)
    inside = (rows >= 0) & (rows < canvas.shape[0]) & (columns >= 0) & (columns < canvas.shape[1])
    np.maximum.at(canvas, (rows[inside], columns[inside]), values[inside].astype(np.float32))


def sample_path(knots: NDArray[np.floating], step: float = 0.6) -> NDArray[np.float64]:
    """Points about ``step`` pixels apart on the Bezier curve with control points ``knots``.

    ``knots`` is ``[k, 2]`` (row, column); de Casteljau's construction. Returns ``[n, 2]``.
    """
    length = float(np.linalg.norm(np.diff(knots, axis=0), axis=1).sum())
    t = np.linspace(0, 1, max(2, int(length / step)))[:, None]
    levels = [np.broadcast_to(knot, (len(t), 2)) for knot in np.asarray(knots, dtype=np.float64)]
    while len(levels) > 1:
        levels = [(1 - t) * a + t * b for a, b in pairwise(levels)]
    return levels[0]
