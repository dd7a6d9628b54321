"""The whole evaluation on the shipped demo network and phantoms that it was not trained on.

Units are named by what the dissection itself found (best concept with an IoU of at least 0.04), so
that names are right by construction. The same rule, code and images on an untrained network are the
control that must fail.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.files.base import ContentFile

from accounts.models import Membership, Role, User
from analysis.phantoms import write_dataset
from analysis.phantoms.patients import split_of
from analysis.training.exporting import export_model
from analysis.training.network import PhantomClassifier
from annotation.services import save_label
from catalog import services as catalog
from catalog import vocabularies
from catalog.importing import import_dataset
from catalog.models import Dataset, Project, TrainedModel
from dissections.models import Layer
from dissections.services import start_dissection
from explanations.evaluation.services import start_evaluation
from explanations.models import Calibration, Evaluation
from jobs import services as jobs
from jobs.models import Job
from unitscope.demo.content import MODEL_FILE
from workers.runner import run

pytestmark = pytest.mark.django_db

NAMED_FROM_IOU = 0.04
VALIDATION_PATIENTS = [n for n in range(300) if split_of(n) == "validation"]
TEST_PATIENTS = [n for n in range(800) if split_of(n) == "test"][-100:]
"""Of the population that the demo network knows; split_of tells which it was not trained on."""


@pytest.fixture
def project() -> Project:
    project = catalog.create_project(
        slug="phantoms", name="Phantoms", vocabulary=vocabularies.load("bi-rads-mammography")
    )
    expert = User.objects.create_user("expert")
    Membership.objects.create(project=project, user=expert, role=Role.EXPERT)
    return project


@pytest.fixture
def dataset(project: Project, tmp_path: Path) -> Dataset:
    folder = tmp_path / "phantoms"
    write_dataset(folder, [*VALIDATION_PATIENTS, *TEST_PATIENTS])
    dataset = Dataset.objects.create(project=project, name="Phantoms")
    import_dataset(dataset, folder, progress=lambda *_: None, should_stop=lambda: False)
    dataset.refresh_from_db()
    return dataset


def work(project: Project) -> None:
    """Run the project's jobs and their parts until none is left."""
    while (waiting := project.jobs.filter(state=Job.State.QUEUED).order_by("-pk")).exists():
        for job in waiting:
            claimed = jobs.claim(job.pk, worker="test", delivery="m", redelivered=False)
            if claimed is not None:
                run(claimed)
    assert not project.jobs.filter(state=Job.State.FAILED).exists(), project.jobs.first()


def added(project: Project, file: Path, name: str) -> TrainedModel:
    facts = json.loads(MODEL_FILE.with_suffix(".json").read_text())
    with file.open("rb") as stream:
        model, _ = catalog.add_model(
            project=project,
            name=name,
            file=stream,
            class_names=facts["classes"],
            preprocessing=facts["preprocessing"],
            user=None,
        )
    work(project)
    model.refresh_from_db()
    return model


def dissected(project: Project, model: TrainedModel, dataset: Dataset) -> Layer:
    start_dissection(project=project, model=model, dataset=dataset, layers=["stage4"], user=None)
    work(project)
    return Layer.objects.get(dissection__model=model)


def name_by_masks(layer: Layer, expert: User) -> int:
    """Label every unit with the term of its best concept; returns how many got one."""
    units = layer.units.filter(
        best_iou__gte=NAMED_FROM_IOU, best_concept__term__isnull=False
    ).select_related("best_concept__term")
    for unit in units:
        assert unit.best_concept is not None
        assert unit.best_concept.term is not None
        save_label(
            user=expert,
            model=layer.dissection.model,
            layer_name=layer.name,
            unit_index=unit.index,
            recognisable="yes",
            term_codes=[unit.best_concept.term.code],
        )
    return len(units)


def evaluated(layer: Layer, dataset: Dataset, **choices: Any) -> Evaluation:
    project = layer.dissection.project
    evaluation = start_evaluation(
        project=project, layer=layer, dataset=dataset, split="test", user=None, **choices
    )
    work(project)
    evaluation.refresh_from_db()
    assert evaluation.completed
    return evaluation


def agreement(evaluation: Evaluation) -> dict[str, Any]:
    """Of the first reading (findings that stand out), on terms that both sides can say."""
    first: dict[str, Any] = evaluation.result["readings"][0]
    assert first["key"] == "active"
    return first["nameable"]


def beaten(controls: Sequence[dict[str, Any]]) -> dict[str, bool]:
    return {control["key"]: control["beaten"] for control in controls}


def test_terms_of_the_trained_network_beat_all_controls_and_those_of_an_untrained_one_none(
    project: Project, dataset: Dataset, tmp_path: Path
) -> None:
    expert = User.objects.get(username="expert")
    trained = dissected(project, added(project, MODEL_FILE, "Trained"), dataset)
    assert name_by_masks(trained, expert) > 20
    evaluation = evaluated(trained, dataset)
    terms = agreement(evaluation)
    assert beaten(terms["controls"]) == {"base_rate": True, "shuffled": True, "random_units": True}
    for control in terms["controls"]:
        assert terms["f1"]["low"] > control["f1"]["high"], control["key"]
        assert control["difference"]["low"] > 0
    assert all(evaluation.result["localisation"]["beaten"].values())
    assert evaluation.result["faithfulness"]["deletion"]["advantage"]["low"] > 0
    assert evaluation.result["faithfulness"]["insertion"]["advantage"]["low"] > 0
    calibration = Calibration.objects.get()
    assert (calibration.split, calibration.tested_split) == ("validation", "test")
    assert evaluation.result["calibration"]["temperature"] == calibration.temperature

    torch.manual_seed(0)
    file = tmp_path / "untrained.pt2"
    export_model(PhantomClassifier(), file)
    untrained = dissected(project, added(project, file, "Untrained"), dataset)
    assert name_by_masks(untrained, expert) > 20
    control_run = agreement(evaluated(untrained, dataset))
    assert not any(beaten(control_run["controls"]).values())
    assert all(control["difference"]["low"] <= 0 for control in control_run["controls"])


def test_an_unreadable_split_to_calibrate_on_leaves_the_evaluation_without_one(
    project: Project, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "few", [*VALIDATION_PATIENTS[:2], *TEST_PATIENTS[:6]])
    dataset = Dataset.objects.create(project=project, name="Few")
    import_dataset(dataset, tmp_path / "few", progress=lambda *_: None, should_stop=lambda: False)
    layer = dissected(project, added(project, MODEL_FILE, "Trained"), dataset)
    save_label(
        user=User.objects.get(username="expert"), model=layer.dissection.model,
        layer_name=layer.name, unit_index=0, recognisable="yes", term_codes=["mass"],
    )  # fmt: skip
    for image in dataset.images.filter(split="validation"):
        image.file.save("broken.png", ContentFile(b"no image"))
    evaluation = evaluated(layer, dataset)
    assert evaluation.result["readings"]
    assert "to fit a temperature on could be read" in evaluation.result["calibration_note"]
    assert evaluation.job is not None
    assert "No calibration: None of the images" in evaluation.job.log
    assert not Calibration.objects.exists()
