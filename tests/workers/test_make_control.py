"""An untrained control, made, checked and dissected by a real worker."""

from pathlib import Path

import pytest
import torch

from analysis.models.loading import load_model
from annotation.reading.services import start_control
from catalog.models import ImportState, TrainedModel
from dissections.models import Dissection, Unit
from dissections.selectors import completed_dissections, control_dissections, latest_layer
from jobs.models import Job
from tests.workers.conftest import ended

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_control_of_a_model_is_dissected_like_the_model(dissection: Dissection) -> None:
    model = dissection.model
    job = ended(start_control(model=model, user=None))
    assert job.state == Job.State.SUCCEEDED, job.log
    control = model.controls.get()
    assert control.state == ImportState.READY
    assert control.sha256 != model.sha256
    assert control.layers == model.layers
    assert control.class_names == model.class_names

    waiting = control_dissections(dissection, completed=False).get()
    assert waiting.job
    assert ended(waiting.job).state == Job.State.SUCCEEDED, waiting.job.log
    twin = control_dissections(dissection).get()
    assert [layer.name for layer in twin.layers.all()] == [
        layer.name for layer in dissection.layers.all()
    ]
    units = Unit.objects.filter(layer__dissection=twin)
    assert units.count() == 8 + 16
    assert units.filter(threshold__isnull=False).count() >= 0.75 * units.count(), "dead units"

    assert list(completed_dissections(dissection.project)) == [dissection]
    shown = latest_layer(dissection.project)
    assert shown
    assert shown.dissection == dissection
    before, after = (load_model(_path(which)) for which in (model, control))
    image = torch.randn(4, 1, 25, 25, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(before(image), after(image), atol=1e-2)

    again = ended(start_control(model=model, user=None))
    assert again.state == Job.State.SUCCEEDED, again.log
    assert model.controls.count() == 1
    assert control.dissections.count() == 1


def _path(model: TrainedModel) -> Path:
    return Path(model.file.path)
