"""Starting a dissection and publishing what the worker found."""

import io
from collections.abc import Sequence

import numpy as np
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Dataset, Image, ImportState, Project, Split, TrainedModel
from dissections.models import ConceptScore, Dissection, Layer, TopPatch, Unit
from jobs import services as jobs
from jobs.models import Job


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
    if model.project_id != project.pk or dataset.project_id != project.pk:
        raise DissectionRequestError("Model and dataset must belong to this project.")
    for thing, what in ((model, "model"), (dataset, "dataset")):
        if thing.state != ImportState.READY:
            raise DissectionRequestError(
                f"The {what} “{thing}” is not ready ({thing.get_state_display().lower()}). "
                f"{thing.message or 'Wait for its check to finish.'}"
            )
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


def images_of(dissection: Dissection) -> list[Image]:
    """The images that the dissection runs over, in the order its arrays index them."""
    return list(
        dissection.dataset.images.filter(split__in=dissection.splits)
        .prefetch_related("masks__concept")
        .order_by("name")
    )
