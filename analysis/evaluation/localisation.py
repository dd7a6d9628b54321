"""Do findings lie where the reader marked them? Pointing game and overlap, with controls.

For every term with a mask on an image, the map of the units that carry the term is compared with
the mask: is its peak in the mask or near it (pointing game, Zhang et al. 2018), and how well does
its region, the smallest area with half of the evidence, overlap the mask (IoU)? Controls: the
centre of the image; the mean map of the term on the images of other patients (it knows where
findings usually lie); the finding's own map shifted by random distances (it has the right shape).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from analysis.evaluation.bootstrap import Estimate, PatientBootstrap, mean
from analysis.imaging import upsample_map
from analysis.regions import evidence_region

GRID = 128
"""Longer side of the grid that maps and masks are compared on."""
AVERAGE, CENTRE, SHIFTED = "average_map", "centre", "shifted"

Flags = NDArray[np.bool_]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """hit: share of findings whose peak lies within the tolerance of the mask. iou: mean overlap
    of region and mask; None where the control has no region."""

    hit: Estimate
    iou: Estimate | None


@dataclass(frozen=True)
class TermPlace:
    code: str
    findings: int
    hit: float
    iou: float


@dataclass(frozen=True)
class Localisation:
    own: Score
    controls: dict[str, Score]
    beaten: dict[str, bool]
    """Whether the hits lie above those of the control without overlap of the intervals."""
    terms: list[TermPlace]
    findings: int
    images: int
    tolerance: float


def grid_size(height: int, width: int) -> tuple[int, int]:
    scale = GRID / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def finding_map(maps: Map, effects: NDArray[np.floating], units: list[int]) -> Map:
    """Where the evidence of units lies, [h, w]: each unit's effect, of either sign, spread over
    the image in proportion to its activation."""
    chosen = maps[units].astype(np.float32)
    positive = np.maximum(chosen, 0)
    silent = positive.sum((1, 2), keepdims=True) == 0
    spread = np.where(silent, np.abs(chosen), positive)
    total = spread.sum((1, 2), keepdims=True)
    weight = np.abs(effects[units]).astype(np.float32)
    return np.tensordot(weight, spread / np.where(total > 0, total, 1), axes=1).astype(np.float32)


@dataclass(frozen=True)
class _Finding:
    image: str
    patient: str
    term: str
    map: Map
    mask: bytes
    size: tuple[int, int]

    def mask_field(self) -> Flags:
        bits = np.frombuffer(self.mask, np.uint8)
        return np.unpackbits(bits, count=self.size[0] * self.size[1]).reshape(self.size) > 0


@dataclass
class Localiser:
    """Takes findings one after another and scores them all at the end.

    tolerance: share of the grid's longer side that a peak may miss the mask by.
    """

    tolerance: float
    shifts: int
    seed: int
    _findings: list[_Finding] = field(default_factory=list)

    def add(self, image: str, patient: str, term: str, finding: Map, mask: Flags) -> None:
        """A finding's map [h, w] and its mask on the grid (`grid_size`), unless one is empty."""
        if mask.any() and finding.sum() > 0:
            packed = np.packbits(mask).tobytes()
            size = (mask.shape[0], mask.shape[1])
            self._findings.append(_Finding(image, patient, term, finding, packed, size))

    def result(self, *, repeats: int) -> Localisation | None:
        """None where no finding has a mask."""
        if not self._findings:
            return None
        generator = np.random.default_rng(self.seed)
        others = _OtherPatients(self._findings)
        rows = [self._scored(finding, others, generator) for finding in self._findings]
        hits = {key: np.array([row[key][0] for row in rows]) for key in rows[0]}
        ious = {key: np.array([row[key][1] for row in rows]) for key in rows[0]}
        bootstrap = PatientBootstrap(
            [finding.patient for finding in self._findings], repeats=repeats, seed=self.seed
        )
        scores = {
            key: Score(
                hit=mean(bootstrap, hits[key]),
                iou=mean(bootstrap, ious[key]) if np.isfinite(ious[key]).any() else None,
            )
            for key in hits
        }
        own = scores.pop("own")
        return Localisation(
            own=own,
            controls=scores,
            beaten={key: own.hit.above(score.hit) for key, score in scores.items()},
            terms=self._by_term(hits["own"], ious["own"]),
            findings=len(rows),
            images=len({finding.image for finding in self._findings}),
            tolerance=self.tolerance,
        )

    def _scored(
        self, finding: _Finding, others: _OtherPatients, generator: np.random.Generator
    ) -> dict[str, tuple[float, float]]:
        """(hit, IoU) of the finding and of its controls."""
        mask = finding.mask_field()
        near = distance_transform_edt(~mask) <= self.tolerance * max(mask.shape)
        fine = _fine(finding.map, mask.shape)
        peak, region = _peak(fine), evidence_region(fine)
        moves = [
            (int(generator.integers(mask.shape[0])), int(generator.integers(mask.shape[1])))
            for _ in range(self.shifts)
        ]
        shifted = [
            (
                float(near[(peak[0] + down) % mask.shape[0], (peak[1] + right) % mask.shape[1]]),
                _iou(np.roll(region, (down, right), (0, 1)), mask),
            )
            for down, right in moves
        ]
        usual = others.mean_map(finding)
        centre = (mask.shape[0] // 2, mask.shape[1] // 2)
        return {
            "own": (float(near[peak]), _iou(region, mask)),
            CENTRE: (float(near[centre]), float("nan")),
            AVERAGE: _average(usual, near, mask),
            SHIFTED: (
                float(np.mean([hit for hit, _ in shifted])),
                float(np.mean([iou for _, iou in shifted])),
            ),
        }

    def _by_term(self, hits: NDArray[np.float64], ious: NDArray[np.float64]) -> list[TermPlace]:
        rows: dict[str, list[int]] = defaultdict(list)
        for place, finding in enumerate(self._findings):
            rows[finding.term].append(place)
        terms = [
            TermPlace(code, len(places), float(hits[places].mean()), float(ious[places].mean()))
            for code, places in rows.items()
        ]
        return sorted(terms, key=lambda term: -term.findings)


class _OtherPatients:
    """Mean maps of a term, each map first made to sum to 1, without those of one patient."""

    def __init__(self, findings: list[_Finding]) -> None:
        self._sums: dict[tuple[str, str, tuple[int, ...]], tuple[Map, int]] = {}
        for finding in findings:
            for patient in ("", finding.patient):
                key = (finding.term, patient, finding.map.shape)
                total, count = self._sums.get(key, (np.zeros_like(finding.map), 0))
                self._sums[key] = (total + finding.map / finding.map.sum(), count + 1)

    def mean_map(self, finding: _Finding) -> Map | None:
        total, count = self._sums[finding.term, "", finding.map.shape]
        own, own_count = self._sums[finding.term, finding.patient, finding.map.shape]
        return np.maximum(total - own, 0) / (count - own_count) if count > own_count else None


def _average(usual: Map | None, near: Flags, mask: Flags) -> tuple[float, float]:
    if usual is None:
        return float("nan"), float("nan")
    fine = _fine(usual, mask.shape)
    return float(near[_peak(fine)]), _iou(evidence_region(fine), mask)


def _fine(coarse: Map, size: tuple[int, ...]) -> Map:
    return np.maximum(upsample_map(coarse, (size[0], size[1])), 0)


def _peak(fine: Map) -> tuple[int, int]:
    row, column = np.unravel_index(int(fine.argmax()), fine.shape)
    return int(row), int(column)


def _iou(region: Flags, mask: Flags) -> float:
    return float((region & mask).sum() / (region | mask).sum())
