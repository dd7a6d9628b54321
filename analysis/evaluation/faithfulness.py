"""Do the named units carry the prediction? Deletion and insertion curves (Petsiuk et al. 2018).

Named units are removed one after another, the one with the largest effect first (deletion), or
removed at once and put back in that order (insertion). The units without a name stay as they are.
Where the effects rank the units well, the probability falls fast and rises fast; the control takes
the same units in random orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from analysis.evaluation.bootstrap import Array, Estimate, PatientBootstrap
from analysis.evaluation.bootstrap import mean as mean_of

LogitsOf = Callable[[NDArray[np.float32]], NDArray[np.floating]]
"""Logits [S, C] of one image with units kept as keep [S, K] says (1 kept, 0 removed)."""


@dataclass(frozen=True)
class ImageCurves:
    """Probability of the explained class of one image at shares 0 to 1 of the named units.

    deletion, insertion [P] by effect; random_deletion, random_insertion [P] mean over orders.
    """

    deletion: Array
    insertion: Array
    random_deletion: Array
    random_insertion: Array


@dataclass(frozen=True)
class CurveScore:
    """Mean curve, area under it (the mean probability), that of random orders, and how much better
    the order by effect is: lower for deletion, higher for insertion; 0 means no better."""

    curve: list[float]
    random_curve: list[float]
    area: Estimate
    random_area: Estimate
    advantage: Estimate


@dataclass(frozen=True)
class Faithfulness:
    shares: list[float]
    deletion: CurveScore
    insertion: CurveScore
    images: int
    units: int


def image_curves(
    effects: NDArray[np.floating],
    target: int,
    units: Sequence[int],
    logits_of: LogitsOf,
    *,
    steps: int,
    orders: int,
    generator: np.random.Generator,
) -> ImageCurves:
    """Curves of one image. effects [K] on the class `target`; `units` are the named ones.

    Both curves have points at the `shares` of the units that are removed or put back.
    """
    counts = removal_counts(len(units), steps)
    ranked = np.array(sorted(units, key=lambda unit: (-effects[unit], unit)), int)
    sequences = [ranked, *(generator.permutation(ranked) for _ in range(orders))]
    keep = np.concatenate([_kept(order, counts, len(effects)) for order in sequences])
    probability = softmax(logits_of(keep).astype(np.float64), axis=1)[:, target]
    curves = probability.reshape(len(sequences), 2, len(counts))
    return ImageCurves(
        deletion=curves[0, 0],
        insertion=curves[0, 1],
        random_deletion=curves[1:, 0].mean(0),
        random_insertion=curves[1:, 1].mean(0),
    )


def removal_counts(units: int, steps: int) -> NDArray[np.int64]:
    """At most `steps` + 1 different numbers of units from 0 to all of them."""
    return np.unique(np.rint(np.linspace(0, units, steps + 1)).astype(np.int64))


def _kept(order: NDArray[np.integer], counts: NDArray[np.int64], units: int) -> NDArray[np.float32]:
    """[2 P, K]: deletion, then insertion, in an order of units."""
    keep = np.ones((2, len(counts), units), np.float32)
    for place, count in enumerate(counts):
        keep[0, place, order[:count]] = 0
        keep[1, place, order[count:]] = 0
    return keep.reshape(-1, units)


def faithfulness(
    curves: Sequence[ImageCurves], units: int, steps: int, bootstrap: PatientBootstrap
) -> Faithfulness:
    """Summarise the curves of the images that the bootstrap knows, in its order."""
    shares = removal_counts(units, steps) / units
    deletion = np.stack([one.deletion for one in curves])
    insertion = np.stack([one.insertion for one in curves])
    random_deletion = np.stack([one.random_deletion for one in curves])
    random_insertion = np.stack([one.random_insertion for one in curves])
    return Faithfulness(
        shares=[float(share) for share in shares],
        deletion=_score(shares, deletion, random_deletion, -1, bootstrap),
        insertion=_score(shares, insertion, random_insertion, 1, bootstrap),
        images=len(curves),
        units=units,
    )


def _score(
    shares: Array, curves: Array, random: Array, better: int, bootstrap: PatientBootstrap
) -> CurveScore:
    areas, random_areas = _areas(curves, shares), _areas(random, shares)
    return CurveScore(
        curve=[float(value) for value in curves.mean(0)],
        random_curve=[float(value) for value in random.mean(0)],
        area=mean_of(bootstrap, areas),
        random_area=mean_of(bootstrap, random_areas),
        advantage=mean_of(bootstrap, better * (areas - random_areas)),
    )


def _areas(curves: Array, shares: Array) -> Array:
    return np.asarray(np.trapezoid(curves, shares, axis=1), np.float64)
