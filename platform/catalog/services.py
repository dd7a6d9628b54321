"""Writes of the catalog: projects, models and datasets. The slow part of each is a job."""

import hashlib
import os
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction

from accounts.models import Role, User
from accounts.services import give_role
from analysis.errors import AnalysisError
from analysis.models.preprocessing import Preprocessing
from catalog.files import local_path
from catalog.models import Dataset, ImportState, Project, TrainedModel, Vocabulary
from jobs import services as jobs
from jobs.models import Job

CHUNK = 1 << 20


class CatalogError(ValueError):
    """The request cannot be carried out; the message says what to change."""


@transaction.atomic
def create_project(
    *,
    slug: str,
    name: str,
    vocabulary: Vocabulary,
    description: str = "",
    admin: User | None = None,
) -> Project:
    """Create a project whose first admin is `admin`.

    Raises:
        CatalogError: the slug is taken or holds other characters than letters, digits, - and _.
    """
    try:
        validate_slug(slug)
    except ValidationError as error:
        raise CatalogError(
            f"“{slug}” cannot be part of an address; use letters, digits and hyphens."
        ) from error
    if Project.objects.filter(slug=slug).exists():
        raise CatalogError(f"There is already a project “{slug}”. Choose another name for it.")
    project = Project.objects.create(
        slug=slug, name=name, vocabulary=vocabulary, description=description
    )
    if admin is not None:
        give_role(project=project, user=admin, role=Role.ADMIN)
    return project


def add_model(
    *,
    project: Project,
    name: str,
    file: UploadedFile | BinaryIO,
    class_names: Sequence[str],
    preprocessing: Mapping[str, Any],
    user: User | None,
) -> tuple[TrainedModel, Job]:
    """Store an exported model (.pt2) and queue its check; the job fills in layers and state.

    Adding a file again corrects the name, classes and preprocessing of the model that holds it, as
    long as nothing has been made with that model.

    Args:
        file: the content, seekable.
        class_names: one per output of the model, in its order.
        preprocessing: as `analysis.models.preprocessing.Preprocessing.to_dict` gives it.

    Raises:
        CatalogError: not a .pt2 file, the same file is there already and being checked or in use,
            bad class names or preprocessing.
    """
    names = _checked_class_names(class_names)
    try:
        prepared = Preprocessing.from_dict(preprocessing).to_dict()
    except ValueError as error:
        raise CatalogError(f"The preprocessing cannot be used. {error}") from error
    content = file if isinstance(file, UploadedFile) else File(file)
    if not _is_zip(content):
        raise CatalogError(
            "This is not a .pt2 file. Export the model with torch.export and save it with "
            "torch.export.save."
        )
    model = TrainedModel(
        project=project,
        name=_checked_name(name, "model"),
        sha256=_sha256(content),
        class_names=names,
        preprocessing=prepared,
    )
    try:
        with transaction.atomic():
            same = project.models.select_for_update().filter(sha256=model.sha256).first()
            if same is not None:
                _correct(same, model)
                return same, _check(same, user)
            # The row first: it claims the hash, and with it the place of the file.
            model.save()
            return model, _store_and_check(model, content, user)
    except IntegrityError as error:
        raise CatalogError(_same_model("another upload")) from error


def _correct(same: TrainedModel, given: TrainedModel) -> None:
    """Give a stored model what was given with its file this time, and let it wait for its check."""
    checks = Job.objects.filter(kind=Job.Kind.CHECK_MODEL, target_id=same.pk)
    if checks.filter(state__in=Job.ACTIVE).exists():
        raise CatalogError(
            f"This project already holds the same file as “{same.name}”, which is being checked. "
            "Wait until the check has ended, or cancel it; then add the file again to correct it."
        )
    made_with_it = (same.dissections, same.labels, same.prediction_runs, same.cases)
    if any(results.exists() for results in made_with_it):
        raise CatalogError(_same_model(same.name))
    same.name = given.name
    same.class_names = given.class_names
    same.preprocessing = given.preprocessing
    same.layers = []
    same.state = ImportState.CHECKING
    same.message = ""
    same.save(update_fields=["name", "class_names", "preprocessing", "layers", "state", "message"])


def _store_and_check(model: TrainedModel, content: File, user: User | None) -> Job:
    try:
        model.file.save("model.pt2", content)
        return _check(model, user)
    except BaseException:
        if model.file:
            model.file.storage.delete(model.file.name or "")
        raise


def _check(model: TrainedModel, user: User | None) -> Job:
    return jobs.start(
        project=model.project,
        kind=Job.Kind.CHECK_MODEL,
        target_id=model.pk,
        title=f"Check {model}",
        user=user,
    )


@transaction.atomic
def add_control(*, model: TrainedModel, file: BinaryIO) -> TrainedModel:
    """Store the untrained twin of a model (see `analysis.models.shuffling`); it waits for a check.

    Args:
        file: its `.pt2` file, seekable.
    """
    content = File(file)
    ending = " (untrained control)"
    control = TrainedModel(
        project=model.project,
        name=model.name[: 120 - len(ending)] + ending,
        sha256=_sha256(content),
        class_names=model.class_names,
        preprocessing=model.preprocessing,
        control_of=model,
    )
    control.file.save("model.pt2", content)
    return control


def add_dataset(
    *, project: Project, name: str, source: UploadedFile | Path, user: User | None
) -> tuple[Dataset, Job]:
    """Take a dataset and queue its import.

    Args:
        source: an uploaded zip archive or the path of one, which is copied to the storage, or a
            folder on a disk that the workers share with this machine. A path must come from an
            operator, never from a request.

    Raises:
        CatalogError: no such folder, or not a zip archive.
    """
    dataset = Dataset(project=project, name=_checked_name(name, "dataset"))
    if isinstance(source, UploadedFile):
        _store_upload(dataset, source)
    elif source.is_dir():
        dataset.folder = str(source.resolve())
    elif source.is_file():
        with source.open("rb") as file:
            _store_upload(dataset, File(file))
    else:
        raise CatalogError(f"There is no folder or file {source}.")
    try:
        with transaction.atomic():
            dataset.save()
            job = jobs.start(
                project=project,
                kind=Job.Kind.IMPORT_DATASET,
                target_id=dataset.pk,
                title=f"Import {dataset}",
                user=user,
            )
    except BaseException:
        _delete_upload(dataset)
        raise
    return dataset, job


class SourceGoneError(AnalysisError):
    """What a dataset was to be imported from is no longer there."""


@contextmanager
def dataset_source(dataset: Dataset) -> Iterator[Path]:
    """The folder or zip archive to import a dataset from, on this machine's disk.

    An uploaded archive is deleted once its import has succeeded or was refused; it is kept after a
    cancelled or broken import, which can be run again.

    Raises:
        SourceGoneError: the archive was deleted, or the folder was moved.
    """
    if dataset.folder:
        if not Path(dataset.folder).is_dir():
            raise SourceGoneError(
                f"The folder {dataset.folder} is not on the disk of this worker. Share it with the "
                "worker, or import a zip archive of it."
            )
        yield Path(dataset.folder)
        return
    if not dataset.upload:
        raise SourceGoneError("The uploaded archive is no longer kept. Add the dataset again.")
    try:
        with local_path(dataset.upload) as path:
            yield path
    except AnalysisError:
        discard_upload(dataset)
        raise
    discard_upload(dataset)


def discard_upload(dataset: Dataset) -> None:
    """Delete the uploaded archive, if it is still there."""
    _delete_upload(dataset)
    dataset.save(update_fields=["upload"])


def _store_upload(dataset: Dataset, file: File) -> None:
    if not _is_zip(file):
        raise CatalogError("This is not a zip archive. Zip the folder of images and add that.")
    dataset.upload.save(f"{uuid.uuid4().hex}.zip", file, save=False)


def _delete_upload(dataset: Dataset) -> None:
    if dataset.upload:
        dataset.upload.delete(save=False)


def _checked_name(name: str, what: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 120:
        raise CatalogError(f"Give the {what} a name of 1 to 120 characters.")
    return name


def _checked_class_names(class_names: Sequence[str]) -> list[str]:
    names = [name.strip() for name in class_names]
    if len(names) < 2 or len(set(names)) < len(names) or not all(1 <= len(n) <= 80 for n in names):
        raise CatalogError(
            "Give at least two different class names of 1 to 80 characters, in the order of the "
            "model's outputs."
        )
    return names


def _same_model(name: str) -> str:
    return (
        f"This project already holds the same file as “{name}”. Use that one: labels are bound to "
        "the content of the file."
    )


def _is_zip(file: File) -> bool:
    file.seek(0)
    found = zipfile.is_zipfile(file)
    file.seek(0, os.SEEK_SET)
    return found


def _sha256(file: File) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks(CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
