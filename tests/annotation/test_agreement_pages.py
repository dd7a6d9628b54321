import json
import re
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from annotation.agreement import consensus
from annotation.agreement.answers import layer_answers
from annotation.agreement.exporting import Format, Kind, export
from annotation.agreement.proposals import proposal_agreement, proposal_count
from annotation.agreement.report import agreement_report
from annotation.agreement.statistics import MISSING
from annotation.models import Consensus, Label
from catalog.models import Concept, Term
from dissections.models import Unit
from tests.annotation.saying import (
    CIRCUMSCRIBED,
    SKIN,
    SPICULATED,
    VESSEL,
    add_adjudicator,
    say,
    settle,
)
from tests.platform.conftest import ApiClientOf, api_client_of  # noqa: F401
from tests.platform.factories import World


def client_of(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def address(world: World, name: str, *more: Any) -> str:
    return reverse(name, args=[world.project.slug, world.model.pk, "layer4", *more])


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def fill(world: World) -> None:
    say(world, "expert1", 0, SPICULATED, note="rays")
    say(world, "expert2", 0, CIRCUMSCRIBED)
    say(world, "expert1", 1, VESSEL)
    say(world, "expert2", 1, recognisable="no")
    say(world, "expert1", 2, VESSEL)
    say(world, "expert2", 2, VESSEL)


def test_the_page_lists_differences_worst_first(world: World) -> None:
    mass = Term.objects.get(code="mass", vocabulary=world.project.vocabulary)
    Term.objects.filter(code__startswith="mass.").update(parent=mass)
    fill(world)
    html = client_of(world, "admin").get(address(world, "agreement-layer")).content.decode()
    text = text_of(html)
    assert "2 experts answered 3 units, 3 of them by two or more" in text
    assert "Fewer than 10 units" in text
    assert text.index("Unit 1") < text.index("Unit 0"), "no credit before partial credit"
    assert "Unit 2" not in text, "they agree"
    assert "difference 0.50" in text
    assert "Ada Reyes and Ben Okafor" in text
    shown = client_of(world, "admin").get(address(world, "agreement-layer"), {"term": VESSEL})
    assert "Unit 0" not in text_of(shown.content.decode())
    odd = client_of(world, "admin").get(
        address(world, "agreement-layer"), {"show": "x", "page": "x"}
    )
    assert odd.status_code == 200


def test_experts_see_agreement_once_they_have_answered_what_others_did(world: World) -> None:
    fill(world)
    say(world, "admin", 3, SKIN)
    expert = client_of(world, "expert1")
    assert expert.get(address(world, "agreement-layer")).status_code == 403
    start = reverse("agreement", args=[world.project.slug])
    page = expert.get(start).content.decode()
    assert "This opens when you have answered" in page
    assert f'href="{start}"' not in page, "no link in the navigation yet"
    say(world, "expert1", 3, recognisable="unsure")
    assert expert.get(start, follow=True).status_code == 200
    assert f'href="{start}"' in expert.get(start, follow=True).content.decode()
    assert expert.get(address(world, "adjudicate", 0)).status_code == 403
    assert client_of(world, "clinician").get(start).status_code == 403
    assert client_of(world, "outsider").get(start).status_code == 404


def test_a_blinded_adjudicator_sees_answers_only_where_they_settle(world: World) -> None:
    fill(world)
    add_adjudicator(world)
    client = client_of(world, "adjudicator")
    html = client.get(address(world, "agreement-layer")).content.decode()
    assert "You have not answered this unit" in html
    assert "Circumscribed margin</span>" not in html
    html = client.get(address(world, "adjudicate", 0)).content.decode()
    assert "Circumscribed margin</span>" in html
    assert "rays" in html
    response = client.post(address(world, "adjudicate", 0), decision(world, 0, terms=[SPICULATED]))
    assert response["Location"] == address(world, "adjudicate", 1), "on to the next"
    html = client.get(address(world, "agreement-layer"), {"show": "all"}).content.decode()
    assert "Circumscribed margin</span>" in html


def decision(world: World, unit: int, **values: Any) -> dict[str, Any]:
    labels = consensus.answers_on(world.model, "layer4").get(unit, [])
    seen = consensus.version((world.model, "layer4", unit), labels)
    return {"recognisable": "yes", "seen": seen, **values}


def test_settling_a_unit_and_taking_it_back(world: World) -> None:
    fill(world)
    client = client_of(world, "admin")
    sent = decision(world, 1, recognisable="no", terms=[VESSEL])
    client.post(address(world, "adjudicate", 1), sent)
    row = consensus.current(world.model, "layer4")[1]
    assert (row.recognisable, row.terms.count()) == ("no", 0)
    refused = client.post(
        address(world, "adjudicate", 2), decision(world, 2, terms=[SKIN, VESSEL], note="")
    )
    assert refused.status_code == 422
    html = refused.content.decode()
    assert "departs from what most experts said" in html
    assert re.search(rf'value="{SKIN}" checked', html), "what was entered is still there"
    sent = decision(world, 2, terms=[SKIN, VESSEL], note="both")
    assert client.post(address(world, "adjudicate", 2), sent).status_code == 302
    again = client.post(address(world, "adjudicate", 2), {**sent, "note": "kept words"})
    assert again.status_code == 422
    assert "kept words" in again.content.decode()
    stale = client.post(address(world, "adjudicate-undo", 2), {"seen": sent["seen"]}, follow=True)
    assert "came in since you opened this unit" in stale.content.decode()
    assert 2 in consensus.current(world.model, "layer4"), "a decision not yet seen stays"
    client.post(address(world, "adjudicate-undo", 2), {"seen": decision(world, 2)["seen"]})
    assert 2 not in consensus.current(world.model, "layer4")
    say(world, "expert1", 1, recognisable="no")
    html = client.get(address(world, "adjudicate", 1)).content.decode()
    assert "older than the answers" in html
    absent = client.post(address(world, "adjudicate", 0), decision(world, 0, terms=["absent"]))
    assert absent.status_code == 422


def test_answers_given_after_settling_are_no_independent_ones(world: World) -> None:
    say(world, "expert1", 0, SPICULATED)
    say(world, "expert2", 0, VESSEL)
    settle(world, "admin", 0, SPICULATED)
    say(world, "admin", 0, SPICULATED)
    answers = layer_answers(world.model, "layer4")
    assert len(answers.by_unit[0]) == 3
    assert [person.username for person in answers.experts] == ["admin", "expert1", "expert2"]
    assert (answers.recognisable != MISSING).sum(1).tolist() == [0, 1, 1]


def test_accepting_all_agreements_from_the_page(world: World) -> None:
    fill(world)
    client = client_of(world, "admin")
    client.post(address(world, "agreements-accept"), {"fewest": "1"})
    assert not Consensus.objects.exists()
    page = client.post(address(world, "agreements-accept"), {"fewest": "2"}, follow=True)
    assert "Units settled because experts agree: 1." in page.content.decode()
    page = client.post(address(world, "agreements-withdraw"), follow=True)
    assert "Units opened again: 1." in page.content.decode()
    assert not consensus.current(world.model, "layer4")


def test_numbers_of_a_real_sized_layer_hold_against_shuffled_answers(world: World) -> None:
    rng = np.random.default_rng(0)
    first = world.layer.units.get(index=0)
    for index in range(6, 40):
        Unit.objects.create(
            layer=world.layer, index=index, threshold=1.0, mean=0, maximum=1, active_fraction=0,
            class_means=[], influence=[], influence_max=0, best_concept=first.best_concept,
            best_iou=0.2 if index % 2 else 0.01,
        )  # fmt: skip
    codes = [SPICULATED, VESSEL, SKIN]
    truth = rng.integers(3, size=40)
    given = {who: np.where(rng.random(40) < 0.8, truth, rng.integers(3, size=40))
             for who in ("expert1", "expert2", "admin")}  # fmt: skip
    for who, terms in given.items():
        for unit in range(40):
            say(world, who, unit, codes[terms[unit]])
    found = {
        s.key: s.estimate for s in agreement_report(layer_answers(world.model, "layer4")).terms
    }
    low = found["alpha_same_terms"].low
    assert low is not None
    assert low > 0.2
    for who, terms in given.items():
        for unit, term in enumerate(rng.permutation(terms)):
            say(world, who, unit, codes[term])
    control = {
        s.key: s.estimate for s in agreement_report(layer_answers(world.model, "layer4")).terms
    }
    for estimate in control.values():
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= 0 <= estimate.high


def test_proposals_are_counted_against_shuffled_ones(world: World) -> None:
    terms = {term.code: term for term in world.project.vocabulary.terms.all()}
    Term.objects.filter(pk=terms[SPICULATED].pk).update(parent=terms["mass"])
    Concept.objects.filter(key="mass").update(term=terms["mass"])
    Concept.objects.filter(key="vessel").update(term=terms[VESSEL])
    assert proposal_count(world.model, "layer4") is None
    # units 2 and 4 propose "mass", unit 3 "vessel"; unit 0 and 1 stay below the bound
    say(world, "expert1", 2, "mass")
    say(world, "expert2", 2, SPICULATED)
    say(world, "expert1", 3, VESSEL)
    say(world, "expert1", 4, recognisable="no")
    say(world, "expert2", 4, recognisable="unsure")
    say(world, "expert1", 0, "mass")
    count = proposal_count(world.model, "layer4")
    assert count is not None
    assert (count.agreeing, count.answers, count.percent) == (2, 4, 50)
    by_unit = consensus.answers_on(world.model, "layer4")
    found = proposal_agreement(world.model, "layer4", by_unit)
    assert found.exact.value == pytest.approx((0.5 + 1 + 0) / 3)
    assert found.near.value == pytest.approx((1 + 1 + 0) / 3)
    assert found.exact_shuffled is not None
    # unit 2 is given "mass" in two of three draws (half credit), unit 3 "vessel" in one
    assert found.exact_shuffled.mean == pytest.approx((0.5 * 2 / 3 + 1 / 3) / 3, abs=0.03)
    expert = client_of(world, "expert1")
    unit = reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", 3])
    assert "2 of 4 answers (50 %)" in expert.get(unit).content.decode()
    unseen = reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", 1])
    assert "answers (50 %)" not in expert.get(unseen).content.decode()
    html = client_of(world, "admin").get(address(world, "agreement-layer")).content.decode()
    assert "4 answers on 3 units" in text_of(html)


def test_files_go_out_and_come_in_through_the_page(world: World) -> None:
    fill(world)
    settle(world, "admin", 0, SPICULATED)
    client = client_of(world, "admin")
    where = reverse("labels-download", args=[world.project.slug])
    for kind in Kind:
        for file_format in Format:
            response = client.get(where, {"what": kind, "file_format": file_format})
            assert f"study-{kind}-" in response["Content-Disposition"]
            content = response.content
    assert client.get(where, {"what": "secrets"}).status_code == 422
    labels = client.get(where, {"what": "labels", "file_format": "csv"}).content
    assert labels.decode("utf-8-sig").count("expert1") == 3
    own = client_of(world, "expert1").get(where, {"what": "labels", "file_format": "csv"})
    assert "expert2" not in own.content.decode()
    assert (
        client_of(world, "expert1")
        .get(where, {"what": "consensus", "file_format": "csv"})
        .status_code
        == 403
    )
    assert json.loads(content)["rows"][0]["decided_by"] == "admin"

    say(world, "expert1", 0, SKIN)
    report = client.post(
        reverse("labels-import", args=[world.project.slug]),
        {"what": "labels", "file": SimpleUploadedFile("labels.csv", labels)},
    )
    assert report.status_code == 422
    html = report.content.decode()
    assert "1 refused" in html
    assert "Import and replace 1 that differ" in html
    kept = re.search(r'name="content" value="([^"]+)"', html)
    assert kept is not None
    confirm = reverse("labels-import-confirm", args=[world.project.slug])
    sent = {"what": "labels", "content": kept[1]}
    assert client.post(confirm, sent).status_code == 422
    done = client.post(confirm, {**sent, "replace": "on"}, follow=True).content.decode()
    assert "0 added, 1 replaced, 5 were here already" in done
    broken = client.post(
        reverse("labels-import", args=[world.project.slug]),
        {"what": "labels", "file": SimpleUploadedFile("labels.csv", b"\xff")},
    )
    assert "UTF-8" in broken.content.decode()
    lost = client.post(confirm, {"what": "labels", "content": "%"}, follow=True)
    assert "Nothing was imported" in lost.content.decode()


def test_commands_export_and_import(world: World, tmp_path: Any, capsys: Any) -> None:
    fill(world)
    file = tmp_path / "labels.csv"
    call_command("export_labels", project="study", what="labels", output=file)
    assert file.read_bytes().decode() == export(world.project, Kind.LABELS, Format.CSV)
    Label.objects.filter(unit_index=2).delete()
    call_command("import_labels", str(file), project="study", dry_run=True)
    assert "Would do: add 2, keep 4" in capsys.readouterr().out
    call_command("import_labels", str(file), project="study", user="admin")
    assert Label.objects.count() == 6
    say(world, "expert1", 2, SKIN)
    with pytest.raises(CommandError, match="1 of 6 rows are refused"):
        call_command("import_labels", str(file), project="study")
    assert "Row 5 (layer4 / 2 / expert1)" in capsys.readouterr().err
    call_command("import_labels", str(file), project="study", replace=True)
    for arguments in ({"project": "absent"}, {"project": "study", "user": "absent"}):
        with pytest.raises(CommandError, match="There is no"):
            call_command("import_labels", str(file), **arguments)


WHO = ["admin", "adjudicator", "expert1", "clinician", "outsider"]


@pytest.fixture
def people(world: World) -> World:
    fill(world)
    say(world, "expert2", 3, SKIN)
    world.people["outsider"].username = "the adjudicator"
    world.people["outsider"].save()
    adjudicator = add_adjudicator(world)
    world.people["adjudicator"] = adjudicator
    world.people["outsider"] = type(adjudicator).objects.create(username="stranger")
    return world


@pytest.mark.parametrize(
    ("name", "method", "codes"),
    [
        ("agreement-layer", "get", [200, 200, 403, 403, 404]),
        ("adjudicate", "get", [200, 200, 403, 403, 404]),
        ("adjudicate", "post", [422, 422, 403, 403, 404]),
        ("adjudicate-undo", "post", [302, 302, 403, 403, 404]),
        ("agreements-accept", "post", [302, 302, 403, 403, 404]),
        ("agreements-withdraw", "post", [302, 302, 403, 403, 404]),
        ("labels-export", "get", [200, 200, 200, 403, 404]),
        ("labels-import", "post", [422, 403, 403, 403, 404]),
        ("labels-import-confirm", "post", [302, 403, 403, 403, 404]),
    ],
)
def test_who_may_open_what(people: World, name: str, method: str, codes: list[int]) -> None:
    unit = (0,) if name.startswith("adjudicate") else ()
    if name.startswith("labels"):
        where = reverse(name, args=[people.project.slug])
    else:
        where = address(people, name, *unit)
    assert [getattr(client_of(people, who), method)(where).status_code for who in WHO] == codes
    assert getattr(Client(), method)(where).status_code == 302


@pytest.mark.parametrize(
    ("path", "method", "codes"),
    [
        ("projects/study/agreement/{model}/layer4/", "get", [200, 200, 403, 403, 404]),
        ("projects/study/agreement/{model}/layer3/", "get", [404, 404, 404, 403, 404]),
        ("projects/study/exchange/labels/", "get", [200, 200, 200, 403, 404]),
        ("projects/study/exchange/consensus/", "get", [200, 403, 403, 403, 404]),
        ("projects/study/exchange/labels/", "post", [400, 403, 403, 403, 404]),
        ("projects/study/exchange/secrets/", "get", [404, 404, 404, 404, 404]),
        ("consensus/", "get", [200, 200, 200, 200, 200]),
    ],
)
def test_who_may_call_what(
    people: World,
    path: str,
    method: str,
    codes: list[int],
    api_client_of: ApiClientOf,  # noqa: F811
) -> None:
    where = "/api/" + path.format(model=people.model.pk)
    clients = [api_client_of(people.people[who]) for who in WHO]
    assert [getattr(client, method)(where).status_code for client in clients] == codes
    if "secrets" not in path:
        assert getattr(api_client_of(None), method)(where).status_code == 401


def test_the_api_tells_agreement_consensus_and_takes_files(
    people: World,
    api_client_of: ApiClientOf,  # noqa: F811
) -> None:
    settle(people, "admin", 0, SPICULATED)
    settle(people, "adjudicator", 0, CIRCUMSCRIBED)
    admin = api_client_of(people.people["admin"])
    found = admin.get(f"/api/projects/study/agreement/{people.model.pk}/layer4/").json()
    assert found["report"]["shared_units"] == 3
    assert found["report"]["pairs"][0]["first"] == "expert1"
    assert "Fewer than 10" in found["report"]["recognisable"][0]["estimate"]["reason"]
    rows = admin.get("/api/consensus/?project=study&stands=true").json()["results"]
    assert [(row["number"], row["decided_by"]) for row in rows] == [(2, "the adjudicator")]
    assert admin.get("/api/consensus/").json()["count"] == 2
    for who in ("expert1", "clinician", "outsider"):
        client = api_client_of(people.people[who])
        assert client.get("/api/consensus/").json()["count"] == 0
        assert client.get(f"/api/consensus/{rows[0]['id']}/").status_code == 404
    where = "/api/projects/study/exchange/labels/?file_format=csv"
    text = admin.get(where, HTTP_ACCEPT="text/csv").content
    Label.objects.all().delete()
    for dry_run, left in ((True, 0), (False, 7)):
        file = SimpleUploadedFile("labels.csv", text)
        answer = admin.post(
            "/api/projects/study/exchange/labels/", {"file": file, "dry_run": dry_run}
        )
        assert answer.json()["counts"]["add"] == 7
        assert Label.objects.count() == left
