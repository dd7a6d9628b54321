"""Logits of a model for a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import nn

from analysis.data import Sample, decode_in_batches, decode_input, to_device
from analysis.dissection.progress import ProgressCallback, Steps, StopCallback
from analysis.models.errors import ModelError
from analysis.models.hooks import device_of
from analysis.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class Predictions:
    """logits [N, C] float32, NaN rows for images that could not be read; those as (key, reason)."""

    logits: np.ndarray
    skipped: list[tuple[str, str]]

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, [N, C]."""
        return softmax(self.logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, computed in float64, returned as float32."""
    return np.asarray(special.softmax(logits.astype(np.float64), axis=-1), np.float32)


def predict(
    model: nn.Module,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 32,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> Predictions:
    """Run the model over samples.

    Raises ModelError if its output is not [images, classes]; Cancelled when `should_stop()` is
    true. Images that cannot be read are skipped and listed.
    """
    device = device_of(model)
    steps = Steps(len(samples), progress, should_stop)
    skipped: list[tuple[str, str]] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []

    def decode(sample: Sample) -> torch.Tensor:
        return decode_input(sample, preprocessing)

    with torch.no_grad():
        for good, bad in decode_in_batches(samples, decode, batch_size):
            skipped += [(samples[index].key, str(error)) for index, error in bad]
            if good:
                output = model(to_device([item for _, item in good], device))
                if not isinstance(output, torch.Tensor) or output.ndim != 2:
                    raise ModelError("The model must return one tensor [images, classes].")
                indices = np.array([index for index, _ in good])
                parts.append((indices, output.float().cpu().numpy()))
            steps.advance(len(good) + len(bad), "Predicting")
    n_classes = parts[0][1].shape[1] if parts else 0
    logits = np.full((len(samples), n_classes), np.nan, np.float32)
    for indices, values in parts:
        logits[indices] = values
    return Predictions(logits, skipped)
