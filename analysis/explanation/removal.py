"""Does the prediction depend on the named units? Remove them, and compare with random units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.errors import AnalysisError
from analysis.explanation.predict import softmax
from analysis.models.ablation import Ablator
from analysis.models.splitting import Cut

SIGNIFICANCE = 0.05
TOLERANCE = 1e-3
_NEIGHBOURS = 8


class RemovalError(AnalysisError):
    """The removal contradicts the contributions."""


@dataclass(frozen=True)
class Removal:
    """The result of removing (setting to zero) the named units, for one image and class.

    The named units are really removed: the layers behind are run on the edited maps, and so they
    are with only the named units kept. The random sets are really removed as well, except behind
    global average pooling and one linear layer: there their logits follow from the contributions,
    after the same sum was checked against both real removals (relative error 1e-3).

    units: the named units. probability/logit_before, _after: of the target class.
    kept_probability: with ONLY the named units kept. random_probability_after [n]: after removing
    random sets of as many other units. rank: share of random sets whose drop in probability is at
    least as large, counting the named set itself: (1 + #) / (1 + n). supported: the probability
    fell and rank <= 0.05. random_activation: total activation of the random sets over that of the
    named ones, mean (1 = well matched, NaN without random sets). note: why the check is weak or
    not possible, else "".
    """

    units: list[int]
    probability_before: float
    probability_after: float
    logit_before: float
    logit_after: float
    kept_probability: float
    random_probability_after: np.ndarray
    rank: float
    n_random: int
    supported: bool
    random_activation: float
    note: str


def check_removal(
    ablator: Ablator,
    cut: Cut,
    activation: np.ndarray,
    target: int,
    units: Sequence[int],
    n_random: int,
    seed: int,
    additive: np.ndarray | None = None,
) -> Removal:
    """Remove `units` from the one image of `cut`, then up to `n_random` random sets of others.

    activation [K]: mean absolute activation per unit in this image, used to match the sets.
    additive [K, C]: contributions that sum to the logits (and the bias), where they are known.

    Raises RemovalError where `additive` does not foretell the real removals.
    """
    named = sorted(set(units))
    sets = random_sets(activation, named, n_random, np.random.default_rng(seed))
    keep = np.ones((3 + len(sets), len(activation)), np.float32)
    keep[1, named] = 0
    keep[2] = 1 - keep[1]
    for row, chosen in enumerate(sets, start=3):
        keep[row, chosen] = 0
    logits = _logits(ablator, cut, keep, additive)
    probability = softmax(logits)[:, target]
    random_after = probability[3:]
    drop = float(probability[0] - probability[1])
    at_least = int((probability[0] - random_after >= drop).sum())
    rank = (1 + at_least) / (1 + len(sets))
    matched = _matching(activation, named, sets)
    return Removal(
        units=named,
        probability_before=float(probability[0]),
        probability_after=float(probability[1]),
        logit_before=float(logits[0, target]),
        logit_after=float(logits[1, target]),
        kept_probability=float(probability[2]),
        random_probability_after=random_after,
        rank=rank,
        n_random=len(sets),
        supported=bool(named) and drop > 0 and rank <= SIGNIFICANCE,
        random_activation=matched,
        note=_note(named, len(activation), len(sets), n_random, matched),
    )


def _logits(
    ablator: Ablator, cut: Cut, keep: np.ndarray, additive: np.ndarray | None
) -> np.ndarray:
    """Logits [S, C] for the sets; the first three are really run in any case."""
    real = torch.from_numpy(keep if additive is None else keep[:3]).to(cut.maps.device)
    logits = ablator.resumed(cut, real).float().cpu().numpy()
    if additive is None:
        return logits
    foretold = cut.logits[0].double().cpu().numpy() - (1 - keep) @ additive
    error = np.abs(foretold[:3] - logits).max()
    # Large contributions that cancel out leave rounding errors of their own size.
    scale = max(float(np.abs(logits).max()), float(np.abs(additive).sum(0).max()), 1e-6)
    if not error <= TOLERANCE * scale:
        raise RemovalError(
            f"Really removing the named units gives other logits (by {error:.2g}) than their "
            "contributions say. Report this model as a defect."
        )
    return np.concatenate([logits, foretold[3:]]).astype(np.float32)


def random_sets(
    activation: np.ndarray, named: Sequence[int], n_random: int, generator: np.random.Generator
) -> list[list[int]]:
    """Distinct random sets of len(named) units that are not named, matched in activation.

    For each named unit, strongest first, one unit is drawn from the not yet drawn others whose
    activation is nearest to it: from the eight nearest, or as many more as it takes for `n_random`
    different sets to exist (one named unit is compared with each of the 100 nearest). Where the
    named units are the strongest of the layer, no equally strong others exist;
    `Removal.random_activation` says how close the match came. Fewer than `n_random` sets come back
    where there are not enough different ones.
    """
    others = np.setdiff1d(np.arange(len(activation)), named)
    size = len(named)
    if size == 0 or len(others) < size:
        return []
    order = sorted(named, key=lambda unit: -activation[unit])
    nearest = {
        unit: others[np.argsort(np.abs(activation[others] - activation[unit]), kind="stable")]
        for unit in order
    }
    possible = math.comb(len(others), size)
    reach = _reach(size, len(others), n_random)
    found: dict[frozenset[int], list[int]] = {}
    for _ in range(20 * n_random):
        if len(found) >= min(n_random, possible):
            break
        chosen: list[int] = []
        for unit in order:
            candidates = nearest[unit][: reach + len(chosen)].tolist()
            near = [other for other in candidates if other not in chosen][:reach]
            chosen.append(near[generator.integers(len(near))])
        found.setdefault(frozenset(chosen), chosen)
    return [sorted(chosen) for chosen in found.values()]


def _reach(size: int, others: int, n_random: int) -> int:
    """How many nearest units to draw from, so that `n_random` sets of `size` can differ."""
    reach = _NEIGHBOURS
    while reach < others and math.comb(reach, size) < n_random:
        reach += 1
    return reach


def _matching(activation: np.ndarray, named: list[int], sets: list[list[int]]) -> float:
    total = float(activation[named].sum())
    if not sets or total == 0:
        return float("nan")
    return float(np.mean([activation[chosen].sum() for chosen in sets])) / total


def _note(named: list[int], units: int, n_sets: int, wanted: int, matched: float) -> str:
    if not named:
        return "No units are named, so there is nothing to remove."
    if n_sets == 0:
        return (
            f"The layer has {units - len(named)} other units, fewer than the {len(named)} named "
            "ones, so no random set of the same size exists."
        )
    if n_sets < wanted and 1 / (1 + n_sets) > SIGNIFICANCE:
        return f"Too few different random sets exist ({n_sets}) to support a claim."
    if matched < 0.5:
        return (
            f"The random units are {matched:.0%} as active as the named ones: no equally active "
            "units exist, so part of the difference may be due to activation alone."
        )
    return ""
