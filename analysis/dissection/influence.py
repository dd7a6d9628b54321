"""How much each unit moves each class logit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from analysis.data import Sample, decode_input
from analysis.models.ablation import Ablator
from analysis.models.layers import Head
from analysis.models.preprocessing import Preprocessing


def exact_influence(head: Head, mean: np.ndarray) -> np.ndarray:
    """[K, C]: logit with the unit minus logit without it, averaged over all images.

    Behind pooling and a linear head this is weight_ck * mean over images and positions of a_k
    (`mean` [K]), without any run.
    """
    return (head.weight * mean[None, :]).T.astype(np.float32)


def chosen_rows(rows: int, wanted: int, seed: int) -> np.ndarray:
    """Up to `wanted` of `rows` images, drawn without repeats, in ascending order."""
    generator = np.random.default_rng(seed)
    return np.sort(generator.choice(rows, min(rows, wanted), replace=False))


def measured_influence(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> np.ndarray:
    """[K, C] as `exact_influence`, by really removing every unit on every one of `samples`."""
    ablator = Ablator(model, layer, batch_size)
    total: torch.Tensor | None = None
    for sample in samples:
        effects = ablator.effects(decode_input(sample, preprocessing).to(device)).double()
        total = effects if total is None else total + effects
        advance(1)
    assert total is not None  # noqa: S101 - callers pass at least one image
    return (total / len(samples)).float().cpu().numpy()
