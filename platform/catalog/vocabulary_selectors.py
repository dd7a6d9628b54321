"""Reads of vocabularies."""

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.http import Http404

from catalog.models import Project, Vocabulary
from catalog.vocabularies import json_format
from catalog.vocabularies.changes import Changes, changes_between
from catalog.vocabularies.entries import Content
from catalog.vocabularies.storing import content_of

NOW = ""


@dataclass(frozen=True)
class Comparison:
    """What changed between two releases; an empty version is the present state."""

    before: str
    after: str
    changes: Changes


def usable_vocabularies(project: Project) -> QuerySet[Vocabulary]:
    """Those that ship and the project's own, each with `term_count` terms in use."""
    return (
        Vocabulary.objects.filter(Q(owner=None) | Q(owner=project))
        .annotate(term_count=Count("terms", filter=Q(terms__retired=False)))
        .order_by("owner", "name", "version")
    )


def content_at(vocabulary: Vocabulary, version: str) -> Content:
    """The vocabulary as a release holds it, or as it is now.

    Raises:
        Http404: there is no such release.
    """
    if version == NOW:
        return content_of(vocabulary)
    release = vocabulary.releases.filter(version=version).first()
    if release is None:
        raise Http404("No such release.")
    return json_format.from_dict(release.content)


def compare(vocabulary: Vocabulary, before: str, after: str) -> Comparison:
    """Raises Http404 where one of the releases is not there."""
    changes = changes_between(content_at(vocabulary, before), content_at(vocabulary, after))
    return Comparison(before, after, changes)
