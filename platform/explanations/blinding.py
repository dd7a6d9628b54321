"""What an expert may read of an explanation before having answered the units it speaks of.

Experts answer a unit without knowing what colleagues said about it (`annotation.selectors.Reader`),
and explanations are made of what colleagues said.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from django.core.exceptions import PermissionDenied

from accounts.access import has_role
from accounts.models import Role, User
from annotation.selectors import answered_indexes, reader
from dissections.models import Layer
from explanations.content import Content, Side, unit_label
from explanations.models import Explanation
from explanations.services import labels_of
from explanations.wording import listing


def own_answers(user: User, explanation: Explanation) -> set[int] | None:
    """The units of the layer that a blinded reader has answered; None for who may see everything:
    admins, adjudicators and members who do not label."""
    case = explanation.case
    if not reader(user, case.project).blinded or has_role(user, case.project, Role.ADJUDICATOR):
        return None
    return answered_indexes(user, case.model, explanation.layer.name)


def unanswered_names(explanation: Explanation, answers: Collection[int] | None) -> list[int]:
    """The units that the explanation, finished or not, names and a blinded reader has not answered.

    While there are any, the reader may not see its content. `answers` is as from `own_answers`.
    """
    if answers is None:
        return []
    return [unit.index for unit in labels_of(explanation).named if unit.index not in answers]


def readers_answers(user: User, explanation: Explanation) -> set[int] | None:
    """As `own_answers`, for a user who may read the explanation.

    Raises:
        PermissionDenied: there are units to answer first; the message names them.
    """
    answers = own_answers(user, explanation)
    if waiting := unanswered_names(explanation, answers):
        raise PermissionDenied(why_withheld(explanation.layer, waiting))
    return answers


def readable(content: Content, answers: Collection[int] | None) -> Content:
    """The content without how many colleagues answered the unnamed units that the reader has not.

    For explanations without `unanswered_names`; `answers` is as from `own_answers`.
    """
    if answers is None:
        return content
    units = [unit for unit in content.labels.units if unit.index in answers]
    return replace(
        content,
        labels=replace(content.labels, units=units),
        support=_without_counts(content.support, answers),
        against=_without_counts(content.against, answers),
    )


def why_withheld(layer: Layer, units: Sequence[int]) -> str:
    """What to do before the explanation can be read, as a sentence."""
    labels = listing([unit_label(index, layer.unit_count) for index in units])
    which = f"unit {labels}, which it names" if len(units) == 1 else f"the units it names: {labels}"
    return (
        f"To keep your labels independent, this explanation opens once you have answered {which}."
    )


def _without_counts(side: Side, answers: Collection[int]) -> Side:
    strongest = [
        unit if unit.index in answers else replace(unit, answered=0) for unit in side.rest.strongest
    ]
    return replace(side, rest=replace(side.rest, strongest=strongest))
