"""A dry run of an uploaded model: can it be loaded, and which layers can be probed?"""

from dataclasses import asdict

from analysis.errors import AnalysisError
from analysis.models.layers import inspect_model
from catalog.models import ImportState, TrainedModel
from jobs.models import Job
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter


def run(job: Job, reporter: Reporter) -> None:
    check(TrainedModel.objects.get(pk=job.target_id), reporter)


def check(model: TrainedModel, reporter: Reporter) -> None:
    """Find the model's layers and make it ready, or refuse it.

    Raises:
        AnalysisError: it was refused; the model's row has the reason.
    """
    reporter.progress(0, 2, "Loading the model")
    try:
        network = loaded_model(model)
        reporter.progress(1, 2, "Running it once")
        found = inspect_model(network, preprocessing_of(model), n_classes=len(model.class_names))
    except AnalysisError as error:
        model.state = ImportState.REFUSED
        model.message = str(error)
        model.save(update_fields=["state", "message"])
        raise
    model.layers = [asdict(layer) for layer in found.layers]
    model.state = ImportState.READY
    model.message = ""
    model.save(update_fields=["layers", "state", "message"])
    reporter.log(
        f"{len(found.layers)} layers can be probed: "
        + ", ".join(f"{layer.name} ({layer.units} units)" for layer in found.layers)
    )
    reporter.progress(2, 2, "Checked")
