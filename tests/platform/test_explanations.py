"""Asking for explanations: one per score and set of names, frozen once it is complete."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from django.db import connection

from catalog.models import Term
from explanations.models import Case, Explanation, PredictionRun
from explanations.services import (
    ExplanationRequestError,
    complete,
    content_of,
    labels_of,
    request_explanation,
    retry_explanation,
    save_cases,
    start_prediction,
)
from jobs.models import Job
from tests.platform.case_world import (
    EFFECTS,
    SPICULATED,
    finished,
    first_case,
    name_unit,
    requested,
    world_with_cases,
)
from tests.platform.explaining import make
from tests.platform.factories import World


@pytest.fixture
def world(db: None) -> World:
    return world_with_cases()


def test_a_request_starts_one_job_and_the_next_one_gets_the_same(world: World) -> None:
    explanation = requested(world)
    assert requested(world) == explanation
    assert explanation.job is not None
    assert explanation.job.kind == Job.Kind.EXPLAIN
    assert explanation.job.target_id == explanation.pk
    assert Job.objects.count() == 1


def test_classes_and_layers_have_explanations_of_their_own(world: World) -> None:
    case = first_case(world)
    user = world.people["clinician"]
    made = {
        request_explanation(case=case, layer=layer, target=target, user=user).pk
        for layer in world.layers
        for target in range(3)
    }
    assert len(made) == 6


def test_the_names_are_frozen_when_the_explanation_is_asked_for(world: World) -> None:
    Term.objects.filter(code=SPICULATED).update(parent=Term.objects.get(code="mass"))
    name_unit(world, 0, who="expert1")
    name_unit(world, 0, who="expert2")
    labels = labels_of(requested(world))
    (unit,) = labels.named
    assert (unit.index, unit.answered) == (0, 2)
    assert unit.terms[0].experts == ["Ada Reyes", "Ben Okafor"]
    assert unit.terms[0].ancestors == ["mass"]
    assert unit.changed is not None


def test_new_names_make_a_new_explanation_and_leave_the_old_one_as_it_is(world: World) -> None:
    name_unit(world, 0)
    old = finished(world)
    before = (old.content, old.completed, old.maps.name)
    assert requested(world) == old
    name_unit(world, 2)
    new = finished(world)
    assert new.pk != old.pk
    assert new.labels_digest != old.labels_digest
    old.refresh_from_db()
    assert (old.content, old.completed, old.maps.name) == before
    assert len(content_of(new).labels.named) == 2
    assert len(content_of(old).labels.named) == 1


def test_going_back_to_earlier_names_finds_their_explanation_again(world: World) -> None:
    name_unit(world, 0)
    old = finished(world)
    name_unit(world, 0, ["mass"])
    assert requested(world) != old
    name_unit(world, 0)
    assert requested(world) == old


def test_a_finished_explanation_is_never_changed(world: World) -> None:
    name_unit(world, 0)
    explanation = finished(world)
    content, maps = make([9.0] * 8, labels_of(explanation).units)
    assert not complete(explanation, content, maps)
    explanation.refresh_from_db()
    assert content_of(explanation).support.effect == pytest.approx(sum(e for e in EFFECTS if e > 0))


def test_a_failed_explanation_waits_for_a_retry(world: World) -> None:
    explanation = requested(world)
    Job.objects.update(state=Job.State.FAILED, error="It broke.")
    again = requested(world)
    assert again == explanation
    assert Job.objects.count() == 1
    retry_explanation(explanation=again)
    assert Job.objects.get().state == Job.State.QUEUED
    retry_explanation(explanation=again)
    assert Job.objects.get().state == Job.State.QUEUED


def test_an_explanation_whose_job_was_deleted_gets_a_new_one(world: World) -> None:
    explanation = requested(world)
    Job.objects.all().delete()
    again = requested(world)
    assert again == explanation
    assert again.job is not None


def test_unknown_class_and_foreign_layer_are_refused(world: World) -> None:
    with pytest.raises(ExplanationRequestError, match="Class 3 does not exist"):
        requested(world, target=3)
    case = first_case(world)
    case.model_id += 1
    with pytest.raises(ExplanationRequestError, match="another model"):
        requested(world, case)


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_time_make_one_explanation() -> None:
    world = world_with_cases(images=2)
    case = first_case(world)
    together = Barrier(4)

    def ask() -> int:
        together.wait()
        try:
            return requested(world, case).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = {future.result() for future in [pool.submit(ask) for _ in range(4)]}
    assert len(found) == 1
    assert Explanation.objects.count() == 1
    assert Job.objects.count() == 1


def test_no_case_is_stored_of_images_that_could_not_be_read(world: World) -> None:
    images = list(world.dataset.images.all())
    nothing = np.full((len(images), 0), np.nan, np.float32)
    assert save_cases(PredictionRun.objects.get(), images, nothing) == 0


def test_cases_are_stored_once_and_replaced(world: World) -> None:
    run = PredictionRun.objects.get()
    images = list(world.dataset.images.order_by("name"))
    before = Case.objects.count()
    logits = np.tile(np.array([0.0, 2.0, 1.0], np.float32), (len(images), 1))
    logits[1] = np.nan
    assert save_cases(run, images, logits) == len(images) - 1
    assert Case.objects.count() == before
    case = first_case(world)
    assert case.predicted == 1
    np.testing.assert_allclose(case.probabilities, np.exp([0, 2, 1]) / np.exp([0, 2, 1]).sum())


def test_a_prediction_run_names_its_job(world: World) -> None:
    job = start_prediction(
        project=world.project,
        model=world.model,
        dataset=world.dataset,
        split="validation",
        user=world.people["admin"],
    )
    assert PredictionRun.objects.get(pk=job.target_id).job == job
    assert job.kind == Job.Kind.PREDICT


def test_a_prediction_needs_images_and_a_ready_model(world: World) -> None:
    ask: dict[str, Any] = {"project": world.project, "dataset": world.dataset, "user": None}
    with pytest.raises(ExplanationRequestError, match="no images in the split test"):
        start_prediction(model=world.model, split="test", **ask)
    world.model.state = "checking"
    with pytest.raises(ExplanationRequestError, match="not ready"):
        start_prediction(model=world.model, split="validation", **ask)
