"""How far a list has come, for those who run it: by reader and by unit."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from annotation.models import Label, Reading, ReadingItem, ReadingList
from annotation.reading.consistency import (
    Answer,
    ControlContrast,
    SelfAgreement,
    control_contrast,
    self_agreement,
)
from annotation.reading.standing import Standing, standing


@dataclass(frozen=True)
class ReaderProgress:
    """`active` readers are still handed units; the others were removed, what they read stays."""

    reader: User
    active: bool
    standing: Standing
    repeats: SelfAgreement | None
    contrast: ControlContrast | None


@dataclass(frozen=True)
class ItemProgress:
    """An item with who has read it for the first time; repeats are not counted."""

    item: ReadingItem
    readers: list[User]

    @property
    def complete(self) -> bool:
        return len(self.readers) >= self.item.reading_list.readers_per_unit


def by_reader(reading_list: ReadingList) -> list[ReaderProgress]:
    """Every reader of the list, and those who were removed but have read something."""
    active = set(reading_list.readers.all())
    readings = _done(reading_list)
    everyone = active | {reading.reader for reading in readings}
    answers = _answers(reading_list)
    return [
        ReaderProgress(
            reader=reader,
            active=reader in active,
            standing=standing(reading_list, reader),
            repeats=self_agreement(_pairs(reader, readings, answers)),
            contrast=control_contrast(
                _first(reader, readings, answers, control=True),
                _first(reader, readings, answers, control=False),
            ),
        )
        for reader in sorted(everyone, key=lambda user: user.username)
    ]


def by_item(reading_list: ReadingList) -> list[ItemProgress]:
    readers: dict[int, list[User]] = {}
    for reading in _done(reading_list):
        if not reading.occasion:
            readers.setdefault(reading.item_id, []).append(reading.reader)
    items = reading_list.items.select_related("reading_list").order_by("position")
    return [ItemProgress(item, readers.get(item.pk, [])) for item in items]


Answers = dict[tuple[int, int, str, int, int], tuple[datetime, Answer]]


def _done(reading_list: ReadingList) -> list[Reading]:
    done = Reading.objects.filter(item__reading_list=reading_list, state=Reading.State.DONE)
    return list(done.select_related("item", "reader").order_by("pk"))


def _answers(reading_list: ReadingList) -> Answers:
    """By author, model, layer, unit and occasion, each with the time it was first given."""
    models = reading_list.items.values("model")
    labels = Label.with_repeats.filter(model__in=models).prefetch_related("terms")
    return {
        (
            label.author_id, label.model_id, label.layer_name, label.unit_index, label.occasion,
        ): (
            label.created,
            Answer(label.recognisable, frozenset(term.code for term in label.terms.all())),
        )
        for label in labels
    }  # fmt: skip


def _answer(reading: Reading, answers: Answers) -> Answer | None:
    """What was said in the reading; None where its form came filled in.

    That is so where the reader had answered on the unit before, on its own page or in another
    list: such an answer was not given blindly.
    """
    item = reading.item
    place = (item.model_id, item.layer_name, item.unit_index)
    found = answers.get((reading.reader_id, *place, reading.occasion))
    if found is None:
        return None
    given, answer = found
    return answer if given >= reading.opened else None


def _first(
    reader: User, readings: list[Reading], answers: Answers, *, control: bool
) -> list[Answer]:
    found = [
        _answer(reading, answers)
        for reading in readings
        if reading.reader_id == reader.pk
        and not reading.occasion
        and reading.item.control == control
    ]
    return [answer for answer in found if answer]


def _pairs(reader: User, readings: list[Reading], answers: Answers) -> list[tuple[Answer, Answer]]:
    own = {
        (reading.item_id, reading.occasion): _answer(reading, answers)
        for reading in readings
        if reading.reader_id == reader.pk
    }
    pairs = []
    for (item, occasion), again in own.items():
        first = own.get((item, 0))
        if occasion and first and again:
            pairs.append((first, again))
    return pairs
