"""Cut a model behind a layer, so that only the layers behind the cut are run again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from analysis.models.errors import ModelError
from analysis.models.flattening import FlatModel, FlatteningError, flatten
from analysis.models.folding import with_batch_norm_folded
from analysis.models.hooks import edited, watched
from analysis.models.memory import remembered

logger = logging.getLogger(__name__)

_AGREEMENT = 1e-4
_SIZE = torch.ops.aten.sym_size.int


@dataclass(frozen=True)
class Cut:
    """What is known of N images at the cut.

    logits [N, C]; maps [N, K, h, w]: the layer's output, before later layers can change it
    (both the model's own up to rounding, see `Parts`);
    carried: the other values [N, ...] that the layers behind the cut need.
    """

    split: Split
    logits: torch.Tensor
    maps: torch.Tensor
    carried: tuple[torch.Tensor, ...]

    def resume(self, rows: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Logits [R, C] with other maps [R, K, h, w] for the images `rows` [R]."""
        return self.split.resume(maps, [value[rows] for value in self.carried])


class Split:
    """A model in two parts. Without `parts`, the whole model is run and a hook replaces the maps.

    Use `split_after`, which checks that both ways agree.
    """

    def __init__(self, model: nn.Module, layer: str, parts: Parts | None) -> None:
        self._model = model
        self._layer = layer
        self._parts = parts

    @property
    def cuts(self) -> bool:
        """Whether only the layers behind the cut are run again."""
        return self._parts is not None

    def observe(self, inputs: torch.Tensor) -> Cut:
        """Run the model on [N, channels, H, W].

        Raises ModelError where the layer is not called exactly once or does not give one tensor.
        """
        with torch.no_grad():
            if self._parts is not None:
                logits, maps, *carried = self._parts.whole(_laid_out(inputs))
                return Cut(self, logits, maps, tuple(carried))
            seen: list[object] = []
            with watched(self._model, self._layer, lambda out: seen.append(_copied(out))):
                logits = self._model(inputs.clone())
        if len(seen) != 1:
            raise ModelError(
                f"The layer {self._layer!r} runs {len(seen)} times for an image, so its units "
                "have no single map. Choose the layer around it."
            )
        if not isinstance(seen[0], torch.Tensor):
            raise ModelError(
                f"The layer {self._layer!r} does not give one tensor. Choose another layer."
            )
        return Cut(self, logits, seen[0], (inputs,))

    def resume(self, maps: torch.Tensor, carried: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits [R, C] from maps [R, K, h, w] and what else is carried. Both may be changed."""
        with torch.no_grad():
            if self._parts is not None:
                return self._parts.tail(maps, *carried)
            with edited(self._model, self._layer, lambda _out: maps):
                return self._model(carried[0])


def _laid_out(inputs: torch.Tensor) -> torch.Tensor:
    """A copy, in a batch with the channels of a pixel side by side: convolutions are faster so."""
    return inputs.clone(
        memory_format=torch.channels_last if len(inputs) > 1 else torch.contiguous_format
    )


def _copied(output: object) -> object:
    return output.clone() if isinstance(output, torch.Tensor) else output


@dataclass(frozen=True)
class Parts:
    """whole(x) gives logits, maps and what is carried; tail(maps, *carried) gives logits.

    Batch norm is folded into the convolutions, so the values differ from the model's by rounding.
    """

    whole: fx.GraphModule
    tail: fx.GraphModule


def split_after(model: nn.Module, layer: str, example: torch.Tensor) -> Split:
    """Cut the model behind a layer. example: one image [channels, H, W] to check the cut on.

    The check, once per model and layer: the unchanged logits, and those with either half of the
    units set to zero, must be those of the whole model with a hook (relative error 1e-4).
    Otherwise, and for models that cannot be written as one graph, the whole model is run.
    """
    parts = remembered(model, ("split", layer), lambda: _checked_parts(model, layer, example))
    return Split(model, layer, parts)


def _checked_parts(model: nn.Module, layer: str, example: torch.Tensor) -> Parts | None:
    # Two different images: a batch of one is a special case to torch.export.
    inputs = torch.stack([example, example.flip(-1) * 0.5])
    plain = Split(model, layer, None)
    try:
        parts = _parts(flatten(model, layer, inputs))
        agrees = _agree(plain, Split(model, layer, parts), inputs)
    except (FlatteningError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        logger.info("Layer %s: the whole model is run for each removal (%s).", layer, error)
        return None
    if not agrees:
        logger.info("Layer %s: the cut model differs; the whole model is run.", layer)
        return None
    return parts


def _agree(plain: Split, split: Split, inputs: torch.Tensor) -> bool:
    expected, got = plain.observe(inputs), split.observe(inputs)
    if expected.maps.ndim != 4 or not _close(got.maps, expected.maps):
        return False
    if not _close(got.logits, expected.logits):
        return False
    half = torch.arange(expected.maps.shape[1], device=inputs.device) % 2 == 0
    keep = torch.stack([half, ~half, half | True])[:, :, None, None]
    rows = torch.tensor([0, 1, 0], device=inputs.device)
    zero = expected.maps.new_zeros(())
    return _close(
        got.resume(rows, torch.where(keep, got.maps[rows], zero)),
        expected.resume(rows, torch.where(keep, expected.maps[rows], zero)),
    )


def _close(got: torch.Tensor, expected: torch.Tensor) -> bool:
    scale = expected.abs().max().clamp_min(1e-6)
    return got.shape == expected.shape and bool((got - expected).abs().max() <= _AGREEMENT * scale)


def _parts(flat: FlatModel) -> Parts:
    behind = _following(flat.graph, flat.layer)
    inputs = [node for node in flat.graph.nodes if node.op == "placeholder"]
    varying = _following(flat.graph, *inputs)
    tail = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {flat.layer: tail.placeholder("maps")}
    used = {source for node in behind - {flat.layer} for source in node.all_input_nodes} - behind
    carried = [n for n in flat.graph.nodes if n in used & varying and not _is_size(n)]
    for node in carried:
        copies[node] = tail.placeholder(f"carried_{node.name}")
    for node in flat.graph.nodes:
        if node in behind and node is not flat.layer:
            _copy(node, tail, copies)
    return Parts(_whole(flat, carried), with_batch_norm_folded(flat.root, tail))


def _following(graph: fx.Graph, *first: fx.Node) -> set[fx.Node]:
    """The nodes whose value depends on one of the given ones, these included."""
    found = set(first)
    for node in graph.nodes:
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (int, torch.SymInt)) or node.target is _SIZE


def _copy(node: fx.Node, tail: fx.Graph, copies: dict[fx.Node, fx.Node]) -> None:
    """Copy a node and what it needs; sizes in front of the cut are worked out from the maps."""
    if node.op == "placeholder":
        raise FlatteningError("The layers behind the cut use the size of the model's input.")
    if node.target is _SIZE and node.args[0] not in copies:
        if node.args[1] != 0:
            raise FlatteningError("The layers behind the cut use the size of an earlier value.")
        maps = next(iter(copies.values()))
        copies[node] = tail.call_function(_SIZE, (maps, 0))
        return
    for source in node.all_input_nodes:
        if source not in copies:
            _copy(source, tail, copies)
    copies[node] = tail.node_copy(node, lambda n: copies[n])


def _whole(flat: FlatModel, carried: Sequence[fx.Node]) -> fx.GraphModule:
    """The graph with more outputs, copied where operations may change them in place later."""
    graph = fx.Graph()
    copies: dict[fx.Node, Any] = {}
    kept: dict[fx.Node, fx.Node] = {}
    logits: fx.Node | None = None
    works_in_place = _works_in_place(flat.graph)
    for node in flat.graph.nodes:
        if node.op == "output":
            logits = copies[node.args[0]]
            continue
        copies[node] = graph.node_copy(node, lambda n: copies[n])
        if node is flat.layer or node in carried:
            kept[node] = (
                graph.call_function(torch.ops.aten.clone.default, (copies[node],))
                if works_in_place
                else copies[node]
            )
    graph.output((logits, kept[flat.layer], *(kept[node] for node in carried)))
    return with_batch_norm_folded(flat.root, graph)


def _works_in_place(graph: fx.Graph) -> bool:
    return any(
        isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
        for node in graph.nodes
    )
