"""Experts answer units before they read what colleagues called them, in explanations too."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role
from annotation.services import save_label
from tests.platform.case_world import finished, first_case, name_unit, requested, world_with_cases
from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World

NOTICE = "To keep your labels independent, this explanation opens once you have answered the"
NAME = "spiculated margin"


@pytest.fixture
def world(db: None) -> World:
    """Two units that only expert1 has named."""
    world = world_with_cases()
    name_unit(world, 0)
    name_unit(world, 2)
    return world


def page(client: Client, world: World, who: str) -> str:
    client.force_login(world.people[who])
    url = reverse("case", args=[world.project.slug, first_case(world).pk])
    return client.get(url).content.decode()


def unit_url(world: World, index: int) -> str:
    return reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", index])


def test_the_page_opens_when_the_expert_has_answered_the_named_units(
    world: World, client: Client
) -> None:
    requested(world)
    assert f"{NOTICE} 2 units" in page(client, world, "expert2"), "not only when it is finished"
    finished(world)
    html = page(client, world, "expert2")
    assert f"{NOTICE} 2 units" in html
    assert unit_url(world, 0) in html
    assert unit_url(world, 2) in html
    assert "83" in html, "the prediction stays"
    assert NAME not in html
    assert "Ada Reyes" not in html
    assert "explanation-map" not in html

    name_unit(world, 0, who="expert2")
    finished(world)
    html = page(client, world, "expert2")
    assert f"{NOTICE} unit it names" in html
    assert unit_url(world, 0) not in html
    name_unit(world, 2, who="expert2")
    finished(world)
    html = page(client, world, "expert2")
    assert NOTICE not in html
    assert NAME in html


def test_others_read_everything_at_once(world: World, client: Client) -> None:
    finished(world)
    Membership.objects.create(
        project=world.project, user=world.people["outsider"], role=Role.ADJUDICATOR
    )
    for who in ("expert1", "clinician", "admin", "outsider"):
        html = page(client, world, who)
        assert NOTICE not in html, who
        assert NAME in html, who


def test_that_colleagues_looked_at_an_unnamed_unit_is_kept_back(
    world: World, client: Client
) -> None:
    save_label(
        user=world.people["expert1"],
        model=world.model,
        layer_name="layer4",
        unit_index=5,
        recognisable="no",
    )
    for unit in (0, 2):
        name_unit(world, unit, who="expert2")
    finished(world)
    assert "1 expert looked, no agreed name" in page(client, world, "expert1")
    html = page(client, world, "expert2")
    assert "Name this unit" in html
    assert "looked, no agreed name" not in html


def test_maps_are_kept_back_too(world: World, client: Client) -> None:
    explanation = finished(world)
    url = reverse("explanation-map", args=[world.project.slug, explanation.pk, "for-1"])
    client.force_login(world.people["expert2"])
    assert client.get(url).status_code == 403
    client.force_login(world.people["expert1"])
    assert client.get(url).status_code == 200


def test_the_api_keeps_the_content_back_and_says_why(
    world: World, api_client_of: ApiClientOf
) -> None:
    explanation = finished(world)
    url = f"/api/explanations/{explanation.pk}/"
    kept = api_client_of(world.people["expert2"]).get(url).json()
    assert kept["content"] is None
    assert kept["withheld"] == f"{NOTICE} units it names: 0 and 2."
    body = {"case": explanation.case_id, "layer": explanation.layer_id, "target": 2}
    client = api_client_of(world.people["expert2"])
    assert client.post("/api/explanations/", body, format="json").json() == kept
    given = api_client_of(world.people["expert1"]).get(url).json()
    assert given["withheld"] is None
    assert given["content"]["support"]["findings"]
    for who in ("clinician", "admin"):
        full = api_client_of(world.people[who]).get(url).json()
        assert full["content"] == explanation.content
