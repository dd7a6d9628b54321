"""An untrained twin of a model, and its dissections: control units for reading lists."""

import tempfile
from pathlib import Path

import torch

from analysis.data import decode_input
from analysis.errors import AnalysisError
from analysis.models.shuffling import write_shuffled
from catalog.files import local_path
from catalog.models import ImportState, TrainedModel
from catalog.services import add_control
from dissections.models import Dissection
from dissections.selectors import control_dissections, finished_dissections
from dissections.services import images_of, start_dissection
from jobs.models import Job
from workers.check_model import check
from workers.loading import preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of

SEED = 0
CALIBRATION_IMAGES = 16


def run(job: Job, reporter: Reporter) -> None:
    """Make the model's control, and dissect it as the model has been dissected.

    What is there already is kept, so running it again goes on where it stopped.
    """
    model = TrainedModel.objects.select_related("project").get(pk=job.target_id)
    done = list(finished_dissections(model))
    if not done:
        raise AnalysisError(f"“{model}” has no finished dissection. Dissect it first.")
    control = model.controls.first() or _make(model, done[0], reporter)
    if control.state != ImportState.READY:
        check(control, reporter)
    for dissection in done:
        if control_dissections(dissection, completed=False).exists():
            continue
        start_dissection(
            project=model.project,
            model=control,
            dataset=dissection.dataset,
            layers=dissection.layer_names,
            splits=dissection.splits,
            user=job.created_by,
        )
        reporter.log(f"Its dissection over {dissection.dataset} is on its way.")


def _make(model: TrainedModel, dissection: Dissection, reporter: Reporter) -> TrainedModel:
    reporter.progress(0, 0, "Shuffling the weights")
    with local_path(model.file) as source, tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "control.pt2"
        write_shuffled(source, target, _some_inputs(dissection), seed=SEED)
        with target.open("rb") as file:
            return add_control(model=model, file=file)


def _some_inputs(dissection: Dissection) -> torch.Tensor:
    """Images spread over the dissection's, as the model takes them: [N, C, H, W]."""
    images = images_of(dissection)
    step = max(1, len(images) // CALIBRATION_IMAGES)
    preprocessing = preprocessing_of(dissection.model)
    inputs = []
    for sample in samples_of(images[::step][:CALIBRATION_IMAGES]):
        try:
            inputs.append(decode_input(sample, preprocessing))
        except (OSError, ValueError):  # an unreadable image is no reason to stop
            continue
    if not inputs:
        raise AnalysisError(f"No image of “{dissection.dataset}” can be read. Import it again.")
    return torch.stack(inputs)
