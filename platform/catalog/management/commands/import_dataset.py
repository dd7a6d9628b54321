from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from catalog import services
from jobs.following import JobCommand


class Command(JobCommand):
    help = "Add a folder or zip archive of images to a project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", type=Path, help="class folders, or a folder with manifest.csv")
        parser.add_argument("--name", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        user = self.user(options["user"])
        try:
            dataset, job = services.add_dataset(
                project=project, name=options["name"], source=options["path"], user=user
            )
        except services.CatalogError as error:
            raise CommandError(str(error)) from error
        self.follow(job, wait=options["wait"])
        dataset.refresh_from_db()
        if dataset.message:
            self.stdout.write(dataset.message)
