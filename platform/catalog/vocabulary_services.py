"""Changing a project's own vocabulary. Those that Unitscope ships are never changed here."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.text import slugify

from accounts.models import User
from catalog.models import Project, Term, Vocabulary, VocabularyRelease
from catalog.vocabularies import json_format
from catalog.vocabularies.changes import as_update
from catalog.vocabularies.entries import (
    DEFAULT_CODE_SYSTEM,
    LENGTHS,
    Content,
    Stated,
    VocabularyError,
    checked_terms,
    circle_of,
    folded,
    short,
)
from catalog.vocabularies.storing import content_of, store

UNPUBLISHED = "draft"
SLUG_CHARACTERS = 60


@transaction.atomic
def copy_vocabulary(*, project: Project, source: Vocabulary, user: User | None) -> Vocabulary:
    """A vocabulary of the project's own with all terms of `source`, retired ones too.

    Its first release holds them as they were copied. The project goes on using the vocabulary that
    it uses until it is switched (`annotation.moving.use_vocabulary`).

    Raises:
        VocabularyError: the project may not use `source`.
    """
    check_usable(project, source)
    content = content_of(source)
    own = Vocabulary.objects.create(
        slug=_free_slug(project, source.slug),
        name=_free_name(project, source.name),
        version=source.version,
        source=source.source,
        owner=project,
    )
    store(own, content)
    _release(own, own.version, f"Copied from {source}.", user)
    return own


@transaction.atomic
def create_vocabulary(*, project: Project, name: str, content: Content | None = None) -> Vocabulary:
    """A vocabulary of the project's own, empty or with the terms of a file.

    Raises:
        VocabularyError: no name, or the project has one of this name.
    """
    name = short(name or (content.name if content else ""), "name for the vocabulary", 120)
    if project.own_vocabularies.filter(name__iexact=name).exists():
        raise VocabularyError(
            f"This project already has a vocabulary “{name}”. Choose another name."
        )
    own = Vocabulary.objects.create(
        slug=_free_slug(project, slugify(name) or "terms"),
        name=name,
        version=UNPUBLISHED,
        source=content.source if content else "",
        owner=project,
    )
    if content:
        store(own, content)
    return own


@transaction.atomic
def import_content(*, vocabulary: Vocabulary, content: Content, base: str) -> None:
    """Make the terms those of a file; terms that the file lacks are retired, never deleted.

    Args:
        base: the `digest` of the vocabulary that the changes were shown against.

    Raises:
        VocabularyError: a shipped vocabulary, it was changed since, or the file does not go
            together with terms that it lacks.
    """
    vocabulary = locked(vocabulary)
    before = content_of(vocabulary)
    if digest(before) != base:
        raise VocabularyError(
            "The vocabulary has been changed since these changes were shown. Nothing was imported; "
            "choose the file again to see what it would change now."
        )
    # What the file leaves in place must go together with what it brings.
    store(vocabulary, json_format.from_dict(json_format.to_dict(as_update(before, content))))


@transaction.atomic
def add_term(
    *,
    vocabulary: Vocabulary,
    name: str,
    code: str = "",
    parent: Term | None = None,
    category: str = "",
    phrase: str = "",
    code_system: str = "",
    synonyms: Sequence[str] = (),
    help_text: str = "",
) -> Term:
    """Add a term behind its parent's other children; without a code, one is made of the name.

    Raises:
        VocabularyError: a shipped vocabulary, an empty, overlong or repeated name or code, a parent
            of another vocabulary.
    """
    vocabulary = locked(vocabulary)
    others = list(vocabulary.terms.order_by("position", "pk"))
    term = Term(vocabulary=vocabulary, code=code.strip() or _free_code(others, name, parent))
    if any(other.code == term.code for other in others):
        raise VocabularyError(f"The code “{term.code}” is already used. Codes are unique.")
    _fill(
        term,
        others,
        name=name,
        parent=parent,
        category=category,
        phrase=phrase,
        code_system=code_system or (parent.code_system if parent else DEFAULT_CODE_SYSTEM),
        synonyms=synonyms,
        help_text=help_text,
    )
    family = [other for other in others if parent and parent.pk in (other.pk, other.parent_id)]
    _place(others, term, family[-1] if family else (others[-1] if others else None))
    return term


@transaction.atomic
def change_term(
    *,
    term: Term,
    name: str,
    parent: Term | None,
    category: str,
    phrase: str,
    code_system: str,
    synonyms: Sequence[str],
    help_text: str,
    behind: Term | None,
) -> Term:
    """Rename, describe or move a term. Its code stays, and with it every label.

    Args:
        behind: the term that it is to stand behind; none for the first place.

    Raises:
        VocabularyError: see `add_term`; or the parents would go round in a circle.
    """
    vocabulary = locked(term.vocabulary)
    everyone = list(vocabulary.terms.order_by("position", "pk"))
    term = next(other for other in everyone if other.pk == term.pk)
    others = [other for other in everyone if other.pk != term.pk]
    _fill(
        term,
        others,
        name=name,
        parent=parent,
        category=category,
        phrase=phrase,
        code_system=code_system,
        synonyms=synonyms,
        help_text=help_text,
    )
    _place(others, term, behind)
    return term


@transaction.atomic
def retire_term(*, term: Term) -> None:
    """Offer the term no more; labels that have it keep it.

    Raises:
        VocabularyError: a shipped vocabulary.
    """
    locked(term.vocabulary)
    Term.objects.filter(pk=term.pk).update(retired=True)


@transaction.atomic
def bring_back_term(*, term: Term) -> None:
    """Offer a retired term again.

    Raises:
        VocabularyError: a shipped vocabulary, or another term has its name now.
    """
    vocabulary = locked(term.vocabulary)
    _check_name(term, vocabulary.terms.exclude(pk=term.pk))
    Term.objects.filter(pk=term.pk).update(retired=False)


@transaction.atomic
def delete_term(*, term: Term, in_use: bool) -> None:
    """Delete a term that was added by mistake.

    Args:
        in_use: whether a label, now or in its history, or a decision has it.

    Raises:
        VocabularyError: a shipped vocabulary, a term in use, in a release, or with kinds below it.
    """
    vocabulary = locked(term.vocabulary)
    reason = ""
    if in_use:
        reason = "labels or their history hold it"
    elif term.children.exists():
        reason = "other terms are kinds of it"
    elif any(
        entry["code"] == term.code
        for content in vocabulary.releases.values_list("content", flat=True)
        for entry in content["terms"]
    ):
        reason = "a release holds it"
    if reason:
        raise VocabularyError(f"“{term.name}” cannot be deleted: {reason}. Retire it.")
    term.delete()


@transaction.atomic
def publish(
    *, vocabulary: Vocabulary, version: str, note: str, user: User | None
) -> VocabularyRelease:
    """Keep the present terms as a release that never changes.

    Raises:
        VocabularyError: a shipped vocabulary, no version or one that is there already, no term, or
            nothing has changed since the last release.
    """
    vocabulary = locked(vocabulary)
    version = short(version, "version", 40)
    if vocabulary.releases.filter(version=version).exists():
        raise VocabularyError(f"There is already a release {version}. Choose another version.")
    content = json_format.to_dict(content_of(vocabulary))
    if not content["terms"]:
        raise VocabularyError("The vocabulary has no term yet. Add one before you publish it.")
    last = vocabulary.releases.first()
    if last is not None and last.content["terms"] == content["terms"]:
        raise VocabularyError(f"Nothing has changed since the release {last.version}.")
    return _release(vocabulary, version, note.strip(), user)


def check_usable(project: Project, vocabulary: Vocabulary) -> None:
    """Raise VocabularyError where the vocabulary belongs to another project."""
    if vocabulary.owner_id not in (None, project.pk):
        raise VocabularyError("This vocabulary belongs to another project.")


def locked(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary, held against other changes until the transaction ends.

    Raises:
        VocabularyError: Unitscope ships it.
    """
    if vocabulary.owner_id is None:
        raise VocabularyError(
            f"{vocabulary} ships with Unitscope and is shared by all projects. Make this project's "
            "own copy to change it."
        )
    return Vocabulary.objects.select_for_update().get(pk=vocabulary.pk)


def digest(content: Content) -> str:
    """SHA-256 (hex) of a vocabulary's terms; equal terms, equal digest."""
    return hashlib.sha256(json_format.write(content).encode()).hexdigest()


def _release(
    vocabulary: Vocabulary, version: str, note: str, user: User | None
) -> VocabularyRelease:
    vocabulary.version = version
    vocabulary.save(update_fields=["version"])
    return VocabularyRelease.objects.create(
        vocabulary=vocabulary,
        version=version,
        note=note,
        content=json_format.to_dict(content_of(vocabulary)),
        created_by=user,
    )


def _fill(
    term: Term,
    others: Sequence[Term],
    *,
    name: str,
    parent: Term | None,
    category: str,
    phrase: str,
    code_system: str,
    synonyms: Sequence[str],
    help_text: str,
) -> None:
    """Set the fields of a term, cleaned, and check it against the other terms."""
    if parent is not None and parent.vocabulary_id != term.vocabulary_id:
        raise VocabularyError("The parent must be a term of the same vocabulary.")
    values = {
        "code": term.code,
        "name": name,
        "category": category or (parent.category if parent else ""),
        "phrase": phrase,
        "code_system": code_system,
        "synonyms": list(synonyms),
        "help_text": help_text,
    }
    (entry,) = checked_terms([Stated("", values)])
    term.code = entry.code
    term.name = entry.name
    term.category = entry.category
    term.phrase = entry.phrase
    term.code_system = entry.code_system
    term.synonyms = list(entry.synonyms)
    term.help_text = entry.help_text
    term.parent = parent
    if not term.retired:
        _check_name(term, others)
    codes = {other.pk: other.code for other in others}
    parents = {other.code: codes.get(other.parent_id or 0) for other in others}
    parents |= {term.code: parent.code if parent else None}
    # A new term has no primary key yet, and no children.
    parents |= {other.code: term.code for other in others if term.pk and other.parent_id == term.pk}
    if circle := circle_of(term.code, parents):
        raise VocabularyError(
            f"“{term.name}” cannot be a kind of itself: {' → '.join([*circle, term.code])}."
        )


def _check_name(term: Term, others: Iterable[Term]) -> None:
    for other in others:
        if not other.retired and folded(other.name) == folded(term.name):
            raise VocabularyError(
                f"There is already a term “{other.name}” ({other.code}). Choose another name."
            )


def _place(others: list[Term], term: Term, behind: Term | None) -> None:
    """Save the term behind another, and number all terms through."""
    at = next((i + 1 for i, other in enumerate(others) if behind and other.pk == behind.pk), 0)
    order = [*others[:at], term, *others[at:]]
    moved = [other for place, other in enumerate(order) if other.position != place]
    for place, other in enumerate(order):
        other.position = place
    term.save()
    Term.objects.bulk_update([other for other in moved if other is not term], ["position"])


def _free_slug(project: Project, wanted: str) -> str:
    stem = f"{project.slug}-{wanted}"[: SLUG_CHARACTERS - 4].strip("-_")
    taken = set(Vocabulary.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    numbered = (f"{stem}-{number}" for number in range(2, 999))
    return next(slug for slug in (stem, *numbered) if slug not in taken)


def _free_name(project: Project, wanted: str) -> str:
    taken = set(project.own_vocabularies.values_list("name", flat=True))
    numbered = (f"{wanted[:114]} {number}" for number in range(2, 999))
    return next(name for name in (wanted, *numbered) if name not in taken)


def _free_code(others: Sequence[Term], name: str, parent: Term | None) -> str:
    taken = {other.code for other in others}
    word = re.sub(r"\W+", "-", folded(name)).strip("-_") or "term"
    stem = (f"{parent.code}.{word}" if parent else word)[: LENGTHS["code"] - 4]
    numbered = (f"{stem}-{number}" for number in range(2, 9999))
    return next(code for code in (stem, *numbered) if code not in taken)
