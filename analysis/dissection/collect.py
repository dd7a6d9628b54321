"""The one pass over the images: run the model and keep, per layer, what the statistics need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from analysis.data import Sample, decode_in_batches, decode_input, to_device
from analysis.dissection.cache import ActivationCache
from analysis.dissection.classes import ClassSums
from analysis.dissection.forward import observed
from analysis.dissection.masks import MaskStore, PackedMask, read_masks
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.dissection.sketch import QuantileSketch
from analysis.dissection.topk import TopImages
from analysis.models.preprocessing import Preprocessing


class LayerCollector:
    """Collects one layer's maps, top images and class sums from batches in order."""

    def __init__(
        self, name: str, n_rows: int, n_classes: int, settings: DissectionSettings
    ) -> None:
        self.name = name
        self._n_rows = n_rows
        self._n_classes = n_classes
        self._settings = settings
        self._batch: Batch | None = None
        self.cache: ActivationCache | None = None
        self.sums: LayerSums | None = None

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
        maps = output.detach().float().cpu()
        if self.cache is None or self.sums is None:
            self.cache, self.sums = self._start(units, height, width)
        if self.cache.row_shape != (units, height, width):
            raise DissectionError(f"The maps of layer {self.name!r} change size between images.")
        self.cache.append(maps.numpy())
        self.sums.update(maps, mean, maximum.float().cpu().numpy(), cell.cpu().numpy(), batch)

    def _start(self, units: int, height: int, width: int) -> tuple[ActivationCache, LayerSums]:
        settings = self._settings
        cache = ActivationCache(
            (self._n_rows, units, height, width),
            settings.cache_bytes,
            settings.cache_folder,
            settings.cache_type,
        )
        sums = LayerSums(
            TopImages(units, settings.top_k),
            ClassSums(units, self._n_classes),
            QuantileSketch(units) if settings.statistics == "sketch" else None,
        )
        return cache, sums

    def close(self) -> None:
        if self.cache is not None:
            self.cache.close()


@dataclass(frozen=True)
class LayerSums:
    """What of a layer is kept in fixed memory; parts merge to the whole in any order."""

    top: TopImages
    classes: ClassSums
    sketch: QuantileSketch | None

    def update(
        self,
        maps: torch.Tensor,
        mean: np.ndarray,
        maximum: np.ndarray,
        cell: np.ndarray,
        batch: Batch,
    ) -> None:
        """Add maps [n, K, h, w]; mean, maximum and the maximum's flat position [n, K]."""
        self.top.update(maximum, cell, batch.indices, batch.groups)
        self.classes.update(mean, maximum, [sample.label for sample in batch.samples])
        if self.sketch is not None:
            self.sketch.update(maps)

    def merge(self, other: LayerSums) -> LayerSums:
        sketch = None
        if self.sketch is not None and other.sketch is not None:
            sketch = self.sketch.merge(other.sketch)
        return LayerSums(self.top.merge(other.top), self.classes.merge(other.classes), sketch)


class Batch:
    """The readable images of one batch: samples, their indices [n] and group numbers [n]."""

    def __init__(self, samples: list[Sample], indices: np.ndarray, groups: np.ndarray) -> None:
        self.samples = samples
        self.indices = indices
        self.groups = groups


@dataclass
class Pass:
    """What the pass over the images saw.

    indices [n]: sample per readable image, in the order of the caches; logits [n, C]; their masks;
    skipped (index, key, reason).
    """

    indices: np.ndarray
    logits: np.ndarray
    masks: MaskStore
    skipped: list[tuple[int, str, str]]


def run_images(
    model: nn.Module,
    collectors: Sequence[LayerCollector],
    samples: Sequence[Sample],
    span: range,
    preprocessing: Preprocessing,
    concepts: Sequence[str],
    grid: tuple[int, int],
    n_classes: int,
    *,
    batch_size: int,
    precision: str,
    device: torch.device,
    advance: Callable[[int], None],
) -> Pass:
    """Run the model once over the samples of `span`. `advance(n)` is called after each batch.

    Raises DissectionError if the output is not [images, n_classes].
    """
    indices: list[int] = []
    logits = np.empty((len(span), n_classes), np.float32)
    masks = MaskStore(len(concepts))
    skipped: list[tuple[int, str, str]] = []
    groups = _group_numbers(samples)

    def decode(sample: Sample) -> tuple[torch.Tensor, list[PackedMask]]:
        return decode_input(sample, preprocessing), read_masks(sample, concepts, grid)

    example = torch.zeros(preprocessing.channels, *preprocessing.input_size, device=device)
    layers = {collector.name: collector.see for collector in collectors}
    casting = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with torch.no_grad(), observed(model, layers, example) as forward, casting:
        chosen = samples[span.start : span.stop]
        for good, bad in decode_in_batches(chosen, decode, batch_size):
            skipped += [(span[i], chosen[i].key, str(error)) for i, error in bad]
            if good:
                places = np.array([span[i] for i, _ in good])
                batch = Batch([samples[i] for i in places], places, groups[places])
                for collector in collectors:
                    collector.expect(batch)
                output = forward(to_device([item[0] for _, item in good], device))
                for collector in collectors:
                    collector.expect(None)
                rows = slice(len(indices), len(indices) + len(good))
                logits[rows] = _checked(output, len(good), n_classes)
                indices += places.tolist()
                for _, item in good:
                    masks.append(item[1])
            advance(len(good) + len(bad))
    return Pass(np.array(indices, np.int64), logits[: len(indices)], masks, skipped)


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
