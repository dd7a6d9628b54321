"""Run a model over batches and hand over the outputs of some of its layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import fx, nn

from analysis.models.flattening import FlatteningError, flatten
from analysis.models.folding import with_batch_norm_folded
from analysis.models.hooks import submodule, watched
from analysis.models.memory import remembered

logger = logging.getLogger(__name__)

See = Callable[[object], None]
Forward = Callable[[torch.Tensor], object]

_AGREEMENT = 1e-4


@contextmanager
def observed(
    model: nn.Module, layers: Mapping[str, See], example: torch.Tensor
) -> Iterator[Forward]:
    """Give a function that runs the model on [n, C, H, W] and calls `see(output)` of each layer.

    Exported models are run with batch norm folded into the convolutions before it, save for
    convolutions that are watched themselves. That was checked once per model and layers on two
    noise images of the shape of `example` [C, H, W]: logits and maps are those of the model up to
    1e-4 of their largest value. Other models are run as they are, with hooks.

    Raises ModelError where the model has no layer of a name.
    """
    for name in layers:
        submodule(model, name)
    folded = folded_graph(model, tuple(layers), example)
    if folded is None:
        with ExitStack() as stack:
            for name, see in layers.items():
                stack.enter_context(watched(model, name, see))
            yield model
        return

    def run(inputs: torch.Tensor) -> object:
        logits, *outputs = folded(_laid_out(inputs))
        for see, output in zip(layers.values(), outputs, strict=True):
            see(output.contiguous() if isinstance(output, torch.Tensor) else output)
        return logits

    yield run


def folded_graph(
    model: nn.Module, layers: tuple[str, ...], example: torch.Tensor
) -> fx.GraphModule | None:
    """A module giving (logits, output of each layer), or None where the model is run as it is."""
    if not isinstance(getattr(model, "graph", None), fx.Graph):
        return None
    return remembered(model, ("observed", layers), lambda: _checked(model, layers, example))


def _checked(
    model: nn.Module, layers: tuple[str, ...], example: torch.Tensor
) -> fx.GraphModule | None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((2, *example.shape), generator=generator).to(example.device)
    try:
        folded = _folded(model, layers, inputs)
        agrees = _agree(model, layers, folded, inputs)
    except (FlatteningError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        logger.info("The model is run as it is (%s).", error)
        return None
    if not agrees:
        logger.info("The model with folded batch norm differs; it is run as it is.")
        return None
    return folded


def _folded(model: nn.Module, layers: tuple[str, ...], inputs: torch.Tensor) -> fx.GraphModule:
    # Flattening names the nodes the same each time, whichever layer it looks for.
    names = [flatten(model, layer, inputs).layer.name for layer in layers]
    flat = flatten(model, layers[0], inputs)
    nodes = {node.name: node for node in flat.graph.nodes}
    output = flat.graph.output_node()
    kept = []
    for name in names:
        # A copy, because later operations may change the layer's output in place.
        with flat.graph.inserting_after(nodes[name]):
            kept.append(flat.graph.call_function(torch.ops.aten.clone.default, (nodes[name],)))
    output.args = ((output.args[0], *kept),)
    return with_batch_norm_folded(flat.root, flat.graph)


def _agree(
    model: nn.Module, layers: tuple[str, ...], folded: fx.GraphModule, inputs: torch.Tensor
) -> bool:
    seen: dict[str, object] = {}

    def keeper(name: str) -> See:
        def keep(output: object) -> None:
            seen[name] = output.clone() if isinstance(output, torch.Tensor) else output

        return keep

    with torch.no_grad(), ExitStack() as stack:
        for name in layers:
            stack.enter_context(watched(model, name, keeper(name)))
        expected = [model(inputs.clone()), *(seen[name] for name in layers)]
        return all(
            isinstance(one, torch.Tensor) and _close(other, one)
            for one, other in zip(expected, folded(_laid_out(inputs.clone())), strict=True)
        )


def _laid_out(inputs: torch.Tensor) -> torch.Tensor:
    """With the channels of a pixel side by side, which convolutions are fastest on."""
    return inputs.contiguous(memory_format=torch.channels_last)


def _close(got: torch.Tensor, expected: torch.Tensor) -> bool:
    scale = expected.abs().max().clamp_min(1e-6)
    return got.shape == expected.shape and bool((got - expected).abs().max() <= _AGREEMENT * scale)
