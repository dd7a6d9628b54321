"""Reading cases and explanations for the pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest

from catalog.models import Project, TrainedModel
from catalog.selectors import own_models
from dissections.models import Layer, TopPatch, Unit
from explanations.models import Case, Explanation
from jobs.models import Job


@dataclass(frozen=True)
class Neighbours:
    """Where a case stands in the list it was opened from."""

    position: int
    count: int
    previous: int | None
    next: int | None


@dataclass(frozen=True)
class UnitPreview:
    """A unit's page and its strongest patches."""

    unit: Unit
    patches: list[TopPatch]


def models_with_cases(project: Project) -> list[TrainedModel]:
    return list(own_models(project).filter(cases__isnull=False).distinct())


def case_list(model: TrainedModel, values: dict[str, Any]) -> QuerySet[Case]:
    """The cases of a model that fit the filter form's values, in the chosen order."""
    cases = Case.objects.filter(model=model).select_related("image__dataset", "model")
    if text := values.get("q"):
        cases = cases.filter(
            Q(image__name__icontains=text)
            | Q(image__patient__icontains=text)
            | Q(image__study__icontains=text)
        )
    if patient := values.get("patient"):
        cases = cases.filter(image__patient=patient)
    if values.get("predicted") is not None:
        cases = cases.filter(predicted=values["predicted"])
    return _sorted(cases, values.get("sort") or "name", len(model.class_names))


def _sorted(cases: QuerySet[Case], sort: str, classes: int) -> QuerySet[Case]:
    if sort.startswith("class-"):
        index = int(sort.removeprefix("class-"))
        return cases.order_by(F(f"probabilities__{index}").desc(), "image__name", "pk")
    if sort in ("certain", "uncertain"):
        each = [F(f"probabilities__{index}") for index in range(classes)]
        top = Greatest(*each) if classes > 1 else each[0]
        return cases.order_by(top.desc() if sort == "certain" else top.asc(), "image__name", "pk")
    return cases.order_by("image__name", "pk")


def neighbours(cases: QuerySet[Case], case: Case) -> Neighbours | None:
    """The cases before and after `case` in a list; None where the list does not hold it."""
    keys = list(cases.values_list("pk", flat=True))
    if case.pk not in keys:
        return None
    here = keys.index(case.pk)
    return Neighbours(
        position=here + 1,
        count=len(keys),
        previous=keys[here - 1] if here else None,
        next=keys[here + 1] if here + 1 < len(keys) else None,
    )


def explained_layers(model: TrainedModel) -> list[Layer]:
    """The layers of the model's newest finished dissection; the head's input, then the deepest."""
    dissection = model.dissections.filter(completed__isnull=False).order_by("-completed").first()
    if dissection is None:
        return []
    return sorted(
        dissection.layers.select_related("dissection"),
        key=lambda layer: (not layer.is_head_input, -layer.position),
    )


def finished_explanations(project: Project) -> QuerySet[Explanation]:
    """The finished explanations of a project with what their maps and exports speak of."""
    return Explanation.objects.filter(
        case__project=project, completed__isnull=False
    ).select_related(
        "case__image__dataset",
        "case__model",
        "case__project__vocabulary__owner",
        "layer__dissection__dataset",
    )


def earlier_explanations(explanation: Explanation) -> int:
    """How many finished explanations of the same score were made from older labels."""
    return (
        Explanation.objects.filter(
            case=explanation.case_id,
            layer__name=explanation.layer.name,
            target=explanation.target,
            completed__lt=explanation.completed,
        )
        .exclude(pk=explanation.pk)
        .count()
    )


def unit_previews(layer: Layer, indices: Sequence[int], patches: int = 3) -> dict[int, UnitPreview]:
    """Units of a layer by index, each with its first patches, in two queries."""
    units = list(layer.units.filter(index__in=indices))
    shown: dict[int, list[TopPatch]] = {unit.pk: [] for unit in units}
    for patch in TopPatch.objects.filter(unit__in=units, rank__lt=patches).order_by("rank"):
        shown[patch.unit_id].append(patch)
    return {unit.index: UnitPreview(unit, shown[unit.pk]) for unit in units}


def same_image_cases(case: Case) -> list[Case]:
    """What other models make of the same image."""
    return list(
        Case.objects.filter(image=case.image_id).exclude(pk=case.pk).select_related("model")
    )


def latest_prediction_job(project: Project) -> Job | None:
    """The newest prediction run's job while it works, or where it ended badly."""
    run = project.prediction_runs.filter(image=None).select_related("job").first()
    if run is None or run.job is None or run.job.state == Job.State.SUCCEEDED:
        return None
    return run.job
