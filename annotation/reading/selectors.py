"""Reads of reading lists, for their admins and their readers."""

from collections.abc import Sequence

from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.models import Role, User
from annotation.models import Label, Reading, ReadingItem, ReadingList
from annotation.reading.standing import Standing, standing
from annotation.selectors import is_answered as label_is_answered
from catalog.models import Project
from dissections.models import Dissection, Unit
from dissections.selectors import control_dissections

READERS = (Role.EXPERT, Role.ADJUDICATOR)


def possible_readers(project: Project) -> QuerySet[User]:
    """Who can be asked to read: the project's experts and adjudicators."""
    members = project.memberships.filter(role__in=READERS)
    return User.objects.filter(pk__in=members.values("user")).order_by("username")


def lists_of(project: Project) -> QuerySet[ReadingList]:
    return project.reading_lists.select_related("dissection__model", "dissection__dataset")


def get_list(project: Project, pk: int) -> ReadingList:
    """A list of this project, or Http404."""
    return get_object_or_404(lists_of(project), pk=pk)


def get_own_list(project: Project, pk: int, reader: User) -> ReadingList:
    """A list that the user is a reader of.

    Raises:
        Http404: no such list in the project.
        PermissionDenied: the user is not among its readers.
    """
    found = get_list(project, pk)
    if not found.readers.filter(pk=reader.pk).exists():
        raise PermissionDenied(f"You are not a reader of “{found}”.")
    return found


def get_reading(project: Project, pk: int, reader: User) -> Reading:
    """A reading of the user's own, or Http404: those of others do not exist for them."""
    return get_object_or_404(
        Reading.objects.select_related("item__model", "item__reading_list__dissection", "reader"),
        pk=pk,
        reader=reader,
        item__reading_list__project=project,
    )


def open_lists(project: Project, reader: User) -> list[tuple[ReadingList, Standing]]:
    """The lists that the user is asked to read, with where they stand in each."""
    lists = lists_of(project).filter(readers=reader, closed=None)
    return [(found, standing(found, reader)) for found in lists]


def unit_of(item: ReadingItem) -> Unit:
    """The dissected unit of an item, with layer and model, or Http404 where it is gone."""
    dissection = item.reading_list.dissection
    run = control_dissections(dissection).first() if item.control else dissection
    unit = (
        Unit.objects.filter(
            layer__dissection=run, layer__name=item.layer_name, index=item.unit_index
        )
        .select_related("layer__dissection__model__project")
        .first()
    )
    if unit is None:
        raise Http404("The unit is no longer there.")
    return unit


def label_of(reading: Reading) -> Label | None:
    """What the reader has stated in this reading."""
    item = reading.item
    return (
        Label.with_repeats.filter(
            author=reading.reader,
            model=item.model_id,
            layer_name=item.layer_name,
            unit_index=item.unit_index,
            occasion=reading.occasion,
        )
        .select_related("question_set")
        .prefetch_related("terms")
        .first()
    )


def is_answered(reading: Reading) -> bool:
    return label_is_answered(label_of(reading))


def previous_reading(reading: Reading, found: Standing) -> Reading | None:
    """The reader's own reading before this one."""
    earlier = [other for other in found.own if other.pk < reading.pk]
    return earlier[-1] if earlier else None


def most_influential(dissection: Dissection, layers: Sequence[str], count: int) -> list[Unit]:
    """The units with the largest absolute influence on any class, the largest first.

    Units that never vary are left out: nothing excites them, so there is nothing to read.
    """
    units = _units(dissection, layers).filter(threshold__isnull=False)
    return list(units.order_by("-influence_max", "layer", "index")[:count])


def numbered(dissection: Dissection, layer: str, numbers: Sequence[int]) -> list[Unit]:
    """Units of a layer in the given order; numbers that it does not have are left out."""
    units = {unit.index: unit for unit in _units(dissection, [layer]).filter(index__in=numbers)}
    return [units[number] for number in dict.fromkeys(numbers) if number in units]


def control_units(dissection: Dissection, layers: Sequence[str]) -> QuerySet[Unit]:
    """Units of the untrained control's dissection that vary; none where there is no control yet."""
    twin = control_dissections(dissection).first()
    if twin is None:
        return Unit.objects.none()
    return _units(twin, layers).filter(threshold__isnull=False).order_by("layer", "index")


def _units(dissection: Dissection, layers: Sequence[str]) -> QuerySet[Unit]:
    return Unit.objects.filter(layer__dissection=dissection, layer__name__in=layers).select_related(
        "layer__dissection__model"
    )


def is_exact(reading_list: ReadingList) -> bool:
    """Whether each reader reads every unit, so that what is left to them is known beforehand."""
    return reading_list.readers.count() <= reading_list.readers_per_unit


def with_counts(lists: QuerySet[ReadingList]) -> QuerySet[ReadingList]:
    """Lists with unit_count, needed_count (readings that they ask for) and done_count."""
    first = Q(items__readings__occasion=0, items__readings__state=Reading.State.DONE)
    return lists.annotate(
        unit_count=Count("items", distinct=True),
        needed_count=F("unit_count") * F("readers_per_unit"),
        done_count=Count("items__readings", filter=first, distinct=True),
    )
