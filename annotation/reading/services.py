"""Writes of reading lists: making them, handing units out, and what becomes of each reading."""

import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from enum import StrEnum
from itertools import count
from random import Random

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from annotation.models import Label, Reading, ReadingItem, ReadingList
from annotation.reading import selectors
from annotation.reading.order import mixed
from annotation.reading.standing import Turn, active, standing
from catalog.models import TrainedModel
from dissections.models import Dissection, Unit
from dissections.selectors import finished_dissections
from jobs import services as jobs
from jobs.models import Job

MOST_REPEATED = 0.3
HOLD = timedelta(minutes=30)
MOST_SECONDS_A_VISIT = 1800.0


class ReadingError(ValueError):
    """The request cannot be carried out; the message is for people.

    `field` names the part of the request that is at fault, where it is one.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Leaving(StrEnum):
    """How a reader leaves a unit: on to the next one, for later, or just away from the page."""

    NEXT = "next"
    SKIP = "skip"
    PAUSE = "pause"


def start_control(*, model: TrainedModel, user: User | None) -> Job:
    """Queue the making of a model's untrained control and of its dissections.

    Raises:
        ReadingError: the model has no finished dissection, or the job is at work already.
    """
    if not finished_dissections(model).exists():
        raise ReadingError(f"“{model}” has no finished dissection yet. Dissect it first.")
    running = Job.objects.filter(
        kind=Job.Kind.MAKE_CONTROL, target_id=model.pk, state__in=Job.ACTIVE
    )
    if running.exists():
        raise ReadingError(f"The control of “{model}” is being made. Wait until it is ready.")
    return jobs.start(
        project=model.project,
        kind=Job.Kind.MAKE_CONTROL,
        target_id=model.pk,
        title=f"Make an untrained control of {model}",
        user=user,
    )


@transaction.atomic
def create_list(
    *,
    dissection: Dissection,
    name: str,
    units: Sequence[Unit],
    readers: Collection[User],
    readers_per_unit: int,
    repeat_share: float = 0.0,
    controls: int = 0,
    assisted: bool = False,
    user: User | None,
    seed: int | None = None,
) -> ReadingList:
    """Make a reading list and mix control units into it.

    Args:
        units: of the dissection, the one to be read first at the head.
        repeat_share: how many of the units each reader gets again without being told, 0 to 0.3.
        controls: how many units of the model's untrained control are mixed in; they are drawn
            from the layers of `units`.
        seed: decides every order and choice; drawn where it is not given.

    Raises:
        ReadingError: no name or units, readers that may not label here, more readers per unit than
            readers, too many repeats, or fewer control units than asked for.
    """
    if not name.strip():
        raise ReadingError("Give the list a name.", "name")
    if not units:
        raise ReadingError("Choose at least one unit.", "count")
    eligible = set(selectors.possible_readers(dissection.project))
    if not readers or not set(readers) <= eligible:
        raise ReadingError("Choose experts or adjudicators of this project.", "readers")
    if not 1 <= readers_per_unit <= len(readers):
        raise ReadingError(
            f"Each unit can be read by 1 to {len(readers)} of the chosen readers.",
            "readers_per_unit",
        )
    if not 0 <= repeat_share <= MOST_REPEATED:
        raise ReadingError("At most 30 % of the units can come again.", "repeat_percent")
    seed = secrets.randbelow(2**31) if seed is None else seed
    layers = sorted({unit.layer.name for unit in units})
    drawn = _draw_controls(dissection, layers, controls, seed)
    reading_list = ReadingList.objects.create(
        project=dissection.project,
        name=name.strip()[:120],
        dissection=dissection,
        readers_per_unit=readers_per_unit,
        repeat_share=repeat_share,
        assisted=assisted,
        seed=seed,
        created_by=user,
    )
    reading_list.readers.set(readers)
    ReadingItem.objects.bulk_create(
        ReadingItem(
            reading_list=reading_list,
            position=position,
            model=unit.layer.dissection.model,
            layer_name=unit.layer.name,
            unit_index=unit.index,
            control=unit.layer.dissection.pk != dissection.pk,
        )
        for position, unit in enumerate(mixed(units, drawn, seed=seed))
    )
    return reading_list


def _draw_controls(
    dissection: Dissection, layers: Sequence[str], count: int, seed: int
) -> list[Unit]:
    available = list(selectors.control_units(dissection, layers))
    if count > len(available):
        raise ReadingError(
            f"There are {len(available)} control units in the chosen layers. "
            + ("Ask for fewer." if available else "Make an untrained control of the model first."),
            "controls",
        )
    return Random(f"drawn {seed}").sample(available, count)  # noqa: S311


def next_reading(
    *, reading_list: ReadingList, reader: User, after: Reading | None = None
) -> Reading | None:
    """Hand the reader the next unit and hold it for half an hour; None where nothing is left.

    Units are handed out one row lock at a time, so that readers who ask at once get different
    ones and a unit is never read by more readers than the list asks for. A row that is locked is
    left for later and waited for only where nothing else is free.

    Args:
        after: the reading that is being left, which is not handed out again.

    Raises:
        ReadingError: the list is closed, or the reader was removed from it.
    """
    _refuse_closed(reading_list)
    _refuse_removed(reading_list, reader)
    for waits in (False, True):
        for turn in standing(reading_list, reader).turns():
            if after and (turn.item, turn.occasion) == (after.item_id, after.occasion):
                continue
            reading = _take(turn, reader, waits=waits)
            if reading is not None:
                return reading
    return None


def open_reading(*, reading: Reading) -> Reading:
    """Open a reading again, to go on with it or to revise it.

    Raises:
        ReadingError: the list is closed, the reader was removed from it, or enough colleagues have
            taken the unit meanwhile.
    """
    _refuse_closed(reading.item.reading_list)
    _refuse_removed(reading.item.reading_list, reading.reader)
    if reading.state == Reading.State.DONE:
        return reading
    turn = Turn(reading.item_id, reading.occasion)
    taken = _take(turn, reading.reader, waits=True)
    if taken is None:
        raise ReadingError(
            "Enough colleagues have read this unit in the meantime. What you answered is kept."
        )
    return taken


@transaction.atomic
def _take(turn: Turn, reader: User, *, waits: bool) -> Reading | None:
    """Hold an item for a reader of its list, or None where it is locked, full or done."""
    items = ReadingItem.objects.select_for_update(skip_locked=not waits, of=("self",))
    item = items.select_related("reading_list").filter(pk=turn.item).first()
    if item is None or not _is_reader(item.reading_list, reader):
        return None
    occasion = _repeat(item, reader) if turn.occasion is None else turn.occasion
    if not _has_place(item, reader, occasion):
        return None
    reading, _ = Reading.objects.get_or_create(item=item, reader=reader, occasion=occasion)
    if reading.state == Reading.State.DONE:
        return None
    reading.state = Reading.State.OPEN
    reading.held_until = timezone.now() + HOLD
    reading.finished = None
    reading.save(update_fields=["state", "held_until", "finished"])
    return reading


def _repeat(item: ReadingItem, reader: User) -> int:
    """The occasion of the item's hidden repeat: the first that the reader has not used yet.

    Labels belong to the unit, not to the list: another list may have repeated the unit already.
    """
    # Two lists may repeat the same unit at once, and their items have locks of their own.
    User.objects.select_for_update(no_key=True).get(pk=reader.pk)
    begun = item.readings.filter(reader=reader, occasion__gt=0).first()
    if begun:
        return begun.occasion
    unit = {
        "model": item.model_id, "layer_name": item.layer_name, "unit_index": item.unit_index,
    }  # fmt: skip
    labels = Label.with_repeats.filter(author=reader, **unit)
    readings = Reading.objects.filter(
        reader=reader, **{f"item__{name}": value for name, value in unit.items()}
    )
    used = {
        *labels.values_list("occasion", flat=True),
        *readings.values_list("occasion", flat=True),
    }
    return next(occasion for occasion in count(1) if occasion not in used)


@transaction.atomic
def record_answer(*, reading: Reading) -> None:
    """Bring a reading's state in line with the reader's label after a save.

    An answered reading is done. An answer that comes when the hold has expired and colleagues
    have taken the unit is kept as a label, but does not count in the list.
    """
    reading = _locked(reading)
    _settle(reading)
    reading.save(update_fields=["state", "held_until", "finished"])


@transaction.atomic
def leave(*, reading: Reading, how: Leaving, seconds: float) -> Reading:
    """Note that the reader has left a unit, and how long it was looked at.

    Going on without an answer skips the unit, which comes back at the end. One that is answered
    stays done.
    """
    reading = _locked(reading)
    reading.seconds += min(max(seconds, 0.0), MOST_SECONDS_A_VISIT)
    if reading.state == Reading.State.OPEN:
        _settle(reading)
    if reading.state == Reading.State.OPEN and how != Leaving.PAUSE:
        reading.state = Reading.State.SKIPPED
        reading.held_until = None
        reading.finished = timezone.now()
    reading.save(update_fields=["state", "held_until", "finished", "seconds"])
    return reading


def _settle(reading: Reading) -> None:
    if not selectors.is_answered(reading):
        if reading.state == Reading.State.DONE:
            hold = _is_reader(reading.item.reading_list, reading.reader)
            reading.state = Reading.State.OPEN
            reading.held_until = timezone.now() + HOLD if hold else None
            reading.finished = None
    elif reading.state == Reading.State.DONE or _has_place(
        reading.item, reading.reader, reading.occasion
    ):
        reading.state = Reading.State.DONE
        reading.finished = timezone.now()


@transaction.atomic
def set_closed(*, reading_list: ReadingList, closed: bool) -> None:
    """Close a list, so that nobody gets a unit of it any more, or open it again."""
    reading_list.closed = timezone.now() if closed else None
    reading_list.save(update_fields=["closed"])


@transaction.atomic
def add_reader(*, reading_list: ReadingList, user: User) -> None:
    """Let one more expert read the list; one who was removed goes on where they stopped.

    Raises:
        ReadingError: the user may not label in the project.
    """
    if user not in selectors.possible_readers(reading_list.project):
        raise ReadingError(f"{user.display_name} is no expert or adjudicator of this project.")
    reading_list.readers.add(user)


@transaction.atomic
def remove_reader(*, reading_list: ReadingList, user: User) -> None:
    """Hand out nothing more to a reader. What they have read stays and counts; holds end."""
    reading_list.readers.remove(user)
    open_ones = Reading.objects.filter(
        item__reading_list=reading_list, reader=user, state=Reading.State.OPEN
    )
    open_ones.update(held_until=None)


def _refuse_closed(reading_list: ReadingList) -> None:
    if reading_list.closed:
        raise ReadingError(f"“{reading_list}” is closed. Your answers are kept.")


def _refuse_removed(reading_list: ReadingList, reader: User) -> None:
    if not _is_reader(reading_list, reader):
        raise ReadingError(
            f"You are no longer a reader of “{reading_list}”. Your answers are kept; "
            "ask an admin of the project to go on."
        )


def _is_reader(reading_list: ReadingList, reader: User) -> bool:
    return reading_list.readers.filter(pk=reader.pk).exists()


def _locked(reading: Reading) -> Reading:
    """The reading as it is now, with its item locked: places are counted under that lock."""
    item = (
        ReadingItem.objects.select_for_update(of=("self",))
        .select_related("reading_list", "model")
        .get(pk=reading.item_id)
    )
    found = Reading.objects.select_related("reader").get(pk=reading.pk)
    found.item = item
    return found


def _has_place(item: ReadingItem, reader: User, occasion: int) -> bool:
    """Whether the reader may read an item: repeats take no place from colleagues."""
    if occasion:
        return True
    others = item.readings.filter(active()).exclude(reader=reader)
    return others.count() < item.reading_list.readers_per_unit
