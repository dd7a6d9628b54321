"""From a plan to images, exact masks and reports."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from analysis.phantoms.anatomy import VISIBLE, build_view
from analysis.phantoms.calcifications import Calcifications
from analysis.phantoms.drawing import SIZE, Array, random_stream
from analysis.phantoms.populations import (
    SIDES,
    VIEWS,
    Plan,
    PlannedFinding,
    image_class,
    plan_patient,
)
from analysis.phantoms.report import Report, write_report

Mask = NDArray[np.bool_]

DEMO_SEED = 2
"""Seed of the population that the demo classifier is trained on."""


@dataclass(frozen=True)
class VisibleFinding:
    """A finding as one image shows it, with the pixels it changed."""

    planned: PlannedFinding
    index: int
    """Position in the patient's plan; pass it to ``render_view(omit=...)``."""
    mask: Mask


@dataclass(frozen=True)
class PhantomImage:
    """One finished image."""

    stem: str
    side: str
    view: str
    label: str
    pixels: Array
    """float32 ``[256, 256]`` in [0, 1]."""
    findings: tuple[VisibleFinding, ...]
    masks: dict[str, Mask]
    """Concept key to bool ``[256, 256]``; concepts that are absent have no entry."""
    report: Report


@dataclass(frozen=True)
class Patient:
    """Four images of one phantom patient."""

    number: int
    seed: int
    split: str
    images: tuple[PhantomImage, ...]

    @property
    def identifier(self) -> str:
        return patient_identifier(self.number)


def patient_identifier(number: int) -> str:
    """The patient's name in files: ``P00042``."""
    return f"P{number:05d}"


def split_of(number: int) -> str:
    """Split of a patient, by number alone: of five, three train, one validation, one test."""
    return ("train", "train", "train", "validation", "test")[number % 5]


def demo_patients() -> list[int]:
    """The 120 held-out patients of the demo (60 validation, 60 test) in seed ``DEMO_SEED``."""
    return [number for number in range(300) if split_of(number) != "train"]


def generate_patient(number: int, seed: int = DEMO_SEED) -> Patient:
    """Patient ``number`` of population ``seed``; depends on these two numbers alone.

    Raises ValueError for a negative number.
    """
    plan = plan_patient(number, seed)
    images = tuple(_image(plan, side, view) for side in SIDES for view in VIEWS)
    return Patient(number, seed, split_of(number), images)


def render_view(plan: Plan, side: str, view: str, omit: Collection[int] = ()) -> Array:
    """The pixels of one image, leaving out the findings whose plan positions are in ``omit``.

    Returns float32 ``[256, 256]`` in [0, 1].
    """
    layers = _Layers(plan, side, view)
    return layers.finish([delta for index, delta in layers.deltas.items() if index not in omit])


class _Layers:
    """The healthy breast, the grey levels each finding adds to it, and the noise of the film."""

    def __init__(self, plan: Plan, side: str, view: str) -> None:
        self.mirrored = side == "R"
        key = (plan.seed, plan.number, 1 + SIDES.index(side) * 2 + VIEWS.index(view))
        self.breast = build_view(plan.anatomy, view, (*key, 0))
        rng = random_stream(*key, 1)
        grain = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
        grain *= 0.004 + 0.011 * np.sqrt(np.clip(self.breast.base, 0, 1))
        self.ground = self.breast.base + 0.012 + grain
        self.deltas: dict[int, Array] = {}
        for index, planned in enumerate(plan.findings):
            if planned.side == side and view in planned.views:
                center = self.breast.locate(
                    planned.place.lateral(view), planned.place.depth, planned.finding.margin
                )
                self.deltas[index] = planned.finding.draw(self.breast, center, (*key, 2, index))

    def finish(self, deltas: list[Array]) -> Array:
        """Add the findings, limit to [0, 1] and mirror right breasts."""
        pixels = np.clip(sum(deltas, start=self.ground), 0, 1).astype(np.float32)
        return self.turn(pixels)

    def turn(self, array: NDArray) -> NDArray:
        return array[:, ::-1].copy() if self.mirrored else array


def _image(plan: Plan, side: str, view: str) -> PhantomImage:
    layers = _Layers(plan, side, view)
    pixels = layers.finish(list(layers.deltas.values()))
    visible = []
    for index in layers.deltas:
        others = [delta for other, delta in layers.deltas.items() if other != index]
        mask = np.abs(pixels - layers.finish(others)) >= VISIBLE
        if mask.any():
            visible.append(VisibleFinding(plan.findings[index], index, mask))
    masks = {key: layers.turn(mask) for key, mask in layers.breast.masks.items() if mask.any()}
    for finding in visible:
        for key, mask in _concept_masks(finding).items():
            masks[key] = masks[key] | mask if key in masks else mask
    shown = [finding.planned for finding in visible]
    slot = SIDES.index(side) * 2 + VIEWS.index(view)
    label = image_class(shown, random_stream(plan.seed, plan.number, 9, slot))
    stem = f"{patient_identifier(plan.number)}_{side}_{view}"
    report = write_report(stem, plan, side, view, [(f.planned, f.mask) for f in visible])
    return PhantomImage(stem, side, view, label, pixels, tuple(visible), masks, report)


def _concept_masks(finding: VisibleFinding) -> dict[str, Mask]:
    """The finding's pixels under each of its concepts, and the area of its distribution."""
    masks = dict.fromkeys(finding.planned.finding.concepts, finding.mask)
    thing = finding.planned.finding
    if isinstance(thing, Calcifications) and thing.distribution:
        masks[f"calcifications-{thing.distribution}"] = outline(finding.mask)
    return masks


def outline(mask: Mask, border: int = 2) -> Mask:
    """The convex hull of a mask, grown by ``border`` pixels: how a reader outlines a group."""
    grown = ndimage.binary_dilation(mask, iterations=border)
    hull = ConvexHull(np.argwhere(grown))
    low, high = hull.min_bound.astype(int), hull.max_bound.astype(int) + 1
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    distance = (
        hull.equations[:, 0, None, None] * rows
        + hull.equations[:, 1, None, None] * columns
        + hull.equations[:, 2, None, None]
    )
    filled = np.zeros_like(mask)
    filled[low[0] : high[0], low[1] : high[1]] = (distance <= 1e-6).all(axis=0)
    return filled
