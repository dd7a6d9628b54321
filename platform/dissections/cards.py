"""The cards of units in a layer's list: what to show of each, and which to show."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from annotation.models import Label
from annotation.selectors import Reader
from catalog.models import Term
from dissections.models import Layer, TopPatch, Unit
from dissections.selectors import ordered_units, with_card_details


@dataclass(frozen=True)
class UnitCard:
    """A unit in the list, with what this reader said about it.

    `incomplete`: the answer is "yes" but no term is given yet. `results`: the reader may see
    automatic results of the unit.
    """

    unit: Unit
    patches: list[TopPatch]
    terms: list[Term]
    answer: str
    answered: bool
    incomplete: bool
    results: bool
    strongest_class: str
    strength: float


def listed_units(
    layer: Layer,
    chosen: Mapping[str, str],
    labels: Mapping[int, Label],
    answered: Collection[int],
) -> QuerySet[Unit]:
    """The units that the chosen filter leaves, in the chosen order, with what cards need."""
    units = ordered_units(layer, chosen["sort"])
    match chosen["show"]:
        case "unanswered":
            units = units.exclude(index__in=answered)
        case "answered":
            units = units.filter(index__in=answered)
        case "nothing":
            nothing = Label.Recognisable.NO
            units = units.filter(
                index__in=[i for i, label in labels.items() if label.recognisable == nothing]
            )
    if chosen["q"]:
        units = units.filter(index__in=_matching(chosen["q"], labels))
    return with_card_details(units)


def unit_cards(
    layer: Layer,
    units: Iterable[Unit],
    reader: Reader,
    labels: Mapping[int, Label],
    answered: Collection[int],
) -> list[UnitCard]:
    """Cards of units from `listed_units`; runs no query per unit."""
    classes = layer.dissection.model.class_names
    cards = []
    for unit in units:
        unit.layer = layer
        label = labels.get(unit.index)
        strongest = max(range(len(unit.influence)), key=lambda c: abs(unit.influence[c]))
        cards.append(
            UnitCard(
                unit=unit,
                patches=[] if unit.threshold is None else unit.card_patches,  # type: ignore[attr-defined]
                terms=list(label.terms.all()) if label else [],
                answer=label.get_recognisable_display() if label else "",
                answered=unit.index in answered,
                incomplete=bool(label and label.recognisable) and unit.index not in answered,
                results=reader.sees_results(unit.index in answered),
                strongest_class=classes[strongest],
                strength=unit.influence[strongest],
            )
        )
    return cards


def _matching(text: str, labels: Mapping[int, Label]) -> list[int]:
    """Units with this number, and those whose own terms or note contain the text."""
    wanted = text.casefold()
    found = [int(text)] if text.isdecimal() and len(text) < 10 else []
    for index, label in labels.items():
        words = [label.note]
        for term in label.terms.all():
            words += [term.name, term.code, *term.synonyms]
        if any(wanted in word.casefold() for word in words):
            found.append(index)
    return found
