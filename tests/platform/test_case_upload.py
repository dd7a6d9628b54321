"""A member uploads one image and reads what the model says of it."""

import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from catalog.models import Image
from explanations.models import PredictionRun
from explanations.services import save_cases
from jobs.models import Job
from tests.platform.factories import World, build_world

pytestmark = pytest.mark.django_db
UPLOAD = reverse("case-upload", args=["study"])


@pytest.fixture
def world() -> World:
    return build_world(images=3)


def png(value: int = 80, mode: type = np.uint8) -> bytes:
    stream = io.BytesIO()
    pixels = np.arange(40 * 30).reshape(40, 30) % 256 + value
    Picture.fromarray(pixels.astype(mode)).save(stream, "PNG")
    return stream.getvalue()


def send(client: Client, world: World, content: bytes, name: str = "scan.png", **more: str):  # type: ignore[no-untyped-def]
    return client.post(
        UPLOAD,
        {"file": SimpleUploadedFile(name, content), "model": world.model.pk, **more},
    )


def test_an_uploaded_image_becomes_a_case_of_its_own(client: Client, world: World) -> None:
    client.force_login(world.people["clinician"])
    response = send(client, world, png(mode=np.uint16), patient="P-7", laterality="L", view="MLO")
    run = PredictionRun.objects.get(image__isnull=False)
    assert response.url == reverse("case-uploaded", args=["study", run.pk])
    image = run.image
    assert image is not None
    assert (image.patient, image.laterality, image.view, image.bits) == ("P-7", "L", "MLO", 16)
    assert image.dataset.holds_uploads
    assert run.job is not None
    assert run.job.kind == Job.Kind.PREDICT
    page = client.get(response.url)
    assert "scan" in page.content.decode()
    save_cases(run, [image], np.array([[0.0, 1.0, 2.0]]))
    case = image.cases.get()
    assert client.get(response.url)["Location"] == reverse("case", args=["study", case.pk])


def test_the_same_file_is_stored_once(client: Client, world: World) -> None:
    client.force_login(world.people["clinician"])
    send(client, world, png())
    send(client, world, png(), name="again.png")
    assert Image.objects.filter(dataset__holds_uploads=True).count() == 1
    send(client, world, png(81), name="scan.png")
    names = Image.objects.filter(dataset__holds_uploads=True).values_list("name", flat=True)
    assert len(set(names)) == 2


def test_facts_are_added_to_a_known_image_and_contradictions_refused(
    client: Client, world: World
) -> None:
    client.force_login(world.people["clinician"])
    send(client, world, png())
    send(client, world, png(), patient="P-7", laterality="R")
    image = Image.objects.get(dataset__holds_uploads=True)
    assert (image.patient, image.laterality) == ("P-7", "R")
    refused = send(client, world, png(), patient="P-8")
    assert refused.status_code == 422
    assert "with the patient “P-7”" in refused.content.decode()
    image.refresh_from_db()
    assert image.patient == "P-7"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no image", "PNG, JPEG or DICOM"), (png()[:60], "image"), (b"", "empty")],
)
def test_what_is_no_image_is_refused_in_words(
    client: Client, world: World, content: bytes, says: str
) -> None:
    client.force_login(world.people["clinician"])
    response = send(client, world, content)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert not Image.objects.filter(dataset__holds_uploads=True).exists()
    assert not Job.objects.exists()


def test_uploads_are_no_dataset_to_dissect_or_predict(client: Client, world: World) -> None:
    client.force_login(world.people["admin"])
    send(client, world, png())
    page = client.get(reverse("model-predict", args=["study", world.model.pk])).content.decode()
    assert "Screening images" in page
    assert "Uploaded cases" not in page


def test_an_outsider_finds_nothing(client: Client, world: World) -> None:
    client.force_login(world.people["clinician"])
    send(client, world, png())
    run = PredictionRun.objects.get(image__isnull=False)
    client.force_login(world.people["outsider"])
    for page in (UPLOAD, reverse("case-uploaded", args=["study", run.pk])):
        assert client.get(page).status_code == 404
    assert send(client, world, png()).status_code == 404


def test_a_model_of_another_project_is_refused(client: Client, world: World) -> None:
    other = build_world(images=1, slug="other")
    client.force_login(world.people["clinician"])
    assert send(client, world, png(), model=str(other.model.pk)).status_code == 422
