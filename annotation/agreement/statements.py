"""Reading the rows of an import against what a project has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.access import LABELLERS
from accounts.models import User
from annotation.agreement.tables import Row, json_of, texts_of
from annotation.answers import merged
from annotation.errors import LabelError
from annotation.models import Consensus, Label, QuestionSet
from annotation.questions import FIELDS_OF_LABEL, current, questions_of
from annotation.services import NOTE_CHARACTERS
from catalog.models import Project, Term, TrainedModel
from catalog.terms import terms_by_code
from dissections.models import Unit

LARGEST_OCCASION = 32_767

Content = tuple[Any, ...]


class RowError(ValueError):
    """A row cannot be taken in; the message says why and what to do."""


@dataclass(frozen=True)
class Statement:
    """What a row says: one label, or one consensus, of a unit that is here."""

    model: TrainedModel
    layer_name: str
    unit_index: int
    person: User | None
    occasion: int
    recognisable: str
    terms: tuple[Term, ...]
    note: str
    question_set: QuestionSet | None
    confidence: int | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    basis: list[dict[str, Any]] = field(default_factory=list)
    created: datetime | None = None
    updated: datetime | None = None

    @property
    def place(self) -> tuple[Any, ...]:
        return (self.model.pk, self.layer_name, self.unit_index)

    @property
    def content(self) -> Content:
        return content_of(self, self.person, self.terms)


def content_of(
    said: Statement | Label | Consensus, person: User | None, terms: Iterable[Term]
) -> Content:
    """What makes two statements the same; times and numbers of revisions do not count."""
    return (
        said.recognisable,
        frozenset(term.code for term in terms),
        said.note,
        person.pk if person else None,
        said.question_set.number if said.question_set else None,
        getattr(said, "confidence", None),
        dict(getattr(said, "answers", {})),
        getattr(said, "basis", []),
    )


class RowReader:
    """Reads rows against what a project has. All methods raise RowError."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.models = {model.sha256: model for model in project.models.all()}
        self.terms: dict[str, Term] = {}
        current(project)  # makes the default set where nobody has answered yet
        self.question_sets = {entry.number: entry for entry in project.question_sets.all()}
        self.asked = {
            number: {question.key for question in questions_of(entry)} - FIELDS_OF_LABEL
            for number, entry in self.question_sets.items()
        }
        self.people = {user.username: user for user in User.objects.all()}
        labellers = project.memberships.filter(role__in=LABELLERS).values_list("user", flat=True)
        labels = Label.with_repeats.filter(model__project=project)
        self.authors = {*labellers, *labels.values_list("author", flat=True).distinct()}
        self.units = set(
            Unit.objects.filter(
                layer__dissection__project=project, layer__dissection__completed__isnull=False
            ).values_list("layer__dissection__model", "layer__name", "index")
        )

    def label(self, row: Row) -> Statement:
        confidence = _number(row, "confidence")
        if confidence not in (None, *Label.Confidence.values):
            raise RowError("“confidence” is 1, 2, 3 or empty.")
        unit = self._unit(row)
        said = self._said(row, blank=True)
        return Statement(
            **unit,
            **said,
            person=self._author(row),
            occasion=_number(row, "occasion") or 0,
            confidence=confidence,
            answers=self._answers(row, said["question_set"], unit["model"].class_names),
            created=_time(row, "created"),
            updated=_time(row, "updated"),
        )

    def consensus(self, row: Row) -> Statement:
        basis = self._json(row, "basis", [])
        if not _is_basis(basis):
            raise RowError("“basis” is not the list that an export has. Leave it empty.")
        return Statement(
            **self._unit(row),
            **self._said(row, blank=False),
            person=self._decider(row),
            occasion=0,
            basis=basis,
            created=_time(row, "created"),
        )

    def _unit(self, row: Row) -> dict[str, Any]:
        sha256, layer, index = _text(row, "model_sha256"), _text(row, "layer"), _number(row, "unit")
        model = self.models.get(sha256)
        if model is None:
            raise RowError(
                f"No model of this project has the SHA-256 {sha256[:12]}…. Add the model first."
            )
        if (model.pk, layer, index) not in self.units:
            raise RowError(
                f"{model.name} has no dissected unit {index} in the layer {layer}. "
                "Dissect the layer first."
            )
        return {"model": model, "layer_name": layer, "unit_index": index}

    def _said(self, row: Row, *, blank: bool) -> dict[str, Any]:
        recognisable = _text(row, "recognisable")
        if recognisable not in Label.Recognisable.values and not (blank and not recognisable):
            raise RowError(f"“recognisable” is yes, no or unsure, not “{recognisable}”.")
        try:
            codes = texts_of(row["terms"])
        except ValueError as error:
            raise RowError("“terms” has to be a list of codes.") from error
        # Those that a label or consensus kept from an earlier vocabulary are found as well.
        self.terms |= terms_by_code(self.project, set(codes) - self.terms.keys())
        unknown = [code for code in codes if code not in self.terms]
        if unknown:
            raise RowError(
                f"“{unknown[0]}” is not a term of {self.project.vocabulary}. Add it there first."
            )
        if codes and recognisable != Label.Recognisable.YES:
            raise RowError("Terms go with the answer “yes” only.")
        note = _text(row, "note")
        if len(note) > NOTE_CHARACTERS:
            raise RowError(f"A note has at most {NOTE_CHARACTERS} characters.")
        return {
            "recognisable": recognisable,
            "terms": tuple(self.terms[code] for code in dict.fromkeys(codes)),
            "note": note,
            "question_set": self._question_set(row),
        }

    def _question_set(self, row: Row) -> QuestionSet | None:
        number = _number(row, "question_set")
        if number is not None and number not in self.question_sets:
            raise RowError(f"This project has no question set {number}. Leave the cell empty.")
        return None if number is None else self.question_sets[number]

    def _answers(
        self, row: Row, question_set: QuestionSet | None, class_names: Sequence[str]
    ) -> dict[str, Any]:
        answers = self._json(row, "answers", {})
        if not isinstance(answers, dict):
            raise RowError("“answers” has to be an object, or empty.")
        checked: dict[str, Any] = {}
        for key, value in answers.items():
            checked |= self._answer(key, value, question_set, class_names)
        return checked

    def _answer(
        self, key: str, value: Any, question_set: QuestionSet | None, class_names: Sequence[str]
    ) -> dict[str, Any]:
        """One answer as a label keeps it: fit for the row's own set, or else for an earlier one,
        because labels keep such answers when they go over to a newer set."""
        newest = question_set.number if question_set else max(self.question_sets)
        refused: LabelError | None = None
        for number in sorted(self.question_sets, reverse=True):
            if number <= newest and key in self.asked[number]:
                try:
                    return merged({}, {key: value}, self.question_sets[number], class_names)
                except LabelError as error:
                    refused = refused or error
        if refused:
            raise RowError(f"“answers”: {refused}") from refused
        raise RowError(
            f"“{key}” in “answers” is no question of set {newest} of this project or of an earlier "
            "one. Take it out."
        )

    def _author(self, row: Row) -> User:
        name = _text(row, "author")
        person = self.people.get(name)
        if person is None or person.pk not in self.authors:
            raise RowError(
                f"“{name}” is no expert of this project. Give the account a role in it first."
            )
        return person

    def _decider(self, row: Row) -> User | None:
        name = _text(row, "decided_by")
        if name and name not in self.people:
            raise RowError(f"There is no account “{name}”. Create it, or leave the cell empty.")
        return self.people[name] if name else None

    def _json(self, row: Row, name: str, default: Any) -> Any:
        try:
            return json_of(row.get(name)) or default
        except ValueError as error:
            raise RowError(f"“{name}” is no JSON: {error}.") from error


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise RowError(f"“{name}” has to be a text.")
    return value or ""


def _number(row: Row, name: str) -> int | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    digits = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise RowError(f"“{name}” has to be a whole number from 0.")
    if name == "occasion" and int(digits) > LARGEST_OCCASION:
        raise RowError(f"“occasion” is at most {LARGEST_OCCASION}.")
    return int(digits)


def _time(row: Row, name: str) -> datetime | None:
    text = _text(row, name)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise RowError(f"“{name}” is no time such as 2026-01-31T12:00:00+00:00.") from error
    if time.tzinfo is None:
        raise RowError(f"“{name}” lacks its time zone, such as +00:00.")
    return time


def _is_basis(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    try:
        return all(
            isinstance(entry["author"], str)
            and isinstance(entry["revision"], int)
            and isinstance(entry["state"]["recognisable"], str)
            and all(isinstance(term["code"], str) for term in entry["state"]["terms"])
            for entry in value
        )
    except (KeyError, TypeError):
        return False
