"""A user's own model and photographs, from the commands through a real worker to explanations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management.base import CommandError
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import Role, User
from accounts.services import give_role
from annotation.services import save_label
from catalog.models import Dataset, ImportState, Project, TrainedModel
from dissections.models import Dissection, TopPatch, Unit
from explanations.models import Case, Explanation
from explanations.services import content_of, request_explanation, start_prediction
from jobs.models import Job
from tests.workers import faces
from tests.workers.conftest import ended, import_face_model
from unitscope.demo.processes import Child

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_check_lists_the_layers_and_the_head(
    imported: tuple[TrainedModel, Dataset],
) -> None:
    model, dataset = imported
    assert model.state == ImportState.READY
    heads = {layer["name"]: layer["is_head_input"] for layer in model.layers}
    assert heads["high"]
    assert not heads["low"]
    assert dataset.class_names == faces.CLASSES
    assert dataset.images.count() == 200


def test_unit_statistics_equal_an_independent_computation(
    dissection: Dissection, activations: np.ndarray, face_net: faces.FaceNet
) -> None:
    units = list(Unit.objects.filter(layer__name="high"))
    order, labels = _file_order(dissection)
    values = activations[order]

    positions = values.transpose(1, 0, 2, 3).reshape(16, -1)
    thresholds = np.quantile(positions, 0.995, axis=1)
    varies = positions.max(axis=1) > positions.min(axis=1)
    found_thresholds = np.array([unit.threshold for unit in units], float)
    assert np.isnan(found_thresholds).tolist() == (~varies).tolist(), "none for a dead unit"
    np.testing.assert_allclose(found_thresholds[varies], thresholds[varies], rtol=2e-3, atol=1e-5)

    pooled = values.mean(axis=(2, 3))
    weight = face_net.head.weight.detach().numpy()
    influence = pooled.mean(axis=0)[:, None] * weight.T
    np.testing.assert_allclose([unit.influence for unit in units], influence, rtol=1e-3, atol=1e-4)
    for c in (0, 1):
        expected = pooled[labels == c].mean(axis=0)
        found = np.array([unit.class_means[c] for unit in units], float)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)

    peaks = values.max(axis=(2, 3))
    for unit in units:
        patches = list(TopPatch.objects.filter(unit=unit).select_related("image"))
        assert len(patches) == min(16, np.count_nonzero(peaks[:, unit.index]))
        best = np.sort(peaks[:, unit.index])[::-1][: len(patches)]
        np.testing.assert_allclose([patch.value for patch in patches], best, rtol=1e-3)


def test_a_label_becomes_an_explanation_that_removal_supports_and_idle_units_do_not(
    dissection: Dissection, activations: np.ndarray, face_net: faces.FaceNet
) -> None:
    """The same face is explained by its strongest units, then by its weakest: the control."""
    project, model = dissection.project, dissection.model
    case = _face_case(project, model, dissection.dataset)
    number = int(case.image.name.rsplit("/")[-1].split(".")[0])
    weight = face_net.head.weight.detach().numpy()
    contributions = activations[number].mean(axis=(1, 2)) * weight[1]
    by_effect = np.argsort(contributions)

    control = _explain(case, dissection, "Ada", by_effect[5:8].tolist())
    content = content_of(control)
    assert content.logit == pytest.approx(float(_logits(face_net, number)[1]), rel=1e-3)
    assert content.removal
    assert not content.removal.supported
    unsupported = content.removal

    explanation = _explain(case, dissection, "Ada", by_effect[-3:].tolist())
    content = content_of(explanation)
    assert explanation.pk != control.pk
    assert content.removal
    assert content.removal.supported
    assert content.removal.after < content.removal.before
    positive = contributions[contributions > 0].sum()
    named = contributions[by_effect[-3:]].sum() + contributions[by_effect[5:8]].clip(0).sum()
    assert content.coverage == pytest.approx(named / positive, rel=1e-3)

    removed = _logits(face_net, number, without=[*by_effect[-3:], *by_effect[5:8]])
    probability = float(np.exp(removed[1]) / np.exp(removed).sum())
    assert content.removal.after == pytest.approx(probability, abs=1e-3)

    control.refresh_from_db()
    assert content_of(control).removal == unsupported


def test_a_model_with_the_wrong_number_of_classes_is_refused_with_advice(
    project: Project, celery_worker: Child, face_net: faces.FaceNet, tmp_path: Path
) -> None:
    file = tmp_path / "model.pt2"
    file.write_bytes(faces.export(face_net))
    with pytest.raises(CommandError, match=r"2 .*3|3 .*2"):
        import_face_model(file, classes="a,b,c")
    assert project.models.get().state == ImportState.REFUSED


def _file_order(dissection: Dissection) -> tuple[np.ndarray, np.ndarray]:
    """The numbers in the file names of the dissected images, in their order, and their classes."""
    names = list(dissection.dataset.images.order_by("name").values_list("name", "class_index"))
    numbers = [int(name.rsplit("/")[-1].split(".")[0]) for name, _ in names]
    return np.array(numbers), np.array([label for _, label in names])


def _logits(network: faces.FaceNet, number: int, without: list[int] | None = None) -> np.ndarray:
    images, _ = faces.photographs()
    with torch.no_grad():
        maps = network.high(network.low(faces.prepared(images[number : number + 1])))
        maps[:, without or []] = 0
        return network.head(network.pool(maps).flatten(1))[0].numpy()


def _face_case(project: Project, model: TrainedModel, dataset: Dataset) -> Case:
    job = start_prediction(
        project=project, model=model, dataset=dataset, split="validation", user=None
    )
    assert ended(job).state == Job.State.SUCCEEDED, job.log
    assert Case.objects.count() == 200
    return Case.objects.filter(predicted=1, image__class_index=1).earliest("image__name")


def _explain(case: Case, dissection: Dissection, author: str, units: list[int]) -> Explanation:
    user, _ = User.objects.get_or_create(username=author)
    term = dissection.project.vocabulary.terms.filter(children=None).first()
    assert term
    for unit in units:
        save_label(
            user=user,
            model=dissection.model,
            layer_name="high",
            unit_index=unit,
            term_codes=[term.code],
        )
    layer = dissection.layers.get(name="high")
    explanation = request_explanation(case=case, layer=layer, target=1, user=None)
    assert explanation.job
    assert ended(explanation.job).state == Job.State.SUCCEEDED, explanation.job.log
    explanation.refresh_from_db()
    return explanation


def test_the_api_takes_the_same_model_and_photographs(
    project: Project, celery_worker: Child, face_net: faces.FaceNet
) -> None:
    """The calls that docs/bring-your-own.md shows, with a token."""
    owner = User.objects.get(username="owner")
    owner.set_password("correct horse")
    owner.save()
    give_role(project=project, user=owner, role=Role.ADMIN)
    client = APIClient()
    token = client.post(
        "/api/auth/token/", {"username": "owner", "password": "correct horse"}
    ).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")

    model = _created(
        client.post(
            "/api/models/",
            {
                "project": "faces",
                "name": "Face net",
                "file": SimpleUploadedFile("model.pt2", faces.export(face_net)),
                "class_names": faces.CLASSES,
                "preprocessing": json.dumps(faces.PREPROCESSING),
            },
        )
    )
    dataset = _created(
        client.post(
            "/api/datasets/",
            {
                "project": "faces",
                "name": "Photographs",
                "archive": SimpleUploadedFile("faces.zip", faces.class_folder_zip()),
            },
        )
    )
    dissection = _created(
        client.post(
            "/api/dissections/",
            {"project": "faces", "model": model, "dataset": dataset, "layers": ["high"]},
            format="json",
        )
    )
    found = client.get(f"/api/dissections/{dissection}/").json()
    assert found["image_count"] == 200
    layer = client.get("/api/layers/", {"dissection": dissection}).json()["results"][0]
    units = client.get("/api/units/", {"layer": layer["id"]}).json()
    assert units["count"] == layer["unit_count"] == 16


def _created(response: Response) -> int:
    """The id of what a request has created, once the worker has ended its job."""
    body = json.loads(response.rendered_content)
    assert response.status_code == 201, body
    ended(Job.objects.get(pk=body["job"]))
    return int(body["id"])
