"""The vocabularies that ship with Unitscope: JSON files beside this module, and their loader.

A file is checked as a whole before anything is written, so a faulty one changes nothing.
"""

from pathlib import Path

from django.db import transaction

from catalog.models import Vocabulary
from catalog.vocabularies import json_format
from catalog.vocabularies.entries import Content, VocabularyError
from catalog.vocabularies.storing import store

FOLDER = Path(__file__).resolve().parent

__all__ = ["VocabularyError", "available", "load", "read"]


def available() -> list[str]:
    """Slugs of the vocabularies that ship with Unitscope."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read(slug: str) -> Content:
    """The shipped vocabulary `slug`.

    Raises:
        VocabularyError: there is no such file, or it is faulty.
    """
    if slug not in available():
        raise VocabularyError(
            f"There is no vocabulary “{slug}”. Available: {', '.join(available())}."
        )
    return json_format.read((FOLDER / f"{slug}.json").read_text(encoding="utf-8"))


@transaction.atomic
def load(slug: str) -> Vocabulary:
    """Write the shipped vocabulary `slug` to the database, or bring it up to date.

    Terms keep their rows, so labels stay bound to them; a term that has left the file is retired.

    Raises:
        VocabularyError: there is no such file, or it is faulty.
    """
    content = read(slug)
    vocabulary, _ = Vocabulary.objects.update_or_create(
        slug=content.slug,
        version=content.version,
        owner=None,
        defaults={"name": content.name, "source": content.source},
    )
    store(vocabulary, content)
    return vocabulary
