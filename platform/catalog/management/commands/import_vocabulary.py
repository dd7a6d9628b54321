from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from annotation.moving import use_vocabulary
from catalog.vocabularies.changes import as_update, changes_between
from catalog.vocabularies.entries import VocabularyError
from catalog.vocabularies.exchange import read_bytes
from catalog.vocabularies.storing import content_of
from catalog.vocabulary_services import create_vocabulary, digest, import_content
from jobs.following import JobCommand


class Command(JobCommand):
    help = (
        "Bring the project's own vocabulary up to date with a CSV, JSON or SKOS file, or create "
        "one from it. Terms that the file lacks are retired."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--new", metavar="NAME", help="create a vocabulary of this name and use it"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        file: Path = options["file"]
        try:
            content = read_bytes(file.read_bytes(), file.name)
            if options["new"] is not None:
                if not options["dry_run"]:
                    with transaction.atomic():
                        own = create_vocabulary(
                            project=project, name=options["new"], content=content
                        )
                        use_vocabulary(project=project, vocabulary=own)
                self.stdout.write(f"{len(content.terms)} terms in a new vocabulary.")
                return
            before = content_of(project.vocabulary)
            if not options["dry_run"]:
                import_content(vocabulary=project.vocabulary, content=content, base=digest(before))
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except VocabularyError as error:
            raise CommandError(str(error)) from error
        groups = changes_between(before, as_update(before, content)).groups
        for heading, changes in groups:
            for change in changes:
                self.stdout.write(
                    f"{heading}: {change.name} ({change.code}) {change.text}".rstrip()
                )
        if not groups:
            self.stdout.write("Nothing is different.")
