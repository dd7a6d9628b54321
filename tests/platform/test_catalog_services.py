"""Adding models and datasets, the commands that do so, and what becomes of uploads."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from accounts.models import Role, User
from analysis.errors import AnalysisError
from catalog import services, vocabularies
from catalog.models import Dataset, ImportState, Project, TrainedModel
from jobs.models import Job
from tests.platform.datasets import png, write, zipped
from workers.import_dataset import run as run_import
from workers.reporter import Reporter

pytestmark = pytest.mark.django_db

GREY = {"input_size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.25]}


@pytest.fixture
def project() -> Project:
    return services.create_project(
        slug="study", name="Study", vocabulary=vocabularies.load("general-visual")
    )


def archive_bytes(value: int = 1) -> bytes:
    """Any zip archive: whether it holds a model is found out by the worker."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data", bytes([value]))
    return stream.getvalue()


def add_model(project: Project, content: bytes, **changes: Any) -> tuple[TrainedModel, Job]:
    values: dict[str, Any] = {
        "name": "Net",
        "file": io.BytesIO(content),
        "class_names": ["a", "b"],
        "preprocessing": GREY,
        "user": None,
    }
    return services.add_model(project=project, **values | changes)


def stored_models() -> set[str]:
    folder = Path(default_storage.path("projects/study/models"))
    return {path.name for path in folder.glob("*")}


def upload(tmp_path: Path) -> SimpleUploadedFile:
    path = zipped(tmp_path / "a.zip", {"cat/1.png": png()})
    return SimpleUploadedFile("../../a.zip", path.read_bytes())


def test_a_model_is_stored_under_its_hash_and_checked_by_a_job(project: Project) -> None:
    content = archive_bytes()
    model, job = add_model(project, content, class_names=[" a", "b\r"])
    digest = hashlib.sha256(content).hexdigest()
    assert model.sha256 == digest
    assert model.file.name == f"projects/study/models/{digest}.pt2"
    assert model.file.read() == content
    assert model.state == ImportState.CHECKING
    assert model.class_names == ["a", "b"]
    assert (job.kind, job.target_id) == (Job.Kind.CHECK_MODEL, model.pk)


def test_the_same_file_is_refused_and_the_stored_one_kept(project: Project) -> None:
    model, _ = add_model(project, archive_bytes(), name="First")
    with pytest.raises(services.CatalogError, match="same file as “First”"):
        add_model(project, archive_bytes(), name="Second")
    assert model.file.read() == archive_bytes()
    assert Job.objects.count() == 1
    other = services.create_project(
        slug="other", name="Other", vocabulary=project.vocabulary, admin=None
    )
    add_model(other, archive_bytes())
    add_model(project, archive_bytes(2))


@pytest.mark.parametrize("state", [ImportState.REFUSED, ImportState.READY])
def test_the_same_file_corrects_a_model_that_nothing_was_made_with(
    project: Project, state: ImportState
) -> None:
    first, check = add_model(project, archive_bytes(), class_names=["b", "a"])
    Job.objects.filter(pk=check.pk).update(state=Job.State.FAILED)
    TrainedModel.objects.update(state=state, message="3 outputs", layers=[{"name": "old"}])
    right = GREY | {"input_size": [16, 16]}
    model, again = add_model(project, archive_bytes(), name="Right", preprocessing=right)
    assert model.pk == first.pk
    model.refresh_from_db()
    assert (model.name, model.class_names) == ("Right", ["a", "b"])
    assert model.preprocessing["input_size"] == [16, 16]
    assert (model.state, model.message, model.layers) == (ImportState.CHECKING, "", [])
    assert model.file.read() == archive_bytes()
    assert again.pk != check.pk
    assert (again.state, again.target_id) == (Job.State.QUEUED, first.pk)


def test_a_model_that_was_labelled_is_not_corrected(project: Project) -> None:
    model, _ = add_model(project, archive_bytes())
    Job.objects.update(state=Job.State.SUCCEEDED)
    TrainedModel.objects.update(state=ImportState.READY)
    author = User.objects.create_user("expert")
    model.labels.create(layer_name="low", unit_index=0, author=author)
    with pytest.raises(services.CatalogError, match="labels are bound"):
        add_model(project, archive_bytes(), class_names=["b", "a"])
    model.refresh_from_db()
    assert (model.state, model.class_names) == (ImportState.READY, ["a", "b"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": io.BytesIO(b"\x80\x04pickle")}, r"not a \.pt2 file"),
        ({"name": " "}, "name of 1 to 120"),
        ({"class_names": ["a"]}, "at least two"),
        ({"class_names": ["a", "a"]}, "at least two different"),
        ({"class_names": ["a", "x" * 81]}, "1 to 80"),
        ({"preprocessing": GREY | {"std": [0]}}, "std must be positive"),
        ({"preprocessing": {}}, "Missing preprocessing fields"),
    ],
)
def test_what_cannot_be_a_model_is_refused_and_nothing_is_stored(
    project: Project, changes: dict[str, Any], message: str
) -> None:
    before = stored_models()
    with pytest.raises(services.CatalogError, match=message):
        add_model(project, archive_bytes(9), **changes)
    assert not TrainedModel.objects.exists()
    assert stored_models() == before


def test_a_file_whose_row_cannot_be_written_is_deleted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> Job:
        raise RuntimeError("the broker is gone")

    before = stored_models()
    monkeypatch.setattr("catalog.services.jobs.start", broken)
    with pytest.raises(RuntimeError):
        add_model(project, archive_bytes(9))
    assert not TrainedModel.objects.exists()
    assert stored_models() == before


@pytest.mark.parametrize("slug", ["study", "a b", "../x", ""])
def test_a_project_needs_a_free_address(project: Project, slug: str) -> None:
    with pytest.raises(services.CatalogError):
        services.create_project(slug=slug, name="X", vocabulary=project.vocabulary)


def test_an_uploaded_archive_is_kept_until_its_import_has_ended(
    project: Project, tmp_path: Path
) -> None:
    dataset, job = services.add_dataset(
        project=project, name="Photos", source=upload(tmp_path), user=None
    )
    assert (job.kind, job.target_id) == (Job.Kind.IMPORT_DATASET, dataset.pk)
    name = dataset.upload.name
    assert name is not None
    assert name.startswith("projects/study/uploads/")
    with pytest.raises(RuntimeError), services.dataset_source(dataset):
        raise RuntimeError("the worker broke")
    assert default_storage.exists(name)
    with services.dataset_source(dataset) as path:
        assert path.read_bytes()[:2] == b"PK"
    assert not default_storage.exists(name)
    dataset.refresh_from_db()
    with pytest.raises(AnalysisError, match="no longer kept"), services.dataset_source(dataset):
        pass


def test_a_refused_archive_is_deleted(project: Project, tmp_path: Path) -> None:
    dataset, _ = services.add_dataset(
        project=project, name="Photos", source=upload(tmp_path), user=None
    )
    name = dataset.upload.name
    assert name
    with pytest.raises(AnalysisError), services.dataset_source(dataset):
        raise AnalysisError("refused")
    assert not default_storage.exists(name)
    assert not Dataset.objects.get().upload


def test_running_a_finished_import_again_changes_nothing(project: Project, tmp_path: Path) -> None:
    dataset, job = services.add_dataset(
        project=project, name="Photos", source=upload(tmp_path), user=None
    )
    Job.objects.update(state=Job.State.RUNNING)
    run_import(job, Reporter(job))
    run_import(job, Reporter(job))
    dataset.refresh_from_db()
    assert (dataset.state, dataset.message) == (ImportState.READY, "")
    job.refresh_from_db()
    assert "nothing to do" in job.log


def test_running_a_refused_import_again_keeps_the_reason(project: Project, tmp_path: Path) -> None:
    dataset, job = services.add_dataset(
        project=project,
        name="Photos",
        source=zipped(tmp_path / "a.zip", {"cat/1.png": b"text"}),
        user=None,
    )
    with pytest.raises(AnalysisError):
        run_import(job, Reporter(job))
    reason = Dataset.objects.get().message
    with pytest.raises(AnalysisError, match="no longer kept"):
        run_import(job, Reporter(job))
    dataset.refresh_from_db()
    assert (dataset.state, dataset.message) == (ImportState.REFUSED, reason)
    assert "no longer kept" not in reason


def test_a_folder_is_remembered_and_read_in_place(project: Project, tmp_path: Path) -> None:
    source = write(tmp_path / "photos", {"cat/1.png": png()})
    dataset, _ = services.add_dataset(project=project, name="Photos", source=source, user=None)
    with services.dataset_source(dataset) as path:
        assert path == source
    source.rename(tmp_path / "moved")
    with pytest.raises(AnalysisError, match="not on the disk"), services.dataset_source(dataset):
        pass


@pytest.mark.parametrize("name", ["absent", "text.zip"])
def test_what_is_no_dataset_is_refused(project: Project, tmp_path: Path, name: str) -> None:
    write(tmp_path, {"text.zip": "hello"})
    with pytest.raises(services.CatalogError):
        services.add_dataset(project=project, name="X", source=tmp_path / name, user=None)
    assert not Dataset.objects.exists()


def test_create_project_loads_its_vocabulary_and_names_its_admin() -> None:
    owner = User.objects.create_user("owner")
    call_command(
        "create_project", "pets", "--name=Pets", "--vocabulary=general-visual", "--admin=owner"
    )
    project = Project.objects.get(slug="pets")
    assert project.vocabulary.terms.count() > 40
    assert project.memberships.get().user == owner
    assert project.memberships.get().role == Role.ADMIN
    with pytest.raises(CommandError, match="no account “nobody”"):
        call_command("create_project", "x", "--name=X", "--vocabulary=general-visual",
                     "--admin=nobody")  # fmt: skip


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["import_dataset", "/nowhere", "--project=absent", "--name=X"], "Projects: study"),
        (["import_dataset", "/nowhere", "--project=study", "--name=X"], "no folder or file"),
        (["import_dataset", "/nowhere", "--project=study", "--name=X", "--user=u"], "no account"),
        (["dissect", "--project=study", "--model=M", "--dataset=D", "--layers=l"],
         "no model “M”. It has: none yet"),
        (["import_model", "/nowhere.pt2", "--project=study", "--name=X", "--classes=a,b",
          "--input-size=8x8", "--mean=0,0,0", "--std=1,1,1"], "cannot be read: No such file"),
        (["import_model", "/nowhere.pt2", "--project=study", "--name=X", "--classes=a,b",
          "--input-size=8", "--mean=0,0,0", "--std=1,1,1"], "not a size such as 224x224"),
    ],
)  # fmt: skip
def test_commands_say_what_is_wrong(project: Project, command: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command(*command)
    assert not Job.objects.exists()


def test_waiting_without_a_worker_ends_with_advice_and_keeps_the_job(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app.control, "ping", lambda timeout: [])
    source = write(tmp_path / "photos", {"cat/1.png": png()})
    with pytest.raises(CommandError, match="No worker answers"):
        call_command("import_dataset", str(source), "--project=study", "--name=X", "--wait")
    assert Job.objects.get().state == Job.State.QUEUED
