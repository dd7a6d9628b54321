"""The complete record of a finished explanation, as it is exported in JSON.

Every other form is made from it, with the image and the maps of the findings (`Material`).
`schema` describes it for programs.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import PurePath
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.imaging import read_image
from explanations.content import Content, to_json
from explanations.models import Explanation
from explanations.wording import Narrative, narrate
from unitscope.version import code_version

FORMAT: Final = "unitscope-explanation"
VERSION: Final = 1


@dataclass(frozen=True)
class Software:
    """The code that wrote this record."""

    name: str
    version: str
    commit: str | None


@dataclass(frozen=True)
class ImageRecord:
    """The explained image; `sha256` is that of its file."""

    name: str
    patient: str
    study: str
    laterality: str
    view: str
    dataset: str
    width: int
    height: int
    bits: int
    sha256: str

    @property
    def hanging(self) -> str:
        """Side and view in words, "left MLO view"; empty where they are not known."""
        side = {"L": "left", "R": "right"}.get(self.laterality, "")
        return " ".join(filter(None, (side, self.view and f"{self.view} view")))


@dataclass(frozen=True)
class ModelRecord:
    """The explained model; labels are bound to the SHA-256 of its file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class DissectionRecord:
    """The dissection that showed the experts what they named."""

    number: int
    dataset: str
    layer: str
    completed: str


@dataclass(frozen=True)
class VocabularyRecord:
    """The vocabulary that the experts chose terms from; `owner` is the project that edits it."""

    slug: str
    version: str
    owner: str | None


@dataclass(frozen=True)
class Record:
    """An explanation of one prediction. Times are ISO 8601 with offset; `content` holds the numbers
    and `narrative` the same in sentences."""

    format: Literal["unitscope-explanation"]
    version: Literal[1]
    software: Software
    project: str
    number: int
    created: str
    completed: str
    labels_digest: str
    image: ImageRecord
    model: ModelRecord
    dissection: DissectionRecord
    vocabulary: VocabularyRecord
    content: Content
    narrative: Narrative

    @property
    def json(self) -> bytes:
        text = json.dumps(to_json(self), ensure_ascii=False, indent=2)
        return f"{text}\n".encode()

    @property
    def time(self) -> datetime:
        """When the explanation was completed: the date of everything that is exported."""
        return datetime.fromisoformat(self.completed)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the JSON export."""
        return hashlib.sha256(self.json).hexdigest()


@dataclass(frozen=True)
class Material:
    """What an export is made of: the record, the image's file, and the findings' maps by key, each
    [h, w] with maximum 1. `suffix` (".dcm") is that of the file's name."""

    record: Record
    image: bytes
    suffix: str
    maps: Mapping[str, NDArray[np.float16]]

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The image in [0, 1], [H, W] or [H, W, 3]."""
        return read_image(io.BytesIO(self.image), suffix=self.suffix)


def record_of(explanation: Explanation, content: Content) -> Record:
    """The record of a finished explanation; `content` is what its reader may see of it."""
    case, layer = explanation.case, explanation.layer
    image, dissection = case.image, layer.dissection
    vocabulary, code = case.project.vocabulary, code_version()
    return Record(
        format=FORMAT,
        version=VERSION,
        software=Software("Unitscope", code.version, code.commit),
        project=case.project.slug,
        number=explanation.pk,
        created=explanation.created.isoformat(),
        completed=_moment(explanation.completed),
        labels_digest=explanation.labels_digest,
        image=ImageRecord(
            name=image.name,
            patient=image.patient,
            study=image.study,
            laterality=image.laterality,
            view=image.view,
            dataset=image.dataset.name,
            width=image.width,
            height=image.height,
            bits=image.bits,
            sha256=image.sha256,
        ),
        model=ModelRecord(case.model.name, content.model_sha256),
        dissection=DissectionRecord(
            number=dissection.pk,
            dataset=dissection.dataset.name,
            layer=content.layer,
            completed=_moment(dissection.completed),
        ),
        vocabulary=VocabularyRecord(
            slug=vocabulary.slug,
            version=vocabulary.version,
            owner=vocabulary.owner.slug if vocabulary.owner else None,
        ),
        content=content,
        narrative=narrate(content),
    )


def material_of(explanation: Explanation, record: Record) -> Material:
    """Read the image and the maps.

    Raises:
        OSError: a stored file cannot be read.
    """
    file = explanation.case.image.file
    with file.open("rb") as stream:
        image = stream.read()
    with explanation.maps.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        maps = {name: archive[name] for name in archive.files}
    return Material(record, image, PurePath(str(file.name)).suffix, maps)


def _moment(time: datetime | None) -> str:
    if time is None:
        raise ValueError("Only what is finished can be exported.")
    return time.isoformat()
