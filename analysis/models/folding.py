"""Fold batch norm into the convolution before it."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import fx, nn

_CONVOLUTION = torch.ops.aten.conv2d.default
_BATCH_NORM = torch.ops.aten.batch_norm.default


def with_batch_norm_folded(root: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """The graph as a module, with each batch norm folded into the convolution it follows.

    In inference, batch norm scales and shifts channels: s = weight / sqrt(var + eps), so that
    norm(conv(x)) has the kernel s * kernel and the bias s * (bias - mean) + shift. The values
    differ from the original by rounding alone (worked out in float64). `graph` is changed.
    """
    values: dict[str, Any] = {
        str(node.target): functools.reduce(getattr, str(node.target).split("."), root)
        for node in graph.nodes
        if node.op == "get_attr"
    }
    for place, node in enumerate(list(graph.nodes)):
        if _can_fold(node):
            _fold(graph, node, values, f"folded_{place}")
    graph.eliminate_dead_code()
    graph.lint()
    used = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    return fx.GraphModule({name: values[name] for name in used}, graph)


def _can_fold(node: fx.Node) -> bool:
    if node.target is not _BATCH_NORM or node.kwargs or node.args[5] is not False:
        return False
    before, *parameters = node.args[:5]
    if not isinstance(before, fx.Node) or before.target is not _CONVOLUTION or before.kwargs:
        return False
    kernel_and_bias = [argument for argument in before.args[1:3] if argument is not None]
    return len(before.users) == 1 and all(
        isinstance(argument, fx.Node) and argument.op == "get_attr"
        for argument in (*parameters, *kernel_and_bias)
    )


def _fold(graph: fx.Graph, norm: fx.Node, values: dict[str, Any], name: str) -> None:
    def value(argument: Any) -> torch.Tensor:
        return values[str(argument.target)].detach().double()

    # Any: `_can_fold` has seen that these are nodes.
    arguments: Any = norm.args
    convolution, weight, shift, mean, variance = arguments[:5]
    kernel, *rest = convolution.args[1:]
    bias = value(rest[0]) if rest and rest[0] is not None else torch.zeros_like(value(mean))
    scale = value(weight) / (value(variance) + arguments[7]).sqrt()
    dtype = values[str(kernel.target)].dtype
    values[f"{name}_kernel"] = (value(kernel) * scale[:, None, None, None]).to(dtype)
    values[f"{name}_bias"] = ((bias - value(mean)) * scale + value(shift)).to(dtype)
    with graph.inserting_before(norm):
        parameters = (graph.get_attr(f"{name}_kernel"), graph.get_attr(f"{name}_bias"))
        folded = graph.call_function(_CONVOLUTION, (convolution.args[0], *parameters, *rest[1:]))
    norm.replace_all_uses_with(folded)
    graph.erase_node(norm)
    graph.erase_node(convolution)
