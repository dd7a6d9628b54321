"""What the commands share: finding their project, and following a job in the terminal."""

import time
from argparse import ArgumentParser

from celery import current_app
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from catalog.models import Project
from jobs.models import Job

ANSWER_SECONDS = 3.0
LOOK_SECONDS = 0.3


class JobCommand(BaseCommand):
    """A command that queues a job in a project and, with --wait, follows it to its end."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--user", metavar="NAME", help="the account the job is started for")
        parser.add_argument(
            "--wait", action="store_true", help="show the progress until the job has ended"
        )

    def project(self, slug: str) -> Project:
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            slugs = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project “{slug}”. Projects: {slugs}.")
        return project

    def user(self, name: str | None) -> User | None:
        if name is None:
            return None
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no account “{name}”.")
        return user

    def follow(self, job: Job, *, wait: bool) -> None:
        """Say that the job is queued; with `wait` show it and fail where it fails.

        Raises:
            CommandError: no worker answers, or the job did not succeed.
        """
        self.stdout.write(f"Queued job {job.pk}: {job.title}")
        if not wait:
            return
        if not current_app.control.ping(timeout=ANSWER_SECONDS):
            raise CommandError(
                "No worker answers. The job stays queued and runs once one is started "
                "(`make demo`, or `celery -A unitscope worker -Q gpu,default`)."
            )
        shown = ""
        while job.is_active:
            line = f"  {job.percent:3d} %  {job.stage or job.get_state_display()}"
            if line != shown:
                self._show(line)
                shown = line
            time.sleep(LOOK_SECONDS)
            job.refresh_from_db()
        self._end_line()
        if job.state != Job.State.SUCCEEDED:
            raise CommandError(f"{job.get_state_display()}. {job.error}".strip())
        self.stdout.write(self.style.SUCCESS("Done."))

    def _show(self, line: str) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r\x1b[2K{line}", ending="")
            self.stdout.flush()
        else:
            self.stdout.write(line)

    def _end_line(self) -> None:
        if self.stdout.isatty():
            self.stdout.write("")
