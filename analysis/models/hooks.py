"""Look at, or change, the output of a named submodule during a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from analysis.models.errors import ModelError


def submodule(model: nn.Module, name: str) -> nn.Module:
    """The submodule `name`. Raises ModelError where the model has none of that name."""
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise ModelError(f"The model has no layer named {name!r}.") from error


@contextmanager
def watched(model: nn.Module, name: str, see: Callable[[Any], None]) -> Iterator[None]:
    """Call `see(output)` at each output of the submodule, before a later layer can change it."""
    handle = submodule(model, name).register_forward_hook(lambda _m, _i, output: see(output))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def edited(
    model: nn.Module, name: str, edit: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Replace the submodule's output by `edit(output)` while the context is open."""
    handle = submodule(model, name).register_forward_hook(lambda _m, _i, output: edit(output))
    try:
        yield
    finally:
        handle.remove()


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter or buffer, the CPU for a model with neither."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
