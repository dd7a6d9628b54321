"""The units of the same layer that are most like a unit, as cards on its page."""

from collections.abc import Collection
from dataclasses import dataclass

from accounts.models import User
from annotation import selectors as annotation
from catalog.models import Term
from dissections import arrays
from dissections.models import TopPatch, Unit
from dissections.selectors import with_card_details


@dataclass(frozen=True)
class NearestUnit:
    """`terms`: what the reader called it and, where the reader may see that, what stands on it."""

    unit: Unit
    correlation: float
    patches: list[TopPatch]
    terms: list[Term]


def nearest_units(
    user: User, unit: Unit, reader: annotation.Reader, answered: Collection[int]
) -> list[NearestUnit]:
    """The most similar units, best first; none where the dissection did not compare units.

    `answered`: the units of the layer that the user has answered.
    """
    layer = unit.layer
    found = arrays.nearest(layer, unit.index)
    if not found:
        return []
    model = layer.dissection.model
    others = with_card_details(layer.units.filter(index__in=[index for index, _ in found]))
    by_index = {other.index: other for other in others}
    own = annotation.own_labels(user, model, layer.name)
    visible = [index for index in by_index if reader.sees_results(index in answered)]
    standing = annotation.unit_terms(model, layer.name) if visible else {}
    nearest = []
    for index, correlation in found:
        other = by_index[index]
        other.layer = layer
        terms = list(own[index].terms.all()) if index in own else []
        if index in visible and index in standing:
            known = {term.pk for term in terms}
            terms += [s.term for s in standing[index].terms if s.term.pk not in known]
        nearest.append(NearestUnit(other, correlation, other.card_patches, terms))  # type: ignore[attr-defined]
    return nearest
