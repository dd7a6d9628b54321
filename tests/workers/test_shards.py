"""A dissection in parts, by a real worker: losing or stopping one costs that part only."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from analysis.dissection import DissectionSettings, LayerResult, dissect
from catalog.files import local_path
from catalog.models import Dataset, TrainedModel
from dissections.models import Dissection, Shard, Unit
from dissections.services import images_of, start_dissection
from jobs import services as jobs
from jobs.models import Job
from tests.workers import faces
from tests.workers.conftest import WAIT_SECONDS, ended
from unitscope.demo.processes import Child
from workers.dissect_shard import run as run_shard
from workers.loading import loaded_model, preprocessing_of
from workers.reporter import Reporter
from workers.samples import samples_of

pytestmark = pytest.mark.django_db(transaction=True)
LAYERS = ["low", "high"]
PARTS = 4


@pytest.fixture
def job(imported: tuple[TrainedModel, Dataset]) -> Job:
    model, dataset = imported
    dissection = start_dissection(
        project=model.project, model=model, dataset=dataset, layers=LAYERS, user=None
    )
    assert dissection.job
    return dissection.job


def test_the_parts_give_what_one_run_gives_and_leave_no_files(job: Job, tmp_path: Path) -> None:
    assert ended(job).state == Job.State.SUCCEEDED, job.log
    assert [part.state for part in job.parts.all()] == [Job.State.SUCCEEDED] * PARTS
    assert_equals_one_run(job, tmp_path)
    dissection = Dissection.objects.get(pk=job.target_id)
    assert not Shard.objects.exists()
    arrays = dissection.layers.get(name="high").arrays
    folders, files = arrays.storage.listdir(str(Path(arrays.name or "").parent))
    assert folders == []
    assert set(files) == {Path(layer.arrays.name or "").name for layer in dissection.layers.all()}


def test_a_killed_worker_process_loses_its_parts_only(
    job: Job, celery_worker: Child, tmp_path: Path
) -> None:
    wait_until(lambda: job.parts.filter(state=Job.State.RUNNING).exists())
    for child in psutil.Process(celery_worker.pid).children(recursive=True):
        child.kill()
    assert ended(job).state == Job.State.SUCCEEDED, job.log
    attempts = list(job.parts.order_by("pk").values_list("attempt", flat=True))
    assert len(attempts) == PARTS
    assert max(attempts) == 2
    assert attempts.count(2) <= 2, "the worker had two processes"
    assert_equals_one_run(job, tmp_path)


def test_a_cancelled_dissection_keeps_its_finished_parts_and_goes_on_from_them(
    job: Job, tmp_path: Path
) -> None:
    wait_until(lambda: job.parts.filter(state=Job.State.SUCCEEDED).exists())
    jobs.cancel(job=job)
    assert job.state == Job.State.CANCELLED
    wait_until(lambda: not job.parts.filter(state__in=Job.ACTIVE).exists())
    assert not Unit.objects.exists()
    finished = set(Shard.objects.exclude(folder="").values_list("pk", flat=True))
    assert 1 <= len(finished) < PARTS
    before = set(job.parts.values_list("pk", flat=True))
    jobs.retry(job=job)
    assert ended(job).state == Job.State.SUCCEEDED, job.log
    again = job.parts.exclude(pk__in=before).values_list("target_id", flat=True)
    assert len(again) == PARTS - len(finished)
    assert not finished & set(again)
    assert_equals_one_run(job, tmp_path)


def test_a_part_whose_files_are_gone_is_computed_again(job: Job, tmp_path: Path) -> None:
    """As when the disk with the parts was lost between a failure and the next run."""
    wait_until(lambda: job.parts.filter(state=Job.State.SUCCEEDED).exists())
    jobs.cancel(job=job)
    wait_until(lambda: not job.parts.filter(state__in=Job.ACTIVE).exists())
    shard = Shard.objects.exclude(folder="").earliest("start")
    storage = TrainedModel.objects.get().file.storage
    storage.delete(f"{shard.folder}/shard.npz")
    jobs.retry(job=job)
    assert ended(job).state == Job.State.SUCCEEDED, job.log
    assert "computed again" in job.log
    assert_equals_one_run(job, tmp_path)


def test_a_part_that_fails_fails_the_dissection_with_its_reason(job: Job) -> None:
    wait_until(lambda: job.parts.exists())
    shard = Shard.objects.latest("start")
    part = job.parts.get(target_id=shard.pk)
    Job.objects.filter(pk=part.pk).update(state=Job.State.RUNNING, attempt=7)
    part.refresh_from_db()
    jobs.finish(part, Job.State.FAILED, error="Unit 3 is not finite.")
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.error == f"Images {shard.start + 1}–{shard.stop}: Unit 3 is not finite."
    wait_until(lambda: not job.parts.filter(state__in=Job.ACTIVE).exists())
    jobs.retry(job=job)
    assert ended(job).state == Job.State.SUCCEEDED, job.log


def test_a_part_that_is_there_is_not_computed_twice(job: Job) -> None:
    wait_until(lambda: Shard.objects.exclude(folder="").exists())
    shard = Shard.objects.exclude(folder="").earliest("start")
    part = job.parts.filter(target_id=shard.pk).latest("pk")
    run_shard(part, Reporter(part))
    part.refresh_from_db()
    assert "already" in part.log
    ended(job)


def assert_equals_one_run(job: Job, folder: Path) -> None:
    """Every stored array is that of `dissect`, bit for bit."""
    dissection = Dissection.objects.get(pk=job.target_id)
    images = list(images_of(dissection))
    expected = dissect(
        loaded_model(dissection.model),
        LAYERS,
        samples_of(images, dissection.model.class_names, with_masks=range(len(images))),
        preprocessing_of(dissection.model),
        len(faces.CLASSES),
        [],
        DissectionSettings(),
    )
    for layer in dissection.layers.all():
        saved = folder / "one-run.npz"
        expected.layers[layer.name].save(saved)
        with local_path(layer.arrays) as path:
            found = LayerResult.load(path)
        for name, value in vars(LayerResult.load(saved)).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(vars(found)[name], value, err_msg=name)
    assert dissection.image_count == len(images) == 200


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
