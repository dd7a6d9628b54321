"""Answers to the further questions of a set: what may be kept in Label.answers, and how it reads.

By kind: choice a text, choices a list of texts, scale an integer from 1, text a text, association
a list of class names or one of the words "none" and "unsure".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation.errors import LabelError
from annotation.models import Label, QuestionSet
from annotation.questions import ALWAYS_ASKED, FIELDS_OF_LABEL, Kind, Question, questions_of
from catalog.importing.text import is_storable

ALONE: Final = {"none": "None of them", "unsure": "Unsure"}
LONGEST_TEXT = 4000


def merged(
    before: Mapping[str, Any],
    changes: Mapping[str, Any],
    question_set: QuestionSet,
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Earlier answers with some changed. None, "" and [] take an answer back.

    Answers to questions that the set no longer asks stay: they belong to an earlier set.

    Raises:
        LabelError: the set has no such question, or the answer does not fit it.
    """
    questions = {question.key: question for question in questions_of(question_set)}
    answers = dict(before)
    for key, value in changes.items():
        if key not in questions or key in FIELDS_OF_LABEL:
            raise LabelError(
                f"“{key}” is not asked by {question_set} of this project. Reload the page to see "
                "what is asked now."
            )
        checked = _checked(questions[key], value, class_names)
        if checked is None:
            answers.pop(key, None)
        else:
            answers[key] = checked
    return answers


def lacking(label: Label) -> list[str]:
    """Keys of the required questions that a label with the answer "yes" leaves open.

    Beside "no" and "unsure" nothing more is required: either is a whole answer.
    """
    if label.question_set is None or label.recognisable != Label.Recognisable.YES:
        return []
    given = {**label.answers, "confidence": label.confidence, "note": label.note}
    required = [entry["key"] for entry in label.question_set.questions if entry["required"]]
    return [key for key in required if key not in ALWAYS_ASKED and not given.get(key)]


def told(label: Label) -> list[tuple[str, str]]:
    """The label's further answers as people read them: (question, answer), as its set asks."""
    if label.question_set is None:
        return []
    return [
        (question.title, in_words(label.answers[question.key]))
        for question in questions_of(label.question_set)
        if question.key in label.answers
    ]


def in_words(value: Any) -> str:
    """An answer as people read it."""
    if isinstance(value, list):
        return ", ".join(value)
    return ALONE.get(value, str(value))


def _checked(question: Question, value: Any, class_names: Sequence[str]) -> Any:
    if value is None or value in ("", []):
        return None
    match question.kind:
        case Kind.CHOICE:
            return _one_of(question, value, question.choices)
        case Kind.CHOICES:
            return _some_of(question, value, question.choices)
        case Kind.ASSOCIATION:
            if isinstance(value, str):
                return _one_of(question, value, list(ALONE))
            return _some_of(question, value, class_names)
        case Kind.SCALE:
            if type(value) is not int or not 1 <= value <= question.steps:
                raise LabelError(f"“{question.title}” takes a number from 1 to {question.steps}.")
            return value
        case _:
            if not isinstance(value, str) or len(value) > LONGEST_TEXT:
                raise LabelError(f"“{question.title}” takes at most {LONGEST_TEXT} characters.")
            if not is_storable(value):
                raise LabelError(f"“{question.title}” holds characters that are no text.")
            return value.strip() or None


def _one_of(question: Question, value: Any, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise _no_choice(question, value, choices)
    return value


def _some_of(question: Question, values: Any, choices: Sequence[str]) -> list[str]:
    if not isinstance(values, list):
        raise LabelError(f"“{question.title}” takes a list of answers.")
    for value in values:
        _one_of(question, value, choices)
    return [choice for choice in choices if choice in values]


def _no_choice(question: Question, value: Any, choices: Sequence[str]) -> LabelError:
    return LabelError(
        f"“{value}” is no answer to “{question.title}”; choose from {', '.join(choices)}."
    )
