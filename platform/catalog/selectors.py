"""Reads of the catalog."""

from collections.abc import Iterable

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404

from catalog.models import (
    Concept,
    Dataset,
    Image,
    ImportState,
    Project,
    Term,
    TrainedModel,
    Vocabulary,
)
from jobs.models import Job

NO_VALUE = {"", "n/a"}


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
        image_count=_count(Image, "pk"),
        patient_count=_count(Image, "patient"),
        concept_count=_count(Concept, "pk"),
    )


def latest_jobs(project: Project, kind: Job.Kind, target_ids: Iterable[int]) -> dict[int, Job]:
    """The newest job of a kind for each object it worked on, by the object's primary key."""
    jobs = (
        project.jobs.filter(kind=kind, target_id__in=list(target_ids))
        .select_related("project")
        .defer("log")
        .order_by("created", "pk")
    )
    return {job.target_id: job for job in jobs}


def _count(model: type[Image] | type[Concept], field: str) -> Coalesce:
    """Number of different values in a dataset's rows, as a subquery: joins would multiply."""
    rows = model.objects.filter(dataset=OuterRef("pk")).order_by().values("dataset")
    return Coalesce(Subquery(rows.annotate(n=Count(field, distinct=True)).values("n")), 0)


def why_not_usable(project: Project, model: TrainedModel, dataset: Dataset) -> str:
    """Why the model cannot be run over the dataset, for people; empty where it can."""
    if model.project_id != project.pk or dataset.project_id != project.pk:
        return "Model and dataset must belong to this project."
    for thing, what in ((model, "model"), (dataset, "dataset")):
        if thing.state != ImportState.READY:
            return (
                f"The {what} “{thing}” is not ready ({thing.get_state_display().lower()}). "
                f"{thing.message or 'Wait for its check to finish.'}"
            )
    return ""


def own_models(project: Project) -> QuerySet[TrainedModel]:
    """The models that people brought: untrained controls are for reading lists alone."""
    return project.models.filter(control_of=None)


def ready_models(project: Project) -> QuerySet[TrainedModel]:
    """The project's models that can be run, newest first."""
    return own_models(project).filter(state=ImportState.READY)


def ready_model_or_404(project: Project, pk: int) -> TrainedModel:
    return get_object_or_404(ready_models(project), pk=pk)
