"""Find the layers of a model that can be dissected, by running it on noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import nn

from analysis.models.errors import ModelError
from analysis.models.hooks import device_of, watched
from analysis.models.memory import remembered
from analysis.models.preprocessing import Preprocessing

HEAD_TOLERANCE = 1e-3
"""How far bias + W·mean(a) may be from the logits, relative to the largest logit."""
SOFTMAX_TOLERANCE = 1e-4
"""How far outputs of an image may add up to something else than 1 and still be probabilities."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose output is [N, units, height, width].

    depth_index: its place in the order of execution, 0 first. is_head_input: its output goes
    through global average pooling and one linear layer to the logits. nonnegative: no value below
    zero was seen (such as after a ReLU).
    """

    name: str
    units: int
    height: int
    width: int
    depth_index: int
    is_head_input: bool
    nonnegative: bool


@dataclass(frozen=True)
class ModelReport:
    """What a model looks like from outside: its layers in order of execution and its output.

    output_shape: of one image, without the batch. head: name of the head-input layer, or None.
    """

    layers: list[LayerInfo]
    output_shape: tuple[int, ...]
    n_outputs: int
    head: str | None


@dataclass(frozen=True)
class Head:
    """The linear layer after global average pooling: weight [C, K] and bias [C], float32.

    logit_c = bias_c + sum over k of weight_ck * mean(a_k)   (Zhou et al. 2016, CAM)
    """

    weight: np.ndarray
    bias: np.ndarray


def inspect_model(model: nn.Module, preprocessing: Preprocessing, n_classes: int) -> ModelReport:
    """Run the model on noise and list the layers that can be dissected.

    Listed are submodules that are called once and give a float tensor [N, K, H, W] with K >= 2.
    Where several give the very same tensor (a container and its last child), the shortest name is
    kept.

    Raises ModelError: the batch or image size is fixed to another one, the output is not
    [N, n_classes], not finite or already a probability (softmax), or no layer can be dissected.
    """
    shape = (preprocessing.channels, *preprocessing.input_size)
    probe = _probe(shape, device_of(model))
    seen, output = _run(model, probe)
    logits = _checked_logits(output, len(probe), n_classes)
    shortest: dict[tuple[int, int, torch.Size], str] = {}
    for name, layer in seen.items():
        identity = (layer.output.data_ptr(), layer.version, layer.output.shape)
        best = shortest.setdefault(identity, name)
        if (name.count("."), len(name)) < (best.count("."), len(best)):
            shortest[identity] = name
    kept = set(shortest.values())
    names = [name for name in seen if name in kept]
    if not names:
        raise ModelError(
            "No submodule of the model gives maps [N, units, height, width] with at least two "
            "units in a single call, so there is nothing to dissect. Use nn.Conv2d/nn.ReLU modules "
            "in place of functions, one for each step, and export the model again."
        )
    heads = [
        name
        for name in names
        if _matching_head(model, seen[name].mean, logits.double()) is not None
    ]
    # The pooled maps themselves (1 x 1) also fit, but say nothing about places.
    heads = [name for name in heads if seen[name].output[0, 0].numel() > 1] or heads
    layers = [
        _layer_info(name, seen[name], depth, name in heads) for depth, name in enumerate(names)
    ]
    return ModelReport(
        layers, tuple(logits.shape[1:]), logits.shape[1], heads[-1] if heads else None
    )


def head_weights(
    model: nn.Module, layer: str, input_shape: tuple[int, int, int] | None = None
) -> Head | None:
    """The linear head right after the layer and global average pooling, or None.

    Every parameter of the fitting size is a candidate; one counts only if, on noise images,
    bias + W·mean(a) equals the model's logits (HEAD_TOLERANCE). `input_shape` is (C, H, W); it may
    be left out for exported models, which know theirs. The answer is remembered until the model's
    weights change.
    """
    shape = input_shape or exported_input_shape(model)
    if shape is None:
        raise ModelError("Give input_shape=(channels, height, width): the model does not state it.")
    return remembered(model, ("head", layer, shape), lambda: _find_head(model, layer, shape))


def _find_head(model: nn.Module, layer: str, shape: tuple[int, int, int]) -> Head | None:
    seen: list[torch.Tensor] = []

    def see(output: object) -> None:
        if _is_map(output):
            seen.append(output.double().mean((2, 3)))

    with torch.no_grad(), watched(model, layer, see):
        logits = model(_probe(shape, device_of(model)))
    if len(seen) != 1 or not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        return None
    return _matching_head(model, seen[0], logits.double())


def exported_input_shape(model: nn.Module) -> tuple[int, int, int] | None:
    """(C, H, W) that an exported model was exported for; None for other models."""
    shape = _placeholder_shape(model)
    if shape is None or len(shape) != 4 or not all(isinstance(side, int) for side in shape[1:]):
        return None
    return int(shape[1]), int(shape[2]), int(shape[3])


def _placeholder_shape(model: nn.Module) -> Sequence[Any] | None:
    graph = getattr(model, "graph", None)
    if not isinstance(graph, torch.fx.Graph):
        return None
    values = [node.meta.get("val") for node in graph.nodes if node.op == "placeholder"]
    return values[0].shape if len(values) == 1 and isinstance(values[0], torch.Tensor) else None


def _probe(shape: tuple[int, int, int], device: torch.device) -> torch.Tensor:
    """Three different noise images: sizes 1 and 2 are special cases in some exported models."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1, 1)
    return (torch.randn((3, *shape), generator=generator) * scale).to(device)


def _is_map(output: object) -> TypeGuard[torch.Tensor]:
    return isinstance(output, torch.Tensor) and output.ndim == 4 and output.is_floating_point()


@dataclass(frozen=True)
class _Seen:
    """A layer's output, and what it was like before later layers could change it in place."""

    output: torch.Tensor
    version: int
    mean: torch.Tensor
    nonnegative: bool


def _layer_info(name: str, layer: _Seen, depth: int, is_head_input: bool) -> LayerInfo:
    _, units, height, width = layer.output.shape
    return LayerInfo(name, units, height, width, depth, is_head_input, layer.nonnegative)


def _run(model: nn.Module, probe: torch.Tensor) -> tuple[dict[str, _Seen], object]:
    """Outputs of the layers that are called once, in order, and the model's output."""
    seen: dict[str, _Seen] = {}
    calls: Counter[str] = Counter()

    def watch(name: str, output: object) -> None:
        calls[name] += 1
        if _is_map(output) and output.shape[0] == len(probe) and output.shape[1] >= 2:
            mean = output.double().mean((2, 3))
            seen[name] = _Seen(output, output._version, mean, bool((output >= 0).all()))

    with torch.no_grad(), ExitStack() as stack:
        for name, _ in model.named_modules():
            if name:
                stack.enter_context(watched(model, name, partial(watch, name)))
        try:
            output = model(probe)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise _explained(model, probe, error) from error
    return {name: layer for name, layer in seen.items() if calls[name] == 1}, output


def _explained(model: nn.Module, probe: torch.Tensor, error: Exception) -> ModelError:
    shape = _placeholder_shape(model)
    if shape is not None and len(shape) == 4:
        if isinstance(shape[0], int):
            return ModelError(
                f"The model only takes batches of exactly {shape[0]} images. Export it with a free "
                'batch size: torch.export.export(model, (x,), dynamic_shapes=({0: Dim("batch")},)).'
            )
        wanted, given = [str(side) for side in shape[1:]], [str(n) for n in probe.shape[1:]]
        if wanted != given:
            return ModelError(
                f"The model takes images of (channels, height, width) = ({', '.join(wanted)}), "
                f"but the preprocessing makes ({', '.join(given)}). Change the preprocessing."
            )
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return ModelError(f"The model fails on a batch of shape {tuple(probe.shape)}: {first}")


def _checked_logits(logits: object, n_images: int, n_classes: int) -> torch.Tensor:
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != n_images:
        kind = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ModelError(
            f"The model must return one tensor [images, classes], not {kind}. "
            "Export a model that returns its logits only."
        )
    if logits.shape[1] != n_classes:
        raise ModelError(
            f"The model has {logits.shape[1]} outputs, but {n_classes} class names were given. "
            "Give one name per output, in order."
        )
    if not bool(logits.isfinite().all()):
        raise ModelError("The model returns values that are not finite. Check its weights.")
    total = logits.double().sum(1)
    if bool((logits >= 0).all()) and bool(((total - 1).abs() <= SOFTMAX_TOLERANCE).all()):
        raise ModelError(
            "The outputs of every image are probabilities that add up to 1. Export logits, without "
            "softmax: return what the last layer before it gives."
        )
    return logits


def _matching_head(model: nn.Module, means: torch.Tensor, logits: torch.Tensor) -> Head | None:
    n_outputs, units = logits.shape[1], means.shape[1]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, weight in parameters.items():
        if weight.ndim not in (2, 4) or weight.shape[:2] != (n_outputs, units):
            continue
        if weight.numel() != n_outputs * units:
            continue
        matrix = weight.detach().double().reshape(n_outputs, units)
        bias = parameters.get(name.removesuffix("weight") + "bias")
        offset = torch.zeros(n_outputs, dtype=torch.double, device=matrix.device)
        if bias is not None and bias.shape == (n_outputs,):
            offset = bias.detach().double()
        error = (means @ matrix.T + offset - logits).abs().max()
        if error <= HEAD_TOLERANCE * logits.abs().max().clamp_min(1e-6):
            return Head(matrix.float().cpu().numpy(), offset.float().cpu().numpy())
    return None
