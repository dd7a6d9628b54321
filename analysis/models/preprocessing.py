"""From an image as `analysis.imaging` reads it to the array that a network takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.imaging import resize

MAX_SIDE = 4096
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's "L" mode


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its images.

    input_size: (height, width); images are stretched to it. mean, std: one value per channel on
    the [0, 1] scale, in the model's channel order.
    """

    input_size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channel_order: Literal["RGB", "BGR"] = "RGB"

    def __post_init__(self) -> None:
        if len(self.input_size) != 2 or not all(1 <= side <= MAX_SIDE for side in self.input_size):
            raise ValueError(f"input_size must be (height, width), each from 1 to {MAX_SIDE}.")
        if self.channels not in (1, 3):
            raise ValueError("channels must be 1 (grey) or 3 (colour).")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(f"{name} needs {self.channels} values, one per channel.")
            if not all(math.isfinite(value) for value in values):
                raise ValueError(f"{name} must hold finite numbers.")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be positive.")
        if self.channel_order not in ("RGB", "BGR"):
            raise ValueError('channel_order must be "RGB" or "BGR".')

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        return {
            "input_size": list(self.input_size),
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "channel_order": self.channel_order,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read `to_dict` values. Raises ValueError that names the field at fault."""
        allowed = {"input_size", "channels", "mean", "std", "channel_order"}
        if unknown := set(values) - allowed:
            raise ValueError(f"Unknown preprocessing fields: {', '.join(sorted(unknown))}.")
        if missing := {"input_size", "channels", "mean", "std"} - set(values):
            raise ValueError(f"Missing preprocessing fields: {', '.join(sorted(missing))}.")
        try:
            height, width = (int(side) for side in values["input_size"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError("input_size must be two whole numbers: height, width.") from error
        try:
            mean = tuple(float(value) for value in values["mean"])
            std = tuple(float(value) for value in values["std"])
            channels = int(values["channels"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError("channels, mean and std must hold numbers.") from error
        return cls(
            (height, width), channels, mean, std, channel_order=values.get("channel_order", "RGB")
        )

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Image [H, W] or [H, W, 3] in [0, 1] to the model's input, float32 [channels, H, W].

        Resized to `input_size`, grey repeated or colour reduced to luma (BT.601) as `channels`
        asks, reordered, then (x - mean) / std.
        """
        if array.ndim == 3 and self.channels == 1:
            array = array @ _LUMA
        resized = resize(array, self.input_size)
        planes = (
            np.broadcast_to(resized, (self.channels, *self.input_size))
            if resized.ndim == 2
            else resized.transpose(2, 0, 1)
        )
        if self.channel_order == "BGR":
            planes = planes[::-1]
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        std = np.asarray(self.std, np.float32)[:, None, None]
        return np.ascontiguousarray((planes - mean) / std, dtype=np.float32)
