"""Reads of the catalog."""

from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet

from catalog.models import Dataset, Project, Term, Vocabulary
from jobs.models import Job

NO_VALUE = {"", "n/a"}


def search_terms(vocabulary: Vocabulary, query: str) -> QuerySet[Term]:
    """Terms in use whose name, code, category or a synonym contains every word of `query`."""
    terms = vocabulary.terms.filter(retired=False)
    for word in query.split():
        terms = terms.filter(
            Q(name__icontains=word)
            | Q(code__icontains=word)
            | Q(category__icontains=word)
            | Q(synonyms__icontains=word)
        )
    return terms


def mapped_terms(vocabulary: Vocabulary, system: str, field: str, value: str) -> list[Term]:
    """The terms for a descriptor of an older lexicon, e.g. ("DDSM", "shape", "LOBULATED").

    DDSM joins several values of a field with hyphens; each is mapped on its own. Values without a
    mapping ("N/A" among them) give no term.
    """
    values = {part.lower() for part in value.split("-")} - NO_VALUE
    return list(
        vocabulary.terms.filter(
            mappings__system=system, mappings__field=field.lower(), mappings__value__in=values
        ).distinct()
    )


def datasets_of(project: Project) -> QuerySet[Dataset]:
    """The project's datasets, each with image_count, patient_count and concept_count."""
    return project.datasets.annotate(
        image_count=Count("images", distinct=True),
        patient_count=Count("images__patient", distinct=True),
        concept_count=Count("concepts", distinct=True),
    )


def latest_jobs(project: Project, kind: Job.Kind, target_ids: Iterable[int]) -> dict[int, Job]:
    """The newest job of a kind for each object it worked on, by the object's primary key."""
    jobs = project.jobs.filter(kind=kind, target_id__in=list(target_ids)).order_by("created", "pk")
    return {job.target_id: job for job in jobs}
