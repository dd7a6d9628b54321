"""A project with one of everything, and the addresses that lead to it."""

import io
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver, reverse
from PIL import Image as Picture
from rest_framework.test import APIClient

from accounts.models import Membership, Role, User
from annotation import questions
from annotation.agreement.consensus import Answer, adjudicate
from annotation.models import Label, TermProposal
from annotation.moving import use_vocabulary
from annotation.services import save_label
from catalog.vocabulary_services import copy_vocabulary
from explanations.content import Content, from_json
from explanations.evaluation.services import complete, start_evaluation
from explanations.models import Case, ReaderTest, ReaderTestAnswer
from explanations.reader_tests.services import answer, create_test
from explanations.uploading import upload_case
from tests.annotation.reading_world import make_list, take
from tests.platform.case_world import finished, first_case, name_unit, world_with_cases
from tests.platform.evaluating import calibration, result
from tests.platform.factories import World, draw_image
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
    people = _people(world)
    label = save_label(
        user=world.people["expert2"], model=world.model, layer_name="layer4", unit_index=1,
        recognisable="no",
    )  # fmt: skip
    world.model.layers = [
        {"name": "layer4", "units": 8, "height": 6, "width": 5, "depth_index": 0,
         "is_head_input": True, "nonnegative": True}
    ]  # fmt: skip
    world.model.preprocessing = {"input_size": [64, 48], "channels": 1, "mean": [0], "std": [1]}
    world.model.save()
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
        "label": label.pk,
        "vocabulary": own.pk,
        "term": own.terms.get(code="other.vessel").pk,
        **_annotation(world, people, label),
        **_explanations(world),
        **_evaluation(world),
        "run": _uploaded(world, people["clinician"]),
        "test": _reader_test(world, people).pk,
    }
    stage = Stage(world, people, samples)
    for person in people:
        stage.session(person)
    return stage


def _people(world: World) -> dict[str, User]:
    people = {
        "superuser": User.objects.create_superuser("operator"),
        "admin": world.people["admin"],
        "adjudicator": User.objects.create_user("judge"),
        "expert": world.people["expert1"],
        "clinician": world.people["clinician"],
        "outsider": world.people["outsider"],
    }
    Membership.objects.create(
        project=world.project, user=people["adjudicator"], role=Role.ADJUDICATOR
    )
    return people


def _annotation(world: World, people: dict[str, User], label: Label) -> dict[str, Any]:
    """A proposed term, a settled unit, and a list of which the expert has opened a unit."""
    proposal = TermProposal.objects.create(
        project=world.project, name="Halo", label=label, proposed_by=label.author
    )
    consensus = adjudicate(
        user=people["adjudicator"], model=world.model, layer_name="layer4", unit_index=1,
        answer=Answer(Label.Recognisable.NO),
    )  # fmt: skip
    reading_list = make_list(world, "expert1", units=3, assisted=True)
    return {
        "proposal": proposal.pk,
        "consensus": consensus.pk,
        "kind": "labels",
        "question_set": questions.current(world.project).pk,
        "reading_list": reading_list.pk,
        "reading": take(reading_list, people["expert"]).pk,
    }


def _explanations(world: World) -> dict[str, Any]:
    """Explanations of all cases, so that readers can be tested on them."""
    first = first_case(world)
    for case in Case.objects.filter(model=world.model).exclude(pk=first.pk):
        finished(world, case, target=case.predicted)
    explanation = finished(world)
    assert explanation.job is not None
    return {
        "case": first.pk,
        "explanation": explanation.pk,
        "key": from_json(Content, explanation.content).findings()[0].key,
        "form": "json",
        "job": explanation.job.pk,
    }


def _evaluation(world: World) -> dict[str, Any]:
    report = {"findings": [{"code": "mass", "descriptors": []}]}
    world.dataset.images.update(split="test", report=report)
    evaluation = start_evaluation(
        project=world.project, layer=world.layer, dataset=world.dataset, split="test", user=None
    )
    fitted = calibration(world)
    complete(evaluation, result(), fitted)
    return {"evaluation": evaluation.pk, "suffix": "csv", "calibration": fitted.pk}


def _uploaded(world: World, user: User) -> int:
    """The run over an uploaded image, which waits for its prediction."""
    stream = io.BytesIO()
    Picture.fromarray(draw_image(90, (96, 72))).save(stream, "PNG")
    file = SimpleUploadedFile("scan.png", stream.getvalue())
    return upload_case(project=world.project, model=world.model, file=file, user=user).pk


def _reader_test(world: World, people: dict[str, User]) -> ReaderTest:
    """The clinician has finished it, and the admin is about to begin."""
    test = create_test(
        project=world.project,
        model=world.model,
        name="Pilot",
        cases_per_class=1,
        readers=[people["admin"], people["clinician"]],
        seed=0,
        user=people["admin"],
    )
    test.answers.update(seen=ReaderTestAnswer.Seen.BOTH)
    for turn in test.answers.filter(reader=people["clinician"]):
        answer(turn=turn, guess=0)
    return test


def _arguments(name: str) -> list[str]:
    """Names of the arguments of a route."""
    [(_, arguments), *_] = get_resolver().reverse_dict.getlist(name)[0][0]
    return list(arguments)
