"""Starting, cancelling and retrying jobs, and what a worker reports about them."""

import logging

from celery import current_app
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Concat, Right
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.models import Project
from jobs.models import STALE_AFTER, Job

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
MOST_LOSSES = 3
LOST_TOO_OFTEN = (
    f"The worker died {MOST_LOSSES} times while it ran this job, probably because the machine ran "
    "out of memory. Use a smaller model, fewer layers or images, or a worker with more memory, and "
    "run the job again."
)


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
    """Stop a queued or silent job at once and a running one at its next report.

    Raises:
        JobError: the job has already ended.
    """
    stopped = Job.objects.filter(Q(state=Job.State.QUEUED) | _silent(), pk=job.pk).update(
        state=Job.State.CANCELLED, cancel_requested=True, finished=timezone.now()
    )
    asked = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)
    job.refresh_from_db()
    if not stopped and not asked:
        raise JobError(f"“{job.title}” has already ended ({job.get_state_display().lower()}).")


def retry(*, job: Job) -> Job:
    """Queue a failed, cancelled or silent job again; its log is kept.

    Raises:
        JobError: the job is active or has succeeded.
    """
    ended = Q(state__in=[Job.State.FAILED, Job.State.CANCELLED])
    again = Job.objects.filter(ended | _silent(), pk=job.pk).update(
        state=Job.State.QUEUED,
        losses=0,
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


def claim(job_id: int, *, worker: str, delivery: str, redelivered: bool) -> Job | None:
    """Take a job for this worker, or return None where there is nothing to do.

    One conditional UPDATE decides, so that of several messages about a job one runs it. A running
    job is taken over where the broker redelivers the very message that it runs under (its process
    was lost), or where it has gone silent. A job that has cost MOST_LOSSES processes fails.

    Args:
        delivery: the id of the broker's message.
    """
    now = timezone.now()
    takeable = Q(state=Job.State.QUEUED) | _silent()
    if redelivered:
        takeable |= Q(state=Job.State.RUNNING, delivery=delivery)
    claimed = Job.objects.filter(takeable, pk=job_id).update(
        losses=F("losses") + Case(When(state=Job.State.RUNNING, then=1), default=0),
        state=Job.State.RUNNING,
        attempt=F("attempt") + 1,
        worker=worker,
        delivery=delivery,
        started=now,
        heartbeat=now,
        done=0,
    )
    if not claimed:
        return None
    job = Job.objects.select_related("project").get(pk=job_id)
    if job.losses:
        append_log(job, f"The process that worked on it was lost ({job.losses} so far).")
    if job.losses >= MOST_LOSSES:
        finish(job, Job.State.FAILED, error=LOST_TOO_OFTEN)
        return None
    return job


def _silent() -> Q:
    """Running jobs whose worker has given no sign of life for too long."""
    return Q(state=Job.State.RUNNING, heartbeat__lt=timezone.now() - STALE_AFTER)


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
    return _enqueue_all(Job.objects.filter(Q(state=Job.State.QUEUED) | _silent()))


def requeue_silent() -> int:
    """Send again the jobs of workers that have disappeared; workers run this once in a while."""
    return _enqueue_all(Job.objects.filter(_silent()))


def _enqueue_all(jobs: QuerySet[Job]) -> int:
    for job in jobs:
        enqueue(job)
    return len(jobs)
