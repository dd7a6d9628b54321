"""Remember what was found out about a model for as long as the model and its weights stay."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

Found = TypeVar("Found")

_found: WeakKeyDictionary[nn.Module, tuple[Hashable, dict[Hashable, Any]]] = WeakKeyDictionary()


def remembered(model: nn.Module, key: Hashable, find: Callable[[], Found]) -> Found:
    """`find()`, called once per model, key and state of the weights.

    Weights changed in place, replaced or moved count as another state. What `find` returns must
    not hold the model itself, which would then live for ever.
    """
    state = _state(model)
    known = _found.get(model)
    if known is None or known[0] != state:
        known = _found[model] = (state, {})
    if key not in known[1]:
        known[1][key] = find()
    return known[1][key]


def _state(model: nn.Module) -> Hashable:
    return (
        model.training,
        *(
            (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
            for tensors in (model.parameters(), model.buffers())
            for tensor in tensors
            if type(tensor) is not torch.nn.parameter.UninitializedParameter
        ),
    )
