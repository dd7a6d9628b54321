"""Images for people: patches around a unit's peak, whole images, and where the unit is active.

A highlight is a transparent overlay of the same size as its picture: a contour where the unit's
activation crosses its threshold over the whole dataset, or everything below it dimmed to a
fifth, as Network Dissection shows it. The threshold belongs to the unit, so a patch that does not
reach it has no contour at all and is dimmed everywhere.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePath
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter

from analysis.imaging import StoredPixels, read_image, read_stored, resize, upsample_map
from catalog.models import Image
from dissections import arrays
from dissections.models import TopPatch

LONGEST_DISPLAY_SIDE = 2048
PATCH_SHARE = 0.25
PATCH_CELLS = 3
HIGHLIGHT = (255, 205, 84)
DIMMED_OPACITY = 0.8
BOX_COLOUR = (110, 231, 219)


Overlay = Callable[[np.ndarray, float], np.ndarray]


class Part(StrEnum):
    PATCH = "patch"
    WHOLE = "whole"
    HIGHLIGHT = "highlight"
    DIM = "dim"
    WHOLE_HIGHLIGHT = "whole-highlight"
    WHOLE_DIM = "whole-dim"


class Box(NamedTuple):
    """A rectangle in pixels of the stored image; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


def patch_box(
    image_size: tuple[int, int], layer_size: tuple[int, int], row: int, column: int
) -> Box:
    """The square around a cell of a layer's map that is shown as its patch.

    Args:
        image_size, layer_size: (height, width) of the image in pixels and of the map in cells.

    Its side is the larger of a quarter of the image's longer side and three cells (a cell sees
    well beyond its own place), at most the image's shorter side. At the border it is shifted
    inside, so the peak is then off its centre.
    """
    height, width = image_size
    cell_height, cell_width = height / layer_size[0], width / layer_size[1]
    side = max(PATCH_SHARE * max(height, width), PATCH_CELLS * max(cell_height, cell_width))
    side = min(side, height, width)
    left = _inside((column + 0.5) * cell_width - side / 2, width - side)
    top = _inside((row + 0.5) * cell_height - side / 2, height - side)
    return Box(left, top, left + side, top + side)


def render_patch(patch: TopPatch, part: Part, size: int) -> bytes:
    """One part of a top patch as PNG whose longer side is `size` pixels.

    Raises:
        OSError, ImageError: the stored image or map cannot be read.
    """
    image, layer = patch.image, patch.unit.layer
    image_size = (image.height, image.width)
    box = patch_box(image_size, (layer.height, layer.width), patch.row, patch.column)
    match part:
        case Part.PATCH:
            return _png(_cut(_display(image), image_size, box, size))
        case Part.WHOLE:
            picture = _fit(_display(image), size).convert("RGB")
            _draw_box(picture, box, picture.width / image.width)
            return _png(picture)
        case Part.HIGHLIGHT:
            return _png(_highlight(patch, contour, box, size))
        case Part.DIM:
            return _png(_highlight(patch, dimming, box, size))
        case Part.WHOLE_HIGHLIGHT:
            return _png(_highlight(patch, contour, _whole(image), size))
        case Part.WHOLE_DIM:
            return _png(_highlight(patch, dimming, _whole(image), size))


def render_image(image: Image, size: int | None) -> bytes:
    """A whole image as 8-bit PNG; its longer side has `size` pixels (None: as stored).

    Raises:
        OSError, ImageError: the stored file cannot be read.
    """
    if size is None:
        return _png(Picture.fromarray(_read(str(image.file), reduced=False)))
    return _png(_fit(_display(image), size))


def stored_pixels(image: Image) -> StoredPixels:
    """A whole image at its stored depth, its longer side at most LONGEST_DISPLAY_SIDE.

    Raises:
        OSError, ImageError: the stored file cannot be read.
    """
    name = str(image.file)
    with default_storage.open(name, "rb") as stream:
        stored = read_stored(cast(BinaryIO, stream), suffix=PurePath(name).suffix)
    values = np.rint(_reduced(stored.values)).astype(np.uint16)
    return replace(stored, values=values)


def contour(activation: np.ndarray, threshold: float) -> np.ndarray:
    """Where an activation map that has been brought to picture size crosses the threshold.

    Args:
        activation: float [H, W]. threshold: in the same unit; values above it count as active.

    Returns:
        RGBA uint8 [H, W, 4]: a line about two pixels wide, with a dark rim; clear elsewhere.
    """
    distance = _distance(activation, threshold)
    crossing = _near_a_crossing(activation > threshold)
    line = np.clip(1.8 - np.abs(distance), 0, 1) * crossing
    rim = np.clip(3.0 - np.abs(distance), 0, 1) * 0.7 * crossing
    result = np.empty((*activation.shape, 4), np.uint8)
    result[..., :3] = np.rint(line[..., None] * np.array(HIGHLIGHT, np.float32))
    result[..., 3] = np.rint(255 * np.maximum(line, rim))
    return result


def dimming(activation: np.ndarray, threshold: float) -> np.ndarray:
    """A veil as `contour` takes and gives it: dark where the activation is below the threshold."""
    result = np.zeros((*activation.shape, 4), np.uint8)
    below = np.clip(0.5 - _distance(activation, threshold), 0, 1)
    result[..., 3] = np.rint(255 * DIMMED_OPACITY * below)
    return result


def _distance(activation: np.ndarray, threshold: float) -> np.ndarray:
    """From each pixel to the threshold's crossing, in pixels, to first order; positive = active."""
    rows, columns = np.gradient(activation)
    return (activation - threshold) / np.maximum(np.hypot(rows, columns), 1e-12)


def _highlight(patch: TopPatch, draw: Overlay, box: Box, size: int) -> Picture.Image:
    image_size = (patch.image.height, patch.image.width)
    height, width = box.bottom - box.top, box.right - box.left
    scale = size / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    threshold = patch.unit.threshold
    if threshold is None:
        return Picture.new("RGBA", shape[::-1])
    coarse = min(1.0, LONGEST_DISPLAY_SIDE / 4 / max(image_size))
    grid = (max(1, round(image_size[0] * coarse)), max(1, round(image_size[1] * coarse)))
    cells = arrays.top_map(patch.unit.layer, patch.unit.index, patch.rank)
    whole = Picture.fromarray(upsample_map(cells, grid))
    part = whole.resize(
        shape[::-1], Picture.Resampling.BILINEAR, box=_scaled(box, image_size, grid)
    )
    return Picture.fromarray(draw(np.asarray(part), threshold))


def _whole(image: Image) -> Box:
    return Box(0, 0, image.width, image.height)


def _near_a_crossing(active: np.ndarray) -> np.ndarray:
    """Where both active and inactive pixels lie within three pixels: a steep slope that stays below
    the threshold is no contour."""
    mask = Picture.fromarray(active.astype(np.uint8))
    return np.asarray(mask.filter(ImageFilter.MaxFilter(7))) != np.asarray(
        mask.filter(ImageFilter.MinFilter(7))
    )


def _cut(pixels: np.ndarray, image_size: tuple[int, int], box: Box, size: int) -> Picture.Image:
    return Picture.fromarray(pixels).resize(
        (size, size), Picture.Resampling.BICUBIC, box=_scaled(box, image_size, pixels.shape[:2])
    )


def _fit(pixels: np.ndarray, size: int) -> Picture.Image:
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Picture.fromarray(pixels).resize(shape, Picture.Resampling.BICUBIC)


def _draw_box(picture: Picture.Image, box: Box, scale: float) -> None:
    draw = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 160))
    corners = [round(edge * scale) for edge in box]
    corners[2:] = [min(corners[2], picture.width) - 1, min(corners[3], picture.height) - 1]
    rim = [corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1]
    draw.rectangle(rim, outline=(0, 0, 0), width=width + 2)
    draw.rectangle(corners, outline=BOX_COLOUR, width=width)


def _display(image: Image) -> np.ndarray:
    """The image as uint8 [h, w] or [h, w, 3], no larger than people can use on a page."""
    return _read_for_display(str(image.file))


@lru_cache(maxsize=48)
def _read_for_display(name: str) -> np.ndarray:
    return _read(name, reduced=True)


def _read(name: str, *, reduced: bool) -> np.ndarray:
    with default_storage.open(name, "rb") as stream:
        pixels = read_image(cast(BinaryIO, stream), suffix=PurePath(name).suffix)
    if reduced:
        pixels = _reduced(pixels)
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _reduced(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    if max(height, width) <= LONGEST_DISPLAY_SIDE:
        return pixels
    scale = LONGEST_DISPLAY_SIDE / max(height, width)
    return resize(pixels, (round(height * scale), round(width * scale)))


def _scaled(
    box: Box, image_size: tuple[int, int], grid: tuple[int, ...]
) -> tuple[float, float, float, float]:
    down, across = grid[0] / image_size[0], grid[1] / image_size[1]
    return (
        box.left * across,
        box.top * down,
        min(box.right * across, grid[1]),
        min(box.bottom * down, grid[0]),
    )


def _inside(start: float, room: float) -> float:
    return min(max(start, 0.0), room)


def _png(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=3)
    return stream.getvalue()
