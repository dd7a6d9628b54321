"""The case list and the case page as a clinician meets them."""

import io
import re
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from explanations.models import Case, Explanation
from explanations.rendering import PALETTE
from jobs.models import Job
from tests.platform.case_world import finished, first_case, name_unit, requested, world_with_cases
from tests.platform.explaining import removal
from tests.platform.factories import World, build_world

FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def world(db: None) -> World:
    return world_with_cases()


@pytest.fixture
def clinician(world: World, client: Client) -> Client:
    client.force_login(world.people["clinician"])
    return client


def cases_url(world: World, query: str = "") -> str:
    return reverse("cases", args=[world.project.slug]) + query


def case_url(world: World, query: str = "", name: str = "case") -> str:
    return reverse(name, args=[world.project.slug, first_case(world).pk]) + query


def read(client: Client, url: str, **headers: str) -> str:
    response = client.get(url, headers=headers or None)
    assert response.status_code == 200
    return response.content.decode().replace("\u00a0", " ")


def listed(client: Client, url: str) -> list[str]:
    return re.findall(r'class="case-link"[^>]*>([^<]+)<', read(client, url))


def test_the_list_shows_every_case_with_its_prediction(world: World, clinician: Client) -> None:
    html = read(clinician, cases_url(world))
    assert listed(clinician, cases_url(world)) == [f"image{n:03d}" for n in range(6)]
    assert "83 %" in html
    assert reverse("image", args=[world.project.slug, first_case(world).image_id]) in html


def test_the_reference_class_is_not_on_the_page_until_asked_for(
    world: World, clinician: Client
) -> None:
    assert "Reference</span>" not in read(clinician, cases_url(world))
    assert "Reference</span>" in read(clinician, cases_url(world, "?truth=on"))
    finished(world)
    assert "Reference:" not in read(clinician, case_url(world))
    assert "Reference: <strong>normal</strong>" in read(clinician, case_url(world, "?truth=on"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?q=image003", ["image003"]),
        ("?q=P004", ["image004"]),
        ("?patient=p005", ["image005"]),
        ("?predicted=2", ["image000", "image002", "image005"]),
        ("?predicted=2&sort=class-2", ["image000", "image005", "image002"]),
        ("?sort=certain", ["image000", "image005", "image004", "image003", "image002", "image001"]),
        ("?sort=nonsense&predicted=x", [f"image{n:03d}" for n in range(6)]),
        ("?q=nobody", []),
    ],
)
def test_filtering_and_sorting(
    world: World, clinician: Client, query: str, expected: list[str]
) -> None:
    assert listed(clinician, cases_url(world, query)) == expected


def test_a_search_without_hits_says_so(world: World, clinician: Client) -> None:
    assert "No case fits" in read(clinician, cases_url(world, "?q=nobody"))


def test_htmx_gets_the_list_alone_but_history_the_page(world: World, clinician: Client) -> None:
    assert "<html" not in read(clinician, cases_url(world), **FRAGMENT)
    restored = {**FRAGMENT, "HX-History-Restore-Request": "true"}
    assert "<html" in read(clinician, cases_url(world), **restored)


def test_a_project_without_cases_says_what_to_do(client: Client, db: None) -> None:
    world = build_world(images=2, units=4)
    client.force_login(world.people["clinician"])
    assert "No cases yet" in read(client, cases_url(world))


def test_opening_a_case_asks_for_its_explanation_and_polls(world: World, clinician: Client) -> None:
    html = read(clinician, case_url(world))
    assert Explanation.objects.get().target == 2
    assert 'aria-busy="true"' in html
    assert f'hx-get="{case_url(world, name="case-explanation")}' in html


def test_the_finished_explanation_arrives_with_its_overlays(
    world: World, clinician: Client
) -> None:
    name_unit(world, 0)
    explanation = finished(world)
    html = read(clinician, case_url(world, name="case-explanation"), **FRAGMENT)
    assert "hx-trigger" not in html
    assert 'hx-swap-oob="innerHTML"' in html
    assert "comes from what experts named “spiculated margin” (unit 0)" in html
    assert "Ada Reyes" in html
    url = reverse("explanation-map", args=[world.project.slug, explanation.pk, "for-1"])
    assert url in html
    assert "not supported" not in html.lower()


def test_the_page_says_when_a_check_fails(world: World, clinician: Client) -> None:
    name_unit(world, 0)
    finished(world, check=removal([0], probability_after=0.9, supported=False))
    html = read(clinician, case_url(world))
    assert 'role="alert"' in html
    assert "not supported by its causal check" in html
    assert "raises the probability from 83 % to 90 %" in html


def test_without_names_the_page_lists_the_units_to_name(world: World, clinician: Client) -> None:
    finished(world)
    html = read(clinician, case_url(world))
    assert "No unit of this layer has an agreed name yet" in html
    assert "Look at this unit" in html
    assert reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", 0]) in html
    assert "Causal check" not in html
    clinician.force_login(world.people["expert1"])
    assert "Name this unit" in read(clinician, case_url(world))


def test_new_names_lead_to_a_new_explanation_when_the_case_is_opened(
    world: World, clinician: Client
) -> None:
    name_unit(world, 0)
    finished(world)
    assert 'aria-busy="true"' not in read(clinician, case_url(world))
    name_unit(world, 2)
    assert 'aria-busy="true"' in read(clinician, case_url(world))
    finished(world)
    assert "1, from older labels" in read(clinician, case_url(world))


def test_another_class_has_its_own_explanation(world: World, clinician: Client) -> None:
    finished(world, target=1)
    html = read(clinician, case_url(world, "?target=1"))
    assert "Why benign?" in html
    assert "It predicts malignant (83 %) instead." in html
    read(clinician, case_url(world, "?target=99"))
    assert Explanation.objects.filter(target=2).exists()


def test_a_failed_explanation_can_be_tried_again_by_a_clinician(
    world: World, clinician: Client
) -> None:
    requested(world)
    Job.objects.update(state=Job.State.FAILED, error="The image is damaged.")
    html = read(clinician, case_url(world))
    assert "The image is damaged." in html
    assert "Try again" in html
    response = clinician.post(case_url(world, name="case-explanation"), headers=FRAGMENT)
    assert response.status_code == 200
    assert Job.objects.get().state == Job.State.QUEUED


def test_a_long_wait_hints_at_a_missing_worker(world: World, clinician: Client) -> None:
    requested(world)
    assert "No worker" not in read(clinician, case_url(world))
    Job.objects.update(queued=timezone.now() - timedelta(seconds=20))
    assert "No worker is running, it seems" in read(clinician, case_url(world))
    Job.objects.create(
        project=world.project, kind=Job.Kind.DISSECT, title="Dissect", target_id=1,
        state=Job.State.RUNNING, heartbeat=timezone.now(),
    )  # fmt: skip
    assert "The workers are busy" in read(clinician, case_url(world))


def test_a_model_without_dissection_cannot_be_explained(world: World, clinician: Client) -> None:
    world.model.dissections.all().delete()
    assert "The model has not been dissected" in read(clinician, case_url(world))
    assert not Job.objects.exists()


def test_previous_and_next_follow_the_list(world: World, clinician: Client) -> None:
    finished(world)
    html = read(clinician, case_url(world, "?sort=certain"))
    assert "1 of 6" in html
    following = Case.objects.get(image__name="image005")
    url = reverse("case", args=[world.project.slug, following.pk])
    assert f'href="{url}?sort=certain"' in html
    assert 'rel="prev"' not in html


def test_the_overlay_is_a_transparent_png_in_the_colour_of_its_finding(
    world: World, clinician: Client
) -> None:
    name_unit(world, 0)
    explanation = finished(world)
    url = reverse("explanation-map", args=[world.project.slug, explanation.pk, "for-1"])
    response = clinician.get(url)
    assert response["Content-Type"] == "image/png"
    assert "immutable" in response["Cache-Control"]
    pixels = np.asarray(Image.open(io.BytesIO(response.content)))
    height, width = pixels.shape[:2]
    assert height / width == pytest.approx(96 / 72, rel=0.01)
    lines = pixels[pixels[..., 3] == 255]
    assert {tuple(colour) for colour in lines[:, :3]} == {PALETTE[0]}
    assert pixels[-1, -1, 3] == 0
    assert clinician.get(url, headers={"if-none-match": response["ETag"]}).status_code == 304
    assert clinician.get(url.replace("for-1", "for-9")).status_code == 404


@pytest.mark.parametrize("name", ["cases", "case", "case-explanation", "explanation-map"])
def test_strangers_see_nothing(world: World, client: Client, name: str) -> None:
    explanation = finished(world)
    arguments: dict[str, list[object]] = {
        "cases": [],
        "case": [first_case(world).pk],
        "case-explanation": [first_case(world).pk],
        "explanation-map": [explanation.pk, "for-rest"],
    }
    url = reverse(name, args=[world.project.slug, *arguments[name]])
    assert client.get(url).status_code == 302
    client.force_login(world.people["outsider"])
    assert client.get(url).status_code == 404
    client.force_login(world.people["clinician"])
    assert client.get(url).status_code == 200


def test_objects_of_another_project_are_not_found(world: World, clinician: Client) -> None:
    explanation = finished(world)
    other = build_world(images=2, units=4, slug="other")
    for name, arguments in (
        ("case", [first_case(world).pk]),
        ("explanation-map", [explanation.pk, "for-rest"]),
    ):
        url = reverse(name, args=[other.project.slug, *arguments])
        assert clinician.get(url).status_code == 404


def queries(client: Client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        client.get(url)
    return len(captured)


def test_the_list_needs_as_many_queries_for_more_cases(client: Client, db: None) -> None:
    counts = []
    for images in (2, 12):
        world = world_with_cases(images, slug=f"study-{images}")
        client.force_login(world.people["clinician"])
        counts.append(queries(client, cases_url(world)))
    assert counts[0] == counts[1]


def test_the_case_page_needs_as_many_queries_for_more_names(
    world: World, clinician: Client
) -> None:
    name_unit(world, 0)
    finished(world)
    few = queries(clinician, case_url(world))
    for unit in (1, 2, 3, 5):
        name_unit(world, unit, ["mass", "other.vessel"])
    finished(world)
    assert queries(clinician, case_url(world)) <= few
