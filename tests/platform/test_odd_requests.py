"""Requests that no page or client of ours sends get an answer in words, not an error of ours."""

import pytest
from django.test import Client

from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World, build_world

pytestmark = pytest.mark.django_db

HUGE = "9" * 25


@pytest.fixture
def world() -> World:
    return build_world(images=4, units=4)


@pytest.mark.parametrize("digits", [25, 400, 5000])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_the_api_bounds_limit_and_offset(
    world: World, api_client_of: ApiClientOf, accept: str, digits: int
) -> None:
    client = api_client_of(world.people["expert1"])
    huge = "9" * digits
    for query in ({"limit": huge}, {"offset": huge}, {"limit": huge, "offset": huge}):
        response = client.get("/api/layers/", query, HTTP_ACCEPT=accept)
        assert response.status_code == 200, query
        assert response.data["count"] == len(world.layers)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("projects/%00/", 404),
        (f"models/{HUGE}/", 404),
        ("models/%00/", 404),
        ("models/?project=%00", 400),
        ("models/?sha256=%00", 400),
        ("cases/?patient=%00", 400),
        (f"units/?layer={HUGE}", 200),
        ("units/?layer=1e400", 400),
    ],
)
def test_the_api_answers_odd_values_in_json(
    world: World, api_client_of: ApiClientOf, path: str, status: int
) -> None:
    response = api_client_of(world.people["expert1"]).get(f"/api/{path}")
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["low%00", "%00", "low%00/0"])
def test_a_layer_whose_name_no_database_takes_is_not_found(world: World, path: str) -> None:
    client = Client()
    client.force_login(world.people["expert1"])
    home = f"/p/{world.project.slug}/dissections/{world.dissection.pk}"
    assert client.get(f"{home}/{path}/").status_code == 404


@pytest.mark.parametrize("page", ["units", "cases/", "vocabulary/", "terms/", "jobs/", "catalog/"])
def test_lists_take_any_text_in_their_address(world: World, page: str) -> None:
    client = Client()
    client.force_login(world.people["expert1"])
    home = f"/p/{world.project.slug}"
    layer = f"dissections/{world.dissection.pk}/{world.layer.name}/"
    for name in ("q", "sort", "show", "page", "model", "patient", "predicted"):
        response = client.get(f"{home}/{layer if page == 'units' else page}?{name}=a%00b")
        assert response.status_code == 200, name
