"""Remove sets of units from a model and measure it over a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from analysis.ablation.metrics import Metrics, measure
from analysis.ablation.passes import Pooled, measured_logits, pooled_maps, unit_means
from analysis.ablation.settings import AblationError, AblationSettings, Fill
from analysis.data import Sample
from analysis.dissection.progress import ProgressCallback, Steps, StopCallback
from analysis.models.layers import HEAD_TOLERANCE, Head, head_weights
from analysis.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class AblationResult:
    """What S removals did to a model over N images.

    sets: the removed units of each. labels [N]: class, -1 where unknown. keys [N]: the samples'.
    skipped: (key, reason) of images that could not be read. logits_before [N, C]. before: the
    unchanged model's metrics, S = 1. after: metrics of the S removals. method: "exact" (closed
    form) or "measured" (the layers behind were run). logits_after(sets) gives [s, N, C] float32 for
    a slice of the sets.
    """

    layer: str
    sets: list[list[int]]
    keys: list[str]
    labels: np.ndarray
    skipped: list[tuple[str, str]]
    logits_before: np.ndarray
    logits_after: Callable[[slice], np.ndarray]
    before: Metrics
    after: Metrics
    method: Literal["exact", "measured"]


def ablate(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    sets: Sequence[Sequence[int]],
    *,
    fill: Fill = "zero",
    settings: AblationSettings | None = None,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> AblationResult:
    """Remove each set of units (0-based) from the layer's maps, and measure the model.

    Removing means that the units' maps hold `fill` everywhere. In front of global average pooling
    and one linear layer the logits follow in closed form from one pass over the images:
    `logit_c - sum over removed k of weight_ck (mean(a_k) - fill_k)`. For other layers the model
    runs once per image up to the layer, and the layers behind it once per image and set, batched
    over both; a unit whose map already equals the fill everywhere is not run. `fill="mean"` reads
    the images twice there.

    Raises AblationError (no images, units out of range, values that are not finite, a label that
    the model has no output for), ModelError (no such layer, or no maps), Cancelled (when
    `should_stop()` is true).
    """
    return ablate_planned(
        model,
        layer,
        samples,
        preprocessing,
        lambda _units: sets,
        fill=fill,
        settings=settings,
        progress=progress,
        should_stop=should_stop,
    )


def ablate_units(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    fill: Fill = "zero",
    settings: AblationSettings | None = None,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> AblationResult:
    """As `ablate`, with each unit of the layer removed alone: set k is unit k."""
    return ablate_planned(
        model,
        layer,
        samples,
        preprocessing,
        lambda units: [[unit] for unit in range(units)],
        fill=fill,
        settings=settings,
        progress=progress,
        should_stop=should_stop,
    )


def ablate_planned(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    sets_for: Callable[[int], Sequence[Sequence[int]]],
    *,
    fill: Fill = "zero",
    settings: AblationSettings | None = None,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> AblationResult:
    """As `ablate`, with sets that depend on the number of units of the layer."""
    settings = settings or AblationSettings()
    if not samples:
        raise AblationError("The data set has no images.")
    head = head_weights(model, layer, (preprocessing.channels, *preprocessing.input_size))
    needs_means = isinstance(fill, str) and fill == "mean"
    passes = 2 if head is None and needs_means else 1
    steps = Steps(passes * len(samples) + 1, progress, should_stop)

    def advance(images: int) -> None:
        steps.advance(images, "Reading images")

    if head is not None:
        pooled = pooled_maps(model, layer, samples, preprocessing, settings, advance)
        sets = _checked_sets(sets_for(pooled.means.shape[1]), pooled.means.shape[1])
        values = _fill_values(fill, pooled.means.shape[1], lambda: _mean(pooled.means))
        logits_after = _closed_form(pooled, head, sets, values)
    else:
        means = None
        if needs_means:
            means = unit_means(model, layer, samples, preprocessing, settings, advance)

        def plan(units: int) -> tuple[np.ndarray, np.ndarray]:
            checked = _checked_sets(sets_for(units), units)
            keep = np.ones((len(checked), units), bool)
            for row, chosen in enumerate(checked):
                keep[row, chosen] = False
            return keep, _fill_values(fill, units, lambda: means)

        pooled, keep, after = measured_logits(
            model,
            layer,
            samples,
            preprocessing,
            plan,
            settings,
            advance,
            lambda: steps.advance(0, "Removing units"),
        )
        sets = [np.flatnonzero(~row).tolist() for row in keep]

        def logits_after(part: slice) -> np.ndarray:
            return after[part]

    before = pooled.logits
    labels = _labels(samples, pooled.rows, before.shape[1])
    metrics = measure(
        len(sets), logits_after, before, labels, lambda _n: steps.advance(0, "Measuring")
    )
    result = AblationResult(
        layer=layer,
        sets=sets,
        keys=[samples[row].key for row in pooled.rows],
        labels=labels,
        skipped=pooled.skipped,
        logits_before=before,
        logits_after=logits_after,
        before=measure(1, lambda _part: before[None], before, labels),
        after=metrics,
        method="exact" if head is not None else "measured",
    )
    steps.advance(len(samples) * passes + 1, "Done")
    return result


def _checked_sets(sets: Sequence[Sequence[int]], units: int) -> list[list[int]]:
    checked = [sorted({int(unit) for unit in chosen}) for chosen in sets]
    if any(not 0 <= unit < units for chosen in checked for unit in chosen):
        raise AblationError(f"Units are numbered from 0 to {units - 1} in this layer.")
    return checked


def _fill_values(fill: Fill, units: int, mean: Callable[[], np.ndarray | None]) -> np.ndarray:
    """[K] float32."""
    if isinstance(fill, str):
        values = np.zeros(units) if fill == "zero" else mean()
    else:
        values = np.asarray(fill, np.float64)
        values = np.full(units, values) if values.ndim == 0 else values
    if values is None or values.shape != (units,) or not np.isfinite(values).all():
        raise AblationError(f'fill must be "zero", "mean", one number or {units} finite numbers.')
    return values.astype(np.float32)


def _mean(pooled: np.ndarray) -> np.ndarray:
    return pooled.mean(0, dtype=np.float64)


def _closed_form(
    pooled: Pooled, head: Head, sets: list[list[int]], fill: np.ndarray
) -> Callable[[slice], np.ndarray]:
    """Logits [s, N, C] for a slice of the sets. Raises AblationError where they do not add up."""
    _check_sum(pooled, head)
    means, fills = torch.from_numpy(pooled.means), torch.from_numpy(fill)
    weight = torch.from_numpy(head.weight).double()
    before = torch.from_numpy(pooled.logits).double()

    def change(units: list[int]) -> torch.Tensor:
        return (means[:, units].double() - fills[units].double()) @ weight[:, units].T

    def logits_after(part: slice) -> np.ndarray:
        return torch.stack([before - change(chosen) for chosen in sets[part]]).float().numpy()

    return logits_after


def _check_sum(pooled: Pooled, head: Head) -> None:
    error = np.abs(pooled.means @ head.weight.T + head.bias - pooled.logits).max()
    # Large contributions that cancel out leave rounding errors of their own size.
    scale = max(np.abs(pooled.logits).max(), np.abs(pooled.means).max() * np.abs(head.weight).max())
    if not error <= HEAD_TOLERANCE * max(scale, 1e-6):
        raise AblationError(
            f"The contributions miss the logits by {error:.2g}: the layer does not feed a pooled "
            "linear head alone. Report this model as a defect."
        )


def _labels(samples: Sequence[Sample], rows: Sequence[int], n_classes: int) -> np.ndarray:
    found = np.full(len(rows), -1)
    for place, row in enumerate(rows):
        label = samples[row].label
        if label is not None:
            found[place] = label
        if label is not None and not 0 <= label < n_classes:
            raise AblationError(
                f"The image {samples[row].key!r} has class {label}, but the model has "
                f"{n_classes} classes (numbered from 0)."
            )
    return found
