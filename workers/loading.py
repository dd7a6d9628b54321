"""Networks from uploaded files."""

from functools import lru_cache

from torch import nn

from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from catalog.files import local_path
from catalog.models import TrainedModel


def loaded_model(model: TrainedModel) -> nn.Module:
    """The network, ready to run. The last one used stays in memory: explanations come in bursts."""
    return _loaded_model(model.sha256, model.pk)


@lru_cache(maxsize=1)
def _loaded_model(sha256: str, pk: int) -> nn.Module:
    with local_path(TrainedModel.objects.get(pk=pk).file) as path:
        return load_model(path)


def preprocessing_of(model: TrainedModel) -> Preprocessing:
    return Preprocessing.from_dict(model.preprocessing)
