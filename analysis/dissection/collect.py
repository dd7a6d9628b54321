"""The one pass over the images: run the model and keep, per layer, what the statistics need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

from analysis.data import Sample, decode_in_batches, decode_input, to_device
from analysis.dissection.cache import ActivationCache
from analysis.dissection.classes import ClassSums
from analysis.dissection.masks import PackedMask, read_masks
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.dissection.topk import TopImages
from analysis.models.hooks import watched
from analysis.models.preprocessing import Preprocessing


class LayerCollector:
    """Collects one layer's maps, top images and class sums from batches in order."""

    def __init__(
        self, name: str, n_samples: int, n_classes: int, settings: DissectionSettings
    ) -> None:
        self.name = name
        self._n_samples = n_samples
        self._n_classes = n_classes
        self._settings = settings
        self._batch: Batch | None = None
        self._stack = ExitStack()
        self.cache: ActivationCache
        self.top: TopImages
        self.classes: ClassSums

    def expect(self, batch: Batch | None) -> None:
        """Say which images the next output belongs to; None ends the batch."""
        if batch is None and self._batch is not None:
            raise DissectionError(f"The layer {self.name!r} was not reached. Choose another layer.")
        self._batch = batch

    def see(self, output: object) -> None:
        """Take the layer's output for the expected batch."""
        batch, self._batch = self._batch, None
        if batch is None:
            raise DissectionError(
                f"The layer {self.name!r} runs more than once per image. Choose a layer before or "
                "after it."
            )
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output)
            raise DissectionError(
                f"The layer {self.name!r} gives {shape}, not maps [images, units, height, width]. "
                "Choose a convolutional layer."
            )
        if not output.is_floating_point() or len(output) != len(batch.indices):
            raise DissectionError(
                f"The layer {self.name!r} does not give one set of maps an image."
            )
        units, height, width = output.shape[1:]
        flat = output.detach().flatten(2)
        maximum, cell = flat.max(dim=2)
        mean = flat.mean(dim=2, dtype=torch.float32).cpu().numpy()
        if not np.isfinite(mean).all():
            row, unit = np.argwhere(~np.isfinite(mean))[0]
            raise DissectionError(
                f"Unit {unit} of layer {self.name!r} is not finite on the image "
                f"{batch.samples[row].key!r}. Check the model's weights and preprocessing."
            )
        if not hasattr(self, "cache"):
            self._start(units, height, width)
        if self.cache.shape[1:] != (units, height, width):
            raise DissectionError(f"The maps of layer {self.name!r} change size between images.")
        peak = maximum.float().cpu().numpy()
        self.cache.append(output.detach().float().cpu().numpy())
        self.top.update(peak, cell.cpu().numpy(), batch.indices, batch.groups)
        self.classes.update(mean, peak, [sample.label for sample in batch.samples])

    def _start(self, units: int, height: int, width: int) -> None:
        shape = (self._n_samples, units, height, width)
        self.cache = self._stack.enter_context(
            ActivationCache(shape, self._settings.cache_bytes, self._settings.cache_folder)
        )
        self.top = TopImages(units, self._settings.top_k)
        self.classes = ClassSums(units, self._n_classes)

    def close(self) -> None:
        self._stack.close()


class Batch:
    """The readable images of one batch: samples, their indices [n] and group numbers [n]."""

    def __init__(self, samples: list[Sample], indices: np.ndarray, groups: np.ndarray) -> None:
        self.samples = samples
        self.indices = indices
        self.groups = groups


class Pass:
    """What the pass over the images saw.

    logits [N, C] with NaN rows for skipped samples; rows [n]: sample index per readable image, in
    the order of the caches; masks [n][M]; skipped (key, reason).
    """

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits
        self.rows: list[int] = []
        self.masks: list[list[PackedMask]] = []
        self.skipped: list[tuple[str, str]] = []


def run_images(
    model: nn.Module,
    collectors: Sequence[LayerCollector],
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    concepts: Sequence[str],
    grid: tuple[int, int],
    n_classes: int,
    *,
    batch_size: int,
    device: torch.device,
    advance: Callable[[int], None],
) -> Pass:
    """Run the model over all samples once. `advance(n)` is called after each batch.

    Raises DissectionError if no image can be read or the output is not [images, n_classes].
    """
    seen = Pass(np.full((len(samples), n_classes), np.nan, np.float32))
    groups = _group_numbers(samples)

    def decode(sample: Sample) -> tuple[torch.Tensor, list[PackedMask]]:
        return decode_input(sample, preprocessing), read_masks(sample, concepts, grid)

    with torch.no_grad(), ExitStack() as stack:
        for collector in collectors:
            stack.enter_context(watched(model, collector.name, collector.see))
        for good, bad in decode_in_batches(samples, decode, batch_size):
            seen.skipped += [(samples[index].key, str(error)) for index, error in bad]
            if good:
                indices = np.array([index for index, _ in good])
                batch = Batch([samples[i] for i in indices], indices, groups[indices])
                for collector in collectors:
                    collector.expect(batch)
                logits = model(to_device([item[0] for _, item in good], device))
                for collector in collectors:
                    collector.expect(None)
                seen.logits[indices] = _checked(logits, len(good), n_classes)
                seen.rows += indices.tolist()
                seen.masks += [item[1] for _, item in good]
            advance(len(good) + len(bad))
    if not seen.rows:
        raise DissectionError(f"No image could be read. The first: {seen.skipped[0][1]}")
    return seen


def _group_numbers(samples: Sequence[Sample]) -> np.ndarray:
    """One number per group; samples without a group are groups of their own."""
    numbers: dict[tuple[str, str], int] = {}
    return np.array(
        [
            numbers.setdefault((s.group, "" if s.group else f"{i}"), len(numbers))
            for i, s in enumerate(samples)
        ],
        np.int64,
    )


def _checked(logits: object, n_images: int, n_classes: int) -> np.ndarray:
    if not isinstance(logits, torch.Tensor) or logits.shape != (n_images, n_classes):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise DissectionError(
            f"The model gives {shape} for {n_images} images; expected ({n_images}, {n_classes})."
        )
    return logits.float().cpu().numpy()
