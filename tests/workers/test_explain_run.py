"""Explaining all cases: in parts, by one state of the names, found by findings and exported."""

import csv
import io
import json

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from dissections.models import Layer
from explanations.models import Case, Explanation, ExplanationRun
from explanations.runs import start_run
from explanations.services import ExplanationRequestError, content_of
from jobs import services as jobs
from jobs.models import Job
from tests.platform.case_world import name_unit
from tests.platform.factories import World, build_world
from tests.workers.test_explain import explained, model_file, predicted, rename, work, world

__all__ = ["model_file", "world"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def layer(world: World, monkeypatch: pytest.MonkeyPatch) -> Layer:
    monkeypatch.setattr("explanations.runs.CASES_PER_SHARE", 4)
    predicted(world)
    return rename(world, "stage2")


def started(world: World, layer: Layer) -> Job:
    return start_run(
        project=world.project, layer=layer, dataset=world.dataset, split="validation", user=None
    )


def work_all(job: Job) -> Job:
    """The job, its parts, and the job again, as workers would take them."""
    work(job)
    for part in job.parts.filter(state=Job.State.QUEUED).order_by("pk"):
        work(part)
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED
    return work(job)


def test_every_case_is_explained_for_its_predicted_class(world: World, layer: Layer) -> None:
    case = Case.objects.select_related("model", "image", "project")[0]
    other_class = explained(case, layer, target=(case.predicted + 1) % 3)
    job = work_all(started(world, layer))
    assert job.state == Job.State.SUCCEEDED, job.log
    assert job.parts.count() == 2
    assert "6 cases are explained, 0 could not be" in job.log
    found = Explanation.objects.filter(completed__isnull=False).exclude(pk=other_class.pk)
    assert {one.case_id: one.target for one in found} == {
        one.pk: one.predicted for one in Case.objects.all()
    }


def test_labels_that_change_meanwhile_do_not_mix_into_a_run(world: World, layer: Layer) -> None:
    job = started(world, layer)
    before = ExplanationRun.objects.get().labels["digest"]
    Layer.objects.filter(pk=layer.pk).update(name="layer4")
    name_unit(world, 9, ["other.skin"])
    world.model.labels.update(layer_name="stage2")
    Layer.objects.filter(pk=layer.pk).update(name="stage2")
    work_all(job)
    assert set(Explanation.objects.values_list("labels_digest", flat=True)) == {before}


def test_an_image_that_cannot_be_read_is_named_and_the_rest_goes_on(
    world: World, layer: Layer
) -> None:
    case = Case.objects.select_related("image").latest("image__name")
    case.image.file.save("broken.png", ContentFile(b"no image"))
    job = work_all(started(world, layer))
    assert job.state == Job.State.SUCCEEDED
    assert "5 cases are explained, 1 could not be" in job.log
    assert not Explanation.objects.filter(case=case).exists()


def test_a_run_goes_on_from_the_cases_that_are_explained(world: World, layer: Layer) -> None:
    job = started(world, layer)
    work(job)
    work(job.parts.order_by("pk")[0])
    jobs.cancel(job=job)
    made = set(Explanation.objects.values_list("pk", flat=True))
    assert len(made) == 4
    jobs.retry(job=job)
    work(job)
    assert job.parts.filter(state=Job.State.QUEUED).count() == 1
    work(job.parts.get(state=Job.State.QUEUED))
    assert work(job).state == Job.State.SUCCEEDED
    assert Explanation.objects.count() == 6


def test_cases_are_found_by_their_findings_and_exported(
    world: World, layer: Layer, client: Client
) -> None:
    work_all(started(world, layer))
    client.force_login(world.people["clinician"])
    page = reverse("cases", args=["study"])
    named = {
        explanation.case.image.name: {f.code for f in content_of(explanation).support.findings}
        for explanation in Explanation.objects.select_related("case__image")
    }
    code = next(code for codes in named.values() for code in sorted(codes))
    expected = {name for name, codes in named.items() if code in codes}
    address = reverse("findings", args=["study", "json"])
    rows = json.loads(client.get(address, {"term": code}).content)
    assert {row["case"] for row in rows} == expected
    listed = client.get(page, {"term": code}).content.decode()
    assert all((name in listed) == (name in expected) for name in world.pixels)
    table = client.get(reverse("findings", args=["study", "csv"])).content.decode()
    every = list(csv.DictReader(io.StringIO(table)))
    assert {row["case"] for row in every} <= set(world.pixels)
    shares = [float(row["share"]) for row in every if row["side"] == "for"]
    assert all(0 < share <= 1 for share in shares)
    supported = client.get(address, {"check": "supported"})
    assert all(row["check_supported"] for row in json.loads(supported.content))


def test_blinded_experts_see_and_export_none_of_it(
    world: World, layer: Layer, client: Client
) -> None:
    work_all(started(world, layer))
    client.force_login(world.people["expert2"])
    page = client.get(reverse("cases", args=["study"]), {"term": "other.skin"}).content.decode()
    assert "case-row-findings" not in page
    assert all(name in page for name in world.pixels), "the filter would tell"
    assert client.get(reverse("findings", args=["study", "csv"])).status_code == 403


def test_what_cannot_be_explained_is_refused_in_words(world: World, layer: Layer) -> None:
    with pytest.raises(ExplanationRequestError, match="Predict these cases first"):
        start_run(
            project=world.project, layer=layer, dataset=world.dataset, split="test", user=None
        )
    world.model.labels.all().delete()
    with pytest.raises(ExplanationRequestError, match="No unit"):
        started(world, layer)
    other = build_world(images=1, slug="other")
    with pytest.raises(ExplanationRequestError, match="belong to this project"):
        start_run(
            project=other.project, layer=layer, dataset=other.dataset, split="test", user=None
        )
