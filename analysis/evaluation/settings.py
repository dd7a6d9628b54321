"""What an evaluation is asked for. No torch: pages build these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationSettings:
    """How to evaluate.

    ancestor_credit: both sides also have the broader terms of their terms.
    quorum: share of a term's units that must exceed their threshold for it to be named ("active").
    least_share: of the evidence, from which a term is named ("listed").
    strongest: number of units whose terms are named ("strongest").
    tolerance: share of the image's longer side by which a peak may miss a mask.
    repeats, permutations, shifts, orders: draws of patients, shuffled labels, shifted maps, random
        orders of units. steps: points of deletion and insertion curves.
    measured_images: images on which units are really removed where no closed form exists.
    located_images: images whose findings are compared with masks, at most.
    """

    ancestor_credit: bool = False
    quorum: float = 0.5
    least_share: float = 0.02
    strongest: int = 3
    tolerance: float = 0.05
    repeats: int = 1000
    permutations: int = 200
    shifts: int = 10
    orders: int = 8
    steps: int = 12
    measured_images: int = 48
    located_images: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Question:
    """What is known besides the images.

    unit_terms: codes of the terms of each named unit. thresholds: of these units, None for a unit
    that never varies. references: per image the codes that its report or masks have, None where
    there is neither. parents: each code's broader one. mask_terms: the term of each concept key.
    """

    unit_terms: Mapping[int, Sequence[str]]
    thresholds: Mapping[int, float | None]
    references: Sequence[frozenset[str] | None]
    parents: Mapping[str, str | None]
    mask_terms: Mapping[str, str]
