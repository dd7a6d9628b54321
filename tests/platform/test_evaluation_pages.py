"""Evaluations as people start, read and download them; who may see which part."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from scipy.special import softmax

from accounts.models import Membership, Role
from annotation.services import save_label
from catalog.models import TermMapping
from explanations.evaluation.pages import text_lines
from explanations.evaluation.references import lexicon_of, report_codes
from explanations.evaluation.services import complete, start_evaluation
from explanations.models import Evaluation
from explanations.services import ExplanationRequestError
from jobs.models import Job
from tests.platform.case_world import SPICULATED, finished, first_case, name_unit, world_with_cases
from tests.platform.conftest import ApiClientOf
from tests.platform.evaluating import calibration, result
from tests.platform.factories import World, build_world


@pytest.fixture
def world(db: None) -> World:
    """Cases, reports on the test images, and two units that expert1 has named."""
    world = world_with_cases()
    images = world.dataset.images.order_by("name")
    images.update(split="test", report={"findings": [{"code": "mass", "descriptors": []}]})
    name_unit(world, 0)
    name_unit(world, 2, ["mass"])
    return world


def started(world: World, **choices: Any) -> Evaluation:
    values = {"split": "test", "user": None, **choices}
    return start_evaluation(
        project=world.project, layer=world.layer, dataset=world.dataset, **values
    )


def done(world: World, *, good: bool = True, calibrated: bool = False) -> Evaluation:
    evaluation = started(world)
    assert complete(evaluation, result(good=good), calibration(world) if calibrated else None)
    evaluation.refresh_from_db()
    return evaluation


def read(client: Client, world: World, who: str, name: str, *arguments: Any) -> str:
    client.force_login(world.people[who])
    response = client.get(reverse(name, args=[world.project.slug, *arguments]))
    assert response.status_code == 200
    return response.content.decode().replace("\u00a0", " ")


def test_admins_and_adjudicators_start_one_and_others_may_not(world: World, client: Client) -> None:
    url = reverse("evaluation-start", args=[world.project.slug])
    form = {
        "layer": world.layer.pk, "dataset": world.dataset.pk, "split": "test",
        "reference": "reports", "ancestor_credit": "on",
    }  # fmt: skip
    for who, status in (("clinician", 403), ("expert1", 403), ("outsider", 404)):
        client.force_login(world.people[who])
        assert client.get(url).status_code == client.post(url, form).status_code == status
    Membership.objects.create(
        project=world.project, user=world.people["outsider"], role=Role.ADJUDICATOR
    )
    for who in ("admin", "outsider"):
        client.force_login(world.people[who])
        assert client.get(url).status_code == 200
        response = client.post(url, form)
        evaluation = Evaluation.objects.first()
        assert evaluation is not None
        assert response.headers["Location"].endswith(f"/evaluations/{evaluation.pk}/")
        assert evaluation.settings["ancestor_credit"] is True
        assert evaluation.job is not None
        assert evaluation.job.kind == Job.Kind.EVALUATE
    assert client.post(url, {**form, "split": "train"}).status_code == 422


def test_requests_that_cannot_be_served_say_why(world: World) -> None:
    with pytest.raises(ExplanationRequestError, match="no images in the split train"):
        started(world, split="train")
    with pytest.raises(ExplanationRequestError, match=r"No concept of .* has a term"):
        started(world, reference="masks")
    world.dataset.images.update(report=None)
    with pytest.raises(ExplanationRequestError, match="Compare with masks instead"):
        started(world)
    with pytest.raises(ExplanationRequestError, match="must belong to this project"):
        start_evaluation(
            project=build_world(images=1, slug="other").project, layer=world.layer,
            dataset=world.dataset, split="test", user=None,
        )  # fmt: skip
    world.dataset.images.update(report={"findings": []})
    world.model.labels.all().delete()
    with pytest.raises(ExplanationRequestError, match="No unit of layer4 has an agreed name"):
        started(world)


def test_the_page_says_whether_the_controls_are_beaten(world: World, client: Client) -> None:
    good, bad = done(world), done(world, good=False)
    html = read(client, world, "clinician", "evaluation", good.pk)
    assert "above every control, and no interval overlaps" in html
    assert "Always the most frequent terms" in html
    assert "Vessel" in html, "what was left out is named"
    assert "<polyline" in html
    assert "Not calibrated: no other split." in html
    html = read(client, world, "clinician", "evaluation", bad.pk)
    assert "not above every control" in html
    assert "the intervals overlap or lie lower" in html
    listed = read(client, world, "clinician", "evaluations")
    assert listed.count('<span class="tag ok">yes</span>') == 1
    assert listed.count('<span class="tag warn">no</span>') == 1


def test_without_intervals_more_patients_are_asked_for(world: World, client: Client) -> None:
    found = result(good=False)
    agreement = found["readings"][0]["nameable"]
    for score in (agreement["f1"], found["localisation"]["own"]["hit"]):
        score.update(low=None, high=None)
    evaluation = started(world)
    complete(evaluation, found, None)
    html = read(client, world, "clinician", "evaluation", evaluation.pk)
    assert html.count("need images of more patients") == 3


def test_unfinished_and_failed_ones_show_their_job(world: World, client: Client) -> None:
    evaluation = started(world)
    assert evaluation.job is not None
    assert "job-progress" in read(client, world, "clinician", "evaluation", evaluation.pk)
    Job.objects.filter(pk=evaluation.job.pk).update(state=Job.State.FAILED, error="Too small.")
    assert "Too small." in read(client, world, "clinician", "evaluation", evaluation.pk)
    url = reverse("evaluation-download", args=[world.project.slug, evaluation.pk, "json"])
    assert client.get(url).status_code == 404


def test_newer_labels_leave_it_as_it_is_and_are_pointed_out(world: World, client: Client) -> None:
    evaluation = done(world)
    assert "Labels have changed" not in read(
        client, world, "clinician", "evaluation", evaluation.pk
    )
    name_unit(world, 3)
    assert "Labels have changed" in read(client, world, "clinician", "evaluation", evaluation.pk)
    assert not complete(evaluation, {"other": 1}, None)
    again = Evaluation.objects.get(pk=evaluation.pk)
    assert again.result == evaluation.result
    assert [unit["index"] for unit in again.labels["units"]] == [0, 2]


def test_who_still_labels_sees_no_single_terms_anywhere(
    world: World, client: Client, api_client_of: ApiClientOf
) -> None:
    evaluation = done(world)
    blind = read(client, world, "expert2", "evaluation", evaluation.pk)
    assert "results of single terms are shown once you have answered" in blind
    assert "F1 is" in blind
    for file in ("json", "csv"):
        text = read(client, world, "expert2", "evaluation-download", evaluation.pk, file)
        assert SPICULATED not in text
        assert SPICULATED in read(
            client, world, "expert1", "evaluation-download", evaluation.pk, file
        )
    for text in (blind, str(api_result(api_client_of, world, "expert2", evaluation))):
        assert "piculated" not in text
        assert "Vessel" not in text
    assert SPICULATED in str(api_result(api_client_of, world, "admin", evaluation))
    for unit in (0, 2):
        save_label(
            user=world.people["expert2"], model=world.model, layer_name="layer4",
            unit_index=unit, recognisable="no",
        )  # fmt: skip
    assert "piculated" in read(client, world, "expert2", "evaluation", evaluation.pk)


def test_a_blinded_reader_learns_nothing_of_unnamed_units_they_have_not_answered(
    world: World, client: Client
) -> None:
    for who, unit in (("expert1", 4), ("expert1", 5), *(("expert2", unit) for unit in (0, 2, 5))):
        save_label(
            user=world.people[who], model=world.model, layer_name="layer4",
            unit_index=unit, recognisable="no",
        )  # fmt: skip
    evaluation = done(world)
    for who, units in (("expert2", [0, 2, 5]), ("expert1", [0, 2, 4, 5]), ("admin", [0, 2, 4, 5])):
        text = read(client, world, who, "evaluation-download", evaluation.pk, "json")
        assert [unit["index"] for unit in json.loads(text)["labels"]["units"]] == units


def api_result(
    api_client_of: ApiClientOf, world: World, who: str, evaluation: Evaluation
) -> dict[str, Any]:
    response = api_client_of(world.people[who]).get(f"/api/evaluations/{evaluation.pk}/")
    assert response.status_code == 200
    shown: dict[str, Any] = response.json()["result"]
    return shown


def test_the_api_lists_evaluations_and_calibrations_of_own_projects(
    world: World, api_client_of: ApiClientOf
) -> None:
    done(world, calibrated=True)
    member = api_client_of(world.people["clinician"])
    outsider = api_client_of(world.people["outsider"])
    for name in ("evaluations", "calibrations"):
        assert member.get(f"/api/{name}/").json()["count"] == 1
        assert outsider.get(f"/api/{name}/").json()["count"] == 0


def test_the_downloads_hold_every_estimate(world: World, client: Client) -> None:
    evaluation = done(world, calibrated=True)
    text = read(client, world, "admin", "evaluation-download", evaluation.pk, "csv")
    rows = {row["measure"]: row for row in csv.DictReader(io.StringIO(text))}
    f1 = evaluation.result["readings"][0]["nameable"]["f1"]
    row = rows["readings.active.nameable.f1"]
    assert [float(row[name]) for name in ("value", "low", "high")] == [
        f1["value"], f1["low"], f1["high"]
    ]  # fmt: skip
    assert float(rows["calibration.after.ece"]["value"]) == 0.123
    assert "readings.active.nameable.controls.shuffled.f1" in rows
    assert f"readings.active.nameable.terms.{SPICULATED}.both" in rows


def test_the_case_page_shows_calibrated_probabilities_where_there_are_any(
    world: World, client: Client
) -> None:
    finished(world)
    case = first_case(world)
    assert "calibrated" not in read(client, world, "clinician", "case", case.pk)
    done(world, calibrated=True)
    html = read(client, world, "clinician", "case", case.pk)
    expected = softmax(np.array(case.logits) / 2.0)
    for share in expected:
        assert f"calibrated {int(100 * share + 0.5)} %" in html
    assert "calibration error (ECE) is 0.123" in html
    assert world.dataset.name in html


def test_the_command_queues_and_names_what_is_missing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"project": "study", "dataset": "Screening images", "split": "test"}
    call_command("evaluate", model="Small classifier", layer="layer4", **arguments)
    assert "Queued job" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Layers dissected: layer3, layer4"):
        call_command("evaluate", model="Small classifier", layer="layer9", **arguments)
    lines = "\n".join(text_lines(done(world, calibrated=True)))
    assert "Always the most frequent terms" in lines
    assert "Calibration: temperature 2.00, fitted on 90 validation images" in lines


def test_reports_in_the_vocabulary_and_in_older_lexicons(world: World) -> None:
    vocabulary = world.project.vocabulary
    term = vocabulary.terms.get(code=SPICULATED)
    TermMapping.objects.create(term=term, system="DDSM", field="margins", value="spiculated")
    lexicon = lexicon_of(vocabulary)
    own = {"findings": [{"code": "mass", "descriptors": ["unknown", SPICULATED, 3]}, "text"]}
    assert report_codes(own, lexicon) == {"mass", SPICULATED}
    ddsm = {"findings": [{"system": "DDSM", "margins": "SPICULATED-N/A", "shape": "ODD"}]}
    assert report_codes(ddsm, lexicon) == {SPICULATED}
    assert report_codes({"findings": []}, lexicon) == frozenset()
    for nothing in (None, {}, {"findings": "none"}, [1]):
        assert report_codes(nothing, lexicon) is None
