"""Images of the database as the samples that analysis/ reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from django.db.models.fields.files import FieldFile

from analysis.data import Sample
from catalog.models import Image


def samples_of(
    images: Sequence[Image], class_names: Sequence[str] = (), with_masks: range = range(0)
) -> list[Sample]:
    """One sample per image, with masks for the places `with_masks`.

    These need `prefetch_related("masks__concept")`.

    A label is the place of the image's class among `class_names`, the model's: a dataset may list
    its classes in another order. Images of a class that is not among them carry no label.
    """
    places = {name: index for index, name in enumerate(class_names)}
    return [
        Sample(
            key=image.name,
            open=_opener(image.file),
            suffix=Path(image.file.name or "").suffix.lower(),
            group=image.patient,
            label=places.get(image.class_name or ""),
            masks=_masks_of(image) if place in with_masks else {},
        )
        for place, image in enumerate(images)
    ]


def _masks_of(image: Image) -> dict[str, Callable[[], BinaryIO]]:
    return {mask.concept.key: _opener(mask.file) for mask in image.masks.all()}


def _opener(file: FieldFile) -> Callable[[], BinaryIO]:
    name = file.name or ""
    return lambda: cast(BinaryIO, file.storage.open(name, "rb"))
