"""The operations of a model as one flat graph, with the place where a layer's output appears."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim


class FlatteningError(Exception):
    """The model cannot be written as one graph in which the layer appears once."""


@dataclass
class FlatModel:
    """graph: of `root`, one input and one output. layer: the node with the layer's output."""

    root: nn.Module
    graph: fx.Graph
    layer: fx.Node


def flatten(model: nn.Module, layer: str, example: torch.Tensor) -> FlatModel:
    """Write the model as one graph of operations. example: a batch [N >= 2, C, H, W].

    Exported models carry their graphs; others are exported here with a free batch size.

    Raises FlatteningError.
    """
    root = (
        model if isinstance(getattr(model, "graph", None), fx.Graph) else _exported(model, example)
    )
    inliner = _Inliner(root, layer)
    graph = fx.Graph()
    inputs = [node for node in _graph(root).nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise FlatteningError(f"The model has {len(inputs)} inputs.")
    placeholder = graph.placeholder("x")
    placeholder.meta = dict(inputs[0].meta)
    output = inliner.run(graph, root, "", [placeholder])
    if isinstance(output, (tuple, list)) and len(output) == 1:
        output = output[0]
    if not isinstance(output, fx.Node):
        raise FlatteningError("The model does not return one tensor.")
    if len(inliner.found) != 1 or not isinstance(inliner.found[0], fx.Node):
        raise FlatteningError(f"The layer is called {len(inliner.found)} times in the graph.")
    graph.output(output)
    return FlatModel(root, graph, inliner.found[0])


def _exported(model: nn.Module, example: torch.Tensor) -> nn.Module:
    try:
        program = torch.export.export(model, (example,), dynamic_shapes=({0: Dim("batch")},))
        return torch.export.unflatten(program)
    except Exception as error:
        raise FlatteningError(f"torch.export: {type(error).__name__}") from error


def _graph(module: nn.Module) -> fx.Graph:
    graph = getattr(module, "graph", None)
    if not isinstance(graph, fx.Graph):
        raise FlatteningError(f"{type(module).__name__} has no graph.")
    return graph


@dataclass
class _Inliner:
    root: nn.Module
    layer: str
    found: list[Any] = field(default_factory=list)

    def run(self, graph: fx.Graph, module: nn.Module, path: str, inputs: list[Any]) -> Any:
        """Copy the module's graph into `graph`, called modules included; gives its output."""
        values: dict[fx.Node, Any] = {}
        pending = list(inputs)
        for node in _graph(module).nodes:
            arguments = fx.node.map_arg((node.args, node.kwargs), lambda n: values[n])
            if node.op == "placeholder":
                values[node] = pending.pop(0)
            elif node.op == "output":
                return arguments[0][0]
            elif node.op == "call_module":
                name = path + str(node.target)
                called = self.root.get_submodule(name)
                values[node] = self.run(graph, called, name + ".", _ordered(called, *arguments))
                if name == self.layer:
                    self.found.append(values[node])
            elif node.op == "get_attr":
                values[node] = graph.get_attr(path + str(node.target))
            elif node.target is operator.getitem and isinstance(arguments[0][0], (tuple, list)):
                values[node] = arguments[0][0][arguments[0][1]]
            else:
                values[node] = graph.create_node(node.op, node.target, *arguments)
            if isinstance(values[node], fx.Node) and "val" in node.meta:
                values[node].meta.setdefault("val", node.meta["val"])
        raise FlatteningError(f"The graph of {path or 'the model'} has no output.")


def _ordered(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    names = [str(node.target) for node in _graph(module).nodes if node.op == "placeholder"]
    return [*arguments, *(named[name] for name in names[len(arguments) :])]
