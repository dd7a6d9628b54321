"""Downloading explanations: who may, what comes back, and how it is cached."""

import io
import json
import zipfile

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from annotation.services import save_label
from explanations.models import Explanation
from tests.platform.case_world import finished, first_case, name_unit, requested, world_with_cases
from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World

FORMS = {
    "pdf": ("application/pdf", ".pdf", b"%PDF"),
    "json": ("application/json", ".json", b'{\n  "format": "unitscope-explanation"'),
    "fhir": ("application/fhir+json", ".fhir.json", b'{\n  "resourceType": "DiagnosticReport"'),
    "dicom": ("application/zip", "-dicom.zip", b"PK"),
}


@pytest.fixture
def world(db: None) -> World:
    world = world_with_cases(images=3)
    name_unit(world, 0)
    name_unit(world, 2)
    return world


@pytest.fixture
def explanation(world: World) -> Explanation:
    return finished(world)


def url(explanation: Explanation, form: str = "json", slug: str = "study") -> str:
    return reverse("explanation-export", args=[slug, explanation.pk, form])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_file_that_a_browser_may_keep_and_ask_about(
    world: World, explanation: Explanation, client: Client, form: str
) -> None:
    client.force_login(world.people["clinician"])
    response = client.get(url(explanation, form))
    media_type, ending, start = FORMS[form]
    assert response.status_code == 200
    assert response["Content-Type"] == media_type
    name = f"image000-malignant-explanation-{explanation.pk}{ending}"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response.content.startswith(start)
    assert response["Cache-Control"] == "private, no-cache"
    again = client.get(url(explanation, form), HTTP_IF_NONE_MATCH=response["ETag"])
    assert again.status_code == 304
    assert not again.content


def test_dicom_comes_as_an_archive_of_three(
    world: World, explanation: Explanation, client: Client
) -> None:
    client.force_login(world.people["clinician"])
    body = client.get(url(explanation, "dicom")).content
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert names == ["report.dcm", "segmentation.dcm", "image.dcm"]


def test_the_page_offers_every_form(world: World, explanation: Explanation, client: Client) -> None:
    client.force_login(world.people["clinician"])
    page = client.get(reverse("case", args=["study", first_case(world).pk])).content.decode()
    for form in FORMS:
        assert f'href="{url(explanation, form)}"' in page, form


def test_experts_answer_first(world: World, explanation: Explanation, client: Client) -> None:
    client.force_login(world.people["expert2"])
    for form in FORMS:
        response = client.get(url(explanation, form))
        assert response.status_code == 403, form
        assert b"Ada" not in response.content
    for unit in (0, 2):
        name_unit(world, unit, who="expert2")
    assert client.get(url(finished(world))).status_code == 200


def test_a_blinded_expert_exports_what_the_page_shows(world: World, client: Client) -> None:
    """That a colleague looked at an unnamed unit is kept back; the two files have two tags."""
    save_label(
        user=world.people["expert1"],
        model=world.model,
        layer_name="layer4",
        unit_index=5,
        recognisable="no",
    )
    for unit in (0, 2):
        name_unit(world, unit, who="expert2")
    explanation = finished(world)
    tags, looked = {}, {}
    for who in ("expert2", "clinician"):
        client.force_login(world.people[who])
        response = client.get(url(explanation))
        content = json.loads(response.content)["content"]
        tags[who] = response["ETag"]
        looked[who] = (
            [unit["index"] for unit in content["labels"]["units"]],
            [unit["answered"] for unit in content["support"]["rest"]["strongest"]],
        )
    assert looked["expert2"] == ([0, 2], [0, 0])
    assert looked["clinician"] == ([0, 2, 5], [0, 1])
    assert tags["expert2"] != tags["clinician"]


def test_what_is_not_there_is_not_found(
    world: World, explanation: Explanation, client: Client
) -> None:
    unfinished = requested(world, target=0)
    other = world_with_cases(images=3, slug="other")
    elsewhere = requested(other)
    client.force_login(world.people["clinician"])
    assert client.get(url(unfinished)).status_code == 404
    assert client.get(url(elsewhere)).status_code == 404
    assert client.get(url(explanation, "docx")).status_code == 404
    client.force_login(world.people["outsider"])
    assert client.get(url(explanation)).status_code == 404
    client.logout()
    assert client.get(url(explanation)).status_code == 302
    client.force_login(world.people["clinician"])
    assert client.post(url(explanation)).status_code == 405


def test_an_image_that_cannot_be_read_is_said(
    world: World, explanation: Explanation, client: Client
) -> None:
    image = explanation.case.image
    image.file.save("broken.png", ContentFile(b"no picture"))
    client.force_login(world.people["clinician"])
    for form in ("pdf", "fhir", "dicom"):
        assert client.get(url(explanation, form)).status_code == 404, form
    assert client.get(url(explanation, "json")).status_code == 200


def test_the_api_gives_the_same_files(
    world: World, explanation: Explanation, client: Client, api_client_of: ApiClientOf
) -> None:
    client.force_login(world.people["clinician"])
    api = api_client_of(world.people["clinician"])
    for form in FORMS:
        response = api.get(
            f"/api/explanations/{explanation.pk}/export/",
            {"form": form},
            HTTP_ACCEPT=FORMS[form][0],
        )
        assert response.status_code == 200
        assert response.content == client.get(url(explanation, form)).content, form
    path = f"/api/explanations/{explanation.pk}/export/"
    assert api.get(path).status_code == 400
    assert "form" in api.get(path, {"form": "docx"}).json()
    kept = api_client_of(world.people["expert2"]).get(path, {"form": "json"})
    assert kept.status_code == 403
    assert "units it names: 0 and 2" in kept.json()["detail"]
    assert api_client_of(world.people["outsider"]).get(path, {"form": "json"}).status_code == 404
    assert api_client_of(None).get(path, {"form": "json"}).status_code == 401
    unfinished = requested(world, target=0)
    path = f"/api/explanations/{unfinished.pk}/export/"
    assert api.get(path, {"form": "json"}).status_code == 404
