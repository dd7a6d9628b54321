"""Images for people: patches around a unit's peak, whole images, and where the unit is active.

A highlight is a transparent overlay of the same size as its picture: a contour where the unit's
activation crosses its threshold over the whole dataset, and a veil over everything below. The
threshold belongs to the unit, so a patch that does not reach it has no contour at all.
"""

import io
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePath
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter

from analysis.imaging import read_image, resize, upsample_map
from catalog.models import Image
from dissections import arrays
from dissections.models import TopPatch

LONGEST_DISPLAY_SIDE = 2048
PATCH_SHARE = 0.25
PATCH_CELLS = 3
HIGHLIGHT = (255, 205, 84)
VEIL_OPACITY = 0.5
BOX_COLOUR = (110, 231, 219)


class Part(StrEnum):
    PATCH = "patch"
    WHOLE = "whole"
    HIGHLIGHT = "highlight"
    WHOLE_HIGHLIGHT = "whole-highlight"


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
        case Part.HIGHLIGHT | Part.WHOLE_HIGHLIGHT:
            if part == Part.WHOLE_HIGHLIGHT:
                box = Box(0, 0, image.width, image.height)
            return _png(_highlight(patch, image_size, box, size))


def render_image(image: Image, size: int | None) -> bytes:
    """A whole image as 8-bit PNG; its longer side has `size` pixels (None: as stored).

    Raises:
        OSError, ImageError: the stored file cannot be read.
    """
    if size is None:
        return _png(Picture.fromarray(_read(str(image.file))))
    return _png(_fit(_display(image), size))


def overlay(activation: np.ndarray, threshold: float) -> np.ndarray:
    """The highlight of an activation map that has been brought to picture size.

    Args:
        activation: float [H, W]. threshold: in the same unit; values above it count as active.

    Returns:
        RGBA uint8 [H, W, 4]: a line about two pixels wide along the threshold, with a dark rim,
        a veil below it, nothing above it.
    """
    rows, columns = np.gradient(activation)
    slope = np.maximum(np.hypot(rows, columns), 1e-12)
    distance = (activation - threshold) / slope  # in pixels, to first order; positive = active
    crossing = _near_a_crossing(activation > threshold)
    line = np.clip(1.8 - np.abs(distance), 0, 1) * crossing
    rim = np.clip(3.0 - np.abs(distance), 0, 1) * 0.7 * crossing
    veil = np.clip(0.5 - distance, 0, 1) * VEIL_OPACITY
    alpha = np.maximum(np.maximum(line, rim), veil)
    result = np.empty((*activation.shape, 4), np.uint8)
    result[..., :3] = np.rint(line[..., None] * np.array(HIGHLIGHT, np.float32))
    result[..., 3] = np.rint(255 * alpha)
    return result


def _highlight(patch: TopPatch, image_size: tuple[int, int], box: Box, size: int) -> Picture.Image:
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
    return Picture.fromarray(overlay(np.asarray(part), threshold))


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
    return _read(name, LONGEST_DISPLAY_SIDE)


def _read(name: str, longest: int | None = None) -> np.ndarray:
    with default_storage.open(name, "rb") as stream:
        pixels = read_image(cast(BinaryIO, stream), suffix=PurePath(name).suffix)
    height, width = pixels.shape[:2]
    if longest is not None and max(height, width) > longest:
        scale = longest / max(height, width)
        pixels = resize(pixels, (round(height * scale), round(width * scale)))
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


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
