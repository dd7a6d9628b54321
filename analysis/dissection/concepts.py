"""Overlap of units with concepts that have pixel masks (Bau et al. 2017, Network Dissection).

IoU(k, m) = |U_k and S_m| / |U_k or S_m|, summed over images before the division. U_k: pixels of
the mask grid where the bilinearly upsampled map exceeds the unit's threshold. S_m: the mask.

The unit area counts over ALL images of the data set, also where the concept is absent. (Published
code counts it only on images that show some concept of the same kind, which raises the IoU of
sparse masks such as lesions: a unit that fires everywhere would not be charged for it.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from analysis.dissection.cache import Maps
from analysis.dissection.cells import CellCounter
from analysis.dissection.hotspots import Hotspots
from analysis.dissection.iqr import InformationQuality, JointCounts
from analysis.dissection.masks import unpack
from analysis.dissection.significance import ShiftTest, Significance


@dataclass(frozen=True)
class Overlap:
    """Pixel counts on the mask grid over all images, and the IoU made of them.

    iou, iou_chance [K, M]; intersection [K, M]; unit_area [K]; concept_area, concept_images [M].
    iou_chance: each image compared with the masks of another one; NaN with fewer than two images.
    significance: against shifted masks of the same image. information: None unless asked for.
    """

    iou: np.ndarray
    iou_chance: np.ndarray
    intersection: np.ndarray
    unit_area: np.ndarray
    concept_area: np.ndarray
    concept_images: np.ndarray
    significance: Significance
    information: InformationQuality | None


def overlap(
    maps: Maps,
    threshold: np.ndarray,
    masks_of: Callable[[int], dict[int, bytes]],
    n_concepts: int,
    grid: tuple[int, int],
    *,
    seed: int,
    candidates: np.ndarray | None = None,
    device: torch.device,
    advance: Callable[[int], None],
) -> Overlap:
    """Compare every unit [K thresholds] with every concept; masks_of(row): concept -> packed mask.

    With candidate thresholds [K, L], the best one per pair by information quality is found too.
    `advance(1)` is called after each image.
    """
    rows, units = maps.rows, maps.units
    hotspots = Hotspots((maps.height, maps.width), grid, device)
    limits = torch.from_numpy(threshold).to(device)
    partner = _other_images(rows, seed)
    unit_area = np.zeros(units, np.int64)
    intersection = np.zeros((units, n_concepts), np.int64)
    chance = np.zeros((units, n_concepts), np.int64)
    concept_area = np.zeros(n_concepts, np.int64)
    concept_images = np.zeros(n_concepts, np.int64)
    cells = CellCounter((maps.height, maps.width), grid)
    pixels = cells.pixels()
    shifts = ShiftTest(units, n_concepts)
    joint = None if candidates is None else JointCounts(candidates, n_concepts)
    half = np.random.default_rng(seed).permutation(rows) % 2
    for row in range(rows):
        values = maps.row(row)
        own, other = masks_of(row), masks_of(int(partner[row]))
        fields = [unpack(mask, grid) for mask in (*own.values(), *other.values())]
        for concept, field in zip(own, fields, strict=False):
            concept_area[concept] += int(field.sum())
            concept_images[concept] += 1
        stacked = np.stack(fields) if fields else np.zeros((0, *grid), bool)
        area, counts = hotspots.count(
            torch.from_numpy(values).to(device),
            limits,
            stacked,
        )
        unit_area += area
        intersection[:, list(own.keys())] += counts[:, : len(own)]
        chance[:, list(other.keys())] += counts[:, len(own) :]
        counted = cells.count(stacked[: len(own)])
        on = values > threshold[:, None, None]
        shifts.update(on, counted, list(own), pixels)
        if joint is not None:
            joint.update(int(half[row]), values, counted, list(own), pixels)
        advance(1)
    iou_chance = _iou(chance, unit_area, concept_area)
    return Overlap(
        iou=_iou(intersection, unit_area, concept_area),
        iou_chance=iou_chance if rows > 1 else np.full_like(iou_chance, np.nan),
        intersection=intersection,
        unit_area=unit_area,
        concept_area=concept_area,
        concept_images=concept_images,
        significance=shifts.result(),
        information=None if joint is None else joint.result(),
    )


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
