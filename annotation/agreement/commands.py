"""What the commands of export and import share."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from annotation.agreement.exporting import Kind
from catalog.models import Project


class ExchangeCommand(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--what", choices=[*Kind], default=Kind.LABELS, type=Kind)

    def project(self, slug: str) -> Project:
        project = Project.objects.select_related("vocabulary").filter(slug=slug).first()
        if project is None:
            slugs = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project “{slug}”. Projects: {slugs}.")
        return project
