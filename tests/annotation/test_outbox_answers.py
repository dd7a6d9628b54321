"""What the outbox of a page is told, so that it can tell a refusal from a lost session."""

from urllib.parse import unquote

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from annotation.models import Label
from tests.platform.factories import World


def send(
    world: World, client: Client, values: dict[str, str], *, of: str = "expert1", mark: str = "m1"
) -> HttpResponse:
    address = reverse("unit-label", args=[world.project.slug, world.dissection.pk, "layer4", 0])
    headers = {"Unitscope-User": str(world.people[of].pk), "Unitscope-Mark": mark}
    return client.post(address, values, headers=headers)


def test_an_answer_that_arrives_twice_is_confirmed_twice_and_kept_once(
    world: World, client: Client
) -> None:
    client.force_login(world.people["expert1"])
    for values, mark in (({"note": "a"}, "1"), ({"note": "b"}, "2"), ({"note": "a"}, "1")):
        assert send(world, client, values, mark=mark)["Unitscope-Saved"] == "yes"
    assert Label.objects.get().note == "b"


def test_an_answer_is_never_taken_as_somebody_elses(world: World, client: Client) -> None:
    client.force_login(world.people["expert2"])
    response = send(world, client, {"recognisable": "no"}, of="expert1")
    assert (response.status_code, response["Unitscope-Saved"]) == (409, "other-user")
    assert not Label.objects.exists()


@pytest.mark.parametrize(
    ("who", "status", "words"), [("clinician", 403, "role"), ("outsider", 404, "No such project")]
)
def test_a_refusal_for_good_says_so_with_its_reason(
    world: World, client: Client, who: str, status: int, words: str
) -> None:
    client.force_login(world.people[who])
    response = send(world, client, {"recognisable": "no"}, of=who)
    assert (response.status_code, response["Unitscope-Saved"]) == (status, "refused")
    assert words in unquote(response["Unitscope-Reason"])


def test_answers_come_by_their_keys(world: World, client: Client) -> None:
    client.force_login(world.people["expert1"])
    send(world, client, {"answers": '{"association": ["malignant"]}'})
    assert Label.objects.get().answers == {"association": ["malignant"]}
    for number, odd in enumerate(['["malignant"]', "{", '{"riddle": 1}']):
        response = send(world, client, {"answers": odd}, mark=f"odd{number}")
        assert (response.status_code, response["Unitscope-Saved"]) == (422, "refused")
        assert unquote(response["Unitscope-Reason"])
