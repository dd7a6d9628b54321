"""Saving what experts state. Every save is one transaction and leaves a revision behind."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from django.db import transaction

from accounts.models import User
from annotation import answers as further
from annotation import questions
from annotation.errors import LabelError
from annotation.models import Label, LabelRevision
from catalog.models import Term, TrainedModel
from catalog.terms import terms_by_code
from dissections.models import Unit

State = dict[str, Any]
EMPTY: Final[State] = {
    "recognisable": "",
    "terms": [],
    "confidence": None,
    "note": "",
    "answers": {},
}
NOTE_CHARACTERS = 4000
TAKES_TERMS = ("", Label.Recognisable.YES)


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
    answers: Mapping[str, Any] | Unchanged = UNCHANGED,
    occasion: int = 0,
    sent: str = "",
) -> Label:
    """Change the given fields of the user's label on a unit; creates the label where there is none.

    Terms, and whether they are one phenomenon or several, belong to the answer "yes": giving one
    gives that answer, and "no" or "unsure" clears them. `term_codes` replaces all terms,
    `add_terms` and `remove_terms` change some, so that two quick changes never lose one another.
    `answers` changes answers to further questions of the project's current question set, by key
    (None takes one back). `occasion` is 0, or the number of a hidden repeat. A save that changes
    nothing adds no revision; one that was sent before under the same mark `sent` does nothing.

    Raises:
        LabelError: no such unit, unknown answer or confidence, terms beside "no" or "unsure",
            a term that is not in the project's vocabulary or is retired, an answer that does not
            fit its question.
    """
    label = _locked_label(user, model, layer_name, unit_index, occasion)
    if _arrived_before(label, sent):
        return label
    before = state_of(label)
    had = [term["code"] for term in before["terms"]]
    codes = had if isinstance(term_codes, Unchanged) else list(term_codes)
    codes = [code for code in codes if code not in set(remove_terms)]
    codes += [code for code in add_terms if code not in codes]

    label.question_set = questions.current(model.project)
    changes = {} if isinstance(answers, Unchanged) else answers
    label.answers = further.merged(label.answers, changes, label.question_set, model.class_names)

    if not isinstance(recognisable, Unchanged):
        _check_choice(recognisable, ["", *Label.Recognisable.values], "answer")
        label.recognisable = recognisable
        if recognisable != Label.Recognisable.YES:
            if add_terms or (not isinstance(term_codes, Unchanged) and codes):
                raise LabelError("Terms go with the answer “yes”. Remove them, or answer “yes”.")
            if changes.get(questions.PHENOMENA):
                raise LabelError("Whether it is one phenomenon goes with the answer “yes”.")
            codes = []
            label.answers.pop(questions.PHENOMENA, None)
    if (codes and codes != had) or changes.get(questions.PHENOMENA):
        label.recognisable = Label.Recognisable.YES
    if not isinstance(confidence, Unchanged):
        _check_choice(confidence, [None, *Label.Confidence.values], "confidence")
        label.confidence = confidence
    if not isinstance(note, Unchanged):
        label.note = note.strip()[:NOTE_CHARACTERS]

    label.save()
    label.terms.set(_terms(model, codes, already=had))
    _add_revision(label, before, sent=sent)
    return label


@transaction.atomic
def give_term(*, label: Label, term: Term, given_by: User) -> bool:
    """Add a term that its author asked for to a label; the history says who gave it.

    The label keeps its question set: nobody has put newer questions to its author.

    Returns:
        Whether it got the term. Not where it says "no" or "unsure": there is nothing to name.
    """
    label = Label.with_repeats.select_for_update().get(pk=label.pk)
    if label.recognisable not in TAKES_TERMS:
        return False
    before = state_of(label)
    label.recognisable = Label.Recognisable.YES
    label.question_set = label.question_set or questions.current(label.model.project)
    label.save()
    label.terms.add(term)
    _add_revision(label, before, given_by=given_by.username)
    return True


@transaction.atomic
def undo_label(*, user: User, label: Label, sent: str = "") -> Label:
    """Take back the latest change that stands. The history grows by one: nothing is deleted.

    An undo that was sent before under the same mark `sent` does nothing.

    Raises:
        LabelError: somebody else's label, or nothing is left to undo.
    """
    if label.author_id != user.pk:
        raise LabelError("Only the author of a label can take a change back.")
    label = Label.with_repeats.select_for_update().get(pk=label.pk)
    if _arrived_before(label, sent):
        return label
    standing = standing_revisions(list(label.revisions.all()))
    if not standing:
        raise LabelError("There is nothing to undo on this unit.")
    before = state_of(label)
    _restore(label, standing[-2].state if len(standing) > 1 else EMPTY)
    _add_revision(label, before, undoes=standing[-1].number, sent=sent)
    return label


@transaction.atomic
def record_early_look(
    *, user: User, model: TrainedModel, layer_name: str, unit_index: int, occasion: int = 0
) -> Label:
    """Note in the history that the user opened the statistics before answering.

    All later revisions of the label carry the mark `early_look`, so that an analysis can tell
    which answers were given blind.
    """
    label = _locked_label(user, model, layer_name, unit_index, occasion)
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
        "answers": label.answers,
        "question_set": label.question_set.number if label.question_set else None,
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


def _locked_label(
    user: User, model: TrainedModel, layer_name: str, unit_index: int, occasion: int
) -> Label:
    units = Unit.objects.filter(
        layer__dissection__model=model,
        layer__dissection__completed__isnull=False,
        layer__name=layer_name,
        index=unit_index,
    )
    if not units.exists():
        raise LabelError(f"{model} has no dissected unit {unit_index} in the layer {layer_name}.")
    label, _ = Label.with_repeats.select_for_update().get_or_create(
        model=model,
        layer_name=layer_name,
        unit_index=unit_index,
        author=user,
        occasion=occasion,
    )
    return label


def _arrived_before(label: Label, sent: str) -> bool:
    return bool(sent) and label.revisions.filter(state__sent=sent).exists()


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
    label.answers = state.get("answers", {})
    if number := state.get("question_set"):
        label.question_set = label.model.project.question_sets.get(number=number)
    label.save()
    codes = [term["code"] for term in state["terms"]]
    label.terms.set(terms_by_code(label.model.project, codes).values())


def _add_revision(
    label: Label, before: State, *, undoes: int | None = None, sent: str = "", given_by: str = ""
) -> None:
    state = state_of(label)
    if _content(state) == _content(before) and undoes is None:
        return
    if _looked_early(label):
        state["early_look"] = True
    if sent:
        state["sent"] = sent
    if given_by:
        state["given_by"] = given_by
    LabelRevision.objects.create(
        label=label, number=_next_number(label), state=state, undoes=undoes
    )


def _content(state: State) -> State:
    return {
        **{key: state[key] for key in ("recognisable", "confidence", "note")},
        "terms": sorted(term["code"] for term in state["terms"]),
        "answers": state.get("answers", {}),
    }


def _looked_early(label: Label) -> bool:
    last = label.revisions.last()
    return last is not None and last.state.get("early_look", False)


def _next_number(label: Label) -> int:
    last = label.revisions.last()
    return last.number + 1 if last else 1
