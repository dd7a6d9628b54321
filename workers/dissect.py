"""Dissection of a model over a dataset, published all at once."""

import tempfile
from pathlib import Path

from analysis.dissection import DissectionSettings, dissect
from dissections.models import Dissection
from dissections.services import images_of, publish
from jobs.models import Job
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of


def run(job: Job, reporter: Reporter) -> None:
    dissection = Dissection.objects.select_related("model", "dataset", "project").get(
        pk=job.target_id
    )
    if dissection.completed:
        reporter.log("The results are there already.")
        return
    reporter.progress(0, 0, "Loading the model")
    images = images_of(dissection)
    _log_unknown_classes(dissection, reporter)
    concepts = list(dissection.dataset.concepts.order_by("key"))
    settings = DissectionSettings(**dissection.settings)
    found = dissect(
        loaded_model(dissection.model),
        dissection.layer_names,
        samples_of(images, dissection.model.class_names),
        preprocessing_of(dissection.model),
        len(dissection.model.class_names),
        [concept.key for concept in concepts],
        settings,
        progress=reporter.progress,
        should_stop=reporter.should_stop,
    )
    for key, reason in found.skipped:
        reporter.log(f"{key} was left out: {reason}")
    reporter.progress(0, 0, "Storing the results")
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for position, (name, layer) in enumerate(found.layers.items()):
            files[name] = Path(folder) / f"{position}.npz"
            layer.save(files[name])
        publish(dissection, found, files, images=images, concepts=concepts)
    reporter.log(f"{len(images) - len(found.skipped)} images, {len(found.layers)} layers.")


def _log_unknown_classes(dissection: Dissection, reporter: Reporter) -> None:
    unknown = [
        name for name in dissection.dataset.class_names if name not in dissection.model.class_names
    ]
    if unknown:
        reporter.log(
            f"The model has no class named {', '.join(unknown)}; these images take part, but in "
            "no statistics per class."
        )
