"""The demo project: accounts, phantom mammograms, a trained classifier and its dissection.

Every step looks at what is there already, so that a second start repeats nothing and an
interrupted first start goes on where it stopped.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from accounts.models import Membership, Role, User
from analysis.phantoms import demo_patients, write_dataset
from catalog import services as catalog
from catalog import vocabularies
from catalog.models import Dataset, ImportState, Project, Split, TrainedModel
from catalog.selectors import ready_models
from dissections.models import Dissection
from dissections.services import start_dissection
from explanations.services import start_prediction
from jobs.models import Job
from unitscope.embedded import ROOT, data_folder

SLUG = "phantom-mammography"
PASSWORD = "unitscope"  # noqa: S105 - a demo on the loopback interface, printed for its user
MODEL_FILE = ROOT / "demo" / "phantom_classifier.pt2"
ACCOUNTS = [
    ("admin", "Alex", "Admin", Role.ADMIN),
    ("expert1", "Ada", "Reyes", Role.EXPERT),
    ("expert2", "Ben", "Okafor", Role.EXPERT),
    ("clinician", "Cleo", "Lind", Role.CLINICIAN),
]
LAYERS_DISSECTED = 2

Wait = Callable[[Job], None]
Say = Callable[[str], None]


def load_demo(wait: Wait, say: Say) -> Project:
    """Bring the demo project to the point where experts can label and cases can be opened.

    Args:
        wait: shows a job's progress and returns when it has ended.
        say: prints one line.
    """
    project = _project()
    dataset = _dataset(project, wait, say)
    model = _model(project, wait)
    _dissection(project, model, dataset, wait)
    if not project.cases.exists():
        admin = User.objects.get(username="admin")
        wait(
            start_prediction(
                project=project, model=model, dataset=dataset, split=Split.TEST, user=admin
            )
        )
    return project


def _project() -> Project:
    project = Project.objects.filter(slug=SLUG).first() or catalog.create_project(
        slug=SLUG,
        name="Phantom mammography",
        vocabulary=vocabularies.load("bi-rads-mammography"),
        description="Synthetic mammograms with exact findings, and a classifier trained on them.",
    )
    for username, first, last, role in ACCOUNTS:
        user, created = User.objects.get_or_create(
            username=username,
            defaults={
                "first_name": first,
                "last_name": last,
                "is_staff": role == Role.ADMIN,
                "is_superuser": role == Role.ADMIN,
            },
        )
        if created:
            user.set_password(PASSWORD)
            user.save()
        Membership.objects.get_or_create(project=project, user=user, role=role)
    return project


def _dataset(project: Project, wait: Wait, say: Say) -> Dataset:
    ready = project.datasets.filter(state=ImportState.READY, holds_uploads=False).first()
    if ready:
        return ready
    project.datasets.filter(holds_uploads=False).delete()
    folder = data_folder() / "demo-dataset"
    _write_phantoms(folder, say)
    admin = User.objects.get(username="admin")
    dataset, job = catalog.add_dataset(
        project=project, name="Phantom mammograms, held-out patients", source=folder, user=admin
    )
    wait(job)
    dataset.refresh_from_db()
    return dataset


def _write_phantoms(folder: Path, say: Say) -> None:
    """Draw the held-out patients; a folder that an interrupted start left half-full is replaced."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    patients = demo_patients()
    say(f"Drawing the mammograms of {len(patients)} phantom patients …")
    write_dataset(folder, patients)
    (folder / "complete").touch()


def _model(project: Project, wait: Wait) -> TrainedModel:
    ready = ready_models(project).first()
    if ready:
        return ready
    project.models.all().delete()
    facts = json.loads(MODEL_FILE.with_suffix(".json").read_text())
    admin = User.objects.get(username="admin")
    with MODEL_FILE.open("rb") as file:
        model, job = catalog.add_model(
            project=project,
            name="Phantom classifier",
            file=file,
            class_names=facts["classes"],
            preprocessing=facts["preprocessing"],
            user=admin,
        )
    wait(job)
    model.refresh_from_db()
    return model


def _dissection(project: Project, model: TrainedModel, dataset: Dataset, wait: Wait) -> None:
    if project.dissections.filter(completed__isnull=False).exists():
        return None
    unfinished = Dissection.objects.filter(project=project).first()
    if unfinished and unfinished.job and unfinished.job.is_active:
        return wait(unfinished.job)
    project.dissections.all().delete()
    facts = json.loads(MODEL_FILE.with_suffix(".json").read_text())
    admin = User.objects.get(username="admin")
    dissection = start_dissection(
        project=project,
        model=model,
        dataset=dataset,
        layers=[layer["name"] for layer in facts["layers"][-LAYERS_DISSECTED:]],
        splits=[Split.VALIDATION],
        user=admin,
    )
    if dissection.job:
        wait(dissection.job)
    return None
