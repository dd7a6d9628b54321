"""Other ways to remove units: a plain hook loop, and captum where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from torch import nn


def peers(
    model: nn.Module, layer: str, inputs: torch.Tensor, units: Sequence[int], n_units: int
) -> dict[str, Callable[[], object]]:
    """Each peer removes each of the units alone from all of the inputs [N, C, H, W]."""
    ways: dict[str, Callable[[], object]] = {
        "plain hook loop": lambda: hook_loop(model, layer, inputs, units)
    }
    if find_spec("captum"):
        ways["captum LayerFeatureAblation"] = lambda: captum_loop(
            model, layer, inputs, units, n_units
        )
    return ways


def hook_loop(
    model: nn.Module, layer: str, inputs: torch.Tensor, units: Sequence[int]
) -> torch.Tensor:
    """Logits [S, N, C]: for each unit, a hook that writes zeros, and the model on all images."""
    results = []
    for unit in units:

        def hook(_m: nn.Module, _i: object, out: torch.Tensor, unit: int = unit) -> torch.Tensor:
            out = out.clone()
            out[:, unit] = 0
            return out

        handle = model.get_submodule(layer).register_forward_hook(hook)
        with torch.no_grad():
            results.append(model(inputs))
        handle.remove()
    return torch.stack(results)


def captum_loop(
    model: nn.Module, layer: str, inputs: torch.Tensor, units: Sequence[int], n_units: int
) -> torch.Tensor:
    """Effects on logit 0 of each unit alone, by captum's LayerFeatureAblation.

    The units left over form one more feature, which captum removes as well; with one set in
    `len(units) + 1` of this kind its time per unit is a little overstated.
    """
    from captum.attr import LayerFeatureAblation

    features = torch.full((1, n_units, 1, 1), len(units))
    features[0, list(units), 0, 0] = torch.arange(len(units))
    method = LayerFeatureAblation(model, model.get_submodule(layer))
    with torch.no_grad():
        return method.attribute(inputs, target=0, layer_mask=features)
