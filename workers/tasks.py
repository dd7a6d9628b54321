"""The Celery task that runs a job. Everything about the job is in its row."""

from typing import Any

from celery import Task, shared_task
from celery.signals import worker_ready

from jobs import services
from jobs.services import RUN_TASK
from workers.runner import run


@shared_task(bind=True, name=RUN_TASK)
def run_job(self: Task, job_id: int) -> None:
    redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
    job = services.claim(job_id, worker=self.request.hostname or "", redelivered=redelivered)
    if job is not None:
        run(job)


@worker_ready.connect
def resume_orphans(sender: Any, **_: object) -> None:
    services.requeue_orphans(sender.hostname)
