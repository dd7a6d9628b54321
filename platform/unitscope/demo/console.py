"""What the terminal shows while a worker works."""

import sys
import time
from collections.abc import Sequence

from jobs.models import Job
from unitscope.demo.processes import Child, check_all
from unitscope.embedded import ServiceError

BAR = 24


class Console:
    """Prints a job's progress: one moving line in a terminal, a line per stage elsewhere."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._moving = sys.stdout.isatty()
        self._shown = ""

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def wait(self, job: Job) -> None:
        """Show the job until it has ended.

        Raises:
            ServiceError: it failed or was cancelled, or a process it needs has ended.
        """
        self._shown = ""
        while True:
            check_all(self._children)
            job.refresh_from_db()
            self._show(job)
            if not job.is_active:
                break
            time.sleep(0.3)
        if self._moving:
            self.say("")
        if job.state != Job.State.SUCCEEDED:
            raise ServiceError(
                f"“{job.title}” {job.get_state_display().lower()}. {job.error}".strip()
            )

    def _show(self, job: Job) -> None:
        filled = BAR * job.percent // 100
        bar = "█" * filled + "·" * (BAR - filled)
        stage = job.stage or job.get_state_display()
        if self._moving:
            sys.stdout.write(f"\r\x1b[2K  {job.title[:48]}  {bar} {job.percent:3d} %  {stage}")
            sys.stdout.flush()
        elif stage != self._shown:
            self.say(f"  {job.title}: {stage}")
        self._shown = stage
