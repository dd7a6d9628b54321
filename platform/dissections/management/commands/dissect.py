from argparse import ArgumentParser
from typing import Any, TypeVar

from django.core.management.base import CommandError
from django.db.models import QuerySet

from catalog.models import Dataset, Split, TrainedModel
from catalog.selectors import own_models
from dissections.services import DissectionRequestError, start_dissection
from jobs.following import JobCommand

Named = TypeVar("Named", TrainedModel, Dataset)


class Command(JobCommand):
    help = "Find what excites each unit of a model's layers over the images of a dataset."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", required=True, metavar="NAME")
        parser.add_argument("--dataset", required=True, metavar="NAME")
        parser.add_argument("--layers", required=True, help="comma-separated")
        parser.add_argument(
            "--splits",
            default=Split.VALIDATION,
            help=f"comma-separated, of {', '.join(Split.values)} (default: validation)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        user = self.user(options["user"])
        try:
            dissection = start_dissection(
                project=project,
                model=_named(own_models(project), options["model"], "model"),
                dataset=_named(project.datasets.all(), options["dataset"], "dataset"),
                layers=options["layers"].split(","),
                splits=options["splits"].split(","),
                user=user,
            )
        except DissectionRequestError as error:
            raise CommandError(str(error)) from error
        if dissection.job:
            self.follow(dissection.job, wait=options["wait"])


def _named(candidates: QuerySet[Named], name: str, what: str) -> Named:
    """The newest of `candidates` with this name."""
    found = candidates.filter(name=name).first()
    if found is None:
        names = ", ".join(candidates.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"The project has no {what} “{name}”. It has: {names}.")
    return found
