"""The Celery task that runs a job. Everything about the job is in its row."""

import logging
import threading
import time
from typing import Any

from celery import Task, shared_task
from celery.signals import worker_ready
from django.db import DatabaseError, connection

from jobs import services
from jobs.models import STALE_AFTER
from jobs.services import RUN_TASK
from workers.runner import run

logger = logging.getLogger(__name__)


@shared_task(bind=True, name=RUN_TASK)
def run_job(self: Task, job_id: int) -> None:
    redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
    job = services.claim(
        job_id,
        worker=self.request.hostname or "",
        delivery=self.request.id or "",
        redelivered=redelivered,
    )
    if job is not None:
        run(job)


@worker_ready.connect
def resume_orphans(sender: Any, **_: object) -> None:
    services.requeue_orphans(sender.hostname)
    threading.Thread(target=_sweep, name="sweep of silent jobs", daemon=True).start()


def _sweep() -> None:
    """Once in a while, hand on the jobs of workers that have disappeared."""
    while True:
        time.sleep(STALE_AFTER.total_seconds())
        try:
            services.requeue_silent()
        except DatabaseError:
            logger.exception("silent jobs could not be looked for")
        finally:
            connection.close()
