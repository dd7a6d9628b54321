"""The answers on a layer as arrays, as `statistics` and `distances` take them."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from django.db.models import Min

from accounts.models import User
from annotation.agreement.consensus import answers_on
from annotation.agreement.distances import (
    Floats,
    Members,
    masi_distances,
    partial_credit_distances,
    tree_similarities,
)
from annotation.agreement.statistics import MISSING, Ratings
from annotation.models import Consensus, Label
from catalog.models import Term, TrainedModel

RECOGNISABLE = Label.Recognisable.values


@dataclass(frozen=True)
class LayerAnswers:
    """What R experts said of N units. "No" is the empty set of terms; "unsure" says none at all.

    `by_unit` has every answer, the arrays leave out those of people who had settled the unit before
    and knew what others said.
    `recognisable` [R, N] holds indexes into RECOGNISABLE, `sets` [R, N] indexes of the rows of
    `members` [sets, terms]; `parents` are the places of the terms' parents among the terms.
    """

    by_unit: dict[int, list[Label]]
    experts: list[User]
    units: list[int]
    terms: list[Term]
    recognisable: Ratings
    sets: Ratings
    members: Members
    parents: list[int | None]

    @cached_property
    def masi(self) -> Floats:
        """Distances of the sets that give credit for equal terms only: [sets, sets]."""
        return masi_distances(self.members)

    @cached_property
    def partial(self) -> Floats:
        """Distances of the sets that give partial credit for near terms: [sets, sets]."""
        return partial_credit_distances(self.members, tree_similarities(self.parents))

    def presence(self, term: int) -> Ratings:
        """Whether each expert chose a term on each unit: 0, 1 or MISSING, [R, N]."""
        return np.where(self.sets == MISSING, MISSING, self.members[self.sets, term].astype(int))


def layer_answers(model: TrainedModel, layer_name: str) -> LayerAnswers:
    """All answers on a layer of a model; hidden repeats do not count."""
    by_unit = answers_on(model, layer_name)
    labels = [label for statements in by_unit.values() for label in statements]
    people = {label.author.pk: label.author for label in labels}
    experts = sorted(people.values(), key=lambda person: person.username)
    units = sorted(by_unit)
    terms = _vocabulary(model, labels)
    column = {term.pk: place for place, term in enumerate(terms)}
    row = {person.pk: place for place, person in enumerate(experts)}
    recognisable = np.full((len(experts), len(units)), MISSING)
    sets = np.full((len(experts), len(units)), MISSING)
    settled = _settled(model, layer_name)
    known: dict[frozenset[int], int] = {frozenset(): 0}
    for place, unit in enumerate(units):
        for label in by_unit[unit]:
            if label.created > settled.get((unit, label.author.pk), label.created):
                continue
            at = row[label.author.pk], place
            recognisable[at] = RECOGNISABLE.index(label.recognisable)
            if label.recognisable != Label.Recognisable.UNSURE:
                chosen = frozenset(column[term.pk] for term in label.terms.all())
                sets[at] = known.setdefault(chosen, len(known))
    members = np.zeros((len(known), len(terms)), bool)
    for chosen, place in known.items():
        members[place, list(chosen)] = True
    return LayerAnswers(
        by_unit=by_unit,
        experts=experts,
        units=units,
        terms=terms,
        recognisable=recognisable,
        sets=sets,
        members=members,
        parents=[column.get(term.parent_id) if term.parent_id else None for term in terms],
    )


def _settled(model: TrainedModel, layer_name: str) -> dict[tuple[int, int], datetime]:
    """When each person first settled each unit, by unit index and the person's key."""
    rows = Consensus.objects.filter(
        model=model, layer_name=layer_name, source=Consensus.Source.ADJUDICATION
    ).exclude(decided_by=None)
    first = rows.order_by().values_list("unit_index", "decided_by").annotate(Min("created"))
    return {(unit, person): created for unit, person, created in first}


def _vocabulary(model: TrainedModel, labels: list[Label]) -> list[Term]:
    """The terms of the project's vocabulary and of those that labels were given from earlier."""
    vocabularies = {term.vocabulary_id for label in labels for term in label.terms.all()}
    vocabularies.add(model.project.vocabulary_id)
    return list(Term.objects.filter(vocabulary__in=vocabularies).order_by("vocabulary", "position"))
