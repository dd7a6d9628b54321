"""Between the tables of a vocabulary and its content."""

from django.db import transaction

from catalog.models import Term, TermMapping, Vocabulary
from catalog.vocabularies.entries import Content, OldName, TermEntry


def content_of(vocabulary: Vocabulary) -> Content:
    """What the vocabulary holds now, retired terms included."""
    terms = vocabulary.terms.select_related("parent").prefetch_related("mappings")
    return Content(
        slug=vocabulary.slug,
        name=vocabulary.name,
        version=vocabulary.version,
        source=vocabulary.source,
        terms=tuple(entry_of(term) for term in terms.order_by("position", "pk")),
    )


def entry_of(term: Term) -> TermEntry:
    return TermEntry(
        code=term.code,
        name=term.name,
        phrase=term.phrase,
        category=term.category,
        code_system=term.code_system,
        help_text=term.help_text,
        parent=term.parent.code if term.parent else None,
        synonyms=tuple(term.synonyms),
        mappings=tuple(sorted(OldName(m.system, m.field, m.value) for m in term.mappings.all())),
        retired=term.retired,
    )


@transaction.atomic
def store(vocabulary: Vocabulary, content: Content) -> None:
    """Make the vocabulary's terms those of `content`.

    Terms are found by their codes and keep their rows, so labels stay bound to them; terms that
    `content` lacks are retired, and stand behind the others.
    """
    known = {term.code: term for term in vocabulary.terms.all()}
    terms: dict[str, Term] = {}
    for position, entry in enumerate(content.terms):
        term = known.get(entry.code) or Term(vocabulary=vocabulary, code=entry.code)
        term.code_system = entry.code_system
        term.name = entry.name
        term.phrase = entry.phrase
        term.category = entry.category
        term.synonyms = list(entry.synonyms)
        term.help_text = entry.help_text
        term.position = position
        term.retired = entry.retired
        term.save()
        terms[entry.code] = term
    for entry in content.terms:
        parent = terms[entry.parent] if entry.parent else None
        if terms[entry.code].parent_id != (parent and parent.pk):
            terms[entry.code].parent = parent
            terms[entry.code].save(update_fields=["parent"])
    left = [term for code, term in known.items() if code not in terms]
    for position, term in enumerate(sorted(left, key=lambda t: t.position), len(terms)):
        term.position = position
        term.retired = True
        term.save(update_fields=["position", "retired"])
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
