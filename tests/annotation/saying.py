"""Shorthand for answers and decisions in the tests of agreement."""

from typing import Any

from accounts.models import Membership, Role, User
from annotation.agreement.consensus import Answer, adjudicate
from annotation.models import Consensus, Label
from annotation.services import save_label
from tests.platform.factories import World

SPICULATED, CIRCUMSCRIBED = "mass.margin.spiculated", "mass.margin.circumscribed"
VESSEL, SKIN = "other.vessel", "other.skin"


def say(world: World, who: str, unit: int, *terms: str, **changes: Any) -> Label:
    """`who` answers a unit of layer4 with these terms, or as `changes` say."""
    if terms:
        changes["term_codes"] = terms
    return save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        **changes,
    )


def settle(
    world: World, who: str, unit: int, *terms: str, recognisable: str = "yes", note: str = "Seen."
) -> Consensus:
    return adjudicate(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        answer=Answer(recognisable, frozenset(terms)),
        note=note,
    )


def add_adjudicator(world: World) -> User:
    """Makes the outsider an adjudicator of the project."""
    person = world.people["outsider"]
    Membership.objects.create(project=world.project, user=person, role=Role.ADJUDICATOR)
    world.people["adjudicator"] = person
    return person
