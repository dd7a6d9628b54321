"""Images of the database as the samples that analysis/ reads."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, cast

from django.db.models.fields.files import FieldFile

from analysis.data import Sample
from catalog.models import Image


def samples_of(images: Iterable[Image]) -> list[Sample]:
    """One sample per image; masks need `prefetch_related("masks__concept")`."""
    return [
        Sample(
            key=image.name,
            open=_opener(image.file),
            suffix=Path(image.file.name or "").suffix.lower(),
            group=image.patient,
            label=image.class_index,
            masks={mask.concept.key: _opener(mask.file) for mask in image.masks.all()},
        )
        for image in images
    ]


def _opener(file: FieldFile) -> Callable[[], BinaryIO]:
    name = file.name or ""
    return lambda: cast(BinaryIO, file.storage.open(name, "rb"))
