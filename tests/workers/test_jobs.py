"""Jobs are owned by the database: claims, progress, cancelling, retrying."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import Project, Vocabulary
from jobs import services
from jobs.models import STALE_AFTER, Job
from tests.services import address_of_test_database
from workers.heartbeat import heartbeat
from workers.reporter import Reporter

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> Job:
    vocabulary = Vocabulary.objects.create(slug="v", name="V", version="1")
    project = Project.objects.create(slug="p", name="P", vocabulary=vocabulary)
    return services.start(
        project=project, kind=Job.Kind.DISSECT, target_id=1, title="Dissect", user=None
    )


def test_a_message_delivered_twice_runs_once(job: Job) -> None:
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=False) is not None
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=False) is None


def test_the_job_of_a_lost_worker_is_taken_over_and_the_first_attempt_loses_its_say(
    job: Job,
) -> None:
    first = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    second = services.claim(job.pk, worker="w", delivery="m", redelivered=True)
    assert first is not None
    assert second is not None
    assert second.attempt == 2
    assert not services.report(first, done=1, total=2, stage="old")
    services.finish(first, Job.State.FAILED, error="late")
    job.refresh_from_db()
    assert job.state == Job.State.RUNNING
    assert job.stage == ""


def test_a_second_message_that_the_broker_redelivers_does_not_run_the_job_twice(job: Job) -> None:
    """After a restart both the restored message and the one sent for the orphan arrive."""
    services.claim(job.pk, worker="w", delivery="sent again", redelivered=False)
    assert services.claim(job.pk, worker="w", delivery="restored", redelivered=True) is None


def test_a_job_that_kills_its_workers_fails_with_advice(job: Job) -> None:
    services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    for _ in range(services.MOST_LOSSES - 1):
        assert services.claim(job.pk, worker="w", delivery="m", redelivered=True) is not None
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=True) is None
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "memory" in job.error
    services.retry(job=job)
    assert services.claim(job.pk, worker="w", delivery="m2", redelivered=False) is not None


def test_a_silent_job_can_be_cancelled_and_run_again_and_is_handed_on(job: Job) -> None:
    services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    long_ago = timezone.now() - STALE_AFTER - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(heartbeat=long_ago)
    assert services.requeue_silent() == 1
    services.cancel(job=job)
    assert job.state == Job.State.CANCELLED
    services.retry(job=job)
    assert job.state == Job.State.QUEUED
    assert services.requeue_silent() == 0


def test_a_job_whose_message_the_broker_lost_is_sent_again_once_in_a_while(job: Job) -> None:
    assert services.requeue_silent() == 0
    long_ago = timezone.now() - services.RESENT_AFTER - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(queued=long_ago)
    assert services.requeue_silent() == 1
    assert services.requeue_silent() == 0


def test_a_silent_job_is_taken_over(job: Job) -> None:
    services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    long_ago = timezone.now() - STALE_AFTER - timedelta(seconds=1)
    Job.objects.filter(pk=job.pk).update(heartbeat=long_ago)
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=False) is not None


@pytest.mark.django_db(transaction=True)
def test_a_step_that_reports_nothing_for_long_is_not_taken_for_dead(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert claimed is not None
    long_ago = timezone.now() - 2 * STALE_AFTER
    Job.objects.filter(pk=job.pk).update(heartbeat=long_ago)
    monkeypatch.setattr("workers.heartbeat.BEAT_SECONDS", 0.05)
    with heartbeat(claimed):
        while Job.objects.get(pk=job.pk).heartbeat == long_ago:
            time.sleep(0.02)
    assert services.claim(job.pk, worker="another", delivery="n", redelivered=False) is None


def test_a_finished_job_is_never_run_again(job: Job) -> None:
    claimed = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert claimed is not None
    services.finish(claimed, Job.State.SUCCEEDED)
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=True) is None


def test_cancelling_a_queued_job_ends_it_at_once(job: Job) -> None:
    services.cancel(job=job)
    assert job.state == Job.State.CANCELLED
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=False) is None


def test_cancelling_a_running_job_reaches_its_reporter(job: Job) -> None:
    claimed = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert claimed is not None
    reporter = Reporter(claimed)
    reporter.progress(1, 10, "Working")
    assert not reporter.should_stop()
    services.cancel(job=job)
    reporter.progress(2, 10, "A new stage reports at once")
    assert reporter.should_stop()


def test_an_ended_job_cannot_be_cancelled(job: Job) -> None:
    services.cancel(job=job)
    with pytest.raises(services.JobError, match="already ended"):
        services.cancel(job=job)


def test_retry_queues_a_failed_job_and_keeps_its_log(job: Job) -> None:
    claimed = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert claimed is not None
    services.append_log(claimed, "It broke.")
    services.finish(claimed, Job.State.FAILED, error="broken")
    services.retry(job=job)
    assert job.state == Job.State.QUEUED
    assert job.error == ""
    assert "It broke." in job.log


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_does_not_answer_fails_the_job_in_words(job: Job) -> None:
    """In a process of its own, whose Redis is a port where nothing listens."""
    services.cancel(job=job)
    script = (
        f"from jobs import models, services;services.retry(job=models.Job.objects.get(pk={job.pk}))"
    )
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        env={
            **os.environ,
            "DATABASE_URL": address_of_test_database(),
            "REDIS_URL": "redis://127.0.0.1:1",
        },
        check=True,
    )
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert "Redis does not answer" in job.error


def test_retry_refuses_an_active_job(job: Job) -> None:
    with pytest.raises(services.JobError, match="only failed or cancelled"):
        services.retry(job=job)


def test_the_log_keeps_its_end(job: Job) -> None:
    services.append_log(job, "x" * services.LOG_CHARACTERS)
    services.append_log(job, "last line")
    job.refresh_from_db()
    assert len(job.log) == services.LOG_CHARACTERS
    assert job.log.endswith("last line\n")


def test_a_worker_that_starts_again_takes_back_what_it_left(job: Job) -> None:
    services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert services.requeue_orphans("another") == 0
    assert services.requeue_orphans("w") == 1
    assert services.claim(job.pk, worker="w", delivery="m", redelivered=False) is not None


def parts_of(job: Job, *steps: int) -> list[Job]:
    """Split the claimed job and claim its parts."""
    shares = [services.Part(number, f"Part {number}", count) for number, count in enumerate(steps)]
    assert services.split(job=job, kind=Job.Kind.DISSECT_SHARD, parts=shares)
    claimed = [
        services.claim(part.pk, worker="w", delivery=f"m{part.pk}", redelivered=False)
        for part in job.parts.order_by("pk")
    ]
    return [part for part in claimed if part is not None]


def claimed(job: Job) -> Job:
    found = services.claim(job.pk, worker="w", delivery="m", redelivered=False)
    assert found is not None
    return found


def test_a_job_waits_for_its_parts_shows_their_progress_and_runs_again(job: Job) -> None:
    first, second = parts_of(claimed(job), 30, 10)
    job.refresh_from_db()
    assert job.state == Job.State.WAITING
    assert (job.done, job.total) == (0, 40)
    services.report(first, done=20, total=30, stage="Reading images")
    job.refresh_from_db()
    assert (job.done, job.total) == (20, 40)
    services.report(first, done=30, total=30, stage="Reading images")
    services.finish(first, Job.State.SUCCEEDED)
    job.refresh_from_db()
    assert job.state == Job.State.WAITING
    assert job.stage == "Parts done: 1 of 2"
    services.finish(second, Job.State.SUCCEEDED)
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED
    assert claimed(job).attempt == 2


def test_a_failed_part_fails_the_job_and_stops_the_other_parts(job: Job) -> None:
    first, second = parts_of(claimed(job), 1, 1)
    services.finish(first, Job.State.FAILED, error="No.")
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.FAILED, "Part 0: No.")
    assert not services.report(second, done=1, total=1, stage="Too late")
    services.finish(second, Job.State.SUCCEEDED)
    job.refresh_from_db()
    assert job.state == Job.State.FAILED


def test_cancelling_a_waiting_job_ends_it_at_once_and_reaches_its_parts(job: Job) -> None:
    first, second = parts_of(claimed(job), 1, 1)
    services.finish(second, Job.State.SUCCEEDED)
    services.cancel(job=job)
    assert job.state == Job.State.CANCELLED
    assert not services.report(first, done=1, total=1, stage="Stops here")
    services.finish(first, Job.State.CANCELLED)
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_a_part_is_steered_through_its_job(job: Job) -> None:
    part, _ = parts_of(claimed(job), 1, 1)
    for act in (services.cancel, services.retry):
        with pytest.raises(services.JobError, match="part of “Dissect”"):
            act(job=part)


def test_a_job_that_was_cancelled_is_not_split(job: Job) -> None:
    running = claimed(job)
    services.cancel(job=job)
    part = services.Part(1, "Part", 1)
    assert not services.split(job=running, kind=Job.Kind.DISSECT_SHARD, parts=[part])
    assert not job.parts.exists()
