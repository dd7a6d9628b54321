"""Reading jobs for the pages."""

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from catalog.models import Project
from jobs.models import STALE_AFTER, Job

QUEUED_TOO_LONG = timedelta(seconds=15)
SHOW_ACTIVE, SHOW_FAILED = "active", "failed"


def job_list(project: Project, show: str = "") -> QuerySet[Job]:
    """The project's jobs without their parts, newest first; `show`: active or failed ones only."""
    jobs = (
        Job.objects.filter(project=project, parent=None).select_related("created_by").defer("log")
    )
    if show == SHOW_ACTIVE:
        return jobs.filter(state__in=Job.ACTIVE)
    if show == SHOW_FAILED:
        return jobs.filter(state__in=[Job.State.FAILED, Job.State.CANCELLED])
    return jobs


def parts_of(job: Job) -> list[Job]:
    """The parts of a job in the order of the work; of a part that was done anew, the last."""
    latest = {part.target_id: part for part in job.parts.defer("log").order_by("pk")}
    return [latest[target] for target in sorted(latest)]


def queue_hint(job: Job, now: datetime | None = None) -> str:
    """What to say about a job that waits for a worker; empty where nothing need be said."""
    now = now or timezone.now()
    if job.is_silent:
        return (
            "The worker of this job has gone silent. Another worker takes the job over by itself; "
            "you can also cancel it."
        )
    if job.state == Job.State.WAITING:
        part = job.parts.filter(state__in=Job.ACTIVE).order_by("-state", "pk").first()
        return queue_hint(part, now) if part else ""
    if job.state != Job.State.QUEUED or now - job.queued <= QUEUED_TOO_LONG:
        return ""
    if Job.objects.filter(state=Job.State.RUNNING, heartbeat__gt=now - STALE_AFTER).exists():
        return "The workers are busy with other jobs; this one is next when one is free."
    return (
        "No worker is running, it seems. Whoever runs this server can start one; the job then "
        "begins by itself."
    )


def duration(job: Job, now: datetime | None = None) -> timedelta | None:
    """How long the job's last attempt ran or has been running; None before its start."""
    if job.started is None:
        return None
    return (job.finished or now or timezone.now()) - job.started
