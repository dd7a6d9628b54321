"""Dissection of a model over a dataset: shards as parts of the job, then one merged result.

The job runs twice. First it hands its shards to the workers and waits; once all are computed it
merges them, compares units with masks, and publishes everything at once. A worker that is lost
costs its shard only, and a job that is run again keeps the shards that were computed.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings

from analysis.dissection import (
    Cancelled,
    DissectionSettings,
    ShardResult,
    finish,
    merge_shards,
    plan_shards,
)
from analysis.errors import AnalysisError
from catalog.models import Concept, Image
from catalog.stored_folders import local_folder
from dissections.models import Dissection, Shard
from dissections.services import images_of, publish
from dissections.shards import delete_all, forget, planned
from jobs import services as jobs
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
        delete_all(dissection)
        return
    images = images_of(dissection)
    shards = planned(dissection, _spans(len(images), settings_of(dissection).batch_size))
    if not any(shard.folder for shard in shards):
        _log_unknown_classes(dissection, reporter)
    with ExitStack() as stack:
        found = {shard.start: _computed(shard, reporter, stack) for shard in shards}
        missing = [shard for shard in shards if found[shard.start] is None]
        if missing:
            _refuse_repeats(missing, job)
            _hand_out(missing, job, reporter)
            return
        merged = merge_shards(part for part in found.values() if part is not None)
        _finish(dissection, images, merged, reporter)
    delete_all(dissection)


def settings_of(dissection: Dissection) -> DissectionSettings:
    return DissectionSettings(**dissection.settings)


def concepts_of(dissection: Dissection) -> list[Concept]:
    """In the order of the result's concept axis."""
    return list(dissection.dataset.concepts.order_by("key"))


def _spans(images: int, batch_size: int) -> list[range]:
    return plan_shards(images, batch_size, -(-images // settings.DISSECTION_SHARD_IMAGES))


def _computed(shard: Shard, reporter: Reporter, stack: ExitStack) -> ShardResult | None:
    """The shard's result; None where it is not there, or cannot be read and is to be done again."""
    if not shard.folder:
        return None
    try:
        folder = stack.enter_context(local_folder(shard.folder))
        return stack.enter_context(ShardResult.load(folder))
    except (ValueError, FileNotFoundError) as error:
        reporter.log(f"The part {shard} is computed again: {error}")
        forget(shard)
        return None


def _refuse_repeats(shards: list[Shard], job: Job) -> None:
    """A part that was computed twice and still cannot be read would go round for ever."""
    done = job.parts.filter(state=Job.State.SUCCEEDED)
    for shard in shards:
        if done.filter(target_id=shard.pk).count() > 1:
            raise AnalysisError(
                f"The part {shard} was computed, but its files cannot be read here. Let all "
                "workers use the same storage (STORAGE_URL) and the same version of Unitscope, "
                "and run the job again."
            )


def _hand_out(shards: list[Shard], job: Job, reporter: Reporter) -> None:
    parts = [jobs.Part(s.pk, str(s).capitalize(), s.stop - s.start) for s in shards]
    if not jobs.split(job=job, kind=Job.Kind.DISSECT_SHARD, parts=parts):
        raise Cancelled
    reporter.log(f"Handed out {len(parts)} parts.")


def _finish(
    dissection: Dissection, images: list[Image], merged: ShardResult, reporter: Reporter
) -> None:
    reporter.progress(0, 0, "Loading the model")
    found = finish(
        loaded_model(dissection.model),
        merged,
        samples_of(images, dissection.model.class_names),
        preprocessing_of(dissection.model),
        settings_of(dissection),
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
        publish(dissection, found, files, images=images, concepts=concepts_of(dissection))
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
