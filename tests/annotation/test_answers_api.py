"""Question sets and answers through the API."""

import pytest
from rest_framework.test import APIClient

from annotation import questions
from annotation.questions import DEFAULT, Kind, Question
from annotation.services import save_label
from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World

WHY = Question("why", Kind.TEXT, "Why?")


@pytest.fixture
def client_of(world: World, api_client_of: ApiClientOf) -> dict[str, APIClient]:
    return {name: api_client_of(user) for name, user in world.people.items()}


def test_answers_are_written_and_read_with_the_set_they_were_given_under(
    world: World, client_of: dict[str, APIClient]
) -> None:
    questions.revise(world.project, [*DEFAULT, WHY], world.people["admin"])
    place = {"model": world.model.pk, "layer_name": "layer4", "unit_index": 0}
    body = place | {"answers": {"why": "lines", "association": ["benign"]}}
    made = client_of["expert1"].post("/api/labels/", body, format="json")
    assert made.status_code == 201
    label = made.json()
    assert (label["answers"], label["question_set"]) == (body["answers"], 2)
    address = f"/api/labels/{label['id']}/"
    back = client_of["expert1"].patch(address, {"answers": {"why": None}}, format="json")
    assert back.json()["answers"] == {"association": ["benign"]}
    odd = client_of["expert1"].patch(address, {"answers": {"why": 7}}, format="json")
    assert odd.status_code == 400
    assert "Why?" in odd.json()["detail"]


def test_question_sets_are_read_by_members_and_by_nobody_else(
    world: World, client_of: dict[str, APIClient]
) -> None:
    questions.revise(world.project, [*DEFAULT, WHY], world.people["admin"])
    for who, numbers in (("clinician", [1, 2]), ("outsider", [])):
        found = client_of[who].get("/api/question-sets/", {"project": world.project.slug}).json()
        assert [entry["number"] for entry in found["results"]] == numbers
    assert client_of["admin"].post("/api/question-sets/", {}, format="json").status_code == 405


def test_an_open_project_shows_colleagues_labels_and_a_blind_one_does_not(
    world: World, client_of: dict[str, APIClient]
) -> None:
    save_label(
        user=world.people["expert2"],
        model=world.model,
        layer_name="layer4",
        unit_index=0,
        recognisable="no",
    )
    assert client_of["expert1"].get("/api/labels/").json()["count"] == 0
    world.project.blinded = False
    world.project.save()
    seen = client_of["expert1"].get("/api/labels/").json()["results"]
    assert [label["author"] for label in seen] == ["expert2"]
    address = f"/api/labels/{seen[0]['id']}/"
    assert client_of["expert1"].patch(address, {"note": "x"}, format="json").status_code == 403
    assert client_of["outsider"].get("/api/labels/").json()["count"] == 0
