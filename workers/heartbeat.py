"""A sign of life beside the work: a long step is not taken for a dead worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from jobs import services
from jobs.models import Job

BEAT_SECONDS = 15.0


@contextmanager
def heartbeat(job: Job) -> Iterator[None]:
    """Renew the job's sign of life from a thread of its own for as long as the block runs."""
    over = threading.Event()

    def beat() -> None:
        try:
            while not over.wait(BEAT_SECONDS):
                services.renew(job)
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"heartbeat of job {job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
