import io
import re
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.services import save_label
from dissections.models import Unit
from tests.platform.factories import World, build_world

SPICULATED = "mass.margin.spiculated"


@pytest.fixture
def world(db: None) -> World:
    return build_world(images=6, units=8)


@pytest.fixture
def expert(world: World, client: Client) -> Client:
    client.force_login(world.people["expert1"])
    return client


def units_url(world: World, **query: str) -> str:
    url = reverse("units", args=[world.project.slug, world.dissection.pk, "layer4"])
    return url + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")


def unit_url(world: World, unit: int, query: str = "") -> str:
    args = [world.project.slug, world.dissection.pk, "layer4", unit]
    return reverse("unit", args=args) + query


def label(world: World, unit: int, who: str = "expert1", **changes: Any) -> None:
    save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        **changes,
    )


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def listed(client: Client, url: str) -> list[int]:
    return [int(number) for number in re.findall(r">Unit (\d+)</a>", read(client, url))]


def query_count(client: Client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(url)
    return len(queries)


# The list ------------------------------------------------------------------------------------


def test_the_list_runs_no_query_per_unit(client: Client, db: None) -> None:
    counts = []
    for slug, units in (("small", 4), ("large", 40)):
        world = build_world(images=3, units=units, slug=slug)
        label(world, 0, add_terms=[SPICULATED])
        label(world, 1, recognisable="no")
        client.force_login(world.people["expert1"])
        counts.append(query_count(client, units_url(world)))
    assert counts[0] == counts[1] <= 18


def test_orders(world: World, expert: Client) -> None:
    influence = dict(world.layer.units.values_list("index", "influence"))
    assert listed(expert, units_url(world, sort="number")) == list(range(8))
    largest = sorted(influence, key=lambda i: (-max(map(abs, influence[i])), i))
    assert listed(expert, units_url(world)) == largest
    assert listed(expert, units_url(world, sort="nonsense")) == largest


def test_filters_and_search(world: World, expert: Client) -> None:
    label(world, 2, add_terms=[SPICULATED])
    label(world, 3, recognisable="no")
    label(world, 4, recognisable="yes", note="a curved line")
    label(world, 5, who="expert2", add_terms=["other.vessel"])
    show = {
        name: listed(expert, units_url(world, sort="number", show=name))
        for name in ("unanswered", "answered", "nothing")
    }
    assert show == {"unanswered": [0, 1, 4, 5, 6, 7], "answered": [2, 3], "nothing": [3]}
    for text, found in (
        ("stellate", [2]),
        ("curved", [4]),
        ("6", [6]),
        ("9" * 30, []),
        ("vessel", []),
    ):
        assert listed(expert, units_url(world, sort="number", q=text)) == found


def test_the_list_is_blind_until_a_unit_is_answered(world: World, expert: Client) -> None:
    label(world, 5, who="expert2", add_terms=["other.vessel"], note="the colleague's secret")
    label(world, 2, recognisable="no")
    html = read(expert, units_url(world, sort="number"))
    cards = html.split('<li class="card link unit-card">')[1:]
    for index, card in enumerate(cards):
        assert ("IoU" in card) == (index == 2)
        assert any(name in card for name in world.model.class_names) == (index == 2)
    assert "secret" not in html
    assert '<li class="chip">' not in html


def test_only_readers_who_see_scores_can_order_by_them(
    world: World, expert: Client, client: Client
) -> None:
    influence = dict(world.layer.units.values_list("index", "influence"))
    orders = {
        "class-2": sorted(influence, key=lambda index: (-influence[index][2], index)),
        "selectivity": [6, 5, 4, 3, 2, 1, 0, 7],
        "iou": [6, 5, 4, 3, 2, 1, 0, 7],
    }
    default = listed(expert, units_url(world))
    for sort in orders:
        assert f'value="{sort}"' not in read(expert, units_url(world))
        assert listed(expert, units_url(world, sort=sort)) == default
    client.force_login(world.people["admin"])
    for sort, order in orders.items():
        assert f'value="{sort}"' in read(client, units_url(world))
        assert listed(client, units_url(world, sort=sort)) == order


def test_an_empty_filter_says_what_to_do(world: World, expert: Client) -> None:
    assert "Show all units" in read(expert, units_url(world, q="zzz"))
    for unit in range(8):
        label(world, unit, recognisable="no")
    done = read(expert, units_url(world, show="unanswered"))
    assert "You have answered every unit of layer4" in done


def test_units_start_leads_to_the_deepest_layer(world: World, expert: Client) -> None:
    response = expert.get(reverse("units-start", args=[world.project.slug]))
    assert response.url == units_url(world)  # type: ignore[attr-defined]
    world.dissection.delete()
    html = read(expert, reverse("units-start", args=[world.project.slug]))
    assert "No units to look at yet" in html


def test_an_unfinished_dissection_does_not_exist_yet(world: World, expert: Client) -> None:
    world.dissection.completed = None
    world.dissection.save()
    assert expert.get(units_url(world)).status_code == 404
    assert expert.get(unit_url(world, 0)).status_code == 404


# One unit ------------------------------------------------------------------------------------


def test_the_unit_page_is_blind_until_answered(world: World, expert: Client) -> None:
    label(world, 0, who="expert2", recognisable="no", note="the colleague's secret")
    before = read(expert, unit_url(world, 0))
    hidden = ["IoU", "secret", "Okafor", "Influence on each class", "Mean activation by class"]
    assert [word for word in hidden if word in before] == []
    assert "image000" not in before, "file names may tell the class"
    label(world, 0, add_terms=[SPICULATED])
    after = read(expert, unit_url(world, 0))
    assert [word for word in hidden if word not in after] == []


def test_admins_and_members_who_do_not_label_see_everything(world: World, client: Client) -> None:
    label(world, 0, who="expert2", recognisable="no", note="what was said")
    for who in ("admin", "clinician"):
        client.force_login(world.people[who])
        html = read(client, unit_url(world, 0))
        assert "Overlap with known concepts" in html
        assert "what was said" in html
        assert ('id="label"' in html) == (who == "admin")


def test_neighbours_follow_the_order(world: World, expert: Client) -> None:
    label(world, 5, recognisable="no")
    html = read(expert, unit_url(world, 4, "?sort=number"))
    previous, following = (
        re.search(rf'rel="{name}" href="([^"]+)"', html) for name in ("prev", "next")
    )
    assert previous
    assert previous[1] == unit_url(world, 3, "?sort=number")
    assert following
    assert following[1] == unit_url(world, 5, "?sort=number")
    unanswered = re.search(r'class="button primary" href="([^"]+)"', html)
    assert unanswered
    assert unanswered[1] == unit_url(world, 6, "?sort=number")
    assert "5 of 8 in layer4" in html


def test_the_next_unanswered_unit_is_fetched_ahead(world: World, expert: Client) -> None:
    html = read(expert, unit_url(world, 4, "?sort=number"))
    ahead = Unit.objects.get(layer=world.layer, index=5)
    patch = reverse("patch", args=[world.project.slug, ahead.pk, 0])
    assert f'rel="prefetch" as="image" href="{patch}?part=patch&amp;size=320"' in html


def test_a_unit_that_never_varies_says_so(world: World, expert: Client) -> None:
    html = read(expert, unit_url(world, 7))
    assert "This unit never varies" in html
    assert 'class="tile"' not in html
    label(world, 7, recognisable="no")
    assert "Nothing to draw" in read(expert, unit_url(world, 7))


def test_the_unit_page_needs_few_queries(world: World, expert: Client) -> None:
    label(world, 0, add_terms=[SPICULATED, "mass"], note="lines", confidence=2)
    for who in ("expert2", "admin"):
        label(world, 0, who=who, add_terms=["mass"])
    assert query_count(expert, unit_url(world, 0)) <= 26


def test_the_form_shows_what_was_saved(world: World, expert: Client) -> None:
    label(world, 0, add_terms=[SPICULATED], confidence=3, note="<lines>")
    html = read(expert, unit_url(world, 0))
    assert 'data-chosen="mass.margin.spiculated"' in html
    assert re.search(r'value="yes"[^>]* checked', html)
    assert re.search(r'name="confidence" value="3"[^>]* checked', html)
    assert "&lt;lines&gt;</textarea>" in html
    recent = read(expert, unit_url(world, 1))
    assert 'data-term="mass.margin.spiculated" data-key="1"' in recent


# Similar units, and two units side by side ----------------------------------------------------


def store_nearest(world: World, nearest: list[list[int]]) -> None:
    """Store the layer's arrays anew with these nearest units, as new dissections have them."""
    layer = world.layer
    with layer.arrays.open("rb") as file, np.load(file) as stored:
        arrays = dict(stored)
    index = np.array(nearest, np.int32)
    correlation = np.where(index < 0, np.nan, 0.9 - 0.1 * np.arange(index.shape[1]))
    stream = io.BytesIO()
    np.savez(stream, nearest_index=index, nearest_correlation=correlation, **arrays)
    layer.arrays.save("with-nearest.npz", ContentFile(stream.getvalue()))


def test_similar_units_show_terms_as_far_as_the_reader_may_see_them(
    world: World, expert: Client, client: Client
) -> None:
    assert "Units most like it" not in read(expert, unit_url(world, 0)), "an older dissection"
    store_nearest(world, [[3, 1], *[[-1, -1]] * 7])
    label(world, 3, who="expert2", add_terms=["other.vessel"])
    label(world, 1, add_terms=[SPICULATED])

    html = read(expert, unit_url(world, 0))
    cards = html.split("Units most like it")[1].split('<li class="card link unit-card">')[1:]
    assert [re.search(r"Unit (\d)</a>.*?r (0\.\d\d)", card, re.S).groups() for card in cards] == [  # type: ignore[union-attr]
        ("3", "0.90"),
        ("1", "0.80"),
    ]
    assert cards[0].count('class="tile-image"') == 4
    assert "Vessel" not in cards[0], "a colleague's term on a unit that the reader has not answered"
    assert "Spiculated margin" in cards[1]
    assert "Units most like it" not in read(expert, unit_url(world, 1)), "it has none"
    label(world, 3, recognisable="no")
    assert "Vessel" in read(expert, unit_url(world, 0))
    client.force_login(world.people["clinician"])
    assert "Vessel" in read(client, unit_url(world, 0))


def compare_url(world: World, unit: int, layer: int | str = "", other: int | str = "") -> str:
    args = [world.project.slug, world.dissection.pk, "layer4", unit]
    query = f"?layer={layer}&unit={other}" if layer else ""
    return reverse("unit-compare", args=args) + query


def test_units_of_two_layers_are_compared_and_each_stays_blind_until_answered(
    world: World, expert: Client
) -> None:
    other = world.layers[1]
    url = compare_url(world, 0, other.pk, 2)
    html = read(expert, url)
    for title in ("Unit 0 of layer4", "Unit 2 of layer3"):
        assert title in html
    assert html.count('data-pixels="') == 12
    assert html.count("open once you have answered it") == 2
    assert not any(name in html for name in world.model.class_names)
    label(world, 0, recognisable="no")
    half = read(expert, url)
    assert half.count("Influence on each class</h3>") == 1
    assert half.index("Influence on each class</h3>") < half.index("Unit 2 of layer3")
    assert query_count(expert, url) <= 24


@pytest.mark.parametrize(
    ("layer", "other", "problem"),
    [
        ("layer4", 8, "layer4 has the units 0 to 7"),
        ("layer4", 0, "Choose another unit"),
        ("layer4", "x", "whole number"),
        ("layer4", -1, "greater than or equal to 0"),
        ("other", 0, "valid choice"),
    ],
)
def test_a_wrong_choice_of_the_other_unit_is_explained(
    world: World, expert: Client, layer: str, other: Any, problem: str
) -> None:
    foreign = build_world(images=3, units=2, slug="other").layer
    html = read(
        expert, compare_url(world, 0, (world.layer if layer == "layer4" else foreign).pk, other)
    )
    assert problem in html
    assert "data-pixels" not in html


def test_the_other_unit_is_asked_for(world: World, expert: Client) -> None:
    html = read(expert, compare_url(world, 0))
    assert "Choose the unit to put beside it" in html
    assert "errorlist" not in html
    assert "layer3: Small classifier over Screening images" in html


def test_the_histogram_can_be_read_as_numbers(world: World, expert: Client) -> None:
    label(world, 0, recognisable="no")
    html = read(expert, unit_url(world, 0))
    table = html.split("The histogram as a table")[1].split("</table>")[0]
    counts = [int(number) for number in re.findall(r'<td class="num">(\d+)</td></tr>', table)]
    assert len(counts) == 8
    assert sum(counts) == world.maps["layer4"][:, 0].size


@pytest.mark.parametrize(
    "name", ["units", "unit", "unit-compare", "units-start", "term-search", "project"]
)
def test_outsiders_find_nothing(world: World, client: Client, name: str) -> None:
    layer = [world.dissection.pk, "layer4"]
    more = {"units": layer, "unit": [*layer, 0], "unit-compare": [*layer, 0]}.get(name, [])
    url = reverse(name, args=[world.project.slug, *more])
    assert client.get(url).url.startswith("/login/")  # type: ignore[attr-defined]
    client.force_login(world.people["outsider"])
    assert client.get(url).status_code == 404


def test_units_of_another_project_do_not_exist_here(world: World, expert: Client) -> None:
    other = build_world(images=3, units=2, slug="other")
    foreign = reverse("units", args=[world.project.slug, other.dissection.pk, "layer4"])
    assert expert.get(foreign).status_code == 404


@pytest.mark.parametrize("page", ["units", "unit", "compare", "project"])
def test_pages_carry_no_inline_style_or_script(world: World, expert: Client, page: str) -> None:
    urls = {
        "units": units_url(world),
        "unit": unit_url(world, 0),
        "compare": compare_url(world, 0, world.layer.pk, 1),
        "project": reverse("project", args=[world.project.slug]),
    }
    label(world, 0, add_terms=[SPICULATED])
    html = read(expert, urls[page])
    assert not re.search(r'\sstyle="|<style|\son[a-z]+="', html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
