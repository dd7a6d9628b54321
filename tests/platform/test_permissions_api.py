"""Who may do what through the API: every route for every kind of person."""

from dataclasses import dataclass

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from accounts.models import Membership, Role
from annotation.models import Label
from annotation.services import save_label
from explanations.models import Explanation
from jobs.models import Job
from tests.platform.case_world import first_case, requested, world_with_cases
from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World

LISTS = [
    "projects", "vocabularies", "models", "datasets", "dissections", "layers", "labels", "cases",
    "explanations", "jobs",
]  # fmt: skip


@dataclass
class Stage:
    """A project with one of everything; its people are clients by role."""

    world: World
    label: Label
    explanation: Explanation
    job: Job


@pytest.fixture
def stage(db: None) -> Stage:
    world = world_with_cases(images=3)
    label = save_label(
        user=world.people["expert1"], model=world.model, layer_name="layer4", unit_index=0,
        recognisable="no",
    )  # fmt: skip
    explanation = requested(world)
    assert explanation.job is not None
    return Stage(world, label, explanation, explanation.job)


def reads(stage: Stage) -> list[str]:
    world = stage.world
    return [
        f"projects/{world.project.slug}",
        f"vocabularies/{world.project.vocabulary_id}",
        f"vocabularies/{world.project.vocabulary_id}/terms",
        f"models/{world.model.pk}",
        f"datasets/{world.dataset.pk}",
        f"dissections/{world.dissection.pk}",
        f"layers/{world.layer.pk}",
        f"units/{world.unit(1).pk}",
        f"cases/{first_case(world).pk}",
        f"explanations/{stage.explanation.pk}",
        f"jobs/{stage.job.pk}",
    ]


def writes(stage: Stage, client: APIClient) -> dict[str, int]:
    """Every writing route with a body that an entitled person succeeds with (or nearly so)."""
    world = stage.world
    run = {"project": "study", "model": world.model.pk, "dataset": world.dataset.pk}
    unit = {"model": world.model.pk, "layer_name": "layer4", "unit_index": 2}
    upload = {
        "project": "study", "name": "X", "class_names": ["a", "b"], "preprocessing": "{}",
        "file": SimpleUploadedFile("m.pt2", b"no zip"),
    }  # fmt: skip
    archive = {
        "project": "study", "name": "X", "archive": SimpleUploadedFile("a.zip", b"no zip"),
    }  # fmt: skip
    explain = {"case": first_case(world).pk, "layer": world.layer.pk, "target": 2}
    calls = {
        "models": ("post", "models/", upload, "multipart"),
        "datasets": ("post", "datasets/", archive, "multipart"),
        "dissections": ("post", "dissections/", run | {"layers": ["absent"]}, "json"),
        "predict": ("post", "cases/predict/", run | {"split": "train"}, "json"),
        "label": ("post", "labels/", unit | {"recognisable": "unsure"}, "json"),
        "others' label": ("patch", f"labels/{stage.label.pk}/", {"note": "x"}, "json"),
        "explain": ("post", "explanations/", explain, "json"),
        "cancel": ("post", f"jobs/{stage.job.pk}/cancel/", {}, "json"),
        "retry": ("post", f"jobs/{stage.job.pk}/retry/", {}, "json"),
    }
    return {
        name: getattr(client, method)(f"/api/{path}", body, format=kind).status_code
        for name, (method, path, body, kind) in calls.items()
    }


FORBIDDEN = {
    "models": 403, "datasets": 403, "dissections": 403, "predict": 403, "label": 403,
    "others' label": 404, "explain": 201, "cancel": 403, "retry": 403,
}  # fmt: skip
# 400: the person may, and the service then refuses what the bodies ask for.
WRITES = {
    "admin": {
        "models": 400, "datasets": 400, "dissections": 400, "predict": 400, "label": 201,
        "others' label": 403, "explain": 201, "cancel": 200, "retry": 200,
    },
    "adjudicator": FORBIDDEN | {"label": 201, "others' label": 403},
    "expert1": FORBIDDEN | {"label": 201, "others' label": 200},
    "expert2": FORBIDDEN | {"label": 201},
    "clinician": FORBIDDEN,
    "outsider": dict.fromkeys(FORBIDDEN, 404),
    None: dict.fromkeys(FORBIDDEN, 401),
}  # fmt: skip


def client_for(stage: Stage, who: str | None, api_client_of: ApiClientOf) -> APIClient:
    people = stage.world.people
    if who == "adjudicator":
        people[who] = people["outsider"]
        Membership.objects.create(
            project=stage.world.project, user=people[who], role=Role.ADJUDICATOR
        )
    return api_client_of(people[who] if who else None)


@pytest.mark.parametrize("who", list(WRITES))
def test_writing(stage: Stage, who: str | None, api_client_of: ApiClientOf) -> None:
    assert writes(stage, client_for(stage, who, api_client_of)) == WRITES[who]


@pytest.mark.parametrize("who", list(WRITES))
def test_reading(stage: Stage, who: str | None, api_client_of: ApiClientOf) -> None:
    client = client_for(stage, who, api_client_of)
    expected = 401 if who is None else 404 if who == "outsider" else 200
    found = {path: client.get(f"/api/{path}/").status_code for path in reads(stage)}
    assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize("who", list(WRITES))
def test_lists_hold_only_what_belongs_to_ones_projects(
    stage: Stage, who: str | None, api_client_of: ApiClientOf
) -> None:
    client = client_for(stage, who, api_client_of)
    for name in LISTS:
        response = client.get(f"/api/{name}/")
        if who is None:
            assert response.status_code == 401
        else:
            own_nothing = who == "outsider" or (
                name == "labels" and who in ("expert2", "clinician")
            )
            assert bool(response.json()["count"]) is not own_nothing, name


def test_units_of_a_foreign_layer_are_an_empty_list(
    stage: Stage, api_client_of: ApiClientOf
) -> None:
    address = f"/api/units/?layer={stage.world.layer.pk}"
    outsider = api_client_of(stage.world.people["outsider"])
    assert outsider.get(address).json()["count"] == 0
    assert api_client_of(stage.world.people["expert1"]).get(address).json()["count"] == 8
    assert api_client_of(None).get(address).status_code == 401


def test_what_belongs_to_another_project_cannot_be_mixed_in(
    stage: Stage, api_client_of: ApiClientOf
) -> None:
    other = world_with_cases(images=3, slug="second")
    Membership.objects.filter(project=other.project).exclude(role=Role.ADMIN).delete()
    world = stage.world
    admin = api_client_of(world.people["admin"])
    body = {"project": "study", "model": other.model.pk, "dataset": world.dataset.pk}
    for path, more in (("dissections/", {"layers": ["layer4"]}), ("cases/predict/", {})):
        assert admin.post(f"/api/{path}", body | more, format="json").status_code == 404
    mixed = {"case": first_case(world).pk, "layer": other.layer.pk, "target": 0}
    assert admin.post("/api/explanations/", mixed, format="json").status_code == 404
    expert = api_client_of(world.people["expert1"])
    foreign = {"model": other.model.pk, "layer_name": "layer4", "unit_index": 0}
    assert expert.post("/api/labels/", foreign, format="json").status_code == 404


def test_a_superuser_sees_every_project(stage: Stage, api_client_of: ApiClientOf) -> None:
    operator = stage.world.people["outsider"]
    operator.is_superuser = True
    operator.save()
    client = api_client_of(operator)
    assert client.get("/api/projects/").json()["results"][0]["roles"] == []
    assert client.get("/api/labels/").json()["count"] == 1
