"""Uploaded files on the worker's own disk, and the models loaded from them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from django.db.models.fields.files import FieldFile
from torch import nn

from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from catalog.models import TrainedModel


@contextmanager
def local_path(file: FieldFile) -> Iterator[Path]:
    """The file's path where the storage is a local disk, else a temporary copy of it."""
    try:
        path = Path(file.path)
    except NotImplementedError:
        with tempfile.NamedTemporaryFile(suffix=Path(file.name or "").suffix) as copy:
            with file.open("rb") as source:
                shutil.copyfileobj(source, copy)
            copy.flush()
            yield Path(copy.name)
    else:
        yield path


def loaded_model(model: TrainedModel) -> nn.Module:
    """The network, ready to run. The last one used stays in memory: explanations come in bursts."""
    return _loaded_model(model.sha256, model.pk)


@lru_cache(maxsize=1)
def _loaded_model(sha256: str, pk: int) -> nn.Module:
    with local_path(TrainedModel.objects.get(pk=pk).file) as path:
        return load_model(path)


def preprocessing_of(model: TrainedModel) -> Preprocessing:
    return Preprocessing.from_dict(model.preprocessing)
