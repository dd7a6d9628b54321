"""What a running job tells its row: progress, log lines, and whether to go on."""

import time

from jobs import services
from jobs.models import Job

REPORT_SECONDS = 0.5


class Reporter:
    """Hands progress to the database at most every half second and remembers a wish to stop."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._state = (0, 0, "")
        self._reported = 0.0
        self._stop = False

    def progress(self, done: int, total: int, stage: str) -> None:
        """`done` of `total` steps of `stage`; a new stage is shown at once."""
        new_stage = stage != self._state[2]
        self._state = (done, total, stage)
        self._report(force=new_stage or done >= total)

    def should_stop(self) -> bool:
        self._report(force=False)
        return self._stop

    def log(self, text: str) -> None:
        services.append_log(self._job, text)

    def _report(self, *, force: bool) -> None:
        now = time.monotonic()
        if force or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            done, total, stage = self._state
            self._stop = not services.report(self._job, done=done, total=total, stage=stage)
