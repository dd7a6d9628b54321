"""What experts are asked about a unit: the questions of a project, in numbered sets.

A set is never changed: `revise` makes the next one, and labels keep the set they were given under.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain, count
from typing import Any, Final

from django.db import transaction
from django.utils.text import slugify

from accounts.models import User
from annotation.errors import QuestionError
from annotation.models import QuestionSet
from catalog.models import Project


class Kind(StrEnum):
    """How a question is answered. The first five belong to the built-in questions alone."""

    RECOGNISABLE = "recognisable"
    TERMS = "terms"
    ASSOCIATION = "association"
    CONFIDENCE = "confidence"
    NOTE = "note"
    CHOICE = "choice"
    CHOICES = "choices"
    SCALE = "scale"
    TEXT = "text"


CUSTOM_KINDS: Final = {
    Kind.CHOICE: "One of several answers",
    Kind.CHOICES: "Any of several answers",
    Kind.SCALE: "A scale from 1",
    Kind.TEXT: "Free text",
}
PHENOMENA: Final = "phenomena"
MOST_QUESTIONS = 20
MOST_CHOICES = 20
MOST_STEPS = 10
LONGEST = {"key": 60, "title": 160, "help": 400, "choice": 80}


@dataclass(frozen=True)
class Question:
    """One question. `choices` are the answers of choice and choices, `steps` is the top of scale.

    An association is answered with the classes of the model, so it has no choices of its own.
    """

    key: str
    kind: Kind
    title: str
    help: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    steps: int = 0

    @property
    def built_in(self) -> bool:
        return self.key in BUILT_IN

    @property
    def always_asked(self) -> bool:
        return self.key in ALWAYS_ASKED


DEFAULT: Final = (
    Question("recognisable", Kind.RECOGNISABLE, "Is something recognisable?", required=True),
    Question("terms", Kind.TERMS, "What is it?", required=True),
    Question(PHENOMENA, Kind.CHOICE, "One phenomenon or several?", choices=("one", "several")),
    Question("association", Kind.ASSOCIATION, "Which class does it speak for?"),
    Question("confidence", Kind.CONFIDENCE, "How sure are you?"),
    Question("note", Kind.NOTE, "Note"),
)
BUILT_IN: Final = {question.key: question for question in DEFAULT}
ALWAYS_ASKED: Final = ("recognisable", "terms")
# Their answers are fields of Label; those of all others are in Label.answers.
FIELDS_OF_LABEL: Final = frozenset({"recognisable", "terms", "confidence", "note"})


def current(project: Project) -> QuestionSet:
    """The set that labels are given under now; the default becomes number 1 on first use."""
    latest = project.question_sets.last()
    if latest is None:
        latest, _ = QuestionSet.objects.get_or_create(
            project=project, number=1, defaults={"questions": as_json(DEFAULT)}
        )
    return latest


def questions_of(question_set: QuestionSet) -> list[Question]:
    return parse(question_set.questions)


@transaction.atomic
def revise(project: Project, questions: Sequence[Question], user: User) -> QuestionSet:
    """Ask these questions from now on: the next number, or the current set where nothing changed.

    Labels that were given before keep their set.

    Raises:
        QuestionError: see `parse`.
    """
    content = as_json(parse(as_json(questions)))
    Project.objects.select_for_update().get(pk=project.pk)
    latest = current(project)
    if latest.questions == content:
        return latest
    return QuestionSet.objects.create(
        project=project, number=latest.number + 1, questions=content, created_by=user
    )


def as_json(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """As a question set keeps them; `parse` reads it."""
    return [{**asdict(question), "choices": list(question.choices)} for question in questions]


def parse(content: Any) -> list[Question]:
    """The questions of a set, in order.

    Raises:
        QuestionError: not a list of questions, a question that cannot be asked, a key twice, or
            one of the two that are always asked is missing or out of place.
    """
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise QuestionError("A question set is a list of questions.")
    if len(content) > MOST_QUESTIONS:
        raise QuestionError(f"A question set has at most {MOST_QUESTIONS} questions.")
    questions = [_question(entry) for entry in content]
    keys = [question.key for question in questions]
    if tuple(keys[: len(ALWAYS_ASKED)]) != ALWAYS_ASKED:
        raise QuestionError(
            "What is recognisable and its terms are always asked, in this order and first."
        )
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise QuestionError(f"The key {twice[0]} is used twice.")
    return questions


def keys_ever_used(project: Project) -> list[str]:
    return sorted(
        {entry["key"] for asked in project.question_sets.all() for entry in asked.questions}
    )


def new_key(title: str, taken: Sequence[str]) -> str:
    """A key for a question of an admin, made from its title and used by no other."""
    stem = slugify(title)[: LONGEST["key"] - 6] or "question"
    numbered = (f"{stem}-{number}" for number in count(2))
    return next(key for key in chain([stem], numbered) if key not in {*taken, *BUILT_IN})


def _question(entry: Mapping[str, Any]) -> Question:
    title = _text(entry, "title")
    if not title:
        raise QuestionError("Every question needs words: one has none.")
    key = _text(entry, "key")
    if not re.fullmatch(r"[a-z0-9_-]+", key):
        raise QuestionError(f"“{title}” needs a key of small letters, digits and dashes.")
    kind = entry.get("kind")
    if kind not in list(Kind):
        raise QuestionError(f"“{title}” is of no known kind; there are {', '.join(Kind)}.")
    if key in BUILT_IN:
        return _built_in(entry, BUILT_IN[key], title)
    if kind not in CUSTOM_KINDS:
        raise QuestionError(f"“{title}”: the kind {kind} belongs to a question of Unitscope’s own.")
    return Question(
        key=key,
        kind=Kind(kind),
        title=title,
        help=_text(entry, "help"),
        required=entry.get("required") is True,
        choices=_choices(entry, title) if kind in (Kind.CHOICE, Kind.CHOICES) else (),
        steps=_steps(entry, title) if kind == Kind.SCALE else 0,
    )


def _built_in(entry: Mapping[str, Any], default: Question, title: str) -> Question:
    if entry["kind"] != default.kind:
        raise QuestionError(f"“{title}”: the key {default.key} is of the kind {default.kind}.")
    return Question(
        key=default.key,
        kind=default.kind,
        title=title,
        help=_text(entry, "help"),
        required=default.always_asked or entry.get("required") is True,
        choices=default.choices,
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise QuestionError(f"The {name} of a question is a text.")
    value = value.strip()
    if len(value) > LONGEST[name]:
        raise QuestionError(f"“{value[:40]}…” is too long: at most {LONGEST[name]} characters.")
    return value


def _choices(entry: Mapping[str, Any], title: str) -> tuple[str, ...]:
    given = entry.get("choices", [])
    if not isinstance(given, list) or not all(isinstance(choice, str) for choice in given):
        raise QuestionError(f"“{title}”: its answers are a list of texts.")
    choices = tuple(choice.strip() for choice in given if choice.strip())
    if not 2 <= len(choices) <= MOST_CHOICES:
        raise QuestionError(f"“{title}” needs 2 to {MOST_CHOICES} answers to choose from.")
    if len(set(choices)) < len(choices):
        raise QuestionError(f"“{title}” has the same answer twice.")
    if any(len(choice) > LONGEST["choice"] for choice in choices):
        raise QuestionError(f"“{title}”: an answer has at most {LONGEST['choice']} characters.")
    return choices


def _steps(entry: Mapping[str, Any], title: str) -> int:
    steps = entry.get("steps")
    if not isinstance(steps, int) or not 2 <= steps <= MOST_STEPS:
        raise QuestionError(f"“{title}”: a scale goes from 1 to a number from 2 to {MOST_STEPS}.")
    return steps
