import re

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Membership, Role
from annotation.services import save_label
from catalog.models import ImportState
from jobs.models import Job
from tests.platform.factories import World, build_world


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=3, units=4)


def test_signing_in_and_out(world: World, client: Client) -> None:
    start = client.get("/")
    assert start.url == "/login/?next=/"  # type: ignore[attr-defined]
    form = {"username": "expert1", "password": "unitscope", "next": "/p/study/"}
    assert client.post("/login/", form).url == "/p/study/"  # type: ignore[attr-defined]
    assert client.get("/login/").url == "/"  # type: ignore[attr-defined]
    assert client.get("/logout/").status_code == 405, "a link must not sign anybody out"
    assert client.post("/logout/").url == "/login/"  # type: ignore[attr-defined]
    assert client.get("/").status_code == 302


def test_a_wrong_password_is_explained_and_never_echoed(world: World, client: Client) -> None:
    response = client.post("/login/", {"username": "expert1", "password": "s3cret-guess"})
    html = response.content.decode()
    assert "do not belong together" in html
    assert 'value="expert1"' in html
    assert "s3cret-guess" not in html


def test_signing_in_leads_nowhere_else(world: World, client: Client) -> None:
    form = {"username": "expert1", "password": "unitscope", "next": "https://example.org/"}
    assert client.post("/login/", form).url == "/"  # type: ignore[attr-defined]


def test_home_goes_straight_into_a_single_project(world: World, client: Client) -> None:
    client.force_login(world.people["expert1"])
    assert client.get("/").url == "/p/study/"  # type: ignore[attr-defined]


def test_home_lists_projects_with_progress(world: World, client: Client) -> None:
    build_world(images=3, units=2, slug="second")
    _say_no(world, 0)
    client.force_login(world.people["expert1"])
    with CaptureQueriesContext(connection) as queries:
        html = client.get("/").content.decode()
    assert len(queries) <= 6
    assert "1 of 6" in html
    assert "0 of 3" in html


def test_home_without_a_project_says_whom_to_ask(world: World, client: Client) -> None:
    client.force_login(world.people["outsider"])
    assert "You are in no project yet" in client.get("/").content.decode()


def test_the_project_page_leads_to_the_next_unit(world: World, client: Client) -> None:
    client.force_login(world.people["expert1"])
    for unit in world.layer.units.order_by("-influence_max")[:1]:
        _say_no(world, unit.index)
    html = client.get("/p/study/").content.decode()
    assert "3 units of layer4 wait for your answer" in html
    second = world.layer.units.order_by("-influence_max", "index")[1].index
    assert f'href="/p/study/dissections/{world.dissection.pk}/layer4/{second}/"' in html
    assert "1 of 4" in html


def test_when_all_is_answered_cases_come_next(world: World, client: Client) -> None:
    client.force_login(world.people["expert1"])
    for layer, count in (("layer4", 4), ("layer3", 2)):
        for unit in range(count):
            _say_no(world, unit, layer)
    assert "Read the explanations" in client.get("/p/study/").content.decode()


def test_clinicians_are_led_to_cases(world: World, client: Client) -> None:
    client.force_login(world.people["clinician"])
    html = client.get("/p/study/").content.decode()
    assert "Read the explanations" in html
    assert "By you" not in html


def test_an_empty_project_says_what_to_do_first(world: World, client: Client) -> None:
    world.dissection.delete()
    client.force_login(world.people["admin"])

    def step() -> str:
        found = re.search(r'id="step-title">([^<]+)<', client.get("/p/study/").content.decode())
        assert found
        return found[1]

    assert step() == "Dissect the model"
    world.dataset.delete()
    assert step() == "Add a dataset"
    world.model.state = ImportState.REFUSED
    world.model.save()
    assert step() == "Add a model"
    client.force_login(world.people["expert1"])
    assert step() == "Nothing to label yet"


def test_running_jobs_are_shown(world: World, client: Client) -> None:
    Job.objects.create(
        project=world.project,
        kind=Job.Kind.DISSECT,
        title="Dissect it once more",
        target_id=world.dissection.pk,
        state=Job.State.RUNNING,
        done=3,
        total=10,
        stage="Reading images",
    )
    client.force_login(world.people["expert1"])
    html = client.get("/p/study/").content.decode()
    assert "Dissect it once more" in html
    assert "3 of 10" in html
    world.dissection.delete()
    assert "The model is being dissected" in client.get("/p/study/").content.decode()


def test_members_of_other_projects_find_nothing(world: World, client: Client) -> None:
    client.force_login(world.people["outsider"])
    response = client.get("/p/study/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    Membership.objects.create(
        project=world.project, user=world.people["outsider"], role=Role.CLINICIAN
    )
    assert client.get("/p/study/").status_code == 200


def test_a_refusal_and_a_crash_have_pages_of_their_own(world: World, client: Client) -> None:
    client.force_login(world.people["clinician"])
    url = reverse("unit-label", args=["study", world.dissection.pk, "layer4", 0])
    refusal = client.post(url)
    assert refusal.status_code == 403
    assert "This needs the role" in refusal.content.decode()
    assert "What you saved before is safe" in render_to_string("500.html")


def _say_no(world: World, unit: int, layer: str = "layer4") -> None:
    save_label(
        user=world.people["expert1"],
        model=world.model,
        layer_name=layer,
        unit_index=unit,
        recognisable="no",
    )
