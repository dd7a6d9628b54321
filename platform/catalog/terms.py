"""Finding the terms of a vocabulary by what people type, and of a project by their codes."""

from collections.abc import Collection

from django.db.models import Q

from catalog.models import Project, Term, Vocabulary


def search_terms(
    vocabulary: Vocabulary, text: str, limit: int = 12, *, retired: bool = False
) -> list[Term]:
    """Terms whose name, synonym or code matches every word of `text`, best match first.

    Without text: the first terms in the order of the vocabulary. With `retired`: only the terms
    that have been retired, in place of those in use.
    """
    terms = vocabulary.terms.filter(retired=retired).select_related("parent")
    words = text.lower().split()
    ranked = [
        (rank, term.position, term)
        for term in terms
        if (rank := _match_rank(term, words)) is not None
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [term for _, _, term in ranked[:limit]]


def terms_by_code(project: Project, codes: Collection[str]) -> dict[str, Term]:
    """The project's terms with these codes.

    Where its present vocabulary lacks a code: the term of another vocabulary that it may use, so
    that labels stay what they were after the project has changed its vocabulary.
    """
    usable = Term.objects.filter(
        Q(vocabulary__owner=None) | Q(vocabulary__owner=project), code__in=codes
    ).select_related("vocabulary")
    best_last = sorted(
        usable,
        key=lambda term: (
            term.vocabulary_id == project.vocabulary_id,
            term.vocabulary.owner_id is not None,
            term.pk,
        ),
    )
    return {term.code: term for term in best_last}


def _match_rank(term: Term, words: list[str]) -> int | None:
    """0 start of the name, 1 words of it, 2 a synonym, 3 the code, 4 anywhere, None no match."""
    if not words:
        return 0
    name, code = term.name.lower(), term.code.lower()
    synonyms = [synonym.lower() for synonym in term.synonyms]
    everything = " ".join([name, code, term.category.lower(), *synonyms])
    if not all(word in everything for word in words):
        return None
    text = " ".join(words)
    if name.startswith(text):
        return 0
    if all(any(part.startswith(word) for part in name.split()) for word in words):
        return 1
    if any(synonym.startswith(text) for synonym in synonyms):
        return 2
    return 3 if code.startswith(text) else 4
