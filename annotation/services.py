"""Saving what experts state. Every save is one transaction and leaves a revision behind."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from django.db import transaction

from accounts.models import User
from annotation.models import Label, LabelRevision
from catalog.models import Term, TrainedModel
from catalog.terms import terms_by_code
from dissections.models import Unit

State = dict[str, Any]
EMPTY: Final[State] = {"recognisable": "", "terms": [], "confidence": None, "note": ""}
NOTE_CHARACTERS = 4000


class LabelError(ValueError):
    """The statement cannot be saved; the message is for people."""


class Unchanged(Enum):
    """Says that a save leaves a field as it is (None and "" empty it)."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@transaction.atomic
def save_label(
    *,
    user: User,
    model: TrainedModel,
    layer_name: str,
    unit_index: int,
    recognisable: str | Unchanged = UNCHANGED,
    term_codes: Sequence[str] | Unchanged = UNCHANGED,
    add_terms: Sequence[str] = (),
    remove_terms: Sequence[str] = (),
    confidence: int | Unchanged | None = UNCHANGED,
    note: str | Unchanged = UNCHANGED,
) -> Label:
    """Change the given fields of the user's label on a unit; creates the label where there is none.

    Terms belong to the answer "yes": adding one gives that answer, and "no" or "unsure" clears
    them. `term_codes` replaces all terms, `add_terms` and `remove_terms` change some, so that two
    quick changes never lose one another. A save that changes nothing adds no revision.

    Raises:
        LabelError: no such unit, unknown answer or confidence, terms beside "no" or "unsure",
            a term that is not in the project's vocabulary or is retired.
    """
    label = _locked_label(user, model, layer_name, unit_index)
    before = state_of(label)
    had = [term["code"] for term in before["terms"]]
    codes = had if isinstance(term_codes, Unchanged) else list(term_codes)
    codes = [code for code in codes if code not in set(remove_terms)]
    codes += [code for code in add_terms if code not in codes]

    if not isinstance(recognisable, Unchanged):
        _check_choice(recognisable, ["", *Label.Recognisable.values], "answer")
        label.recognisable = recognisable
        if recognisable != Label.Recognisable.YES:
            if add_terms or (not isinstance(term_codes, Unchanged) and codes):
                raise LabelError("Terms go with the answer “yes”. Remove them, or answer “yes”.")
            codes = []
    if codes and codes != had:
        label.recognisable = Label.Recognisable.YES
    if not isinstance(confidence, Unchanged):
        _check_choice(confidence, [None, *Label.Confidence.values], "confidence")
        label.confidence = confidence
    if not isinstance(note, Unchanged):
        label.note = note.strip()[:NOTE_CHARACTERS]

    label.save()
    label.terms.set(_terms(model, codes, already=had))
    _add_revision(label, before)
    return label


@transaction.atomic
def undo_label(*, user: User, label: Label) -> Label:
    """Take back the latest change that stands. The history grows by one: nothing is deleted.

    Raises:
        LabelError: somebody else's label, or nothing is left to undo.
    """
    if label.author_id != user.pk:
        raise LabelError("Only the author of a label can take a change back.")
    label = Label.objects.select_for_update().get(pk=label.pk)
    standing = standing_revisions(list(label.revisions.all()))
    if not standing:
        raise LabelError("There is nothing to undo on this unit.")
    before = state_of(label)
    _restore(label, standing[-2].state if len(standing) > 1 else EMPTY)
    _add_revision(label, before, undoes=standing[-1].number)
    return label


@transaction.atomic
def record_early_look(
    *, user: User, model: TrainedModel, layer_name: str, unit_index: int
) -> Label:
    """Note in the history that the user opened the statistics before answering.

    All later revisions of the label carry the mark `early_look`, so that an analysis can tell
    which answers were given blind.
    """
    label = _locked_label(user, model, layer_name, unit_index)
    if not _looked_early(label):
        state = {**state_of(label), "early_look": True}
        LabelRevision.objects.create(label=label, number=_next_number(label), state=state)
    return label


def state_of(label: Label) -> State:
    """What a label says now, as revisions keep it; readable after terms are renamed."""
    return {
        "recognisable": label.recognisable,
        "terms": [{"code": term.code, "name": term.name} for term in label.terms.all()],
        "confidence": label.confidence,
        "note": label.note,
    }


def standing_revisions(revisions: Sequence[LabelRevision]) -> list[LabelRevision]:
    """Of all revisions in order: those that changed something and have not been taken back."""
    standing: list[LabelRevision] = []
    for revision in revisions:
        current = standing[-1].state if standing else EMPTY
        if revision.undoes is not None:
            standing.pop()
        elif _content(revision.state) != _content(current):
            standing.append(revision)
    return standing


def _locked_label(user: User, model: TrainedModel, layer_name: str, unit_index: int) -> Label:
    units = Unit.objects.filter(
        layer__dissection__model=model,
        layer__dissection__completed__isnull=False,
        layer__name=layer_name,
        index=unit_index,
    )
    if not units.exists():
        raise LabelError(f"{model} has no dissected unit {unit_index} in the layer {layer_name}.")
    label, _ = Label.objects.select_for_update().get_or_create(
        model=model, layer_name=layer_name, unit_index=unit_index, author=user
    )
    return label


def _terms(model: TrainedModel, codes: Sequence[str], *, already: Sequence[str]) -> list[Term]:
    """The terms of the codes; those that the label has `already` may be retired or replaced."""
    vocabulary = model.project.vocabulary
    terms = terms_by_code(model.project, codes)
    for code in codes:
        if code in terms and code in already:
            continue
        if code not in terms or terms[code].vocabulary_id != vocabulary.pk:
            raise LabelError(
                f"“{code}” is not a term of {vocabulary}. Choose one from the list of terms."
            )
        if terms[code].retired:
            raise LabelError(
                f"“{terms[code].name}” has been retired from {vocabulary}. Choose another term."
            )
    return [terms[code] for code in codes]


def _check_choice(value: object, allowed: Sequence[object], what: str) -> None:
    if value not in allowed:
        names = ", ".join(str(choice) for choice in allowed if choice)
        raise LabelError(f"“{value}” is no {what}; choose one of {names}.")


def _restore(label: Label, state: State) -> None:
    label.recognisable = state["recognisable"]
    label.confidence = state["confidence"]
    label.note = state["note"]
    label.save()
    codes = [term["code"] for term in state["terms"]]
    label.terms.set(terms_by_code(label.model.project, codes).values())


def _add_revision(label: Label, before: State, *, undoes: int | None = None) -> None:
    state = state_of(label)
    if state == before and undoes is None:
        return
    if _looked_early(label):
        state["early_look"] = True
    LabelRevision.objects.create(
        label=label, number=_next_number(label), state=state, undoes=undoes
    )


def _content(state: State) -> State:
    return {
        **{key: state[key] for key in ("recognisable", "confidence", "note")},
        "terms": sorted(term["code"] for term in state["terms"]),
    }


def _looked_early(label: Label) -> bool:
    last = label.revisions.last()
    return last is not None and last.state.get("early_look", False)


def _next_number(label: Label) -> int:
    last = label.revisions.last()
    return last.number + 1 if last else 1
