"""What the label form of a unit shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse

from accounts.models import User
from annotation import answers, questions, selectors
from annotation.models import Label
from annotation.questions import Kind, Question
from catalog.models import Project
from dissections.models import Unit

# Each kind's part of the form, and what of it a save draws anew; typed text is left alone.
TEMPLATES: Final = {
    Kind.RECOGNISABLE: ("annotation/_answer.html", "annotation/_answer.html"),
    Kind.TERMS: ("annotation/_term_question.html", "annotation/_terms.html"),
    Kind.CONFIDENCE: ("annotation/_confidence.html", "annotation/_confidence.html"),
    Kind.NOTE: ("annotation/_note_question.html", "annotation/_note.html"),
    Kind.TEXT: ("annotation/_text_question.html", "annotation/_text.html"),
}
OPTIONS_TEMPLATE: Final = ("annotation/_options_question.html",) * 2
TYPED: Final = (Kind.NOTE, Kind.TEXT)
MANY: Final = (Kind.CHOICES, Kind.ASSOCIATION)
# Letters that lead to a question; digits then choose within it.
OWN_LETTERS: Final = {questions.PHENOMENA: "p", "association": "f"}
LETTERS: Final = "qxrlob"


@dataclass(frozen=True)
class FormUrls:
    """Where the form posts. `early_look` is None on pages that have no statistics to open."""

    save: str
    undo: str
    early_look: str | None


@dataclass(frozen=True)
class Option:
    """One answer to choose; `alone` excludes all others; `key` is the digit that chooses it."""

    value: str
    name: str
    chosen: bool
    key: str
    alone: bool = False


@dataclass(frozen=True)
class ShownQuestion:
    """A question with the present answer: `options` to choose from, or the `text` given."""

    question: Question
    letter: str
    options: list[Option]
    text: str

    @property
    def template(self) -> str:
        return TEMPLATES.get(self.question.kind, OPTIONS_TEMPLATE)[0]

    @property
    def renewed(self) -> str:
        return TEMPLATES.get(self.question.kind, OPTIONS_TEMPLATE)[1]

    @property
    def typed(self) -> bool:
        return self.question.kind in TYPED

    @property
    def many(self) -> bool:
        return self.question.kind in MANY


def unit_urls(project: Project, unit: Unit) -> FormUrls:
    """The routes of the unit's own page."""
    place = [project.slug, unit.layer.dissection_id, unit.layer.name, unit.index]
    return FormUrls(
        reverse("unit-label", args=place),
        reverse("unit-label-undo", args=place),
        reverse("unit-early-look", args=place),
    )


def label_panel(
    user: User, project: Project, unit: Unit, *, occasion: int = 0, urls: FormUrls | None = None
) -> dict[str, Any]:
    """Context of `annotation/_form.html`; the form posts to `urls`, or to the unit's own routes."""
    label = selectors.own_label(user, unit, occasion)
    return {
        **label_state(project, unit, label),
        "urls": urls or unit_urls(project, unit),
        "recent_terms": selectors.recent_terms(user, project),
    }


def label_state(project: Project, unit: Unit, label: Label | None) -> dict[str, Any]:
    """The part of the form's context that a save can change."""
    history = selectors.history(label) if label else []
    asked = questions.questions_of(questions.current(project))
    return {
        "label": label,
        "terms": list(label.terms.all()) if label else [],
        "answered": selectors.is_answered(label),
        "lacking": [
            question.title for question in asked if label and question.key in answers.lacking(label)
        ],
        "history": history,
        "can_undo": any(entry.standing for entry in history),
        "recognisable_choices": Label.Recognisable.choices,
        "confidences": Label.Confidence.choices,
        "questions": list(
            shown_questions(
                asked, label.answers if label else {}, unit.layer.dissection.model.class_names
            )
        ),
    }


def shown_questions(
    asked: Sequence[Question], given: Mapping[str, Any], class_names: Sequence[str]
) -> Iterator[ShownQuestion]:
    """The questions as the form shows them, with the given answers."""
    letters = iter(LETTERS)
    for question in asked:
        further = question.key not in questions.FIELDS_OF_LABEL
        answer = given.get(question.key)
        letter = OWN_LETTERS.get(question.key) or (next(letters, "") if further else "")
        yield ShownQuestion(
            question=question,
            letter=letter,
            options=_options(question, answer, class_names),
            text=answer if isinstance(answer, str) else "",
        )


def _options(question: Question, answer: Any, class_names: Sequence[str]) -> list[Option]:
    chosen = answer if isinstance(answer, list) else [answer]
    match question.kind:
        case Kind.CHOICE | Kind.CHOICES:
            named = [(choice, choice) for choice in question.choices]
        case Kind.SCALE:
            named = [(str(step), str(step)) for step in range(1, question.steps + 1)]
            chosen = [str(answer)]
        case Kind.ASSOCIATION:
            named = [(name, name) for name in class_names]
            chosen = answer if isinstance(answer, list) else []
        case _:
            return []
    options = [
        Option(value, name, value in chosen, _digit(number))
        for number, (value, name) in enumerate(named, start=1)
    ]
    if question.kind == Kind.ASSOCIATION:
        options += [
            Option(value, name, answer == value, _digit(len(named) + number), alone=True)
            for number, (value, name) in enumerate(answers.ALONE.items(), start=1)
        ]
    return options


def _digit(number: int) -> str:
    return str(number % 10) if number <= 10 else ""
