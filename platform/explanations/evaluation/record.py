"""What a worker found, as the JSON that the database keeps: the engine's own field names.

A number that cannot be known (NaN) is null, and an estimate is {"value", "low", "high"}.
"""

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

LEFT_OUT = {"logits"}


def to_plain(value: Any) -> Any:
    """Dataclasses, arrays and numbers of the engine as JSON; arrays of logits are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: to_plain(getattr(value, item.name))
            for item in fields(value)
            if item.name not in LEFT_OUT
        }
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
