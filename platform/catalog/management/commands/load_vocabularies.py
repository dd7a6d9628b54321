from typing import Any

from django.core.management.base import BaseCommand

from catalog import vocabularies


class Command(BaseCommand):
    help = "Load the vocabularies that ship with Unitscope, or bring them up to date."

    def handle(self, *args: Any, **options: Any) -> None:
        for slug in vocabularies.available():
            vocabulary = vocabularies.load(slug)
            count = vocabulary.terms.filter(retired=False).count()
            self.stdout.write(f"{vocabulary}: {count} terms")
