"""A project with one of everything, and the addresses that lead to it."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.test import Client
from django.urls import get_resolver, reverse
from rest_framework.test import APIClient

from accounts.models import Membership, Role, User
from annotation.models import TermProposal
from annotation.moving import use_vocabulary
from annotation.services import save_label
from catalog.vocabulary_services import copy_vocabulary
from explanations.content import Content, from_json
from tests.platform.case_world import finished, first_case, name_unit, world_with_cases
from tests.platform.factories import World
from tests.platform.routes import Route


@dataclass
class Stage:
    """A project with one of everything, and the arguments of addresses that lead to it."""

    world: World
    people: dict[str, User]
    samples: dict[str, Any]
    sessions: dict[str, str] = field(default_factory=dict)

    def address(self, route: Route) -> str:
        kwargs = {
            name: self.samples[route.arguments.get(name, name)] for name in _arguments(route.name)
        }
        return reverse(route.name, kwargs=kwargs) + route.query.format(**self.samples)

    def client(self, person: str, *, api: bool) -> Client:
        client = APIClient() if api else Client()
        if person != "anonymous":
            client.cookies[settings.SESSION_COOKIE_NAME] = self.session(person)
        return client

    def session(self, person: str) -> str:
        """Signing in takes longer than most requests: each person does it once."""
        if person not in self.sessions:
            client = Client()
            client.force_login(self.people[person])
            self.sessions[person] = client.cookies[settings.SESSION_COOKIE_NAME].value
        return self.sessions[person]


def build_stage() -> Stage:
    world = world_with_cases(images=3)
    project = world.project
    name_unit(world, 0, who="expert2")
    own = copy_vocabulary(project=project, source=project.vocabulary, user=None)
    use_vocabulary(project=project, vocabulary=own)
    project.refresh_from_db()
    label = save_label(
        user=world.people["expert2"], model=world.model, layer_name="layer4", unit_index=1,
        recognisable="no",
    )  # fmt: skip
    explanation = finished(world)
    assert explanation.job is not None
    people = {
        "superuser": User.objects.create_superuser("operator"),
        "admin": world.people["admin"],
        "adjudicator": User.objects.create_user("judge"),
        "expert": world.people["expert1"],
        "clinician": world.people["clinician"],
        "outsider": world.people["outsider"],
    }
    Membership.objects.create(project=project, user=people["adjudicator"], role=Role.ADJUDICATOR)
    world.model.layers = [
        {"name": "layer4", "units": 8, "height": 6, "width": 5, "depth_index": 0,
         "is_head_input": True, "nonnegative": True}
    ]  # fmt: skip
    world.model.preprocessing = {"input_size": [64, 48], "channels": 1, "mean": [0], "std": [1]}
    world.model.save()
    proposal = TermProposal.objects.create(
        project=project, name="Halo", label=label, proposed_by=world.people["expert2"]
    )
    image = world.dataset.images.first()
    assert image is not None
    unit = world.unit(0)
    samples = {
        "slug": project.slug,
        "dissection": world.dissection.pk,
        "layer": "layer4",
        "layer_pk": world.layer.pk,
        "unit": unit.index,
        "unit_pk": unit.pk,
        "rank": 0,
        "model": world.model.pk,
        "dataset": world.dataset.pk,
        "image": image.pk,
        "case": first_case(world).pk,
        "explanation": explanation.pk,
        "key": from_json(Content, explanation.content).findings()[0].key,
        "job": explanation.job.pk,
        "label": label.pk,
        "vocabulary": own.pk,
        "term": own.terms.get(code="other.vessel").pk,
        "proposal": proposal.pk,
    }
    stage = Stage(world, people, samples)
    for person in people:
        stage.session(person)
    return stage


def _arguments(name: str) -> list[str]:
    """Names of the arguments of a route."""
    [(_, arguments), *_] = get_resolver().reverse_dict.getlist(name)[0][0]
    return list(arguments)
