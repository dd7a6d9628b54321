"""Dissect layers of a model over a data set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from torch import nn

from analysis.data import Sample
from analysis.dissection.cache import BLOCK_BYTES, Maps
from analysis.dissection.classes import selectivity
from analysis.dissection.collect import LayerCollector, run_images
from analysis.dissection.concepts import overlap
from analysis.dissection.influence import chosen_rows, exact_influence, measured_influence
from analysis.dissection.masks import mask_grid
from analysis.dissection.progress import ProgressCallback, Steps, StopCallback
from analysis.dissection.quantiles import distribution, sketched_distribution
from analysis.dissection.result import Dissection, LayerResult
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.dissection.shards import Part, ShardResult
from analysis.dissection.similarity import nearest_units
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
    heads = _heads(model, layers, preprocessing)
    steps = Steps(
        len(samples) + _finishing_steps(heads, len(samples), settings), progress, should_stop
    )
    shard = _collected(
        model,
        layers,
        samples,
        range(len(samples)),
        preprocessing,
        n_classes,
        concepts,
        settings,
        steps,
    )
    with shard:
        return _finished(model, shard, heads, samples, preprocessing, settings, steps)


def dissect_shard(
    model: nn.Module,
    layers: Sequence[str],
    samples: Sequence[Sample],
    span: range,
    preprocessing: Preprocessing,
    n_classes: int,
    concepts: Sequence[str],
    settings: DissectionSettings | None = None,
    *,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> ShardResult:
    """The part of `dissect` that runs the model, over the samples of `span` only.

    `samples` are those of the whole data set: their numbers and patients hold across shards.
    `plan_shards` gives spans that together equal one run. Close the result after use.

    Raises what `dissect` raises, save that a span without a readable image is no error.
    """
    steps = Steps(len(span), progress, should_stop)
    return _collected(
        model,
        layers,
        samples,
        span,
        preprocessing,
        n_classes,
        concepts,
        settings or DissectionSettings(),
        steps,
    )


def finish(
    model: nn.Module,
    shard: ShardResult,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    settings: DissectionSettings | None = None,
    *,
    progress: ProgressCallback | None = None,
    should_stop: StopCallback | None = None,
) -> Dissection:
    """The rest of `dissect`: thresholds, overlaps and influence from a complete, merged shard.

    Raises DissectionError where a shard is missing, no image could be read or the settings are
    those of another run; Cancelled.
    """
    settings = settings or DissectionSettings()
    heads = _heads(model, shard.run["layers"], preprocessing)
    steps = Steps(_finishing_steps(heads, len(samples), settings), progress, should_stop)
    return _finished(model, shard, heads, samples, preprocessing, settings, steps)


def _heads(
    model: nn.Module, layers: Sequence[str], preprocessing: Preprocessing
) -> dict[str, Head | None]:
    shape = (preprocessing.channels, *preprocessing.input_size)
    return {name: head_weights(model, name, shape) for name in layers}


def _finishing_steps(
    heads: dict[str, Head | None], n_samples: int, settings: DissectionSettings
) -> int:
    measured = min(settings.influence_samples, n_samples)
    return n_samples * len(heads) + measured * sum(head is None for head in heads.values())


def _collected(
    model: nn.Module,
    layers: Sequence[str],
    samples: Sequence[Sample],
    span: range,
    preprocessing: Preprocessing,
    n_classes: int,
    concepts: Sequence[str],
    settings: DissectionSettings,
    steps: Steps,
) -> ShardResult:
    _check(layers, samples, n_classes)
    if span.step != 1 or not 0 <= span.start < span.stop <= len(samples):
        raise DissectionError(f"The shard {span} is not a range of the {len(samples)} images.")
    grid = mask_grid(preprocessing.input_size)
    collectors = [LayerCollector(name, len(span), n_classes, settings) for name in layers]
    with ExitStack() as stack:
        for collector in collectors:
            stack.callback(collector.close)
        seen = run_images(
            model,
            collectors,
            samples,
            span,
            preprocessing,
            concepts,
            grid,
            n_classes,
            batch_size=settings.batch_size,
            precision=settings.precision,
            device=device_of(model),
            advance=lambda n: steps.advance(n, "Reading images"),
        )
        stack.pop_all()
    part = Part(
        span,
        seen.indices,
        seen.logits,
        seen.masks,
        seen.skipped,
        {item.name: item.cache for item in collectors if item.cache is not None},
    )
    sums = {item.name: item.sums for item in collectors if item.sums is not None}
    run = _run_of(layers, len(samples), n_classes, concepts, grid, settings)
    return ShardResult(run, (part,), sums)


def _run_of(
    layers: Sequence[str],
    n_samples: int,
    n_classes: int,
    concepts: Sequence[str],
    grid: tuple[int, int],
    settings: DissectionSettings,
) -> dict[str, Any]:
    """What shards of one dissection share, as JSON keeps it."""
    return {
        "layers": list(layers),
        "n_samples": n_samples,
        "n_classes": n_classes,
        "concepts": list(concepts),
        "grid": list(grid),
        **_shared(settings),
    }


def _shared(settings: DissectionSettings) -> dict[str, Any]:
    names = ("top_k", "batch_size", "cache_type", "statistics", "precision")
    return {name: getattr(settings, name) for name in names}


def _finished(
    model: nn.Module,
    shard: ShardResult,
    heads: dict[str, Head | None],
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    settings: DissectionSettings,
    steps: Steps,
) -> Dissection:
    if len(samples) != shard.run["n_samples"] or any(
        shard.run[name] != value for name, value in _shared(settings).items()
    ):
        raise DissectionError("The shards were made with other images or settings.")
    shard.check_complete()
    skipped = [entry for part in shard.parts for entry in part.skipped]
    if not shard.sums:
        raise DissectionError(f"No image could be read. The first: {skipped[0][2]}")
    logits = np.full((len(samples), shard.run["n_classes"]), np.nan, np.float32)
    for part in shard.parts:
        logits[part.indices] = part.logits
    results = {
        name: _layer_result(model, name, shard, head, samples, preprocessing, settings, steps)
        for name, head in heads.items()
    }
    steps.finish("Done")
    return Dissection(results, logits, [(key, reason) for _, key, reason in skipped])


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


def _layer_result(
    model: nn.Module,
    name: str,
    shard: ShardResult,
    head: Head | None,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    settings: DissectionSettings,
    steps: Steps,
) -> LayerResult:
    """Everything that is known about a layer once all images have been seen."""
    maps, sums, indices = shard.maps(name), shard.sums[name], shard.indices
    top, classes = sums.top, sums.classes
    height, width = maps.height, maps.width
    device = device_of(model)
    concepts: list[str] = shard.run["concepts"]
    grid = (shard.run["grid"][0], shard.run["grid"][1])
    if sums.sketch is not None:
        values = sketched_distribution(sums.sketch, settings.quantile)
    else:
        memory = max(settings.cache_bytes, BLOCK_BYTES) if maps.in_file else BLOCK_BYTES
        values = distribution(maps, settings.quantile, memory)
    areas = overlap(
        maps,
        values.threshold,
        shard.masks_of,
        len(concepts),
        grid,
        seed=settings.seed,
        candidates=values.tail if settings.information_quality else None,
        device=device,
        advance=lambda n: steps.advance(n, f"Comparing {name} with the masks"),
    )
    nearest = nearest_units(
        maps,
        values.mean,
        values.std,
        values.maximum > values.edges[:, 0],
        advance=lambda n: steps.advance(n, f"Comparing the units of {name}"),
    )
    if head is not None:
        influence, images = exact_influence(head, values.mean), len(indices)
    else:
        rows = chosen_rows(len(indices), settings.influence_samples, settings.seed)
        influence, images = (
            measured_influence(
                model,
                name,
                [samples[indices[row]] for row in rows],
                preprocessing,
                batch_size=settings.batch_size,
                device=device,
                advance=lambda n: steps.advance(n, f"Removing units of {name}"),
            ),
            len(rows),
        )
    class_mean, quality = classes.mean, areas.information
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
        class_counts=classes.counts,
        class_mean=class_mean,
        class_max_mean=classes.max_mean,
        selectivity=selectivity(class_mean),
        top_index=top.index,
        top_value=top.value,
        top_row=(top.cell // width).astype(np.int32),
        top_col=(top.cell % width).astype(np.int32),
        top_maps=_top_maps(maps, top.index, indices),
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
        quantile=settings.quantile,
        iou_shifted=areas.significance.iou,
        iou_p=areas.significance.p,
        iou_q=areas.significance.q,
        iqr=None if quality is None else quality.iqr,
        iqr_threshold=None if quality is None else quality.threshold,
        iqr_iou=None if quality is None else quality.iou,
        nearest_index=nearest.index,
        nearest_correlation=nearest.correlation,
    )


def _top_maps(maps: Maps, index: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Maps [K, k, h, w] float16 of the top images; zeros where there are fewer."""
    limit = np.finfo(np.float16).max
    result = np.zeros((*index.shape, maps.height, maps.width), np.float16)
    for image in np.unique(index[index >= 0]):
        row = maps.row(int(np.searchsorted(indices, image)))
        unit, rank = np.nonzero(index == image)
        result[unit, rank] = np.clip(row[unit], -limit, limit)
    return result
