"""The catalogue, its forms and the vocabulary page."""

import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.models import Dataset, ImportState, TrainedModel
from dissections.models import Dissection
from jobs.models import Job
from tests.platform.datasets import png, zipped
from tests.platform.factories import World, build_world

FORMS = ["models/add/", "datasets/add/", "models/{model}/dissect/", "models/{model}/predict/"]
LAYERS = [
    {"name": name, "units": 8, "height": side, "width": side, "depth_index": depth,
     "is_head_input": name == "layer4", "nonnegative": True}
    for depth, (name, side) in enumerate(
        {"layer2": 16, "layer3": 8, "layer4.0": 4, "layer4": 4, "pool": 1}.items()
    )
]  # fmt: skip


@pytest.fixture
def world(db: None) -> World:
    world = build_world(images=3, units=4)
    world.model.layers = LAYERS
    world.model.preprocessing = {"input_size": [64, 48], "channels": 1, "mean": [0], "std": [1]}
    world.model.save()
    return world


def signed_in(client: Client, world: World, who: str) -> Client:
    client.force_login(world.people[who])
    return client


def test_the_catalogue_shows_states_and_reasons(world: World, client: Client) -> None:
    refused = TrainedModel.objects.create(
        project=world.project, name="Bad net", sha256="b" * 64, class_names=["a", "b"],
        preprocessing=world.model.preprocessing, state=ImportState.REFUSED,
        message="The model has 3 outputs & 2 classes.",
    )  # fmt: skip
    Job.objects.create(
        project=world.project, kind=Job.Kind.CHECK_MODEL, target_id=refused.pk,
        title="Check", state=Job.State.FAILED,
    )  # fmt: skip
    html = signed_in(client, world, "clinician").get("/p/study/catalog/").content.decode()
    assert "The model has 3 outputs &amp; 2 classes." in html
    assert "64 × 48, grey" in html
    assert "Screening images" in html
    assert "Add a model" not in html
    assert "/dissect/" not in html


def test_admins_are_offered_the_next_steps(world: World, client: Client) -> None:
    html = signed_in(client, world, "admin").get("/p/study/catalog/").content.decode()
    for form in FORMS:
        assert f"/p/study/catalog/{form.format(model=world.model.pk)}" in html


def test_the_catalogue_of_a_new_project_says_how_to_begin(world: World, client: Client) -> None:
    world.project.models.all().delete()
    world.project.datasets.all().delete()
    html = signed_in(client, world, "admin").get("/p/study/catalog/").content.decode()
    assert "No model yet" in html
    assert "No dataset yet" in html


def test_the_catalogue_asks_the_same_number_of_questions_for_many_rows(
    world: World, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    signed_in(client, world, "admin")
    for number in range(5):
        dataset = Dataset.objects.create(project=world.project, name=f"More {number}")
        Job.objects.create(
            project=world.project, kind=Job.Kind.IMPORT_DATASET, target_id=dataset.pk, title="I"
        )
    with django_assert_max_num_queries(9):
        client.get("/p/study/catalog/")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("who", "status"), [("admin", 200), ("expert1", 403), ("clinician", 403), ("outsider", 404)]
)
def test_only_admins_reach_the_forms(
    world: World, client: Client, form: str, who: str, status: int
) -> None:
    address = f"/p/study/catalog/{form.format(model=world.model.pk)}"
    assert client.get(address).status_code == 302
    assert signed_in(client, world, who).get(address).status_code == status
    assert client.post(address, {}).status_code == (422 if status == 200 else status)


def test_a_model_of_another_project_cannot_be_run(world: World, client: Client) -> None:
    other = build_world(images=3, units=2, slug="second")
    signed_in(client, world, "admin")
    address = f"/p/study/catalog/models/{other.model.pk}/dissect/"
    assert client.get(address).status_code == 404
    form = {"dataset": other.dataset.pk, "layers": ["layer4"], "splits": ["validation"]}
    response = client.post(f"/p/study/catalog/models/{world.model.pk}/dissect/", form)
    assert response.status_code == 422
    assert not Job.objects.exists()


def test_uploading_an_archive_leads_to_its_job(
    world: World, client: Client, tmp_path: Path
) -> None:
    content = zipped(tmp_path / "a.zip", {"cat/1.png": png()}).read_bytes()
    form = {"name": "Photographs", "archive": SimpleUploadedFile("a.zip", content)}
    response = signed_in(client, world, "admin").post("/p/study/catalog/datasets/add/", form)
    job = Job.objects.get(kind=Job.Kind.IMPORT_DATASET)
    assert response["Location"] == f"/p/study/jobs/{job.pk}/"
    assert Dataset.objects.get(pk=job.target_id).name == "Photographs"
    assert job.created_by == world.people["admin"]


def test_what_the_service_refuses_is_said_in_the_form(world: World, client: Client) -> None:
    form = {
        "name": "Net", "file": SimpleUploadedFile("m.pt2", b"no zip"), "class_names": "a\r\nb",
        "height": 8, "width": 8, "channels": 1, "channel_order": "RGB", "mean": "0.5", "std": "0.2",
    }  # fmt: skip
    response = signed_in(client, world, "admin").post("/p/study/catalog/models/add/", form)
    assert response.status_code == 422
    html = response.content.decode()
    assert "This is not a .pt2 file" in html
    assert 'value="Net"' in html
    form |= {"file": SimpleUploadedFile("m.pt2", b"no zip"), "mean": "0,5 and more"}
    html = client.post("/p/study/catalog/models/add/", form).content.decode()
    assert "Write numbers separated by commas" in html
    assert 'id="id_mean_error"' in html
    field = next(tag for tag in html.split("<input") if 'id="id_mean"' in tag).split(">")[0]
    assert 'aria-invalid="true"' in field
    assert "id_mean_error" in field


def test_a_dissection_is_started_on_the_layers_chosen(world: World, client: Client) -> None:
    address = f"/p/study/catalog/models/{world.model.pk}/dissect/"
    html = signed_in(client, world, "admin").get(address).content.decode()
    form = html.split('<form class="card')[1].split("</form>")[0]
    checked = re.findall(r'value="([^"]+)"[^>]* checked', form)
    assert checked == ["layer3", "layer4", "validation"]
    chosen = {"dataset": world.dataset.pk, "layers": ["layer3"], "splits": ["validation"]}
    response = client.post(address, chosen)
    job = Job.objects.get(kind=Job.Kind.DISSECT)
    assert response["Location"] == f"/p/study/jobs/{job.pk}/"
    assert Dissection.objects.get(pk=job.target_id).layer_names == ["layer3"]


def test_cases_are_predicted_for_a_split_that_has_images(world: World, client: Client) -> None:
    address = f"/p/study/catalog/models/{world.model.pk}/predict/"
    signed_in(client, world, "admin")
    response = client.post(address, {"dataset": world.dataset.pk, "split": "test"})
    assert response.status_code == 422
    assert "no images in the split test" in response.content.decode()
    response = client.post(address, {"dataset": world.dataset.pk, "split": "validation"})
    assert response.status_code == 302
    assert Job.objects.get().kind == Job.Kind.PREDICT


def test_the_vocabulary_can_be_read_and_searched(world: World, client: Client) -> None:
    signed_in(client, world, "clinician")
    html = client.get("/p/study/vocabulary/").content.decode()
    assert "Spiculated margin" in html
    html = client.get("/p/study/vocabulary/", {"q": "stellate"}).content.decode()
    assert "Spiculated margin" in html
    assert "Vascular" not in html
    assert "1 term<" in html
    assert "No term matches" in client.get("/p/study/vocabulary/", {"q": "zz"}).content.decode()
    client.force_login(world.people["outsider"])
    assert client.get("/p/study/vocabulary/").status_code == 404
