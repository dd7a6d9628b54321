"""The vocabularies that ship with Unitscope: JSON files beside this module, and their loader.

A file is checked as a whole before anything is written, so a faulty one changes nothing.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction

from catalog.models import Term, TermMapping, Vocabulary

FOLDER = Path(__file__).resolve().parent


class VocabularyError(ValueError):
    """A vocabulary file is faulty; the message names the entry."""


@dataclass(frozen=True)
class Mapping:
    """What an older lexicon (`system`) calls the term in one of its fields."""

    system: str
    field: str
    value: str


@dataclass(frozen=True)
class TermEntry:
    code: str
    name: str
    phrase: str
    category: str
    code_system: str
    help_text: str
    parent: str | None = None
    synonyms: tuple[str, ...] = ()
    mappings: tuple[Mapping, ...] = ()


@dataclass(frozen=True)
class VocabularyFile:
    """A checked vocabulary: codes are unique and every parent stands before its children."""

    slug: str
    name: str
    version: str
    source: str
    terms: tuple[TermEntry, ...] = field(repr=False)


def available() -> list[str]:
    """Slugs of the vocabularies that ship with Unitscope."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read(slug: str) -> VocabularyFile:
    """The shipped vocabulary `slug`.

    Raises:
        VocabularyError: there is no such file, or it is faulty.
    """
    if slug not in available():
        raise VocabularyError(
            f"There is no vocabulary “{slug}”. Available: {', '.join(available())}."
        )
    return parse(json.loads((FOLDER / f"{slug}.json").read_text(encoding="utf-8")))


def parse(content: dict[str, Any]) -> VocabularyFile:
    """Check the content of a vocabulary file.

    Raises:
        VocabularyError: a field is missing, a code occurs twice, a parent is unknown or stands
            behind its child, or an old name is mapped to more than one term.
    """
    try:
        terms = tuple(_term(entry, content["code_system"]) for entry in content["terms"])
        vocabulary = VocabularyFile(
            content["slug"], content["name"], content["version"], content["source"], terms
        )
    except KeyError as error:
        raise VocabularyError(f"The vocabulary lacks the field {error}.") from error
    _refuse_repeated("code", [term.code for term in terms])
    _refuse_repeated("mapping", [mapping for term in terms for mapping in term.mappings])
    seen: set[str] = set()
    for term in terms:
        if term.parent is not None and term.parent not in seen:
            raise VocabularyError(
                f"Term “{term.code}” has the parent “{term.parent}”, which is not listed before it."
            )
        seen.add(term.code)
    return vocabulary


def _term(entry: dict[str, Any], code_system: str) -> TermEntry:
    try:
        return TermEntry(
            code=entry["code"],
            name=entry["name"],
            phrase=entry["phrase"],
            category=entry["category"],
            code_system=entry.get("code_system", code_system),
            help_text=entry["help"],
            parent=entry.get("parent"),
            synonyms=tuple(entry.get("synonyms", ())),
            mappings=tuple(Mapping(**mapping) for mapping in entry.get("mappings", ())),
        )
    except KeyError as error:
        raise VocabularyError(f"Term “{entry.get('code', '?')}” lacks {error}.") from error


def _refuse_repeated(what: str, values: list[Any]) -> None:
    repeated = [str(value) for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise VocabularyError(f"This {what} occurs more than once: {', '.join(repeated)}.")


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
        defaults={"name": content.name, "source": content.source},
    )
    terms: dict[str, Term] = {}
    for position, entry in enumerate(content.terms):
        terms[entry.code], _ = Term.objects.update_or_create(
            vocabulary=vocabulary,
            code=entry.code,
            defaults={
                "code_system": entry.code_system,
                "name": entry.name,
                "phrase": entry.phrase,
                "category": entry.category,
                "parent": terms[entry.parent] if entry.parent else None,
                "synonyms": list(entry.synonyms),
                "help_text": entry.help_text,
                "position": position,
                "retired": False,
            },
        )
    vocabulary.terms.exclude(code__in=terms).update(retired=True)
    TermMapping.objects.filter(term__vocabulary=vocabulary).delete()
    TermMapping.objects.bulk_create(
        TermMapping(
            term=terms[entry.code],
            system=mapping.system,
            field=mapping.field,
            value=mapping.value,
        )
        for entry in content.terms
        for mapping in entry.mappings
    )
    return vocabulary
