from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from catalog.models import Dataset, Project, Split
from dissections.models import Layer
from explanations.evaluation.pages import text_lines
from explanations.evaluation.selectors import layers_to_evaluate
from explanations.evaluation.services import start_evaluation
from explanations.models import Evaluation
from explanations.services import ExplanationRequestError
from jobs.following import JobCommand


class Command(JobCommand):
    help = (
        "Measure how well explanations by the names that stand now agree with reports or masks, "
        "against controls, and calibrate the model's probabilities. Prints a table with --wait."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", required=True, metavar="NAME")
        parser.add_argument("--layer", required=True, metavar="NAME")
        parser.add_argument("--dataset", required=True, metavar="NAME")
        parser.add_argument("--split", default=Split.TEST, choices=Split.values)
        parser.add_argument(
            "--reference",
            default=Evaluation.Reference.REPORTS,
            choices=Evaluation.Reference.values,
        )
        parser.add_argument(
            "--ancestor-credit",
            action="store_true",
            help="broader terms of a term count as named and as reported too",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        try:
            evaluation = start_evaluation(
                project=project,
                layer=_layer(project, options["model"], options["layer"]),
                dataset=_dataset(project, options["dataset"]),
                split=options["split"],
                reference=options["reference"],
                ancestor_credit=options["ancestor_credit"],
                user=self.user(options["user"]),
            )
        except ExplanationRequestError as error:
            raise CommandError(str(error)) from error
        if evaluation.job:
            self.follow(evaluation.job, wait=options["wait"])
        if options["wait"]:
            evaluation.refresh_from_db()
            for line in text_lines(evaluation):
                self.stdout.write(line)


def _layer(project: Project, model: str, name: str) -> Layer:
    """The layer of the newest finished dissection of the newest model with this name."""
    layers = layers_to_evaluate(project).filter(dissection__model__name=model)
    found = layers.filter(name=name).first()
    if found is None:
        known = ", ".join(sorted({layer.name for layer in layers})) or "none yet"
        raise CommandError(
            f"No dissected layer “{name}” of a model “{model}”. Layers dissected: {known}."
        )
    return found


def _dataset(project: Project, name: str) -> Dataset:
    found = project.datasets.filter(name=name).first()
    if found is None:
        names = ", ".join(project.datasets.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"The project has no dataset “{name}”. It has: {names}.")
    return found
