"""Dissect layers of a model over a data set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

from analysis.data import Sample
from analysis.dissection.classes import selectivity
from analysis.dissection.collect import LayerCollector, Pass, run_images
from analysis.dissection.concepts import overlap
from analysis.dissection.influence import chosen_rows, exact_influence, measured_influence
from analysis.dissection.masks import mask_grid
from analysis.dissection.progress import ProgressCallback, Steps, StopCallback
from analysis.dissection.quantiles import distribution
from analysis.dissection.result import Dissection, LayerResult
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.models.hooks import device_of
from analysis.models.layers import Head, head_weights
from analysis.models.preprocessing import Preprocessing


def dissect(
    model: nn.Module,
    layers: Sequence[str],
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    n_classes: int,
    concepts: Sequence[str],
    settings: DissectionSettings | None = None,
    *,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> Dissection:
    """Dissect any number of layers in ONE pass over the images.

    The model runs where its weights are; it must be in eval mode and give logits [n, n_classes].
    Every image that can be read counts as annotated: a concept without a mask is absent.
    `progress(done, total, message)` is called often, with `done` growing up to `total`.
    The result is the same for the same inputs and seed.

    Raises DissectionError (no layers or images, an image label outside the classes, layers that do
    not give maps, values that are not finite), ModelError (no layer of that name), Cancelled (when
    `should_stop()` is true).
    """
    settings = settings or DissectionSettings()
    _check(layers, samples, n_classes)
    device = device_of(model)
    shape = (preprocessing.channels, *preprocessing.input_size)
    heads = {name: head_weights(model, name, shape) for name in layers}
    grid = mask_grid(preprocessing.input_size)
    measured = min(settings.influence_samples, len(samples))
    total = len(samples) * (1 + len(layers)) + measured * sum(h is None for h in heads.values())
    steps = Steps(total, progress, should_stop)
    with ExitStack() as stack:
        collectors = [LayerCollector(name, len(samples), n_classes, settings) for name in layers]
        for collector in collectors:
            stack.callback(collector.close)
        seen = run_images(
            model,
            collectors,
            samples,
            preprocessing,
            concepts,
            grid,
            n_classes,
            batch_size=settings.batch_size,
            device=device,
            advance=lambda n: steps.advance(n, "Reading images"),
        )
        results = {
            collector.name: _finish(
                model,
                collector,
                seen,
                heads[collector.name],
                samples,
                preprocessing,
                concepts,
                grid,
                settings,
                device,
                steps,
            )
            for collector in collectors
        }
    steps.advance(total, "Done")
    return Dissection(results, seen.logits, seen.skipped)


def _check(layers: Sequence[str], samples: Sequence[Sample], n_classes: int) -> None:
    if not layers or len(set(layers)) != len(layers):
        raise DissectionError("Choose at least one layer, each only once.")
    if not samples:
        raise DissectionError("The data set has no images.")
    for sample in samples:
        if sample.label is not None and not 0 <= sample.label < n_classes:
            raise DissectionError(
                f"The image {sample.key!r} has class {sample.label}, but the model has "
                f"{n_classes} classes (numbered from 0)."
            )


def _finish(
    model: nn.Module,
    collector: LayerCollector,
    seen: Pass,
    head: Head | None,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    concepts: Sequence[str],
    grid: tuple[int, int],
    settings: DissectionSettings,
    device: torch.device,
    steps: Steps,
) -> LayerResult:
    """Everything that is known about a layer once all images have been seen."""
    name, cache, top = collector.name, collector.cache, collector.top
    height, width = cache.maps.shape[2:]
    values = distribution(cache, settings.quantile)
    areas = overlap(
        cache,
        values.threshold,
        seen.masks,
        len(concepts),
        grid,
        seed=settings.seed,
        device=device,
        advance=lambda n: steps.advance(n, f"Comparing {name} with the masks"),
    )
    if head is not None:
        influence, images = exact_influence(head, values.mean), len(seen.rows)
    else:
        rows = chosen_rows(len(seen.rows), settings.influence_samples, settings.seed)
        influence, images = (
            measured_influence(
                model,
                name,
                [samples[seen.rows[row]] for row in rows],
                preprocessing,
                batch_size=settings.batch_size,
                device=device,
                advance=lambda n: steps.advance(n, f"Removing units of {name}"),
            ),
            len(rows),
        )
    class_mean = collector.classes.mean
    return LayerResult(
        name=name,
        height=height,
        width=width,
        head=head,
        threshold=values.threshold,
        quantile_levels=values.levels,
        quantiles=values.quantiles,
        histogram_edges=values.edges,
        histogram=values.histogram,
        mean=values.mean,
        std=values.std,
        maximum=values.maximum,
        active_fraction=values.active_fraction,
        class_counts=collector.classes.counts,
        class_mean=class_mean,
        class_max_mean=collector.classes.max_mean,
        selectivity=selectivity(class_mean),
        top_index=top.index,
        top_value=top.value,
        top_row=(top.cell // width).astype(np.int32),
        top_col=(top.cell % width).astype(np.int32),
        top_maps=_top_maps(cache.maps, top.index, seen.rows),
        concepts=list(concepts),
        mask_height=grid[0],
        mask_width=grid[1],
        iou=areas.iou,
        iou_chance=areas.iou_chance,
        intersection=areas.intersection,
        unit_area=areas.unit_area,
        concept_area=areas.concept_area,
        concept_images=areas.concept_images,
        influence=influence,
        influence_method="exact" if head is not None else "measured",
        influence_images=images,
    )


def _top_maps(maps: np.ndarray, index: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Maps [K, k, h, w] float16 of the top images; zeros where there are fewer."""
    row_of = {sample: row for row, sample in enumerate(rows)}
    limit = np.finfo(np.float16).max
    result = np.zeros((*index.shape, *maps.shape[2:]), np.float16)
    for unit, rank in np.argwhere(index >= 0):
        chosen = maps[row_of[int(index[unit, rank])], unit]
        result[unit, rank] = np.clip(chosen, -limit, limit)
    return result
