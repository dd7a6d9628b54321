"""Passes over the images that an ablation needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from analysis.ablation.settings import AblationError, AblationSettings
from analysis.ablation.storage import new_array
from analysis.data import Sample, decode_in_batches, decode_input, to_device
from analysis.models.ablation import Ablator
from analysis.models.errors import ModelError
from analysis.models.hooks import device_of
from analysis.models.preprocessing import Preprocessing
from analysis.models.splitting import Cut

Advance = Callable[[int], None]
Plan = Callable[[int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Pooled:
    """rows: places in the samples of the N images that could be read. logits [N, C] float32;

    means [N, K]: mean of each unit's map (empty where it is not needed).
    """

    rows: list[int]
    skipped: list[tuple[str, str]]
    logits: np.ndarray
    means: np.ndarray


def pooled_maps(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    settings: AblationSettings,
    advance: Advance,
) -> Pooled:
    """Logits and mean maps of all images, in one pass."""
    reader = _Reader(samples, preprocessing, settings, device_of(model), advance)
    logits: list[np.ndarray] = []
    means: np.ndarray | None = None
    ablator = Ablator(model, layer, settings.batch_size)
    for inputs in reader.batches():
        cut = ablator.cut(inputs)
        _require_maps(cut, layer)
        pooled = cut.maps.mean((2, 3), dtype=torch.float64).float().cpu().numpy()
        if means is None:
            means = new_array((len(samples), pooled.shape[1]), settings)
        means[len(reader.rows) - len(inputs) : len(reader.rows)] = pooled
        logits.append(_finite_logits(cut.logits))
    if means is None:
        raise reader.nothing_read()
    return Pooled(reader.rows, reader.skipped, np.concatenate(logits), means[: len(reader.rows)])


def unit_means(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    settings: AblationSettings,
    advance: Advance,
) -> np.ndarray:
    """Mean of each unit over all images and positions, [K] float64."""
    return pooled_maps(model, layer, samples, preprocessing, settings, advance).means.mean(
        0, dtype=np.float64
    )


def measured_logits(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    plan: Plan,
    settings: AblationSettings,
    advance: Advance,
    pause: Callable[[], None],
) -> tuple[Pooled, np.ndarray, np.ndarray]:
    """Run all removals in one pass; the maps of a batch of images live until its sets are done.

    plan(K) gives which units each set keeps [S, K] and the fill [K]. `pause()` is called between
    runs of the layers behind. Returns what was read, `keep`, and the logits [S, N, C].
    """
    reader = _Reader(samples, preprocessing, settings, device_of(model), advance)
    ablator = Ablator(model, layer, settings.batch_size)
    logits: list[np.ndarray] = []
    after: np.ndarray | None = None
    keep = np.empty((0, 0), bool)
    fill = np.empty(0, np.float32)
    for inputs in reader.batches():
        cut = ablator.cut(inputs)
        _require_maps(cut, layer)
        before = _finite_logits(cut.logits)
        if after is None:
            keep, fill = plan(cut.maps.shape[1])
            after = new_array((len(keep), len(samples), before.shape[1]), settings)
        stop = len(reader.rows)
        after[:, stop - len(inputs) : stop] = _removals(
            ablator, cut, before, keep, fill, settings.batch_size, pause
        )
        logits.append(before)
    if after is None:
        raise reader.nothing_read()
    pooled = Pooled(
        reader.rows, reader.skipped, np.concatenate(logits), np.empty((0, 0), np.float32)
    )
    return pooled, keep, after[:, : len(reader.rows)]


def _removals(
    ablator: Ablator,
    cut: Cut,
    before: np.ndarray,
    keep: np.ndarray,
    fill: np.ndarray,
    batch_size: int,
    pause: Callable[[], None],
) -> np.ndarray:
    """Logits [S, N, C] of the images of one cut."""
    device = cut.maps.device
    kept, values = torch.from_numpy(keep).to(device), torch.from_numpy(fill).to(device)
    differs = cut.maps.ne(values[:, None, None]).flatten(2).any(2).cpu().numpy()
    after = np.repeat(before[None], len(keep), axis=0)
    # [S, N]: whether the removal changes anything in the image.
    pairs = np.argwhere((~keep[:, None] & differs[None]).any(2))
    for start in range(0, len(pairs), batch_size):
        sets, images = pairs[start : start + batch_size].T
        rows = torch.from_numpy(images).to(device)
        logits = ablator.edited(cut, rows, kept[torch.from_numpy(sets).to(device)], values)
        after[sets, images] = _finite_logits(logits)
        pause()
    return after


class _Reader:
    """Reads samples in batches and keeps account of which could be read."""

    def __init__(
        self,
        samples: Sequence[Sample],
        preprocessing: Preprocessing,
        settings: AblationSettings,
        device: torch.device,
        advance: Advance,
    ) -> None:
        self.rows: list[int] = []
        self.skipped: list[tuple[str, str]] = []
        self._samples = samples
        self._preprocessing = preprocessing
        self._batch_size = settings.batch_size
        self._device = device
        self._advance = advance

    def batches(self) -> Iterator[torch.Tensor]:
        """Inputs [n, channels, H, W] of the images that `rows` was just extended by."""

        def decode(sample: Sample) -> torch.Tensor:
            return decode_input(sample, self._preprocessing)

        for good, bad in decode_in_batches(self._samples, decode, self._batch_size):
            self.skipped += [(self._samples[index].key, str(error)) for index, error in bad]
            if good:
                self.rows += [index for index, _ in good]
                yield to_device([inputs for _, inputs in good], self._device)
            self._advance(len(good) + len(bad))

    def nothing_read(self) -> AblationError:
        key, reason = self.skipped[0]
        return AblationError(f"No image can be read. The first, {key!r}: {reason}")


def _require_maps(cut: Cut, layer: str) -> None:
    if cut.maps.ndim != 4:
        raise ModelError(f"The layer {layer!r} does not give maps. Choose another layer.")


def _finite_logits(logits: object) -> np.ndarray:
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise ModelError("The model must return one tensor [images, classes].")
    values = logits.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise AblationError("The model returns values that are not finite. Check it and the fill.")
    return values
