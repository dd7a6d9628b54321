"""Tokens, and what the API's objects say."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from annotation.models import Label
from annotation.services import save_label
from catalog.models import Dataset, TrainedModel
from jobs.models import Job
from tests.platform.case_world import finished, first_case, world_with_cases
from tests.platform.conftest import ApiClientOf
from tests.platform.datasets import png, zipped
from tests.platform.factories import World, build_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build_world(images=4, units=4)


def sign_in(client: APIClient, username: str, password: str = "unitscope") -> tuple[int, dict]:
    response = client.post("/api/auth/token/", {"username": username, "password": password})
    return response.status_code, response.json()


@pytest.mark.usefixtures("fresh_throttle")
def test_a_token_is_hashed_expires_and_ends_with_logout(world: World) -> None:
    status, answer = sign_in(APIClient(), "expert1")
    assert status == 200
    stored = AuthToken.objects.get()
    assert answer["token"] not in (stored.digest, stored.token_key)
    assert timezone.now() + timedelta(hours=9) < stored.expiry < timezone.now() + timedelta(days=1)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {answer['token']}")
    assert client.get("/api/projects/").status_code == 200
    assert client.post("/api/auth/logout/").status_code == 204
    assert client.get("/api/projects/").status_code == 401


@pytest.mark.usefixtures("fresh_throttle")
def test_an_expired_token_is_refused(world: World) -> None:
    _, answer = sign_in(APIClient(), "expert1")
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {answer['token']}")
    assert client.get("/api/projects/").status_code == 401


@pytest.mark.usefixtures("fresh_throttle")
def test_a_wrong_password_or_a_closed_account_gives_no_token(world: World) -> None:
    assert sign_in(APIClient(), "expert1", "wrong")[0] == 401
    assert sign_in(APIClient(), "nobody")[0] == 401
    world.people["expert1"].is_active = False
    world.people["expert1"].save()
    assert sign_in(APIClient(), "expert1")[0] == 401
    assert not AuthToken.objects.exists()
    assert APIClient().post("/api/auth/token/", ["x"], format="json").status_code == 400


@pytest.mark.usefixtures("fresh_throttle")
def test_guessing_is_slowed_down_for_an_address_and_for_an_account(world: World) -> None:
    for number in range(10):
        # An address claimed by the client itself does not count.
        client = APIClient(REMOTE_ADDR=f"10.0.0.{number}", HTTP_X_FORWARDED_FOR=f"8.8.8.{number}")
        assert sign_in(client, "Expert1", "guess")[0] == 401
    fresh = APIClient(REMOTE_ADDR="10.0.0.99")
    assert sign_in(fresh, "expert1")[0] == 429
    assert sign_in(fresh, "expert2")[0] == 200
    for _ in range(8):
        sign_in(fresh, "nobody", "guess")
    assert sign_in(fresh, "clinician")[0] == 429


def test_a_session_needs_the_csrf_token_to_write(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["expert1"])
    assert client.get("/api/projects/").status_code == 200
    body = {"model": world.model.pk, "layer_name": "layer4", "unit_index": 0}
    assert client.post("/api/labels/", body, content_type="application/json").status_code == 403


def test_projects_name_ones_own_roles(world: World, api_client_of: ApiClientOf) -> None:
    [project] = api_client_of(world.people["expert1"]).get("/api/projects/").json()["results"]
    assert project["slug"] == "study"
    assert project["roles"] == ["expert"]


def test_terms_are_searched_best_match_first(world: World, api_client_of: ApiClientOf) -> None:
    client = api_client_of(world.people["expert1"])
    address = f"/api/vocabularies/{world.project.vocabulary_id}/terms/"
    assert len(client.get(address).json()) == 10
    found = client.get(address, {"q": "stellate"}).json()
    assert [term["code"] for term in found] == ["mass.margin.spiculated"]
    assert found[0]["mappings"] == []


def test_uploads_are_stored_and_name_their_job(
    world: World, api_client_of: ApiClientOf, tmp_path: Path
) -> None:
    client = api_client_of(world.people["admin"])
    content = zipped(tmp_path / "a.zip", {"cat/1.png": png()}).read_bytes()
    preprocessing = '{"input_size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.2]}'
    body = {
        "project": "study", "name": "Net", "class_names": ["a", "b"],
        "preprocessing": preprocessing, "file": SimpleUploadedFile("m.pt2", content),
    }  # fmt: skip
    answer = client.post("/api/models/", body)
    assert answer.status_code == 201, answer.json()
    model = TrainedModel.objects.get(pk=answer.json()["id"])
    assert model.class_names == ["a", "b"]
    assert answer.json()["preprocessing"]["input_size"] == [8, 8]
    job = Job.objects.get(pk=answer.json()["job"])
    assert (job.kind, job.target_id) == (Job.Kind.CHECK_MODEL, model.pk)

    again = client.post("/api/models/", body | {"file": SimpleUploadedFile("m.pt2", content)})
    assert again.status_code == 400
    assert "same file as “Net”" in again.json()["detail"]

    body = {"project": "study", "name": "Photos", "archive": SimpleUploadedFile("a", content)}
    answer = client.post("/api/datasets/", body)
    assert answer.status_code == 201, answer.json()
    assert Dataset.objects.get(pk=answer.json()["id"]).name == "Photos"


@pytest.mark.parametrize("folder", ["/etc", "folder"])
def test_no_folder_of_the_server_can_be_named(
    world: World, api_client_of: ApiClientOf, folder: str
) -> None:
    client = api_client_of(world.people["admin"])
    body = {"project": "study", "name": "X", "archive": folder, "folder": "/etc", "source": "/etc"}
    assert client.post("/api/datasets/", body).status_code == 400
    assert Dataset.objects.count() == 1


def test_units_hide_results_from_an_expert_who_has_not_answered(
    world: World, api_client_of: ApiClientOf
) -> None:
    expert, admin = world.people["expert1"], world.people["admin"]
    save_label(user=expert, model=world.model, layer_name="layer4", unit_index=1, recognisable="no")
    address = f"/api/units/?layer={world.layer.pk}"
    seen = [unit["results"] is not None for unit in
            api_client_of(expert).get(address).json()["results"]]  # fmt: skip
    assert seen == [False, True, False, False]
    everything = api_client_of(admin).get(address).json()["results"]
    assert all(unit["results"] for unit in everything)
    for index, sees in ((0, False), (1, True)):
        one = api_client_of(expert).get(f"/api/units/{world.unit(index).pk}/").json()
        assert len(one["top_patches"]) == 4
        assert (one["results"] is not None) is sees
        assert "class_index" not in str(one)
    assert one["results"]["concept_scores"][0]["concept"] == "vessel"


def test_units_need_a_layer(world: World, api_client_of: ApiClientOf) -> None:
    answer = api_client_of(world.people["expert1"]).get("/api/units/")
    assert answer.status_code == 400
    assert "layer" in answer.json()


def test_a_label_is_created_changed_in_part_and_refused_in_words(
    world: World, api_client_of: ApiClientOf
) -> None:
    client = api_client_of(world.people["expert1"])
    place = {"model": world.model.pk, "layer_name": "layer4", "unit_index": 2}
    body = place | {"terms": ["mass"], "confidence": 3, "note": "clear"}
    created = client.post("/api/labels/", body, format="json")
    assert created.status_code == 201
    assert created.json()["recognisable"] == "yes"
    assert client.post("/api/labels/", place, format="json").status_code == 200
    address = f"/api/labels/{created.json()['id']}/"
    changed = client.patch(address, {"confidence": None}, format="json").json()
    assert (changed["confidence"], changed["terms"], changed["note"]) == (None, ["mass"], "clear")
    label = Label.objects.get()
    assert label.author == world.people["expert1"]
    assert label.revisions.count() == 2
    for wrong in ({"terms": ["no.term"]}, {"confidence": 7}, {"recognisable": "perhaps"}):
        assert client.patch(address, wrong, format="json").status_code == 400
    missing = client.post("/api/labels/", place | {"unit_index": 99}, format="json")
    assert "no dissected unit 99" in missing.json()["detail"]


def test_experts_do_not_see_each_others_labels_and_admins_see_all(
    world: World, api_client_of: ApiClientOf
) -> None:
    for who in ("expert1", "expert2"):
        save_label(
            user=world.people[who], model=world.model, layer_name="layer4", unit_index=0,
            term_codes=["mass"],
        )  # fmt: skip
    foreign = Label.objects.get(author__username="expert2")
    expert = api_client_of(world.people["expert1"])
    authors = [label["author"] for label in expert.get("/api/labels/").json()["results"]]
    assert authors == ["expert1"]
    assert expert.get(f"/api/labels/{foreign.pk}/").status_code == 404
    admin = api_client_of(world.people["admin"])
    assert admin.get("/api/labels/").json()["count"] == 2
    assert admin.get("/api/labels/", {"author": "expert2"}).json()["count"] == 1


def test_an_explanation_is_given_once_it_is_complete(api_client_of: ApiClientOf) -> None:
    world = world_with_cases(images=3)
    explanation = finished(world)
    client = api_client_of(world.people["clinician"])
    body = {"case": first_case(world).pk, "layer": world.layer.pk, "target": 2}
    answer = client.post("/api/explanations/", body, format="json")
    assert answer.status_code == 201
    assert answer.json()["id"] == explanation.pk
    assert answer.json()["content"]["target"] == 2
    waiting = client.post("/api/explanations/", body | {"target": 1}, format="json").json()
    assert waiting["content"] is None
    assert Job.objects.get(pk=waiting["job"]).kind == Job.Kind.EXPLAIN
    wrong = client.post("/api/explanations/", body | {"target": 7}, format="json")
    assert wrong.status_code == 400
    assert "3 classes" in wrong.json()["detail"]


def test_jobs_are_cancelled_and_retried_as_their_state_allows(
    world: World, api_client_of: ApiClientOf
) -> None:
    job = Job.objects.create(
        project=world.project, kind=Job.Kind.DISSECT, target_id=world.dissection.pk, title="D",
        log="line",
    )  # fmt: skip
    client = api_client_of(world.people["admin"])
    assert client.get(f"/api/jobs/{job.pk}/").json()["log"] == "line"
    assert "log" not in client.get("/api/jobs/").json()["results"][0]
    assert client.post(f"/api/jobs/{job.pk}/retry/").status_code == 409
    assert client.post(f"/api/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"
    again = client.post(f"/api/jobs/{job.pk}/cancel/")
    assert again.status_code == 409
    assert "already ended" in again.json()["detail"]
    assert client.post(f"/api/jobs/{job.pk}/retry/").json()["state"] == "queued"


def test_lists_cost_the_same_number_of_queries_however_long(api_client_of: ApiClientOf) -> None:
    """Rows of two projects against rows of one: the count of queries must not grow."""
    small = world_with_cases(images=3)
    _fill(small)
    people = small.people
    client = api_client_of(people["admin"])
    paths = [
        "projects", "vocabularies", "models", "datasets", "dissections", "layers", "labels",
        "cases", "explanations", "jobs", f"units/?layer={small.layer.pk}",
    ]  # fmt: skip
    before = {path: _queries(client, path) for path in paths}
    large = world_with_cases(images=9, slug="second")
    _fill(large)
    paths[-1] = f"units/?layer={large.layer.pk}"
    after = {path: _queries(client, path) for path in paths}
    assert list(after.values()) == list(before.values())
    assert max(after.values()) <= 8


def _fill(world: World) -> None:
    finished(world)
    for unit in range(3):
        save_label(
            user=world.people["expert2"], model=world.model, layer_name="layer4",
            unit_index=unit, term_codes=["mass", "other.skin"],
        )  # fmt: skip


def _queries(client: APIClient, path: str) -> int:
    address = f"/api/{path}" if "?" in path else f"/api/{path}/"
    with CaptureQueriesContext(connection) as queries:
        response = client.get(address)
    assert response.status_code == 200
    assert response.json()["count"] > 0
    return len(queries)
