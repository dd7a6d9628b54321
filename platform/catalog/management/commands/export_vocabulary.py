from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.http import Http404

from catalog.vocabularies.exchange import FORMATS
from catalog.vocabulary_selectors import NOW, content_at
from jobs.following import JobCommand


class Command(JobCommand):
    help = "Write the vocabulary of a project as CSV, JSON or SKOS."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--as", dest="key", choices=list(FORMATS), default="json")
        parser.add_argument("--release", default=NOW, help="a version; without it the state now")
        parser.add_argument("--to", type=Path, metavar="FILE", help="without it: the terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        vocabulary = self.project(options["project"]).vocabulary
        try:
            content = content_at(vocabulary, options["release"])
        except Http404 as error:
            versions = ", ".join(vocabulary.releases.values_list("version", flat=True))
            raise CommandError(
                f"There is no release “{options['release']}”. Releases: {versions or 'none yet'}."
            ) from error
        text = FORMATS[options["key"]].write(content)
        if options["to"] is None:
            self.stdout.write(text, ending="")
            return
        try:
            options["to"].write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise CommandError(f"{options['to']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"Wrote {len(content.terms)} terms to {options['to']}.")
