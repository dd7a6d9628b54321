"""Where a reader stands in a reading list: what was read, and what comes next."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from django.db.models import Count, Q
from django.utils import timezone

from accounts.models import User
from annotation.models import Reading, ReadingList
from annotation.reading.order import reader_order, repeat_gaps


@dataclass(frozen=True)
class Turn:
    """An item that a reader can read next; a new repeat gets its occasion when handed out."""

    item: int
    occasion: int | None = 0


@dataclass(frozen=True)
class Standing:
    """One reader's way through a list.

    own: the readings that count, in the order they were handed out (one whose hold has expired
    and which colleagues have taken does not). fresh: items to be read for the first time, in the
    reader's order. repeats: items that come again, with the number of other readings still to go
    before each (0 or less: due), the longest ago first.
    """

    own: list[Reading]
    fresh: list[int]
    repeats: list[tuple[int, int]]

    def readings(self, state: Reading.State) -> list[Reading]:
        return [reading for reading in self.own if reading.state == state]

    @property
    def done(self) -> int:
        return len(self.readings(Reading.State.DONE))

    @property
    def skipped(self) -> list[Reading]:
        """The longest ago first."""
        skipped = self.readings(Reading.State.SKIPPED)
        return sorted(skipped, key=lambda reading: reading.finished or reading.opened)

    @property
    def left(self) -> int:
        return self.total - self.done

    @property
    def total(self) -> int:
        return len(self.own) + len(self.fresh) + len(self.repeats)

    def number(self, reading: Reading) -> int:
        """The place of a reading among the reader's own, from 1."""
        return 1 + sum(other.pk < reading.pk for other in self.own)

    def turns(self) -> Iterator[Turn]:
        """What comes next, in order of preference.

        Open ones first, then repeats that are due, then new items, then what was skipped; repeats
        that are not due yet come last, which is as late as possible.
        """
        for reading in self.readings(Reading.State.OPEN):
            yield Turn(reading.item_id, reading.occasion)
        started = {reading.item_id for reading in self.own if reading.state == Reading.State.DONE}
        repeats = [(item, wait) for item, wait in self.repeats if item in started]
        yield from (Turn(item, None) for item, wait in repeats if wait <= 0)
        yield from (Turn(item) for item in self.fresh)
        yield from (Turn(reading.item_id, reading.occasion) for reading in self.skipped)
        yield from (Turn(item, None) for item, wait in repeats if wait > 0)

    @property
    def seconds_per_reading(self) -> float | None:
        """The reader's median; None before the first reading."""
        spent = [r.seconds for r in self.readings(Reading.State.DONE) if r.seconds > 0]
        return median(spent) if spent else None

    @property
    def seconds_left(self) -> float | None:
        pace = self.seconds_per_reading
        return None if pace is None else pace * self.left


def active() -> Q:
    """Readings that take one of a unit's places: done, or open with a hold that has not expired."""
    held = Q(state=Reading.State.OPEN, held_until__gt=timezone.now())
    return Q(occasion=0) & (Q(state=Reading.State.DONE) | held)


def standing(reading_list: ReadingList, reader: User) -> Standing:
    """Where the reader stands; three queries."""
    items = list(reading_list.items.order_by("position").values_list("pk", flat=True))
    full = _taken_by_others(reading_list, reader)
    own = [
        reading
        for reading in Reading.objects.filter(
            item__reading_list=reading_list, reader=reader
        ).order_by("pk")
        if reading.occasion or reading.state == Reading.State.DONE or reading.item_id not in full
    ]
    first = {reading.item_id: reading for reading in own if not reading.occasion}
    repeated = {reading.item_id for reading in own if reading.occasion}
    seed = reading_list.seed
    order = reader_order(items, seed=seed, reader=reader.pk)
    fresh = [item for item in order if item not in first and item not in full]
    gaps = repeat_gaps(order, reading_list.repeat_share, seed=seed, reader=reader.pk)
    to_come = [*first, *fresh]
    repeats = [
        (item, gaps[item] - _readings_since(first.get(item), own))
        for item in to_come
        if item in gaps and item not in repeated
    ]
    return Standing(own, fresh, repeats)


def _readings_since(first: Reading | None, own: list[Reading]) -> int:
    if first is None or first.finished is None:
        return 0
    return sum(reading.opened > first.finished for reading in own)


def _taken_by_others(reading_list: ReadingList, reader: User) -> set[int]:
    """Items that enough other readers have read or hold."""
    counts = (
        Reading.objects.filter(active(), item__reading_list=reading_list)
        .exclude(reader=reader)
        .values("item")
        .order_by()
        .annotate(readers=Count("pk"))
        .filter(readers__gte=reading_list.readers_per_unit)
    )
    return {row["item"] for row in counts}
