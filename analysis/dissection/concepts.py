"""Overlap of units with concepts that have pixel masks (Bau et al. 2017, Network Dissection).

IoU(k, m) = |U_k and S_m| / |U_k or S_m|, summed over images before the division. U_k: pixels of
the mask grid where the bilinearly upsampled map exceeds the unit's threshold. S_m: the mask.

The unit area counts over ALL images of the data set, also where the concept is absent. (Published
code counts it only on images that show some concept of the same kind, which raises the IoU of
sparse masks such as lesions: a unit that fires everywhere would not be charged for it.)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from analysis.data import Sample
from analysis.dissection.cache import ActivationCache
from analysis.imaging import read_image

MAX_GRID_SIDE = 256
_UNITS_AT_ONCE = 128

PackedMask = bytes | None


def mask_grid(input_size: tuple[int, int]) -> tuple[int, int]:
    """Grid (height, width) on which masks and units are compared.

    The model's input size, divided by the smallest whole number that brings its longer side to at
    most 256.
    """
    divisor = math.ceil(max(input_size) / MAX_GRID_SIDE)
    return max(1, input_size[0] // divisor), max(1, input_size[1] // divisor)


def read_masks(sample: Sample, concepts: Sequence[str], grid: tuple[int, int]) -> list[PackedMask]:
    """The sample's masks on the grid, packed; None where the concept is absent.

    A grid cell carries the concept if the mask is above half of full scale at the cell's centre
    (nearest neighbour), which keeps the area of a concept right on average, however small it is.
    """
    packed: list[PackedMask] = []
    for concept in concepts:
        opener = sample.masks.get(concept)
        if opener is None:
            packed.append(None)
            continue
        with opener() as stream:
            image = read_image(stream)
        mask = (image if image.ndim == 2 else image.max(axis=2)) > 0.5
        rows = ((np.arange(grid[0]) + 0.5) * mask.shape[0] / grid[0]).astype(np.int64)
        columns = ((np.arange(grid[1]) + 0.5) * mask.shape[1] / grid[1]).astype(np.int64)
        cells = mask[rows[:, None], columns]
        packed.append(zlib.compress(np.packbits(cells).tobytes(), 1) if cells.any() else None)
    return packed


def unpack(packed: bytes, grid: tuple[int, int]) -> np.ndarray:
    """Bool [height * width] of a packed mask."""
    bits = np.frombuffer(zlib.decompress(packed), np.uint8)
    return np.unpackbits(bits, count=grid[0] * grid[1]).astype(bool)


@dataclass(frozen=True)
class Overlap:
    """Pixel counts on the mask grid over all images, and the IoU made of them.

    iou, iou_chance [K, M]; intersection [K, M]; unit_area [K]; concept_area, concept_images [M].
    iou_chance: each image compared with the masks of another one; NaN with fewer than two images.
    """

    iou: np.ndarray
    iou_chance: np.ndarray
    intersection: np.ndarray
    unit_area: np.ndarray
    concept_area: np.ndarray
    concept_images: np.ndarray


def overlap(
    cache: ActivationCache,
    threshold: np.ndarray,
    masks: Sequence[Sequence[PackedMask]],
    n_concepts: int,
    grid: tuple[int, int],
    *,
    seed: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> Overlap:
    """Compare every unit [K thresholds] with every concept; masks [rows][M] as `read_masks` gives.

    Units that stay at or below their threshold in an image are skipped there: interpolation
    cannot lift them above it. `advance(1)` is called after each image.
    """
    rows, units = cache.maps.shape[:2]
    partner = _other_images(rows, seed)
    unit_area = np.zeros(units, np.int64)
    intersection = np.zeros((units, n_concepts), np.int64)
    chance = np.zeros((units, n_concepts), np.int64)
    concept_area = np.zeros(n_concepts, np.int64)
    concept_images = np.zeros(n_concepts, np.int64)
    for row in range(rows):
        own, other = _stack(masks[row], grid), _stack(masks[partner[row]], grid)
        for concept, mask in own.items():
            concept_area[concept] += int(mask.sum())
            concept_images[concept] += 1
        columns = np.stack([*own.values(), *other.values()], axis=1) if own or other else None
        maps = cache.maps[row]
        firing = np.flatnonzero(maps.max(axis=(1, 2)) > threshold)
        for start in range(0, len(firing), _UNITS_AT_ONCE):
            chosen = firing[start : start + _UNITS_AT_ONCE]
            area, counts = _count(maps[chosen], threshold[chosen], columns, grid, device)
            unit_area[chosen] += area
            intersection[chosen[:, None], list(own.keys())] += counts[:, : len(own)]
            chance[chosen[:, None], list(other.keys())] += counts[:, len(own) :]
        advance(1)
    iou_chance = _iou(chance, unit_area, concept_area)
    return Overlap(
        iou=_iou(intersection, unit_area, concept_area),
        iou_chance=iou_chance if rows > 1 else np.full_like(iou_chance, np.nan),
        intersection=intersection,
        unit_area=unit_area,
        concept_area=concept_area,
        concept_images=concept_images,
    )


def _count(
    maps: np.ndarray,
    threshold: np.ndarray,
    columns: np.ndarray | None,
    grid: tuple[int, int],
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Area [k] of the upsampled, thresholded maps [k, h, w], and overlap [k, c] with masks."""
    fine = interpolate(
        torch.from_numpy(maps).to(device)[None], size=grid, mode="bilinear", align_corners=False
    )[0]
    limits = torch.from_numpy(threshold).to(device)
    on = (fine > limits[:, None, None]).flatten(1)
    area = on.sum(1).cpu().numpy()
    if columns is None:
        return area, np.zeros((len(maps), 0), np.int64)
    # Counts stay below 2^24, so sums of ones are exact in float32.
    counts = on.float() @ torch.from_numpy(columns).to(device).float()
    return area, counts.cpu().numpy().astype(np.int64)


def _stack(packed: Sequence[PackedMask], grid: tuple[int, int]) -> dict[int, np.ndarray]:
    return {i: unpack(mask, grid) for i, mask in enumerate(packed) if mask is not None}


def _other_images(rows: int, seed: int) -> np.ndarray:
    """For each image another one, each used once: a step along a random circle."""
    order = np.random.default_rng(seed).permutation(rows)
    partner = np.empty(rows, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _iou(intersection: np.ndarray, unit_area: np.ndarray, concept_area: np.ndarray) -> np.ndarray:
    union = unit_area[:, None] + concept_area[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros(intersection.shape), where=union > 0).astype(
        np.float32
    )
