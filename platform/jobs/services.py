"""Starting, cancelling and retrying jobs, and what a worker reports about them."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from celery import current_app
from django.db import transaction
from django.db.models import Case, Count, F, Q, QuerySet, Sum, TextField, Value, When
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
    Job.Kind.DISSECT_SHARD: "gpu",
    Job.Kind.PREDICT: "gpu",
    Job.Kind.EXPLAIN: "gpu",
    Job.Kind.EXPLAIN_RUN: "gpu",
    Job.Kind.EXPLAIN_SHARE: "gpu",
    Job.Kind.MAKE_CONTROL: "gpu",
    Job.Kind.EVALUATE: "gpu",
}
# Redis serves 0 first: a clinician's explanation goes ahead of the many parts of a dissection.
PART_PRIORITY, WHOLE_PRIORITY = 9, 0
LOG_CHARACTERS = 50_000
RESENT_AFTER = timedelta(minutes=10)
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


@dataclass(frozen=True)
class Part:
    """A share of a job's work: what it works on, its title, and how many steps it has."""

    target_id: int
    title: str
    steps: int


def start(
    *, project: Project, kind: Job.Kind, target_id: int, title: str, user: User | None
) -> Job:
    """Queue work on an object. The worker is told once the surrounding transaction commits."""
    job = Job.objects.create(
        project=project, kind=kind, target_id=target_id, title=title[:200], created_by=user
    )
    enqueue(job)
    return job


@transaction.atomic
def split(*, job: Job, kind: Job.Kind, parts: Iterable[Part]) -> bool:
    """Hand the work of a running job to parts that any worker can take.

    The job waits, and runs again once its parts have ended; a part that fails fails the job.
    Returns False, with nothing done, where this attempt should stop (cancelled or taken over).
    """
    waiting = _attempt(job).filter(cancel_requested=False).update(state=Job.State.WAITING)
    if not waiting:
        return False
    created = Job.objects.bulk_create(
        Job(
            project=job.project,
            parent=job,
            kind=kind,
            target_id=part.target_id,
            title=part.title[:200],
            total=part.steps,
            created_by_id=job.created_by_id,
        )
        for part in parts
    )
    for part in created:
        enqueue(part)
    _show_parts(job.pk)
    return True


def enqueue(job: Job) -> None:
    """Hand the job's id to the broker after commit. Doing so twice is harmless: see `claim`."""
    transaction.on_commit(lambda: _send(job))


def _send(job: Job) -> None:
    """Tell a worker; a broker that does not answer fails the job, which can then be run again."""
    try:
        current_app.send_task(
            RUN_TASK,
            args=[job.pk],
            queue=QUEUES[Job.Kind(job.kind)],
            priority=PART_PRIORITY if job.parent_id else WHOLE_PRIORITY,
            retry=False,
        )
    except OperationalError:
        logger.exception("job %s could not be queued", job.pk)
        queued = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
        _end(job, queued, Job.State.FAILED, BROKER_DOWN)


@transaction.atomic
def cancel(*, job: Job) -> None:
    """Stop a queued, waiting or silent job at once, a running one and running parts at their next
    report. Finished parts stay, so that running the job again goes on from there.

    Raises:
        JobError: the job has already ended, or is a part of another one.
    """
    _refuse_part(job)
    Job.objects.select_for_update().get(pk=job.pk)
    stopped = _stop(Job.objects.filter(pk=job.pk))
    asked = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)
    if stopped:
        _cancel_parts(job.pk)
    job.refresh_from_db()
    if not stopped and not asked:
        raise JobError(f"“{job.title}” has already ended ({job.get_state_display().lower()}).")


def retry(*, job: Job) -> Job:
    """Queue a failed, cancelled or silent job again; its log is kept.

    Raises:
        JobError: the job is active, has succeeded, or is a part of another one.
    """
    _refuse_part(job)
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
    mine = _attempt(job)
    mine.update(done=done, total=total, stage=stage[:120], heartbeat=timezone.now())
    if job.parent_id:
        _show_parts(job.parent_id)
    return mine.filter(cancel_requested=False).exists()


def renew(job: Job) -> None:
    """Say that this attempt is alive, though it has nothing new to report."""
    _attempt(job).update(heartbeat=timezone.now())


def append_log(job: Job, line: str) -> None:
    stamped = f"{timezone.now():%H:%M:%S} {line}\n"
    Job.objects.filter(pk=job.pk).update(
        log=Right(Concat(F("log"), Value(stamped), output_field=TextField()), Value(LOG_CHARACTERS))
    )


def finish(job: Job, state: Job.State, *, error: str = "") -> bool:
    """End this attempt; does nothing, and returns False, where another attempt has taken the job
    over or the job waits for its parts."""
    return _end(job, _attempt(job), state, error)


def _attempt(job: Job) -> QuerySet[Job]:
    """The job's row as long as this attempt runs it."""
    return Job.objects.filter(pk=job.pk, attempt=job.attempt, state=Job.State.RUNNING)


@transaction.atomic
def _end(job: Job, row: QuerySet[Job], state: Job.State, error: str) -> bool:
    """End the job; with its last part, or with a failed one, the job that waits for it goes on.

    The waiting job is locked first, so that of two last parts one sees the other's end.
    """
    parent = Job.objects.select_for_update().filter(parts=job).first() if job.parent_id else None
    ended = row.update(state=state, error=error, finished=timezone.now())
    if not ended:
        return False
    _cancel_parts(job.pk)
    if parent is None or parent.state != Job.State.WAITING:
        return True
    part = Job.objects.get(pk=job.pk)
    if state == Job.State.FAILED and not part.cancel_requested:
        _end(parent, Job.objects.filter(pk=parent.pk), state, f"{part.title}: {error}")
    elif not parent.parts.filter(state__in=Job.ACTIVE).exists():
        Job.objects.filter(pk=parent.pk).update(
            state=Job.State.QUEUED, queued=timezone.now(), losses=0
        )
        enqueue(parent)
    else:
        _show_parts(parent.pk)
    return True


def _show_parts(parent_id: int) -> None:
    """Add up the parts' progress in the row of the job that waits for them."""
    parts = Job.objects.filter(
        parent_id=parent_id, state__in=[*Job.ACTIVE, Job.State.SUCCEEDED]
    ).aggregate(
        done=Sum("done"),
        total=Sum("total"),
        ended=Count("pk", filter=Q(state=Job.State.SUCCEEDED)),
        all=Count("pk"),
    )
    Job.objects.filter(pk=parent_id, state=Job.State.WAITING).update(
        done=parts["done"] or 0,
        total=parts["total"] or 0,
        stage=f"Parts done: {parts['ended']} of {parts['all']}",
    )


def _stop(jobs: QuerySet[Job]) -> int:
    """End those of the jobs that no living worker is at."""
    idle = Q(state__in=[Job.State.QUEUED, Job.State.WAITING]) | _silent()
    return jobs.filter(idle).update(
        state=Job.State.CANCELLED, cancel_requested=True, finished=timezone.now()
    )


def _cancel_parts(parent_id: int) -> None:
    """Ask all to stop, then end those that nobody runs: none slips between the two."""
    parts = Job.objects.filter(parent_id=parent_id)
    parts.filter(state__in=Job.ACTIVE).update(cancel_requested=True)
    _stop(parts)


def _refuse_part(job: Job) -> None:
    if job.parent:
        raise JobError(f"This is a part of “{job.parent}”: steer that job instead.")


def requeue_orphans(worker: str) -> int:
    """Send again what an earlier stop left behind; run when the worker of this name starts.

    A worker that starts has nothing running, so running jobs under its name are orphans too.
    """
    Job.objects.filter(state=Job.State.RUNNING, worker=worker).update(state=Job.State.QUEUED)
    return _enqueue_all(list(Job.objects.filter(Q(state=Job.State.QUEUED) | _silent())))


def requeue_silent() -> int:
    """Send again the jobs of workers that have disappeared, and jobs that have been queued for so
    long that the broker may have lost their message; workers run this once in a while."""
    overdue = Job.objects.filter(state=Job.State.QUEUED, queued__lt=timezone.now() - RESENT_AFTER)
    waiting = list(overdue)
    overdue.update(queued=timezone.now())
    return _enqueue_all([*Job.objects.filter(_silent()), *waiting])


def _enqueue_all(jobs: Collection[Job]) -> int:
    for job in jobs:
        enqueue(job)
    return len(jobs)
