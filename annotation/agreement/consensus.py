"""Settling what a unit shows. Rows are only ever added; the last one of a unit counts.

A row without an answer withdraws what was settled: the unit is open again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import User
from annotation.agreement.standing import standing_consensus
from annotation.models import Consensus, Label, QuestionSet
from annotation.selectors import answered
from annotation.services import NOTE_CHARACTERS, state_of
from catalog.models import Term, TrainedModel
from dissections.models import Unit

FEWEST_AGREEING = 2

Basis = list[dict[str, Any]]
Place = tuple[TrainedModel, str, int]

current = standing_consensus


class ConsensusError(ValueError):
    """The decision cannot be kept; the message is for people."""


@dataclass(frozen=True)
class Answer:
    """What may be said of a unit: one of Label.Recognisable, with terms where it is "yes"."""

    recognisable: str
    codes: frozenset[str] = frozenset()


def answer_of(said: Label | Consensus) -> Answer:
    return Answer(said.recognisable, frozenset(term.code for term in said.terms.all()))


def answers_on(model: TrainedModel, layer_name: str) -> dict[int, list[Label]]:
    """The answered labels of a layer by unit index, by user name within a unit."""
    labels = (
        Label.objects.filter(answered(), model=model, layer_name=layer_name)
        .select_related("author", "model", "question_set")
        .prefetch_related("terms", "revisions")
        .order_by("unit_index", "author__username")
    )
    by_unit: dict[int, list[Label]] = {}
    for label in labels:
        by_unit.setdefault(label.unit_index, []).append(label)
    return by_unit


def basis_of(labels: Iterable[Label]) -> Basis:
    """The labels that a decision rests on, as a consensus keeps them."""
    return [
        {
            "author": label.author.username,
            "revision": max((revision.number for revision in label.revisions.all()), default=0),
            "state": state_of(label),
        }
        for label in labels
    ]


def is_older_than_answers(consensus: Consensus, labels: Iterable[Label]) -> bool:
    """Whether an expert has answered, or answers otherwise, since the consensus was reached."""
    then = {
        entry["author"]: Answer(
            entry["state"]["recognisable"],
            frozenset(term["code"] for term in entry["state"]["terms"]),
        )
        for entry in consensus.basis
    }
    return then != {label.author.username: answer_of(label) for label in labels}


def agreed(labels: Sequence[Label], fewest: int = FEWEST_AGREEING) -> Answer | None:
    """The answer that all experts, at least `fewest`, gave; being unsure together settles none."""
    answers = {answer_of(label) for label in labels}
    if len(labels) < fewest or len(answers) != 1:
        return None
    (answer,) = answers
    return None if answer.recognisable == Label.Recognisable.UNSURE else answer


def departs_from_majority(answer: Answer, labels: Sequence[Label]) -> bool:
    """Whether more than half of the experts said otherwise.

    They did where they gave another answer, chose a term that is left out, or did not choose a
    term that is put in.
    """
    half = len(labels) / 2
    given = [answer_of(label) for label in labels]
    if sum(other.recognisable != answer.recognisable for other in given) > half:
        return True
    support = Counter(code for other in given for code in other.codes)
    left_out = any(count > half for code, count in support.items() if code not in answer.codes)
    put_in = any(len(given) - support[code] > half for code in answer.codes)
    return left_out or put_in


@transaction.atomic
def adjudicate(
    *,
    user: User,
    model: TrainedModel,
    layer_name: str,
    unit_index: int,
    answer: Answer,
    note: str = "",
    seen: str | None = None,
) -> Consensus:
    """Settle a unit by a person's decision.

    Args:
        seen: the `version` of the unit that the person decided on; None skips the comparison.

    Raises:
        ConsensusError: no such unit, no or an impossible answer, a term that the vocabulary does
            not have, no reason for a departure from the majority, or answers or a decision that
            came in meanwhile.
    """
    place = _locked(model, layer_name, unit_index)
    labels = answers_on(model, layer_name).get(unit_index, [])
    _check_seen(seen, place, labels, "decide again. What you entered is still there.")
    terms = _terms_of(model, answer)
    note = note.strip()
    if len(note) > NOTE_CHARACTERS:
        raise ConsensusError(f"A note has at most {NOTE_CHARACTERS} characters.")
    if not note and departs_from_majority(answer, labels):
        raise ConsensusError(
            "This departs from what most experts said. Write in the note why, and save again."
        )
    return _add(
        place,
        answer=answer,
        terms=terms,
        note=note,
        source=Consensus.Source.ADJUDICATION,
        user=user,
        basis=basis_of(labels),
        question_set=_question_set(model, labels),
    )


@transaction.atomic
def accept_agreements(
    *, user: User, model: TrainedModel, layer_name: str, fewest: int = FEWEST_AGREEING
) -> list[Consensus]:
    """Settle all units without a consensus on which at least `fewest` experts fully agree.

    Raises:
        ConsensusError: fewer than two experts agree with nobody.
    """
    if fewest < FEWEST_AGREEING:
        raise ConsensusError(f"An agreement takes at least {FEWEST_AGREEING} experts.")
    _lock(model)
    settled = standing_consensus(model, layer_name)
    rows = []
    for index, labels in answers_on(model, layer_name).items():
        answer = agreed(labels, fewest)
        if answer is not None and index not in settled:
            rows.append(
                _add(
                    (model, layer_name, index),
                    answer=answer,
                    terms=list(labels[0].terms.all()),
                    source=Consensus.Source.AGREEMENT,
                    user=user,
                    basis=basis_of(labels),
                    question_set=_question_set(model, labels),
                )
            )
    return rows


@transaction.atomic
def withdraw_agreements(*, user: User, model: TrainedModel, layer_name: str) -> list[Consensus]:
    """Open all units again that were settled because experts agreed; adjudicated ones stay."""
    _lock(model)
    by_unit = answers_on(model, layer_name)
    return [
        _withdraw(row, user, by_unit.get(row.unit_index, []))
        for row in standing_consensus(model, layer_name).values()
        if row.source == Consensus.Source.AGREEMENT
    ]


@transaction.atomic
def take_back(
    *,
    user: User,
    model: TrainedModel,
    layer_name: str,
    unit_index: int,
    seen: str | None = None,
) -> Consensus:
    """Go back to what stood before the last decision on a unit, by a newer row.

    Args:
        seen: the `version` of the unit that the person took back; None skips the comparison.

    Raises:
        ConsensusError: nothing was decided, or answers or a decision that came in meanwhile.
    """
    place = _locked(model, layer_name, unit_index)
    labels = answers_on(model, layer_name).get(unit_index, [])
    _check_seen(seen, place, labels, "take the decision back if it should still go.")
    rows = list(history(*place))
    if not rows:
        raise ConsensusError("Nothing has been decided on this unit yet.")
    last = rows[0]
    before = rows[1] if len(rows) > 1 else None
    if before is None or not before.recognisable:
        return _withdraw(last, user, labels)
    return _add(
        place,
        answer=answer_of(before),
        terms=list(before.terms.all()),
        note=f"Back to decision {before.number}. {before.note}".strip(),
        source=Consensus.Source(before.source),
        user=user,
        basis=before.basis,
        question_set=before.question_set,
    )


def history(model: TrainedModel, layer_name: str, unit_index: int) -> list[Consensus]:
    """All decisions on a unit, latest first."""
    return list(
        Consensus.objects.filter(model=model, layer_name=layer_name, unit_index=unit_index)
        .select_related("decided_by", "question_set")
        .prefetch_related("terms")
        .order_by("-number")
    )


def version(place: Place, labels: Iterable[Label]) -> str:
    """Changes whenever an answer on a unit or its consensus does."""
    model, layer_name, unit_index = place
    last = Consensus.objects.filter(
        model=model, layer_name=layer_name, unit_index=unit_index
    ).last()
    parts = [f"{entry['author']}:{entry['revision']}" for entry in basis_of(labels)]
    return " ".join([str(last.number if last else 0), *parts])


def _check_seen(seen: str | None, place: Place, labels: Iterable[Label], then: str) -> None:
    if seen is not None and seen != version(place, labels):
        raise ConsensusError(
            "Answers or a decision came in since you opened this unit. They are shown now: "
            f"look at them and {then}"
        )


def _withdraw(row: Consensus, user: User, labels: Sequence[Label]) -> Consensus:
    return _add(
        (row.model, row.layer_name, row.unit_index),
        answer=Answer(""),
        terms=[],
        note=f"Takes back decision {row.number}.",
        source=Consensus.Source(row.source),
        user=user,
        basis=basis_of(labels),
        question_set=row.question_set,
    )


def _add(
    place: Place,
    *,
    answer: Answer,
    terms: Sequence[Term],
    source: Consensus.Source,
    user: User,
    basis: Basis,
    question_set: QuestionSet | None,
    note: str = "",
) -> Consensus:
    model, layer_name, unit_index = place
    rows = Consensus.objects.filter(model=model, layer_name=layer_name, unit_index=unit_index)
    last = rows.order_by("number").last()
    row = Consensus.objects.create(
        model=model,
        layer_name=layer_name,
        unit_index=unit_index,
        number=last.number + 1 if last else 1,
        recognisable=answer.recognisable,
        note=note,
        source=source,
        decided_by=user,
        question_set=question_set,
        model_sha256=model.sha256,
        basis=basis,
    )
    row.terms.set(terms)
    return row


def _lock(model: TrainedModel) -> None:
    """Decisions on a model's units wait for one another: each takes the next number."""
    TrainedModel.objects.select_for_update().get(pk=model.pk)


def _locked(model: TrainedModel, layer_name: str, unit_index: int) -> Place:
    _lock(model)
    units = Unit.objects.filter(
        layer__dissection__model=model,
        layer__dissection__completed__isnull=False,
        layer__name=layer_name,
        index=unit_index,
    )
    if not units.exists():
        raise ConsensusError(
            f"{model} has no dissected unit {unit_index} in the layer {layer_name}."
        )
    return model, layer_name, unit_index


def _question_set(model: TrainedModel, labels: Iterable[Label]) -> QuestionSet | None:
    """The newest set that the answers belong to; the project's where they name none."""
    sets = [label.question_set for label in labels if label.question_set]
    return max(sets, key=lambda entry: entry.number, default=model.project.question_sets.last())


def _terms_of(model: TrainedModel, answer: Answer) -> list[Term]:
    if answer.recognisable not in Label.Recognisable.values:
        raise ConsensusError("Choose what stands: yes, nothing recognisable, or unsure.")
    if (answer.recognisable == Label.Recognisable.YES) != bool(answer.codes):
        raise ConsensusError("Terms go with the answer “yes”, which takes at least one of them.")
    vocabulary = model.project.vocabulary
    terms = list(vocabulary.terms.filter(code__in=answer.codes))
    unknown = sorted(answer.codes - {term.code for term in terms})
    if unknown:
        raise ConsensusError(f"“{unknown[0]}” is not a term of {vocabulary}.")
    return terms
