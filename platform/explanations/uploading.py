"""A single image that a member uploads, to read what a model says about it."""

import hashlib
import io
from pathlib import PurePath

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from accounts.models import User
from analysis.errors import AnalysisError
from analysis.imaging import image_info, read_image
from catalog.importing.files import image_suffix
from catalog.models import Dataset, Image, ImportState, Project, Split, TrainedModel
from explanations.models import PredictionRun
from explanations.services import ExplanationRequestError
from jobs import services as jobs
from jobs.models import Job

MOST_BYTES = 256 << 20
DATASET_NAME = "Uploaded cases"


@transaction.atomic
def upload_case(
    *,
    project: Project,
    model: TrainedModel,
    file: UploadedFile,
    patient: str = "",
    laterality: str = "",
    view: str = "",
    user: User,
) -> PredictionRun:
    """Store an image and queue its prediction by `model`; the same file is stored once.

    Without a patient, the image counts as a patient of its own.

    Raises:
        ExplanationRequestError: the model is not ready, the file is too large or no readable image.
    """
    if model.project_id != project.pk or model.state != ImportState.READY:
        raise ExplanationRequestError(f"“{model}” cannot be run. Choose a model that is ready.")
    image = _stored(_dataset_of_uploads(project), file, patient, laterality, view)
    run = PredictionRun.objects.create(
        project=project, model=model, dataset=image.dataset, split=image.split, image=image
    )
    run.job = jobs.start(
        project=project,
        kind=Job.Kind.PREDICT,
        target_id=run.pk,
        title=f"Predict: {run}",
        user=user,
    )
    run.save(update_fields=["job"])
    return run


def _dataset_of_uploads(project: Project) -> Dataset:
    """The project's dataset of uploaded images, locked so that names in it stay unique."""
    dataset, _ = Dataset.objects.get_or_create(
        project=project,
        holds_uploads=True,
        defaults={"name": DATASET_NAME, "state": ImportState.READY},
    )
    return Dataset.objects.select_for_update().get(pk=dataset.pk)


def _stored(
    dataset: Dataset, file: UploadedFile, patient: str, laterality: str, view: str
) -> Image:
    if (file.size or 0) > MOST_BYTES:
        raise ExplanationRequestError(
            f"The file has more than {MOST_BYTES >> 20} MB. Upload one image, not a series."
        )
    content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    known = dataset.images.filter(sha256=digest).first()
    if known is not None:
        return _with_facts(known, patient.strip(), laterality, view)
    try:
        suffix = image_suffix(content, file.name or "")
        read_image(io.BytesIO(content), suffix=suffix)
        info = image_info(io.BytesIO(content), suffix)
    except AnalysisError as error:
        raise ExplanationRequestError(str(error)) from error
    name = f"{PurePath(file.name or 'image').stem[:100]}-{digest[:8]}"
    return Image.objects.create(
        dataset=dataset,
        file=ContentFile(content, name=f"{digest}{suffix}"),
        name=name,
        patient=patient.strip() or f"{name[:70]}-{digest[:8]}",
        laterality=laterality,
        view=view,
        split=Split.TEST,
        width=info.width,
        height=info.height,
        bits=info.bits,
        sha256=digest,
    )


def _with_facts(known: Image, patient: str, laterality: str, view: str) -> Image:
    """The stored image with what was not known of it before. Raises where facts differ."""
    given = {"patient": patient, "laterality": laterality, "view": view}
    for name, value in given.items():
        stored = getattr(known, name)
        if value and stored and value != stored and not _is_made_up(known, name):
            raise ExplanationRequestError(
                f"This image is here already as {known}, with the {name} “{stored}”. Leave the "
                "field empty to open it."
            )
        if value:
            setattr(known, name, value)
    known.save(update_fields=list(given))
    return known


def _is_made_up(image: Image, name: str) -> bool:
    """Whether a patient was never given."""
    return name == "patient" and image.patient.endswith(f"-{image.sha256[:8]}")
