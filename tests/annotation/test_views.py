import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Label
from annotation.services import save_label
from tests.platform.factories import World

SPICULATED = "mass.margin.spiculated"


def address(world: World, name: str, unit: int = 0) -> str:
    return reverse(name, args=[world.project.slug, world.dissection.pk, "layer4", unit])


@pytest.fixture
def expert(world: World, client: Client) -> Client:
    client.force_login(world.people["expert1"])
    return client


def test_one_field_at_a_time_is_saved_at_once(world: World, expert: Client) -> None:
    for change in ({"add": SPICULATED}, {"confidence": "2"}, {"note": "lines"}):
        response = expert.post(address(world, "unit-label"), change)
        assert response.status_code == 200
        assert response["Unitscope-Saved"] == "yes"
    label = Label.objects.get()
    assert [term.code for term in label.terms.all()] == [SPICULATED]
    assert (label.recognisable, label.confidence, label.note) == ("yes", 2, "lines")
    html = response.content.decode()
    assert 'data-remove="mass.margin.spiculated"' in html
    assert "1 answered by you" in html
    assert "<textarea" not in html, "the note is never replaced while somebody types"


def test_a_refused_change_says_why_and_shows_what_stands(world: World, expert: Client) -> None:
    expert.post(address(world, "unit-label"), {"add": SPICULATED})
    response = expert.post(address(world, "unit-label"), {"add": "no.such.term"})
    assert response.status_code == 422
    assert response["Unitscope-Saved"] == "refused"
    assert "is not a term of" in response.content.decode()
    assert 'data-remove="mass.margin.spiculated"' in response.content.decode()
    assert expert.post(address(world, "unit-label"), {"confidence": "9"}).status_code == 422


def test_undo_takes_the_last_change_back(world: World, expert: Client) -> None:
    expert.post(address(world, "unit-label"), {"recognisable": "no"})
    expert.post(address(world, "unit-label"), {"note": "lines"})
    html = expert.post(address(world, "unit-label-undo")).content.decode()
    assert "<textarea" in html
    assert "lines" not in html.split("<textarea")[1].split("</textarea>")[0]
    assert Label.objects.get().recognisable == "no"
    expert.post(address(world, "unit-label-undo"))
    assert expert.post(address(world, "unit-label-undo")).status_code == 422


def test_results_open_with_the_answer_and_close_with_its_undo(world: World, expert: Client) -> None:
    half = expert.post(address(world, "unit-label"), {"recognisable": "yes"}).content.decode()
    assert 'id="evidence"' not in half, "without a term the question is not answered"
    full = expert.post(address(world, "unit-label"), {"add": SPICULATED}).content.decode()
    assert "Overlap with known concepts" in full
    more = expert.post(address(world, "unit-label"), {"confidence": "1"}).content.decode()
    assert 'id="evidence"' not in more, "an open section is left alone"
    for _ in range(2):
        html = expert.post(address(world, "unit-label-undo")).content.decode()
    assert 'id="evidence"' in html
    assert "Overlap with known concepts" not in html


def test_an_early_look_shows_statistics_only_and_is_recorded(world: World, expert: Client) -> None:
    save_label(
        user=world.people["expert2"],
        model=world.model,
        layer_name="layer4",
        unit_index=0,
        note="the colleague's secret",
        recognisable="no",
    )
    html = expert.post(address(world, "unit-early-look")).content.decode()
    assert "Influence on each class" in html
    assert "Overlap with known concepts" not in html
    assert "secret" not in html
    assert "Opened the statistics before answering" in html
    label = Label.objects.get(author=world.people["expert1"])
    assert label.revisions.get().state["early_look"] is True


def test_terms_are_offered_as_options(world: World, expert: Client) -> None:
    url = reverse("term-search", args=[world.project.slug])
    html = expert.get(url, {"q": "stellate"}).content.decode()
    assert html.count("data-code") == 1
    assert 'data-code="mass.margin.spiculated"' in html
    assert "No term matches “&lt;b&gt;”" in expert.get(url, {"q": "<b>"}).content.decode()


@pytest.mark.parametrize("name", ["unit-label", "unit-label-undo", "unit-early-look"])
@pytest.mark.parametrize(("who", "status"), [("clinician", 403), ("outsider", 404)])
def test_only_labellers_label(
    world: World, client: Client, name: str, who: str, status: int
) -> None:
    client.force_login(world.people[who])
    response = client.post(address(world, name), {"recognisable": "no"})
    assert response.status_code == status
    assert not Label.objects.exists()


def test_a_lost_session_is_never_taken_for_a_save(world: World, client: Client) -> None:
    response = client.post(address(world, "unit-label"), {"recognisable": "no"}, follow=True)
    assert "Unitscope-Saved" not in response
    assert not Label.objects.exists()


def test_looking_changes_nothing(world: World, expert: Client) -> None:
    for name in ("unit-label", "unit-label-undo", "unit-early-look"):
        assert expert.get(address(world, name)).status_code == 405
