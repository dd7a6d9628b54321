"""Remove more and more units in an order, and see when the model fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from analysis.ablation.metrics import Metrics
from analysis.ablation.settings import AblationError, AblationSettings, Fill
from analysis.ablation.study import AblationResult, ablate_planned
from analysis.data import Sample
from analysis.dissection.progress import ProgressCallback, StopCallback
from analysis.models.preprocessing import Preprocessing

Order = Literal["best", "worst", "random", "keep"]
ORDERS: tuple[Order, ...] = ("best", "worst", "random", "keep")
COUNTS = (1, 2, 3, 4, 5, 20, 64, 128, 256)
"""The numbers of units of `davidbau/dissect`."""


@dataclass(frozen=True)
class Curve:
    """order: "best" removes the most important units first, "worst" the least important, "random"
    in random order; "keep" removes all but the most important. counts [P]: units removed, or kept.
    removed: the sets. metrics: with S = P.
    """

    order: Order
    counts: list[int]
    removed: list[list[int]]
    metrics: Metrics


def ranking(singles: AblationResult, target: int | None = None) -> np.ndarray:
    """Units, the most important first, from `ablate_units`: [K].

    A unit matters as much as its removal lowers the balanced accuracy of class `target`, or without
    one the accuracy. Equal units: the larger fall of the class's mean logit over the images of the
    data set comes first (without a class the larger share of flips), then the lower number.

    Raises AblationError where no image has the class.
    """
    if [[k] for k in range(len(singles.sets))] != singles.sets:
        raise AblationError("A ranking needs the result of ablate_units.")
    after = singles.after
    if target is None:
        score, tie = after.accuracy, -after.flips
    elif 0 <= target < after.auc.shape[1]:
        score, tie = after.balanced_accuracy[:, target], after.logit_shift[:, target]
    else:
        raise AblationError(f"Class {target} does not exist.")
    if np.isnan(score).any():
        raise AblationError(
            "The units cannot be ranked: no image (of this class, or others) has a class."
        )
    return np.lexsort((np.arange(len(score)), tie, score))


def cumulative_removal(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    ranked: Sequence[int] | np.ndarray,
    *,
    counts: Sequence[int] = COUNTS,
    orders: Sequence[Order] = ORDERS,
    seed: int = 0,
    fill: Fill = "zero",
    settings: AblationSettings | None = None,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> dict[Order, Curve]:
    """Curves over the number of removed (or kept) units, all from one pass over the images.

    ranked: all units of the layer, the most important first (`ranking`). Rank on other images than
    those the curves are measured on, or the curves look better than they are. Counts above the
    number of units are left out. The order "random" follows from `seed`.

    Raises what `ablate` raises, and AblationError where `ranked` is not an order of the units.
    """
    units = [int(unit) for unit in ranked]
    wanted = [count for count in counts if 0 <= count <= len(units)]
    shuffled = np.random.default_rng(seed).permutation(len(units)).tolist()
    removed = {
        order: [_removed(order, units, shuffled, count) for count in wanted] for order in orders
    }

    def plan(n_units: int) -> list[list[int]]:
        if sorted(units) != list(range(n_units)):
            raise AblationError(f"ranked must hold each of the {n_units} units of the layer once.")
        return [chosen for order in orders for chosen in removed[order]]

    result = ablate_planned(
        model,
        layer,
        samples,
        preprocessing,
        plan,
        fill=fill,
        settings=settings,
        progress=progress,
        should_stop=should_stop,
    )
    return {
        order: Curve(order, wanted, removed[order], _part(result.after, place, len(wanted)))
        for place, order in enumerate(orders)
    }


def _removed(order: Order, ranked: list[int], shuffled: list[int], count: int) -> list[int]:
    if order == "best":
        return ranked[:count]
    if order == "worst":
        return ranked[len(ranked) - count :]
    if order == "keep":
        return ranked[count:]
    return shuffled[:count]


def _part(metrics: Metrics, place: int, length: int) -> Metrics:
    part = slice(place * length, (place + 1) * length)
    return Metrics(**{name: values[part] for name, values in vars(metrics).items()})
