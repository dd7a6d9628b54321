"""What the model would say without some of the findings: every combination, worked out ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.models.ablation import Ablator
from analysis.models.splitting import Cut

MOST_SWITCHES = 8


@dataclass(frozen=True)
class Switches:
    """groups [G]: which of the given groups of units can be switched off, the strongest first.

    logits [2^G, C]: in row r, group g is removed where bit g of r is set; row 0 removes nothing.
    """

    groups: list[int]
    logits: np.ndarray


def switch_off(
    ablator: Ablator,
    cut: Cut,
    groups: Sequence[Sequence[int]],
    effects: np.ndarray,
    target: int,
    *,
    additive: bool,
) -> Switches:
    """Remove the strongest groups of units from the one image of `cut`, in every combination.

    groups: of unit numbers; a unit may be in several and is removed with any of them.
    effects [K, C]: of each unit on each logit. The strongest groups are those whose effects on
    `target` sum to the largest size. Additive effects give the logits; otherwise the layers behind
    the cut are really run for each combination.
    """
    strength = [abs(float(effects[list(units), target].sum())) for units in groups]
    chosen = sorted(range(len(groups)), key=lambda g: -strength[g])[:MOST_SWITCHES]
    keep = np.ones((2 ** len(chosen), len(effects)), np.float32)
    for bit, group in enumerate(chosen):
        rows = np.flatnonzero(np.arange(len(keep)) >> bit & 1)
        keep[rows[:, None], np.array(groups[group], np.int64)] = 0
    if additive:
        logits = cut.logits[0].double().cpu().numpy() - (1 - keep) @ effects
    else:
        logits = ablator.resumed(cut, torch.from_numpy(keep).to(cut.maps.device)).cpu().numpy()
    return Switches(chosen, logits.astype(np.float32))
