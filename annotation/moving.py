"""Changing the vocabulary that a project names units with, without losing a label."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from annotation.models import Consensus, Label, LabelRevision, TermProposal
from catalog.models import Concept, Project, Term, Vocabulary
from catalog.vocabulary_services import check_usable


@dataclass(frozen=True)
class Fit:
    """How a project's labels fit a vocabulary: `missing` names the terms it lacks."""

    labels: int
    unfit_labels: int
    missing: list[str]


def fit(project: Project, vocabulary: Vocabulary) -> Fit:
    """How many labels have terms, and how many have one whose code the vocabulary lacks."""
    labels = Label.with_repeats.filter(model__project=project, terms__isnull=False).distinct()
    codes = vocabulary.terms.values("code")
    missing = Term.objects.filter(labels__model__project=project).exclude(code__in=codes)
    return Fit(
        labels=labels.count(),
        unfit_labels=labels.filter(terms__in=missing).count(),
        missing=sorted(set(missing.values_list("name", flat=True))),
    )


@transaction.atomic
def use_vocabulary(*, project: Project, vocabulary: Vocabulary) -> Fit:
    """Let the project name units with another vocabulary.

    Labels, consensus, proposals and the concepts of datasets go over to its terms by code. A term
    whose code it lacks stays on them as it was, readable; only new answers cannot choose it.

    Raises:
        VocabularyError: the vocabulary belongs to another project.
    """
    check_usable(project, vocabulary)
    project = Project.objects.select_for_update().get(pk=project.pk)
    found = fit(project, vocabulary)
    new_terms = {term.code: term for term in vocabulary.terms.all()}
    old_terms = Term.objects.filter(code__in=new_terms).exclude(vocabulary=vocabulary)
    rows: list[tuple[QuerySet[Any], str, str]] = [
        (Label.terms.through.objects.filter(label__model__project=project), "term", "label__terms"),
        (
            Consensus.terms.through.objects.filter(consensus__model__project=project),
            "term",
            "consensus__terms",
        ),
        (Concept.objects.filter(dataset__project=project), "term", ""),
        (TermProposal.objects.filter(project=project), "term", ""),
        (TermProposal.objects.filter(project=project), "parent", ""),
    ]
    for table, field, beside in rows:
        used = table.filter(**{f"{field}__in": old_terms}).values_list(field, flat=True)
        for old in Term.objects.filter(pk__in=set(used)):
            new = new_terms[old.code]
            mine = table.filter(**{field: old})
            if beside:
                mine.filter(**{beside: new}).delete()
            mine.update(**{field: new})
    project.vocabulary = vocabulary
    project.save(update_fields=["vocabulary"])
    return found


def in_use(term: Term) -> bool:
    """Whether a label, now or in its history, a consensus, a concept or a proposal has the term."""
    revisions = LabelRevision.objects.filter(
        label__model__project=term.vocabulary.owner, state__terms__contains=[{"code": term.code}]
    )
    return (
        Label.with_repeats.filter(terms=term).exists()
        or revisions.exists()
        or Consensus.objects.filter(terms=term).exists()
        or Concept.objects.filter(term=term).exists()
        or TermProposal.objects.filter(Q(term=term) | Q(parent=term)).exists()
    )
