"""One shard of a dissection: the model runs over a range of the images."""

import tempfile
from pathlib import Path

from django.db.models import prefetch_related_objects

from analysis.dissection import dissect_shard
from dissections.models import Shard
from dissections.services import images_of
from dissections.shards import store
from jobs.models import Job
from workers.dissect import concepts_of, settings_of
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of


def run(job: Job, reporter: Reporter) -> None:
    shard = Shard.objects.select_related(
        "dissection__model", "dissection__dataset", "dissection__project"
    ).get(pk=job.target_id)
    if shard.folder:
        reporter.log("It has been computed already.")
        return
    dissection, span = shard.dissection, range(shard.start, shard.stop)
    reporter.progress(0, len(span), "Loading the model")
    images = images_of(dissection)
    prefetch_related_objects(images[shard.start : shard.stop], "masks__concept")
    found = dissect_shard(
        loaded_model(dissection.model),
        dissection.layer_names,
        samples_of(images, dissection.model.class_names, with_masks=span),
        span,
        preprocessing_of(dissection.model),
        len(dissection.model.class_names),
        [concept.key for concept in concepts_of(dissection)],
        settings_of(dissection),
        progress=reporter.progress,
        should_stop=reporter.should_stop,
    )
    with found, tempfile.TemporaryDirectory(prefix="unitscope-shard-") as folder:
        found.save(Path(folder))
        store(shard, Path(folder))
