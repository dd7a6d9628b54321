"""How often experts agree with the automatic proposals.

A unit's proposal is the term of the concept that its region overlaps best, where the IoU reaches
FEWEST_IOU: the bound of D. Bau and others, Network Dissection, CVPR 2017.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from annotation.agreement.statistics import LEVEL, RESAMPLES, Estimate, mean_with_interval
from annotation.models import Label, Reading
from catalog.models import Term, TrainedModel
from dissections.models import Layer, Unit

FEWEST_IOU = 0.04


@dataclass(frozen=True)
class Shuffled:
    """The same share with the proposals given to other units: its mean and where 95 % lie."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ProposalAgreement:
    """Shares of answers that hold the proposed term, or (`near`) also one above or below it.

    Each unit counts once, whatever the number of its answers; "unsure" is no answer here.
    `assisted` answers were given with the proposal in view.
    """

    exact: Estimate
    near: Estimate
    exact_shuffled: Shuffled | None
    near_shuffled: Shuffled | None
    answers: int
    assisted: int


@dataclass(frozen=True)
class ProposalCount:
    """Of `answers` on units with a proposal, `agreeing` hold the proposed term."""

    agreeing: int
    answers: int

    @property
    def percent(self) -> int:
        return round(100 * self.agreeing / self.answers)


def proposals(model: TrainedModel, layer_name: str) -> dict[int, Term]:
    """The proposed term by unit index, from the latest dissection that scored concepts."""
    layer = (
        Layer.objects.filter(
            dissection__model=model,
            dissection__completed__isnull=False,
            name=layer_name,
            units__best_concept__isnull=False,
        )
        .order_by("-dissection__completed")
        .first()
    )
    units = Unit.objects.filter(
        layer=layer, best_iou__gte=FEWEST_IOU, best_concept__term__isnull=False
    ).select_related("best_concept__term")
    return {
        unit.index: unit.best_concept.term
        for unit in units
        if unit.best_concept and unit.best_concept.term
    }


def proposal_agreement(
    model: TrainedModel, layer_name: str, by_unit: Mapping[int, list[Label]], *, seed: int = 0
) -> ProposalAgreement:
    """How far the answers on a layer agree with its proposals, against proposals shuffled."""
    proposed = proposals(model, layer_name)
    judged = {index: _judging(by_unit[index]) for index in proposed if index in by_unit}
    judged = {index: labels for index, labels in judged.items() if labels}
    lines = _lines_of_terms(model, proposed.values())
    exact = _credits([(proposed[i], labels) for i, labels in judged.items()], {})
    near = _credits([(proposed[i], labels) for i, labels in judged.items()], lines)
    labels = [label for found in judged.values() for label in found]
    raters = len({label.author_id for label in labels})
    return ProposalAgreement(
        exact=mean_with_interval(np.diag(exact), raters=raters, seed=seed),
        near=mean_with_interval(np.diag(near), raters=raters, seed=seed),
        exact_shuffled=_shuffled(exact, seed),
        near_shuffled=_shuffled(near, seed),
        answers=len(labels),
        assisted=_assisted(model, layer_name, judged),
    )


def proposal_count(model: TrainedModel, layer_name: str) -> ProposalCount | None:
    """The plain count for the unit page; None where no answered unit has a proposal."""
    proposed = proposals(model, layer_name)
    labels = Label.objects.filter(
        model=model, layer_name=layer_name, unit_index__in=proposed
    ).prefetch_related("terms")
    judging = _judging(labels)
    agreeing = sum(proposed[label.unit_index] in label.terms.all() for label in judging)
    return ProposalCount(agreeing, len(judging)) if judging else None


def _judging(labels: Iterable[Label]) -> list[Label]:
    return [
        label
        for label in labels
        if label.recognisable == Label.Recognisable.NO
        or (label.recognisable == Label.Recognisable.YES and label.terms.all())
    ]


def _credits(
    judged: list[tuple[Term, list[Label]]], near: Mapping[int, set[int]]
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """The share of the answers on unit u that hold the proposal of unit p: [units, units]."""
    column = {pk: place for place, pk in enumerate({term.pk for term, _ in judged})}
    credits = np.zeros((len(judged), len(column)))
    for place, (_, labels) in enumerate(judged):
        chosen = [{term.pk for term in label.terms.all()} for label in labels]
        for pk, other in column.items():
            accepted = near.get(pk, {pk})
            holding = sum(not accepted.isdisjoint(said) for said in chosen)
            credits[place, other] = holding / len(chosen)
    return credits[:, np.array([column[term.pk] for term, _ in judged], dtype=int)]


def _shuffled(
    credits: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", seed: int
) -> Shuffled | None:
    units = len(credits)
    if units < 2:
        return None
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(units), (RESAMPLES, 1)), axis=1)
    means = credits[np.arange(units), orders].mean(1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Shuffled(float(means.mean()), float(low), float(high))


def _lines_of_terms(model: TrainedModel, terms: Iterable[Term]) -> dict[int, set[int]]:
    """Each term with those above and below it, by primary key."""
    terms = list(terms)
    vocabularies = {term.vocabulary_id for term in terms}
    parents = dict(Term.objects.filter(vocabulary__in=vocabularies).values_list("pk", "parent"))
    above = {pk: _up(pk, parents) for pk in parents}
    return {
        term.pk: above[term.pk] | {pk for pk, line in above.items() if term.pk in line}
        for term in terms
    }


def _up(term: int, parents: Mapping[int, int | None]) -> set[int]:
    line: set[int] = set()
    place: int | None = term
    while place is not None and place not in line:
        line.add(place)
        place = parents.get(place)
    return line


def _assisted(model: TrainedModel, layer_name: str, judged: Mapping[int, list[Label]]) -> int:
    given = {(index, label.author_id) for index, labels in judged.items() for label in labels}
    readings = Reading.objects.filter(
        item__reading_list__assisted=True, item__model=model, item__layer_name=layer_name,
        state=Reading.State.DONE,
    ).values_list("item__unit_index", "reader_id")  # fmt: skip
    return len(given & set(readings))
