"""The pages, API and commands of a project's vocabulary."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation.services import save_label
from catalog import vocabulary_services as services
from catalog.models import Term, Vocabulary
from catalog.vocabularies.exchange import read_bytes
from catalog.vocabularies.storing import content_of
from tests.platform.conftest import ApiClientOf
from tests.platform.factories import World, build_world

VESSEL = "other.vessel"
HOME = "/p/study/vocabulary/"


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=3, units=4)


@pytest.fixture
def admin(world: World) -> Client:
    client = Client()
    client.force_login(world.people["admin"])
    return client


@pytest.fixture
def own(world: World, admin: Client) -> Vocabulary:
    admin.post(f"{HOME}copy/")
    world.project.refresh_from_db()
    world.model.refresh_from_db()
    return world.project.vocabulary


def text_of(client: Client, address: str, data: dict[str, Any] | None = None) -> str:
    return client.get(address, data).content.decode()


def upload(text: str, name: str = "terms.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode())


def label(world: World) -> None:
    save_label(
        user=world.people["expert1"], model=world.model, layer_name="layer4", unit_index=0,
        term_codes=[VESSEL],
    )  # fmt: skip


def test_one_click_gives_the_project_its_own_copy(world: World, admin: Client) -> None:
    label(world)
    assert "Make an own copy to edit" in text_of(admin, HOME)
    assert admin.get(f"{HOME}terms/add/").status_code == 404, "the shared one has no such page"
    page = admin.post(f"{HOME}copy/", follow=True).content.decode()
    assert "It has the terms of all labels (1)." in page
    assert "Add a term" in page
    again = admin.post(f"{HOME}copy/", follow=True).content.decode()
    assert "own already" in again
    assert Vocabulary.objects.count() == 2


def test_terms_are_added_changed_and_retired_in_the_pages(
    world: World, admin: Client, own: Vocabulary
) -> None:
    label(world)
    form = {"name": "Halo", "synonyms": "ring\r\n\r\ncorona", "help_text": "A ring."}
    assert admin.post(f"{HOME}terms/add/", form).status_code == 302
    halo = own.terms.get(code="halo")
    assert halo.synonyms == ["ring", "corona"]
    refused = admin.post(f"{HOME}terms/add/", form | {"name": "vessel"})
    assert refused.status_code == 422
    assert "already a term “Vessel”" in refused.content.decode()
    assert "corona" in refused.content.decode(), "what was typed is kept"

    vessel = own.terms.get(code=VESSEL)
    address = f"{HOME}terms/{vessel.pk}/"
    change = {"name": "Blood vessel", "phrase": "blood vessel", "behind": halo.pk}
    assert admin.post(address, change).status_code == 302
    assert admin.post(f"{address}state/", {"action": "retire"}).status_code == 302
    deleted = admin.post(f"{address}state/", {"action": "delete"}, follow=True).content.decode()
    assert "cannot be deleted" in deleted
    page = text_of(admin, HOME)
    assert "Retired" in page
    assert "Blood vessel" in page
    assert admin.post(f"{address}state/", {"action": "bring-back"}).status_code == 302
    assert not Term.objects.get(pk=vessel.pk).retired
    odd = admin.post(f"{address}state/", {"action": "explode"}, follow=True).content.decode()
    assert "Choose what to do" in odd


def test_a_label_is_readable_after_its_term_is_renamed_and_retired(
    world: World, own: Vocabulary, admin: Client, api_client_of: ApiClientOf
) -> None:
    label(world)
    vessel = own.terms.get(code=VESSEL)
    admin.post(f"{HOME}terms/{vessel.pk}/", {"name": "Blood vessel"})
    admin.post(f"{HOME}terms/{vessel.pk}/state/", {"action": "retire"})
    expert = Client()
    expert.force_login(world.people["expert1"])
    unit = text_of(expert, reverse("unit", args=["study", world.dissection.pk, "layer4", 0]))
    assert "Blood vessel <span" in unit
    assert "(retired)" in unit
    assert "Added Vessel" in unit, "the history has the name of its time"
    assert "Blood vessel" not in text_of(
        expert, reverse("term-search", args=["study"]), {"q": "ves"}
    )

    client = api_client_of(world.people["expert1"])
    [found] = client.get("/api/labels/").json()["results"]
    assert found["terms"] == [VESSEL]
    terms = f"/api/vocabularies/{own.pk}/terms/"
    assert VESSEL not in [term["code"] for term in client.get(terms).json()]
    [retired] = client.get(terms, {"retired": "true"}).json()
    assert (retired["code"], retired["name"], retired["retired"]) == (VESSEL, "Blood vessel", True)


def test_an_update_is_shown_before_it_is_made(admin: Client, own: Vocabulary) -> None:
    address = f"{HOME}import/"
    file = upload("code,name\nmass,Lump\nnew,<New>\n")
    page = admin.post(address, {"file": file, "target": "update"})
    html = page.content.decode()
    for words in ("&lt;New&gt;", "was “Mass”", "Retired"):
        assert words in html
    assert "Other changes" not in html, "columns that the file lacks stay as they are"
    assert own.terms.count() == 10, "a preview changes nothing"
    confirm = page.context["form"].initial
    services.add_term(vocabulary=own, name="Meanwhile")
    overtaken = admin.post(address, confirm)
    assert overtaken.status_code == 422
    assert "has been changed since" in overtaken.content.decode()
    assert admin.post(address, overtaken.context["form"].initial).status_code == 302
    assert list(own.terms.filter(retired=False).values_list("name", flat=True)) == ["Lump", "<New>"]
    assert own.terms.get(code="mass").synonyms == ["lump", "opacity"]


def test_a_faulty_file_is_refused_with_its_lines_and_nothing_is_changed(
    admin: Client, own: Vocabulary
) -> None:
    before = content_of(own)
    file = upload("code,name\nmass,Lump\n,Nameless\nx,\n")
    page = admin.post(f"{HOME}import/", {"file": file, "target": "update"})
    assert page.status_code == 422
    assert "Line 3: Give a code." in page.content.decode()
    assert "Line 4: Give a name." in page.content.decode()
    large = upload("x" * ((2 << 20) + 1))
    page = admin.post(f"{HOME}import/", {"file": large, "target": "update"})
    assert "larger than 2 MB" in page.content.decode()
    forged = admin.post(f"{HOME}import/", {"content": "{", "target": "update"}, follow=True)
    assert "could not be read" in forged.content.decode()
    assert content_of(own) == before


def test_a_file_becomes_a_new_vocabulary_and_the_old_one_can_be_chosen_again(
    world: World, admin: Client
) -> None:
    label(world)
    shared = world.project.vocabulary
    file = {"file": upload("code,name\nmass,Lump\n")}
    assert "Give the new one a name" in admin.post(f"{HOME}import/", file).content.decode()
    named: dict[str, Any] = {"file": upload("code,name\nmass,Lump\n"), "name": "Mine"}
    page = admin.post(f"{HOME}import/", named)
    done = admin.post(f"{HOME}import/", page.context["form"].initial, follow=True)
    html = done.content.decode()
    assert "1 of 1 labels keep terms that it lacks: Vessel" in html
    assert "Mine" in html
    choices = text_of(admin, f"{HOME}choose/")
    assert "1 of 1 labels have terms that it lacks: Vessel" in choices
    back = admin.post(f"{HOME}choose/", {"vocabulary": shared.pk}, follow=True).content.decode()
    assert "It has the terms of all labels (1)." in back
    assert admin.post(f"{HOME}choose/", {"vocabulary": "x"}).status_code == 404
    other = build_world(images=3, units=2, slug="second")
    foreign = services.create_vocabulary(project=other.project, name="Theirs")
    assert admin.post(f"{HOME}choose/", {"vocabulary": foreign.pk}).status_code == 404
    created = admin.post(f"{HOME}create/", {"name": "Blank"}, follow=True).content.decode()
    assert "No term yet" in created
    assert admin.post(f"{HOME}create/", {"name": "blank"}).status_code == 422


def test_releases_are_published_compared_and_downloaded(
    admin: Client, own: Vocabulary, world: World, api_client_of: ApiClientOf
) -> None:
    services.add_term(vocabulary=own, name="Halo")
    address = f"{HOME}releases/"
    assert admin.post(address, {"version": "6 β", "note": "Halo"}).status_code == 302
    assert admin.post(address, {"version": "6 β"}).status_code == 422
    page = text_of(admin, address, {"before": "5", "after": "6 β"})
    assert "Added" in page
    assert "Halo" in page
    assert admin.get(address, {"before": "nope"}).status_code == 404
    export = admin.get(f"{HOME}export/", {"as": "turtle", "release": "5"})
    assert 'filename="study-lexicon-study-5.ttl"' in export["Content-Disposition"]
    assert len(read_bytes(export.content, "v.ttl").terms) == 10
    assert admin.get(f"{HOME}export/", {"as": "exe"}).status_code == 404

    client = api_client_of(world.people["clinician"])
    found = client.get(f"/api/vocabularies/{own.pk}/releases/").json()
    assert [release["version"] for release in found] == ["6 β", "5"]
    file = client.get(f"/api/vocabularies/{own.pk}/export/", {"as": "csv", "release": "6 β"})
    assert len(read_bytes(file.content, "v.csv").terms) == 11
    assert client.get(f"/api/vocabularies/{own.pk}/export/", {"release": "7"}).status_code == 404


def test_the_commands_write_and_read_the_same_files(
    world: World, own: Vocabulary, tmp_path: Path
) -> None:
    file = tmp_path / "terms.rdf"
    call_command("export_vocabulary", "--project=study", "--as=rdfxml", f"--to={file}")
    said = io.StringIO()
    call_command("import_vocabulary", "--project=study", file, stdout=said)
    assert "Nothing is different" in said.getvalue()
    small = tmp_path / "terms.csv"
    small.write_text("code,name\nmass,Lump\n")
    call_command("import_vocabulary", "--project=study", "--dry-run", small, stdout=said)
    assert "Renamed: Lump (mass) was “Mass”" in said.getvalue()
    assert own.terms.filter(retired=True).count() == 0
    call_command("import_vocabulary", "--project=study", small)
    assert own.terms.filter(retired=True).count() == 9
    call_command("import_vocabulary", "--project=study", "--new=Mine", small)
    world.project.refresh_from_db()
    assert world.project.vocabulary.name == "Mine"
    with pytest.raises(CommandError, match="Releases: none yet"):
        call_command("export_vocabulary", "--project=study", "--release=9")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_vocabulary", "--project=study", tmp_path / "absent.csv")
