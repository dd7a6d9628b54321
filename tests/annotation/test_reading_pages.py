"""The pages and the API of reading lists: who may do what, and what readers must not learn."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role
from annotation.agreement.consensus import Answer, adjudicate
from annotation.models import Label, Reading, ReadingList
from annotation.selectors import labelling_by_project
from catalog.selectors import own_models
from dissections.selectors import completed_dissections, latest_layer
from explanations.evaluation.selectors import layers_to_evaluate
from explanations.selectors import models_with_cases
from jobs.models import Job
from tests.annotation.reading_world import add_control, answer, make_list, read_on, take
from tests.platform.conftest import ApiClientOf, api_client_of  # noqa: F401
from tests.platform.factories import World

pytestmark = pytest.mark.django_db


def client_of(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name])
    return client


def new_list(world: World, client: Client, **changes: object) -> object:
    readers = [world.people[name].pk for name in ("expert1", "expert2")]
    values = {
        "name": "First round", "layers": ["layer4"], "which": "influence", "count": 4,
        "numbers": "", "readers": readers, "readers_per_unit": 2, "repeat_percent": 25,
        "controls": 0, "mode": "blind",
    }  # fmt: skip
    return client.post(reverse("reading-list-new", args=["study"]), {**values, **changes})


class TestMaking:
    def test_an_admin_makes_a_list_from_the_page(self, world: World) -> None:
        add_control(world)
        admin = client_of(world, "admin")
        page = admin.get(reverse("reading-list-new", args=["study"])).content.decode()
        assert "Small classifier over Screening images" in re.sub(r"<[^>]+>", "", page)
        assert "untrained control" not in page.lower() or "Make an untrained" not in page
        response = new_list(world, admin, controls=2, mode="assisted")
        made = ReadingList.objects.get()
        assert response.url == reverse("reading-list", args=["study", made.pk])  # type: ignore[attr-defined]
        assert made.repeat_share == 0.25
        assert made.assisted
        assert made.items.count() == 6
        assert made.items.filter(control=True).count() == 2
        page = admin.get(response.url).content.decode()  # type: ignore[attr-defined]
        assert page.count("Control</span>") == 2

    def test_pasted_numbers(self, world: World) -> None:
        new_list(world, client_of(world, "admin"), which="numbers", numbers="3, 0\n1")
        items = ReadingList.objects.get().items.order_by("position")
        assert [item.unit_index for item in items] == [3, 0, 1]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"which": "numbers", "numbers": "3, 6"}, "has no unit 6"),
            ({"which": "numbers", "numbers": "3, 5"}, "Unit 5 of layer4 has the same value"),
            ({"which": "numbers", "numbers": "3, x"}, "is not the number of a unit"),
            ({"which": "numbers", "numbers": ""}, "at least one unit number"),
            (
                {"which": "numbers", "numbers": "1", "layers": ["layer4", "layer3"]},
                "choose just that one",
            ),
            ({"count": ""}, "how many units"),
            ({"readers_per_unit": 3}, "1 to 2 of the chosen readers"),
            ({"repeat_percent": 31}, "less than or equal to 30"),
            ({"controls": 2}, "Make an untrained control"),
            ({"readers": []}, "required"),
        ],
    )
    def test_a_form_that_cannot_be_is_shown_again_with_words(
        self, world: World, changes: dict[str, object], words: str
    ) -> None:
        response = new_list(world, client_of(world, "admin"), **changes)
        assert response.status_code == 422  # type: ignore[attr-defined]
        page = response.content.decode()  # type: ignore[attr-defined]
        assert words in page
        assert "First round" in page
        assert not ReadingList.objects.exists()

    def test_the_control_is_asked_for_once(self, world: World) -> None:
        admin = client_of(world, "admin")
        address = reverse("reading-control", args=["study", world.model.pk])
        assert admin.post(address).url.startswith("/p/study/jobs/")  # type: ignore[attr-defined]
        assert admin.post(address).url == reverse("reading-list-new", args=["study"])  # type: ignore[attr-defined]
        assert Job.objects.filter(kind=Job.Kind.MAKE_CONTROL).count() == 1


class TestReading:
    def test_pages_tell_neither_unit_nor_layer_nor_control_nor_results(self, world: World) -> None:
        twin = add_control(world)
        made = make_list(world, "expert1", units=5, controls=3, repeat_share=0.2)
        client = client_of(world, "expert1")
        for number in range(1, 11):
            address = client.get(reverse("read", args=["study", made.pk])).url  # type: ignore[attr-defined]
            page = client.get(address).content.decode()
            assert f"Unit {number} of 10" in page
            body = page.split("<main", 1)[1].split("</main>")[0]
            for secret in ("layer4", "layer3", "untrained", "Small classifier", "IoU", "influence"):
                assert secret not in body, secret
            assert not re.search(r"\bcontrol\b", body, re.IGNORECASE)
            assert not re.search(rf"dissections/({world.dissection.pk}|{twin.pk})", body)
            assert not re.search(r"/units/\d+", body), "patches under the unit's own address"
            assert "Ada" not in body
            assert not re.search(r"checked", body), "a repeat comes to an empty form"
            assert re.findall(r"readings/(\d+)/patches/0\.png", body)
            saved = client.post(f"{address}label/", {"recognisable": "no"})
            assert saved.status_code == 200
            for secret in ("layer4", "evidence", "Statistics"):
                assert secret not in saved.content.decode()
        assert client.get(reverse("read", args=["study", made.pk])).url == reverse(  # type: ignore[attr-defined]
            "reading-mine", args=["study", made.pk]
        )
        assert Label.with_repeats.filter(occasion=1).count() == 2

    @pytest.mark.parametrize(
        ("person", "status"), [("admin", 200), ("expert1", 404), ("expert2", 404)]
    )
    def test_pages_of_control_units_exist_for_admins_alone(
        self, world: World, person: str, status: int
    ) -> None:
        world.project.memberships.create(user=world.people["expert2"], role=Role.ADJUDICATOR)
        twin = add_control(world)
        layer = twin.layers.get(name="layer4")
        client = client_of(world, person)
        unit = ["study", twin.pk, "layer4", 0]
        for address in (
            reverse("units", args=unit[:3]),
            *(reverse(name, args=unit) for name in ("unit", "unit-compare", "unit-propose")),
            reverse("patch", args=["study", layer.units.get(index=0).pk, 0]),
        ):
            assert client.get(address).status_code == status, address
        assert client.post(reverse("unit-label", args=unit)).status_code == status
        assert layer not in layers_to_evaluate(world.project)

    def test_decisions_on_control_units_exist_for_admins_alone(
        self,
        world: World,
        api_client_of: ApiClientOf,  # noqa: F811
    ) -> None:
        world.project.memberships.create(user=world.people["expert2"], role=Role.ADJUDICATOR)
        for model in (world.model, add_control(world).model):
            adjudicate(
                user=world.people["admin"], model=model, layer_name="layer4", unit_index=0,
                answer=Answer(Label.Recognisable.NO), note="Noise.",
            )  # fmt: skip
        for person, count in (("admin", 2), ("expert2", 1), ("expert1", 0)):
            found = api_client_of(world.people[person]).get("/api/consensus/").json()
            assert found["count"] == count, person

    def test_patches_are_those_of_the_unit_without_telling_which(self, world: World) -> None:
        made = make_list(world, "expert1")
        client = client_of(world, "expert1")
        reading = take(made, world.people["expert1"])
        unit = world.unit(reading.item.unit_index)
        shown = client.get(reverse("reading-patch", args=["study", reading.pk, 0]))
        own = client.get(reverse("patch", args=["study", unit.pk, 0]))
        assert shown.content == own.content
        assert shown["Content-Type"] == "image/png"
        assert "immutable" in shown["Cache-Control"]
        assert (
            client.get(reverse("reading-patch", args=["study", reading.pk, 99])).status_code == 404
        )

    def test_a_patch_is_not_known_by_the_etag_of_its_unit(self, world: World) -> None:
        made = make_list(world, "expert1")
        client = client_of(world, "expert1")
        reading = take(made, world.people["expert1"])
        unit = world.unit(reading.item.unit_index)
        own = client.get(reverse("patch", args=["study", unit.pk, 0]))["ETag"]
        address = reverse("reading-patch", args=["study", reading.pk, 0])
        shown = client.get(address, headers={"If-None-Match": own})
        assert shown.status_code == 200
        assert shown["ETag"] != own
        assert client.get(address, headers={"If-None-Match": shown["ETag"]}).status_code == 304

    def test_the_next_page_comes_ahead_with_its_address(self, world: World) -> None:
        made = make_list(world, "expert1", units=2)
        client = client_of(world, "expert1")
        first = take(made, world.people["expert1"])
        ahead = client.post(reverse("reading-ahead", args=["study", first.pk]))
        assert ahead["Unitscope-Address"] == reverse("reading", args=["study", first.pk + 1])
        assert "Unit 2 of 2" in ahead.content.decode()
        second = Reading.objects.get(pk=first.pk + 1)
        answer(first)
        assert client.post(reverse("reading-ahead", args=["study", second.pk])).status_code == 204

    def test_leaving_keeps_the_time_and_puts_off_what_is_unanswered(self, world: World) -> None:
        made = make_list(world, "expert1")
        client = client_of(world, "expert1")
        reading = take(made, world.people["expert1"])
        address = reverse("reading-leave", args=["study", reading.pk])
        assert client.post(address, {"how": "away", "seconds": 4}).status_code == 422
        assert client.post(address, {"how": "next", "seconds": "nan"}).status_code == 422
        assert client.post(address, {"how": "next", "seconds": 4.5}).json() == {"state": "skipped"}
        mine = client.get(reverse("reading-mine", args=["study", made.pk])).content.decode()
        assert "Put off for later" in mine
        assert f"/readings/{reading.pk}/" in mine
        reading.refresh_from_db()
        assert reading.seconds == 4.5

    def test_an_answer_is_undone_through_the_reading(self, world: World) -> None:
        made = make_list(world, "expert1")
        client = client_of(world, "expert1")
        reading = take(made, world.people["expert1"])
        client.post(reverse("reading-label", args=["study", reading.pk]), {"recognisable": "no"})
        reading.refresh_from_db()
        assert reading.state == Reading.State.DONE
        client.post(reverse("reading-label-undo", args=["study", reading.pk]))
        reading.refresh_from_db()
        assert reading.state == Reading.State.OPEN

    def test_assisted_readers_see_the_best_overlaps_first(self, world: World) -> None:
        made = make_list(world, "expert1", assisted=True)
        client = client_of(world, "expert1")
        reading = take(made, world.people["expert1"])
        page = client.get(reverse("reading", args=["study", reading.pk])).content.decode()
        assert "Automatic proposals" in page
        assert re.search(r"(Mass|Vessel): 0\.\d\d", page)

    def test_the_project_page_leads_on(self, world: World) -> None:
        made = make_list(world, "expert1")
        page = client_of(world, "expert1").get("/p/study/").content.decode()
        assert "Continue reading" in page
        assert reverse("read", args=["study", made.pk]) in page
        assert made.name not in client_of(world, "expert2").get("/p/study/").content.decode()


class TestAdmin:
    def test_progress_by_reader_and_unit_with_controls_and_repeats(self, world: World) -> None:
        add_control(world)
        made = make_list(world, "expert1", units=4, controls=4, repeat_share=0.25)
        for reading in read_on(made, world.people["expert1"]):
            answer(reading, "no") if reading.item.control else answer(reading, "yes", "mass")
        page = client_of(world, "admin").get(reverse("reading-list", args=["study", made.pk]))
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode()))
        assert "8 of 8" in text
        assert "100 % of 2" in text
        assert "4 of 4 0 of 4 1.00" in text
        assert "Sees less in controls" in text

    def test_closing_reopening_and_changing_readers(self, world: World) -> None:
        made = make_list(world, "expert1")
        admin, expert = client_of(world, "admin"), client_of(world, "expert1")
        read = reverse("read", args=["study", made.pk])
        admin.post(reverse("reading-list-close", args=["study", made.pk]))
        assert expert.get(read).url.endswith("/mine/")  # type: ignore[attr-defined]
        assert (
            made.name not in expert.get(reverse("reading-lists", args=["study"])).content.decode()
        )
        admin.post(reverse("reading-list-reopen", args=["study", made.pk]))
        assert "/readings/" in expert.get(read).url  # type: ignore[attr-defined]
        for route, name in (("add", "expert2"), ("remove", "expert1")):
            address = reverse(f"reading-reader-{route}", args=["study", made.pk])
            admin.post(address, {"username": name})
        assert [user.username for user in made.readers.all()] == ["expert2"]
        assert expert.get(read).status_code == 403
        address = reverse("reading-reader-add", args=["study", made.pk])
        assert admin.post(address, {"username": "outsider"}).status_code == 404


class TestAccess:
    def test_who_may_do_what(self, world: World) -> None:
        made = make_list(world, "expert1")
        reading = take(made, world.people["expert1"])
        of_list, of_reading = ["study", made.pk], ["study", reading.pk]
        expected = {
            ("get", reverse("reading-lists", args=["study"])): (200, 200, 200, 200, 404),
            ("get", reverse("reading-list-new", args=["study"])): (200, 403, 403, 403, 404),
            ("get", reverse("reading-list", args=of_list)): (200, 403, 403, 403, 404),
            ("post", reverse("reading-list-reopen", args=of_list)): (302, 403, 403, 403, 404),
            ("get", reverse("read", args=of_list)): (403, 302, 403, 403, 404),
            ("get", reverse("reading-mine", args=of_list)): (403, 200, 403, 403, 404),
            ("get", reverse("reading", args=of_reading)): (404, 200, 404, 403, 404),
            ("get", reverse("reading-patch", args=[*of_reading, 0])): (404, 200, 404, 403, 404),
            ("post", reverse("reading-ahead", args=of_reading)): (404, 200, 404, 403, 404),
            ("post", reverse("reading-label", args=of_reading)): (404, 200, 404, 403, 404),
            ("post", reverse("reading-label-undo", args=of_reading)): (404, 422, 404, 403, 404),
            ("post", reverse("reading-leave", args=of_reading)): (404, 422, 404, 403, 404),
        }
        people = ("admin", "expert1", "expert2", "clinician", "outsider")
        clients = {name: client_of(world, name) for name in people}
        for (method, address), statuses in expected.items():
            found = tuple(getattr(clients[name], method)(address).status_code for name in people)
            assert found == statuses, address

    def test_controls_appear_in_no_list_but_the_admins_catalogue(
        self,
        world: World,
        api_client_of: ApiClientOf,  # noqa: F811
    ) -> None:
        before = labelling_by_project([world.project], world.people["expert1"])
        twin = add_control(world)
        control = twin.model
        assert list(own_models(world.project)) == [world.model]
        assert list(completed_dissections(world.project)) == [world.dissection]
        assert latest_layer(world.project) == world.layer
        assert models_with_cases(world.project) == []
        assert labelling_by_project([world.project], world.people["expert1"]) == before
        for address in ("/p/study/", "/p/study/catalog/", "/p/study/units/"):
            page = client_of(world, "expert1").get(address, follow=True).content.decode()
            assert "untrained control" not in page
        admin = client_of(world, "admin")
        assert "untrained control" in admin.get("/p/study/catalog/").content.decode()
        dissect = reverse("model-dissect", args=["study", control.pk])
        assert admin.get(dissect).status_code == 404
        for name, count in (("expert1", 1), ("clinician", 1), ("admin", 2)):
            client = api_client_of(world.people[name])
            assert client.get("/api/models/").json()["count"] == count
            assert client.get("/api/dissections/").json()["count"] == count
            assert client.get("/api/layers/").json()["count"] == 2 * count

    def test_the_api_hands_out_and_takes_answers_blindly(
        self,
        world: World,
        api_client_of: ApiClientOf,  # noqa: F811
    ) -> None:
        add_control(world)
        made = make_list(world, "expert1", units=1, controls=1)
        client = api_client_of(world.people["expert1"])
        address = f"/api/reading-lists/{made.pk}/"
        for left in (2, 1):
            assert client.get(f"{address}progress/").json()["left"] == left
            reading = client.post(f"{address}next/").json()
            assert set(reading) == {"id", "state", "held_until", "seconds", "patches"}
            assert f"/readings/{reading['id']}/patches/0.png" in reading["patches"][0]
            bad = client.post(f"/api/readings/{reading['id']}/answer/", {"terms": ["nonsense"]})
            assert bad.status_code == 400
            done = client.post(f"/api/readings/{reading['id']}/answer/", {"recognisable": "no"})
            assert done.json()["state"] == "done"
        assert client.post(f"{address}next/").status_code == 204
        assert client.get("/api/labels/").json()["count"] == 1, "not the one on the control"
        assert client.get("/api/reading-lists/").json()["count"] == 0
        assert client.get(address).status_code == 403
        assert api_client_of(world.people["expert2"]).post(f"{address}next/").status_code == 403
        other = api_client_of(world.people["expert2"])
        assert other.get(f"/api/readings/{reading['id']}/").status_code == 404
        assert api_client_of(world.people["outsider"]).get(address).status_code == 404
        admin = api_client_of(world.people["admin"]).get(address).json()
        assert (admin["unit_count"], admin["done_count"]) == (2, 2)
