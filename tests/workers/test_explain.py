"""Prediction and explanation jobs with a real exported model, checked by running it by hand."""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from analysis.imaging import read_image
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from dissections.models import Layer
from explanations.models import Case, Explanation
from explanations.services import content_of, request_explanation, start_prediction
from explanations.uploading import upload_case
from jobs import services as jobs
from jobs.models import Job
from tests.analysis.networks import export, small_resnet
from tests.platform.case_world import name_unit
from tests.platform.factories import World, build_world
from workers.runner import run

pytestmark = pytest.mark.django_db
PREPROCESSING = Preprocessing((48, 36), 1, (0.3,), (0.2,), "RGB")
UNITS, NAMED = 12, {2: ["mass"], 5: ["mass", "other.vessel"], 7: ["other.skin"]}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.pt2"
    export(small_resnet(), (1, 48, 36), path)
    return path


@pytest.fixture
def world(db: None, model_file: Path) -> World:
    """Six images and a residual network whose last stage feeds a pooled linear head."""
    world = build_world(images=6, size=(96, 72), units=UNITS)
    content = model_file.read_bytes()
    world.model.sha256 = hashlib.sha256(content).hexdigest()
    world.model.preprocessing = PREPROCESSING.to_dict()
    world.model.file.save("model.pt2", ContentFile(content), save=False)
    world.model.save()
    return world


def rename(world: World, name: str) -> Layer:
    """Let the dissection's deepest layer be the module `name` of the network, and label it."""
    Layer.objects.filter(pk=world.layer.pk).update(name="layer4")
    for unit, terms in NAMED.items():
        name_unit(world, unit, terms)
    world.model.labels.update(layer_name=name)
    Layer.objects.filter(pk=world.layer.pk).update(name=name)
    return Layer.objects.select_related("dissection").get(pk=world.layer.pk)


def work(job: Job) -> Job:
    claimed = jobs.claim(job.pk, worker="test", delivery="m", redelivered=False)
    assert claimed is not None
    run(claimed)
    job.refresh_from_db()
    return job


def predicted(world: World) -> list[Case]:
    job = start_prediction(
        project=world.project,
        model=world.model,
        dataset=world.dataset,
        split="validation",
        user=None,
    )
    assert work(job).state == Job.State.SUCCEEDED, job.error
    return list(Case.objects.select_related("model", "image", "project"))


def explained(case: Case, layer: Layer, target: int = 1) -> Explanation:
    explanation = request_explanation(case=case, layer=layer, target=target, user=None)
    assert explanation.job is not None
    assert work(explanation.job).state == Job.State.SUCCEEDED, explanation.job.error
    explanation.refresh_from_db()
    return explanation


def logits(case: Case, *, layer: str = "", removed: tuple[int, ...] = ()) -> np.ndarray:
    """The model's logits [C] for a case, with units of a layer set to zero by a hook of our own."""
    network = exported_network(case.model.sha256, case.model.file.path)
    pixels = read_image(Path(case.image.file.path))
    inputs = torch.from_numpy(PREPROCESSING.apply(pixels))[None]

    def silence(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, list(removed)] = 0
        return output

    hook = network.get_submodule(layer).register_forward_hook(silence) if removed else None
    with torch.no_grad():
        values = network(inputs)[0].numpy()
    if hook:
        hook.remove()
    return values


@lru_cache(maxsize=1)
def exported_network(sha256: str, path: str) -> torch.nn.Module:
    return load_model(Path(path), torch.device("cpu"))


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_every_image_becomes_a_case_with_the_models_own_logits(world: World) -> None:
    cases = predicted(world)
    assert len(cases) == 6
    for case in cases:
        np.testing.assert_allclose(case.logits, logits(case), rtol=1e-4, atol=1e-5)
        assert sum(case.probabilities) == pytest.approx(1)


def test_an_uploaded_image_is_predicted_alone(world: World) -> None:
    content = world.dataset.images.earliest("name").file.read()
    run = upload_case(
        project=world.project,
        model=world.model,
        file=SimpleUploadedFile("mine.png", content),
        user=world.people["clinician"],
    )
    assert run.job
    assert work(run.job).state == Job.State.SUCCEEDED, run.job.error
    case = Case.objects.select_related("model", "image").get()
    assert case.image == run.image
    np.testing.assert_allclose(case.logits, logits(case), rtol=1e-4, atol=1e-5)


def test_a_second_run_predicts_only_what_is_missing(world: World) -> None:
    kept = predicted(world)
    Case.objects.filter(pk=kept[0].pk).delete()
    again = predicted(world)
    assert {case.pk for case in kept[1:]} < {case.pk for case in again}
    assert len(again) == 6


def test_an_unreadable_image_is_left_out_and_named(world: World) -> None:
    image = world.dataset.images.order_by("name")[0]
    image.file.save("broken.png", ContentFile(b"no image"))
    assert len(predicted(world)) == 5
    assert "image000 was left out" in Job.objects.get().log


def test_contributions_of_a_pooled_linear_head_add_up_to_the_logit(world: World) -> None:
    case = predicted(world)[0]
    content = content_of(explained(case, rename(world, "stage2")))
    assert content.method == "additive"
    assert content.bias is not None
    total = content.bias + content.support.effect + content.against.effect
    assert total == pytest.approx(logits(case)[1], rel=1e-3)
    assert {unit.index for unit in content.labels.named} == set(NAMED)
    assert {finding.name for finding in content.findings()} <= {"Mass", "Vessel", "Skin"}


@pytest.mark.parametrize("layer", ["stage2", "stage2.0"])
def test_the_check_is_what_removing_the_named_units_really_does(world: World, layer: str) -> None:
    case = predicted(world)[0]
    check = content_of(explained(case, rename(world, layer))).removal
    assert check is not None
    removed = softmax(logits(case, layer=layer, removed=tuple(NAMED)))
    others = tuple(unit for unit in range(UNITS) if unit not in NAMED)
    kept = softmax(logits(case, layer=layer, removed=others))
    assert check.before == pytest.approx(case.probabilities[1], abs=1e-5)
    assert check.after == pytest.approx(removed[1], abs=1e-5)
    assert check.kept == pytest.approx(kept[1], abs=1e-5)


@pytest.mark.parametrize("layer", ["stage2", "stage2.0"])
def test_the_comparison_of_classes_holds_for_each_class(world: World, layer: str) -> None:
    case = predicted(world)[0]
    comparison = content_of(explained(case, rename(world, layer))).comparison
    assert comparison is not None
    assert comparison.classes[0] == 1
    assert sorted(comparison.classes) == [0, 1, 2]
    whole = logits(case)
    if layer == "stage2":
        assert comparison.bias is not None
        parts = [term.effects for term in comparison.terms]
        total = np.sum([*parts, comparison.rest, comparison.bias], axis=0)
        np.testing.assert_allclose(total, whole[comparison.classes], rtol=1e-3, atol=1e-4)
    else:
        assert comparison.bias is None
    skin = next(term for term in comparison.terms if term.name == "Skin")
    alone = whole - logits(case, layer=layer, removed=(7,))
    np.testing.assert_allclose(skin.effects, alone[comparison.classes], atol=1e-4)


@pytest.mark.parametrize("layer", ["stage2", "stage2.0"])
def test_switching_findings_off_is_what_removing_their_units_really_does(
    world: World, layer: str
) -> None:
    case = predicted(world)[0]
    what_if = content_of(explained(case, rename(world, layer))).what_if
    assert what_if is not None
    units = {"Mass": {2, 5}, "Vessel": {5}, "Skin": {7}}
    assert {term.name: set(term.units) for term in what_if.terms} == units
    assert len(what_if.probabilities) == 8
    for row, probabilities in enumerate(what_if.probabilities):
        off = [units[term.name] for bit, term in enumerate(what_if.terms) if row >> bit & 1]
        removed = tuple(sorted(set().union(*off)))
        expected = softmax(logits(case, layer=layer, removed=removed))
        np.testing.assert_allclose(probabilities, expected[what_if.classes], atol=1e-5)


def test_effects_inside_the_network_are_what_removing_each_unit_does(world: World) -> None:
    case = predicted(world)[0]
    content = content_of(explained(case, rename(world, "stage2.0")))
    assert content.method == "ablation"
    assert content.bias is None
    effects = [
        float(logits(case)[1] - logits(case, layer="stage2.0", removed=(unit,))[1])
        for unit in range(UNITS)
    ]
    assert content.support.effect == pytest.approx(sum(e for e in effects if e > 0), abs=1e-4)
    assert content.against.effect == pytest.approx(sum(e for e in effects if e < 0), abs=1e-4)


def test_the_maps_are_stored_without_pickles(world: World) -> None:
    explanation = explained(predicted(world)[0], rename(world, "stage2"))
    keys = {finding.key for finding in content_of(explanation).findings()}
    with explanation.maps.open("rb") as file, np.load(file, allow_pickle=False) as maps:
        assert set(maps.files) == keys | {"for-rest", "against-rest"}
        assert all(maps[key].ndim == 2 for key in keys)


def test_an_explanation_of_a_vanished_layer_fails_with_words(world: World) -> None:
    case = predicted(world)[0]
    explanation = request_explanation(
        case=case, layer=rename(world, "no_such_layer"), target=0, user=None
    )
    assert explanation.job is not None
    job = work(explanation.job)
    assert job.state == Job.State.FAILED
    assert "no_such_layer" in job.error
    explanation.refresh_from_db()
    assert explanation.completed is None


def test_images_none_of_which_can_be_read_end_in_words(world: World) -> None:
    for image in world.dataset.images.all():
        with image.file.storage.open(image.file.name or "", "wb") as file:
            file.write(b"no image")
    job = start_prediction(
        project=world.project,
        model=world.model,
        dataset=world.dataset,
        split="validation",
        user=None,
    )
    assert work(job).state == Job.State.FAILED
    assert job.error.startswith("None of the 6 images could be predicted. The first reason: ")
    assert not Case.objects.exists()
