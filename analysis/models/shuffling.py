"""Untrained twins of models: the same layers and the same weights, in an order without meaning.

What experts recognise in the units of such a twin is what they would recognise in anything (the
randomisation test of Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, with the
weights shuffled in place of drawn anew, so that each tensor keeps its distribution).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from analysis.models.errors import ModelError
from analysis.models.loading import load_program

_BATCH_NORMS = (
    torch.ops.aten.batch_norm.default,
    torch.ops.aten._native_batch_norm_legit_no_training.default,
)


def write_shuffled(source: Path, target: Path, images: Tensor, *, seed: int) -> None:
    """Write to `target` the model of the `.pt2` file `source` with shuffled weights.

    The values of each weight tensor are permuted among its places. The running means and variances
    of batch norm, which belong to the old weights, are measured anew on `images`: with the old ones
    many units would never be active. The same arguments give the same bytes.

    Args:
        images: prepared inputs of the model, float32 [N, C, H, W].

    Raises:
        UnsafeModelError, ModelError: as `analysis.models.loading.load_model`; also where shuffling
            changes nothing, because no weight tensor holds two different values.
    """
    program = load_program(source)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        changed = [_shuffle(weights, generator) for weights in _weights(program)]
        if not any(changed):
            raise ModelError("All weights of a tensor are the same: there is nothing to shuffle.")
        _Calibration(program.module()).run(images)
    with target.open("wb") as file:
        torch.export.save(program, file)


def _weights(program: ExportedProgram) -> list[Tensor]:
    names = program.graph_signature.parameters
    return [program.state_dict[name] for name in names if program.state_dict[name].numel() > 1]


def _shuffle(weights: Tensor, generator: torch.Generator) -> bool:
    """Permute the values in place; whether that has changed anything."""
    before = weights.clone()
    order = torch.randperm(weights.numel(), generator=generator)
    weights.copy_(before.flatten()[order].view_as(weights))
    return not torch.equal(before, weights)


class _Calibration(fx.Interpreter):
    """Runs a model and gives each batch norm the statistics of what reaches it.

    The tensors of `ExportedProgram.module()` are those of the program, so it changes with them.
    """

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target in _BATCH_NORMS:
            variance, mean = torch.var_mean(
                args[0], dim=[axis for axis in range(args[0].ndim) if axis != 1], correction=0
            )
            args[3].copy_(mean)
            args[4].copy_(variance)
        return super().call_function(target, args, kwargs)
