"""Reads of what workers computed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import F, Prefetch, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.access import ADMINS, has_role
from accounts.models import User
from annotation.selectors import Progress
from catalog.importing.text import is_storable
from catalog.models import Project, TrainedModel
from dissections.models import ConceptScore, Dissection, Layer, TopPatch, Unit

SORT_BY_INFLUENCE = "influence"
SORT_BY_IOU = "iou"
CARD_PATCHES = 4


@dataclass(frozen=True)
class Neighbours:
    """Where a unit stands in the current order (1-based), and the units around it."""

    position: int
    count: int
    previous: int | None
    next: int | None
    next_unanswered: int | None


@dataclass(frozen=True)
class LayerProgress:
    """A layer with how many of its units this user, and anyone, has answered."""

    layer: Layer
    mine: int
    anyone: int


def completed_dissections(project: Project) -> QuerySet[Dissection]:
    """Dissections whose results can be shown, latest first; those of controls are left out."""
    return (
        project.dissections.filter(completed__isnull=False, model__control_of=None)
        .select_related("model", "dataset")
        .prefetch_related("layers")
    )


def finished_dissections(model: TrainedModel) -> QuerySet[Dissection]:
    """The model's dissections that are complete, latest first."""
    return model.dissections.filter(completed__isnull=False).select_related("model", "dataset")


def control_dissections(dissection: Dissection, *, completed: bool = True) -> QuerySet[Dissection]:
    """The same dissection of the model's untrained control, latest first.

    With `completed=False` also those that are still at work.
    """
    found = Dissection.objects.filter(
        model__control_of=dissection.model_id,
        dataset=dissection.dataset_id,
        layer_names=dissection.layer_names,
        splits=dissection.splits,
    )
    return found.filter(completed__isnull=False) if completed else found


def latest_layer(project: Project) -> Layer | None:
    """The layer that labelling starts with: the deepest one of the latest dissection."""
    return (
        Layer.objects.filter(dissection__in=completed_dissections(project))
        .select_related("dissection")
        .order_by("-dissection__completed", "-dissection_id", "-position")
        .first()
    )


def layers_with_progress(
    dissection: Dissection, progress: Mapping[tuple[int, str], Progress]
) -> list[LayerProgress]:
    """The layers of a dissection, deepest first; `progress` as annotation.selectors gives it."""
    layers = []
    for layer in dissection.layers.all():
        layer.dissection = dissection
        done = progress.get((dissection.model_id, layer.name), Progress())
        layers.append(LayerProgress(layer, done.mine, done.anyone))
    return layers


def comparable_layers(project: Project) -> QuerySet[Layer]:
    """The layers whose units can be put beside each other: those of dissections that are shown."""
    return (
        Layer.objects.filter(dissection__in=completed_dissections(project))
        .select_related("dissection__model__project", "dissection__dataset")
        .order_by("-dissection__completed", "-dissection_id", "-position")
    )


def get_layer(user: User, project: Project, dissection_id: int, name: str) -> Layer:
    """A layer of a completed dissection of this project that exists for the user, or Http404."""
    if not is_storable(name):
        raise Http404("No layer has such a name.")
    layer = get_object_or_404(
        Layer.objects.select_related("dissection__model__project", "dissection__dataset"),
        dissection=dissection_id,
        dissection__project=project,
        dissection__completed__isnull=False,
        name=name,
    )
    hide_control(user, layer.dissection.model)
    return layer


def hide_control(user: User, model: TrainedModel) -> None:
    """Http404 where the model is an untrained control and the user no admin: readers must not be
    able to tell which of their units are controls.
    """
    if model.control_of_id and not has_role(user, model.project, *ADMINS):
        raise Http404("No such model.")


def get_unit(layer: Layer, index: int) -> Unit:
    """A unit with its layer, model and best concept, or Http404."""
    unit = get_object_or_404(Unit.objects.select_related("best_concept"), layer=layer, index=index)
    unit.layer = layer
    return unit


def top_patches(unit: Unit) -> list[TopPatch]:
    """The patches that excite a unit, strongest first, with their images; none for a unit that
    never varies."""
    if unit.threshold is None:
        return []
    return list(unit.top_patches.select_related("image").order_by("rank"))


def concept_scores(unit: Unit) -> list[ConceptScore]:
    """Scores of a unit, best first. Show them only to readers who may see results."""
    return list(unit.concept_scores.select_related("concept").order_by("-iou", "concept__key"))


def first_unanswered(layer: Layer, answered: Collection[int]) -> int:
    """The most influential unit of a layer that is not in `answered`; 0 where there is none."""
    units = ordered_units(layer, SORT_BY_INFLUENCE).exclude(index__in=answered)
    return units.values_list("index", flat=True).first() or 0


def sort_choices(layer: Layer, *, sees_scores: bool) -> list[tuple[str, str]]:
    """Orders a layer's units can be listed in.

    An order by a score or by one class tells a unit's result, so it is for who may see results.
    """
    any_class, number = (SORT_BY_INFLUENCE, "Influence on any class"), ("number", "Unit number")
    if not sees_scores:
        return [any_class, number]
    return [
        any_class,
        *(
            (f"class-{index}", f"Influence on “{name}”")
            for index, name in enumerate(layer.dissection.model.class_names)
        ),
        ("selectivity", "Class selectivity"),
        number,
        (SORT_BY_IOU, "Best concept overlap (IoU)"),
    ]


def ordered_units(layer: Layer, sort: str) -> QuerySet[Unit]:
    """The units of a layer in one of the orders of `sort_choices`, largest first."""
    kind, _, index = sort.partition("-")
    orders = {
        SORT_BY_INFLUENCE: F("influence_max").desc(),
        "class": F(f"influence__{index or 0}").desc(nulls_last=True),
        "selectivity": F("selectivity").desc(nulls_last=True),
        "number": F("index").asc(),
        SORT_BY_IOU: F("best_iou").desc(nulls_last=True),
    }
    return layer.units.order_by(orders[kind], "index")


def with_card_details(units: QuerySet[Unit]) -> QuerySet[Unit]:
    """Adds what a card shows: the first patches and the best concept."""
    patches = TopPatch.objects.filter(rank__lt=CARD_PATCHES).order_by("rank")
    return units.select_related("best_concept").prefetch_related(
        Prefetch("top_patches", queryset=patches, to_attr="card_patches")
    )


def neighbours(layer: Layer, sort: str, index: int, answered: Collection[int]) -> Neighbours:
    """The units before and after `index` in this order; "next unanswered" wraps around."""
    order = list(ordered_units(layer, sort).values_list("index", flat=True))
    place = order.index(index)
    onward = order[place + 1 :] + order[:place]
    return Neighbours(
        position=place + 1,
        count=len(order),
        previous=order[place - 1] if place else None,
        next=order[place + 1] if place + 1 < len(order) else None,
        next_unanswered=next((other for other in onward if other not in answered), None),
    )


def patches_to_preload(layer: Layer, index: int | None) -> list[TopPatch]:
    """The patches of the unit that will probably be opened next."""
    if index is None:
        return []
    return list(TopPatch.objects.filter(unit__layer=layer, unit__index=index).order_by("rank"))
