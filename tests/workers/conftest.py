import time
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from accounts.models import User
from catalog import vocabularies
from catalog.models import Dataset, Project, TrainedModel
from catalog.services import create_project
from dissections.models import Dissection
from jobs.models import Job
from tests.workers import faces
from unitscope.demo.processes import Child

WAIT_SECONDS = 60


def ended(job: Job) -> Job:
    """Wait until the worker has ended the job."""
    deadline = time.monotonic() + WAIT_SECONDS
    while job.is_active:
        assert time.monotonic() < deadline, f"{job} is still {job.state}: {job.log}"
        time.sleep(0.1)
        job.refresh_from_db()
    return job


@pytest.fixture(scope="session")
def face_net() -> faces.FaceNet:
    return faces.train_face_net()


@pytest.fixture
def project(transactional_db: None) -> Project:
    project = create_project(
        slug="faces", name="Faces", vocabulary=vocabularies.load("general-visual")
    )
    User.objects.create_user("owner")
    return project


def import_face_model(file: Path, *, classes: str) -> None:
    """Run the documented command on a copy of the face network."""
    call_command(
        "import_model", str(file), "--project=faces", "--name=Face net", f"--classes={classes}",
        "--input-size=25x25", "--channels=1", "--mean=0.5", "--std=0.25", "--wait",
    )  # fmt: skip


@pytest.fixture
def imported(
    project: Project, celery_worker: Child, face_net: faces.FaceNet, tmp_path: Path
) -> tuple[TrainedModel, Dataset]:
    """The face network and the photographs, brought in by the documented commands."""
    model_file = tmp_path / "faces.pt2"
    model_file.write_bytes(faces.export(face_net))
    archive = tmp_path / "faces.zip"
    archive.write_bytes(faces.class_folder_zip())
    import_face_model(model_file, classes=",".join(faces.CLASSES))
    call_command("import_dataset", str(archive), "--project=faces", "--name=Photographs", "--wait")
    return project.models.get(), project.datasets.get()


@pytest.fixture
def dissection(imported: tuple[TrainedModel, Dataset]) -> Dissection:
    call_command(
        "dissect", "--project=faces", "--model=Face net", "--dataset=Photographs",
        "--layers=low,high", "--wait",
    )  # fmt: skip
    return Dissection.objects.get()


@pytest.fixture(scope="session")
def activations(face_net: faces.FaceNet) -> np.ndarray:
    """What the test computes by itself: the last stage on all photographs, [200, 16, 12, 12]."""
    import torch

    images, _ = faces.photographs()
    with torch.no_grad():
        return face_net.high(face_net.low(faces.prepared(images))).numpy()
