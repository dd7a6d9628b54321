"""Asking for an evaluation, and publishing what the worker measured."""

from dataclasses import asdict, replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from analysis.evaluation.settings import EvaluationSettings
from annotation.selectors import labels_digest, unit_terms
from catalog.models import Dataset, Project, Split
from catalog.selectors import why_not_usable
from dissections.models import Layer
from explanations.content import Labels, from_json, to_json
from explanations.models import Calibration, Evaluation
from explanations.services import ExplanationRequestError, snapshot_labels
from jobs import services as jobs
from jobs.models import Job
from unitscope.version import code_version


@transaction.atomic
def start_evaluation(
    *,
    project: Project,
    layer: Layer,
    dataset: Dataset,
    split: str,
    reference: str = Evaluation.Reference.REPORTS,
    ancestor_credit: bool = False,
    user: User | None,
) -> Evaluation:
    """Queue an evaluation of the explanations by the names that now stand on a layer's units.

    Raises:
        ExplanationRequestError: model or dataset is not ready or of another project, no images, no
            references of this kind, or no unit of the layer has a name.
    """
    model = layer.dissection.model
    if problem := why_not_usable(project, model, dataset):
        raise ExplanationRequestError(problem)
    if split not in Split.values or not dataset.images.filter(split=split).exists():
        raise ExplanationRequestError(f"“{dataset}” has no images in the split {split}.")
    _refuse_without_references(dataset, split, reference)
    terms = unit_terms(model, layer.name)
    labels = snapshot_labels(model, layer.name, terms, labels_digest(terms))
    if not labels.named:
        raise ExplanationRequestError(
            f"No unit of {layer.name} has an agreed name yet, so there is nothing to evaluate."
        )
    evaluation = Evaluation.objects.create(
        project=project,
        model=model,
        layer=layer,
        dataset=dataset,
        split=split,
        reference=reference,
        labels_digest=labels.digest,
        labels=to_json(labels),
        settings=asdict(replace(EvaluationSettings(), ancestor_credit=ancestor_credit)),
    )
    evaluation.job = jobs.start(
        project=project,
        kind=Job.Kind.EVALUATE,
        target_id=evaluation.pk,
        title=f"Evaluate: {evaluation}",
        user=user,
    )
    evaluation.save(update_fields=["job"])
    return evaluation


def _refuse_without_references(dataset: Dataset, split: str, reference: str) -> None:
    images = dataset.images.filter(split=split)
    if reference == Evaluation.Reference.REPORTS:
        if not images.filter(report__isnull=False).exists():
            raise ExplanationRequestError(
                f"No {Split(split).label.lower()} image of “{dataset}” has a report. Compare with "
                "masks instead, or import the dataset with reports."
            )
    elif reference != Evaluation.Reference.MASKS:
        raise ExplanationRequestError(f"There is no reference called “{reference}”.")
    elif not dataset.concepts.filter(term__isnull=False).exists():
        raise ExplanationRequestError(
            f"No concept of “{dataset}” has a term of the vocabulary. Compare with reports instead."
        )


def labels_of(evaluation: Evaluation) -> Labels:
    """The names that the evaluation is (to be) made from."""
    return from_json(Labels, evaluation.labels)


@transaction.atomic
def complete(
    evaluation: Evaluation, result: dict[str, Any], calibration: Calibration | None
) -> bool:
    """Store what a worker measured. False, and nothing is changed, where it is complete."""
    row = Evaluation.objects.select_for_update().get(pk=evaluation.pk)
    if row.completed is not None:
        return False
    if calibration is not None:
        calibration.save()
        result = {**result, "calibration": {**calibration.report, "split": calibration.split}}
    row.result = result
    row.code_version = str(code_version())
    row.completed = timezone.now()
    row.save(update_fields=["result", "code_version", "completed"])
    return True
