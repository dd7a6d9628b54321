"""Starting, cancelling and retrying jobs, and what a worker reports about them."""

import logging
from datetime import timedelta

from celery import current_app
from django.db import transaction
from django.db.models import F, Q, TextField, Value
from django.db.models.functions import Concat, Right
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.models import Project
from jobs.models import Job

logger = logging.getLogger(__name__)

RUN_TASK = "workers.run_job"
QUEUES = {
    Job.Kind.IMPORT_DATASET: "default",
    Job.Kind.CHECK_MODEL: "gpu",
    Job.Kind.DISSECT: "gpu",
    Job.Kind.PREDICT: "gpu",
    Job.Kind.EXPLAIN: "gpu",
}
LOG_CHARACTERS = 50_000
BROKER_DOWN = (
    "The job could not be handed to a worker, because Redis does not answer. Tell whoever runs "
    "this server, and run the job again once Redis is back."
)
# A worker gives a sign of life every 15 seconds; after this long without one it is gone.
STALE_AFTER = timedelta(seconds=60)


class JobError(ValueError):
    """The request does not fit the job's state; the message is for people."""


def start(
    *, project: Project, kind: Job.Kind, target_id: int, title: str, user: User | None
) -> Job:
    """Queue work on an object. The worker is told once the surrounding transaction commits."""
    job = Job.objects.create(
        project=project, kind=kind, target_id=target_id, title=title[:200], created_by=user
    )
    enqueue(job)
    return job


def enqueue(job: Job) -> None:
    """Hand the job's id to the broker after commit. Doing so twice is harmless: see `claim`."""
    transaction.on_commit(lambda: _send(job))


def _send(job: Job) -> None:
    """Tell a worker; a broker that does not answer fails the job, which can then be run again."""
    try:
        current_app.send_task(
            RUN_TASK, args=[job.pk], queue=QUEUES[Job.Kind(job.kind)], retry=False
        )
    except OperationalError:
        logger.exception("job %s could not be queued", job.pk)
        Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
            state=Job.State.FAILED, error=BROKER_DOWN, finished=timezone.now()
        )


def cancel(*, job: Job) -> None:
    """Stop a queued job at once and a running one at its next report.

    Raises:
        JobError: the job has already ended.
    """
    stopped = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, cancel_requested=True, finished=timezone.now()
    )
    asked = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)
    job.refresh_from_db()
    if not stopped and not asked:
        raise JobError(f"“{job.title}” has already ended ({job.get_state_display().lower()}).")


def retry(*, job: Job) -> Job:
    """Queue a failed or cancelled job again; its log is kept.

    Raises:
        JobError: the job is active or has succeeded.
    """
    again = Job.objects.filter(pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED]).update(
        state=Job.State.QUEUED,
        cancel_requested=False,
        error="",
        stage="",
        done=0,
        total=0,
        started=None,
        heartbeat=None,
        finished=None,
        queued=timezone.now(),
    )
    job.refresh_from_db()
    if not again:
        raise JobError(
            f"“{job.title}” is {job.get_state_display().lower()}; only failed or cancelled jobs "
            "can be run again."
        )
    enqueue(job)
    return job


def claim(job_id: int, *, worker: str, redelivered: bool) -> Job | None:
    """Take a job for this worker, or return None where there is nothing to do.

    One conditional UPDATE decides, so a message delivered twice runs once. A running job is taken
    over where the broker redelivered it (its worker was lost) or where it has gone silent.
    """
    now = timezone.now()
    takeable = Q(state=Job.State.QUEUED) | Q(
        state=Job.State.RUNNING, heartbeat__lt=now - STALE_AFTER
    )
    if redelivered:
        takeable |= Q(state=Job.State.RUNNING)
    claimed = Job.objects.filter(takeable, pk=job_id).update(
        state=Job.State.RUNNING,
        attempt=F("attempt") + 1,
        worker=worker,
        started=now,
        heartbeat=now,
        done=0,
    )
    return Job.objects.select_related("project").get(pk=job_id) if claimed else None


def report(job: Job, *, done: int, total: int, stage: str) -> bool:
    """Store progress; returns False where this attempt should stop (cancelled or taken over)."""
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=Job.State.RUNNING)
    mine.update(done=done, total=total, stage=stage[:120], heartbeat=timezone.now())
    return mine.filter(cancel_requested=False).exists()


def renew(job: Job) -> None:
    """Say that this attempt is alive, though it has nothing new to report."""
    Job.objects.filter(pk=job.pk, attempt=job.attempt, state=Job.State.RUNNING).update(
        heartbeat=timezone.now()
    )


def append_log(job: Job, line: str) -> None:
    stamped = f"{timezone.now():%H:%M:%S} {line}\n"
    Job.objects.filter(pk=job.pk).update(
        log=Right(Concat(F("log"), Value(stamped), output_field=TextField()), Value(LOG_CHARACTERS))
    )


def finish(job: Job, state: Job.State, *, error: str = "") -> None:
    """End this attempt; does nothing where another attempt has taken the job over."""
    Job.objects.filter(pk=job.pk, attempt=job.attempt, state=Job.State.RUNNING).update(
        state=state, error=error, finished=timezone.now()
    )


def requeue_orphans(worker: str) -> int:
    """Send again what an earlier stop left behind; run when the worker of this name starts.

    A worker that starts has nothing running, so running jobs under its name are orphans too.
    """
    Job.objects.filter(state=Job.State.RUNNING, worker=worker).update(state=Job.State.QUEUED)
    orphans = Job.objects.filter(
        Q(state=Job.State.QUEUED)
        | Q(state=Job.State.RUNNING, heartbeat__lt=timezone.now() - STALE_AFTER)
    )
    for job in orphans:
        enqueue(job)
    return len(orphans)
