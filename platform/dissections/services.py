"""Starting a dissection and publishing what the worker found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from django.core.files import File
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Concept, Dataset, Image, Project, Split, TrainedModel
from catalog.selectors import why_not_usable
from dissections.models import ConceptScore, Dissection, Layer, TopPatch, Unit
from jobs import services as jobs
from jobs.models import Job

if TYPE_CHECKING:  # the web process reads this module, and must not load torch
    from analysis.dissection import Dissection as Found
    from analysis.dissection import LayerResult


class DissectionRequestError(ValueError):
    """The request cannot be run; the message says what to change."""


@transaction.atomic
def start_dissection(
    *,
    project: Project,
    model: TrainedModel,
    dataset: Dataset,
    layers: Sequence[str],
    splits: Sequence[str] = (Split.VALIDATION,),
    user: User | None,
) -> Dissection:
    """Queue a dissection of `layers` of `model` over the images of `splits`.

    Raises:
        DissectionRequestError: model or dataset is not ready, an unknown layer or split, no images.
    """
    if problem := why_not_usable(project, model, dataset):
        raise DissectionRequestError(problem)
    known = [layer["name"] for layer in model.layers]
    unknown = sorted(set(layers) - set(known))
    if unknown or not layers:
        raise DissectionRequestError(
            f"Unknown layers: {', '.join(unknown) or 'none given'}. "
            f"{model} has these: {', '.join(known)}."
        )
    if not dataset.images.filter(split__in=splits).exists():
        raise DissectionRequestError(
            f"“{dataset}” has no images in the split {' or '.join(splits) or '(none given)'}."
        )
    dissection = Dissection.objects.create(
        project=project,
        model=model,
        dataset=dataset,
        layer_names=[name for name in known if name in layers],
        splits=list(splits),
    )
    dissection.job = jobs.start(
        project=project,
        kind=Job.Kind.DISSECT,
        target_id=dissection.pk,
        title=f"Dissect {model} over {dataset}",
        user=user,
    )
    dissection.save(update_fields=["job"])
    return dissection


def folder_of(dissection: Dissection) -> str:
    """Where the dissection's files are stored."""
    return f"projects/{dissection.project.slug}/dissections/{dissection.pk}"


def images_of(dissection: Dissection) -> list[Image]:
    """The images that the dissection runs over, in the order its arrays index them.

    Masks are for the caller to prefetch, for the images where it needs them.
    """
    return list(dissection.dataset.images.filter(split__in=dissection.splits).order_by("name"))


@transaction.atomic
def publish(
    dissection: Dissection,
    found: "Found",
    files: Mapping[str, Path],
    *,
    images: Sequence[Image],
    concepts: Sequence[Concept],
) -> None:
    """Store what the engine found; nothing of it is visible before all of it is.

    Results are stored once: where another attempt of the job was first, this does nothing.

    Args:
        files: layer name to the saved LayerResult.
        images: in the order that the result's image indices count.
        concepts: in the order of the result's concept axis.
    """
    if Dissection.objects.select_for_update().get(pk=dissection.pk).completed:
        return
    depths = {layer["name"]: layer["depth_index"] for layer in dissection.model.layers}
    for name, result in found.layers.items():
        layer = Layer(
            dissection=dissection,
            name=name,
            position=depths[name],
            height=result.height,
            width=result.width,
            unit_count=len(result.threshold),
            is_head_input=result.head is not None,
            influence_method=result.influence_method,
        )
        folder = folder_of(dissection)
        with files[name].open("rb") as file:
            layer.arrays.save(f"{folder}/{layer.position}.npz", File(file), save=False)
        layer.save()
        _publish_units(layer, result, images, concepts)
    dissection.image_count = len(images) - len(found.skipped)
    dissection.skipped = [list(entry) for entry in found.skipped]
    dissection.completed = timezone.now()
    dissection.save(update_fields=["image_count", "skipped", "completed"])


def _publish_units(
    layer: Layer, result: "LayerResult", images: Sequence[Image], concepts: Sequence[Concept]
) -> None:
    iou = np.nan_to_num(result.iou)
    has_concepts = iou.shape[1] > 0
    best = iou.argmax(axis=1) if has_concepts else np.zeros(len(iou), int)
    minimum = result.histogram_edges[:, 0]
    varies = result.maximum > minimum
    units = Unit.objects.bulk_create(
        Unit(
            layer=layer,
            index=k,
            threshold=_number(result.threshold[k]) if varies[k] else None,
            mean=float(result.mean[k]),
            maximum=float(result.maximum[k]),
            active_fraction=float(result.active_fraction[k]),
            selectivity=_number(result.selectivity[k]),
            class_means=[_number(value) for value in result.class_mean[k]],
            influence=[float(value) for value in result.influence[k]],
            influence_max=float(np.abs(result.influence[k]).max(initial=0.0)),
            best_concept=concepts[best[k]] if has_concepts and iou[k, best[k]] > 0 else None,
            best_iou=float(iou[k, best[k]]) if has_concepts else None,
        )
        for k in range(layer.unit_count)
    )
    ConceptScore.objects.bulk_create(
        ConceptScore(
            unit=unit,
            concept=concept,
            iou=float(iou[unit.index, m]),
            iou_chance=float(np.nan_to_num(result.iou_chance[unit.index, m])),
        )
        for unit in units
        for m, concept in enumerate(concepts)
    )
    TopPatch.objects.bulk_create(
        TopPatch(
            unit=unit,
            rank=rank,
            image=images[image],
            value=float(result.top_value[unit.index, rank]),
            row=int(result.top_row[unit.index, rank]),
            column=int(result.top_col[unit.index, rank]),
        )
        for unit in units
        for rank, image in enumerate(result.top_index[unit.index])
        if image >= 0 and result.top_value[unit.index, rank] > minimum[unit.index]
    )


def _number(value: float) -> float | None:
    """A float that the database and JSON can hold; what is not finite becomes None."""
    return float(value) if np.isfinite(value) else None
