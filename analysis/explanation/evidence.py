"""Contributions of a layer's units to one prediction, checked against the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import torch
from torch import nn

from analysis.errors import AnalysisError
from analysis.explanation.predict import softmax
from analysis.explanation.removal import Removal, RemovalError, check_removal
from analysis.explanation.switching import Switches, switch_off
from analysis.models.ablation import Ablator
from analysis.models.hooks import device_of
from analysis.models.layers import head_weights
from analysis.models.preprocessing import Preprocessing

TOLERANCE = 1e-3


class ExplanationError(AnalysisError):
    """An explanation cannot be made or does not hold; the message says why."""


@dataclass(frozen=True)
class Evidence:
    """What the K units of a layer contributed to the C logits of one image.

    logits, probabilities (softmax) [C]. method "additive": effects_all[k, c] =
    weight_ck * mean(a_k), and bias + effects.sum() == logits[target] (checked); "ablation":
    effects_all[k, c] = logit_c minus logit_c with unit k really removed; these need not add up and
    bias is None. effects [K] is the target's column. maps [K, h, w] float16: the layer's output.
    switches: the logits without some of the groups of units.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    target: int
    method: Literal["additive", "ablation"]
    bias: float | None
    effects: np.ndarray
    effects_all: np.ndarray
    maps: np.ndarray
    removal: Removal
    switches: Switches


def explain(
    model: nn.Module,
    layer: str,
    image: np.ndarray,
    preprocessing: Preprocessing,
    *,
    target: int,
    named_units: Sequence[int],
    groups: Sequence[Sequence[int]] = (),
    n_random: int = 100,
    seed: int = 0,
    batch_size: int = 32,
) -> Evidence:
    """Explain the logit of class `target` for an image as `analysis.imaging.read_image` gives it.

    named_units: the units that the explanation will name; they are removed as a check.
    groups: sets of units that a reader may want to switch off, in any combination.

    Raises ExplanationError: target or units out of range, the layer gives no maps, values that are
    not finite, or contributions that do not add up to the logit (relative error above 1e-3).
    """
    inputs = torch.from_numpy(preprocessing.apply(image)).to(device_of(model))
    ablator = Ablator(model, layer, batch_size)
    cut = ablator.cut(inputs[None])
    logits_tensor, maps = cut.logits[0], cut.maps[0]
    if maps.ndim != 3:
        raise ExplanationError(f"The layer {layer!r} does not give maps. Choose another layer.")
    logits = logits_tensor.float().cpu().numpy()
    if not np.isfinite(logits).all() or not bool(maps.isfinite().all()):
        raise ExplanationError("The model gives values that are not finite for this image.")
    if not 0 <= target < len(logits):
        raise ExplanationError(f"Class {target} does not exist; the model has {len(logits)}.")
    if any(not 0 <= unit < len(maps) for unit in chain(named_units, *groups)):
        raise ExplanationError(f"Units are numbered from 0 to {len(maps) - 1} in {layer!r}.")
    head = head_weights(model, layer, (inputs.shape[0], inputs.shape[1], inputs.shape[2]))
    if head is not None:
        mean = maps.flatten(1).mean(1, dtype=torch.float64).cpu().numpy()
        effects_all = head.weight.T.astype(np.float64) * mean[:, None]
        _check_sum(effects_all, head.bias, logits)
    else:
        effects_all = ablator.unit_effects(cut).cpu().numpy()
    activation = maps.abs().flatten(1).mean(1).float().cpu().numpy()
    try:
        removal = check_removal(
            ablator,
            cut,
            activation,
            target,
            named_units,
            n_random,
            seed,
            additive=effects_all if head is not None else None,
        )
    except RemovalError as error:
        raise ExplanationError(str(error)) from error
    limit = float(np.finfo(np.float16).max)
    return Evidence(
        logits=logits,
        probabilities=softmax(logits),
        target=target,
        method="additive" if head is not None else "ablation",
        bias=float(head.bias[target]) if head is not None else None,
        effects=effects_all[:, target].astype(np.float32),
        effects_all=effects_all.astype(np.float32),
        maps=maps.float().clamp(-limit, limit).cpu().numpy().astype(np.float16),
        removal=removal,
        switches=switch_off(ablator, cut, groups, effects_all, target, additive=head is not None),
    )


def _check_sum(effects: np.ndarray, bias: np.ndarray, logits: np.ndarray) -> None:
    error = np.abs(effects.sum(axis=0) + bias - logits).max()
    if error > TOLERANCE * max(float(np.abs(logits).max()), 1e-6):
        raise ExplanationError(
            f"The contributions miss the logits by {error:.2g}: the layer does not feed a pooled "
            "linear head alone. Report this model as a defect."
        )
