"""Making cases and explanations: what the pages and the API ask for, and what workers publish."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from scipy.special import softmax

from accounts.models import User
from annotation.models import Label
from annotation.selectors import UnitTerms, labels_digest, unit_terms
from catalog.models import Dataset, Image, Project, Split, Term, TrainedModel
from catalog.selectors import why_not_usable
from dissections.models import Layer
from explanations.content import (
    Content,
    Labels,
    NamedUnit,
    TermNaming,
    from_json,
    to_json,
)
from explanations.models import Case, Explanation, PredictionRun
from jobs import services as jobs
from jobs.models import Job

if TYPE_CHECKING:
    from explanations.building import Maps


class ExplanationRequestError(ValueError):
    """The request cannot be served; the message says what to change."""


@transaction.atomic
def start_prediction(
    *, project: Project, model: TrainedModel, dataset: Dataset, split: str, user: User | None
) -> Job:
    """Queue a run of `model` over the images of `split`; every image becomes a case.

    The job's `target_id` is the primary key of the PredictionRun made here.

    Raises:
        ExplanationRequestError: model or dataset is not ready or of another project, no images.
    """
    if problem := why_not_usable(project, model, dataset):
        raise ExplanationRequestError(problem)
    if split not in Split.values or not dataset.images.filter(split=split).exists():
        raise ExplanationRequestError(f"“{dataset}” has no images in the split {split}.")
    run = PredictionRun.objects.create(project=project, model=model, dataset=dataset, split=split)
    run.job = jobs.start(
        project=project,
        kind=Job.Kind.PREDICT,
        target_id=run.pk,
        title=f"Predict: {run}",
        user=user,
    )
    run.save(update_fields=["job"])
    return run.job


def save_cases(run: PredictionRun, images: Sequence[Image], logits: np.ndarray) -> int:
    """Store the cases of `images` from their logits [N, C]; a row that is not finite is left out.

    C is 0 where no image could be read, and nothing is stored then.
    Storing the same images again replaces their predictions. Returns the number of cases stored.
    """
    cases = [
        Case(
            project_id=run.project_id,
            model_id=run.model_id,
            image=image,
            logits=[float(value) for value in row],
            probabilities=[float(value) for value in softmax(row.astype(np.float64))],
            predicted=int(np.argmax(row)),
        )
        for image, row in zip(images, logits, strict=True)
        if row.size and np.isfinite(row).all()
    ]
    Case.objects.bulk_create(
        cases,
        update_conflicts=True,
        unique_fields=["model", "image"],
        update_fields=["logits", "probabilities", "predicted"],
    )
    return len(cases)


def request_explanation(*, case: Case, layer: Layer, target: int, user: User | None) -> Explanation:
    """The explanation of a class's score by the names that stand now, made where there is none.

    Returns the finished one, or the one under way (its `job` says how far it is, or why it failed),
    or starts one. The case's row is locked meanwhile, so that two requests start one.

    Raises:
        ExplanationRequestError: the layer is not one of the case's model, or no such class.
    """
    if layer.dissection.model_id != case.model_id:
        raise ExplanationRequestError("The layer belongs to another model than the case.")
    if not 0 <= target < len(case.probabilities):
        raise ExplanationRequestError(
            f"Class {target} does not exist; the model has {len(case.probabilities)} classes."
        )
    terms = unit_terms(case.model, layer.name)
    digest = labels_digest(terms)
    with transaction.atomic():
        current = record_of(
            case,
            layer,
            target,
            digest,
            lambda: snapshot_labels(case.model, layer.name, terms, digest),
        )
        if current.completed is None and current.job is None:
            current.job = jobs.start(
                project=case.project,
                kind=Job.Kind.EXPLAIN,
                target_id=current.pk,
                title=f"Explain {case.model.class_names[target]} on {case.image.name}",
                user=user,
            )
            current.save(update_fields=["job"])
    return current


@transaction.atomic
def record_of(
    case: Case, layer: Layer, target: int, digest: str, labels: Callable[[], Labels]
) -> Explanation:
    """The record, finished or not, of a score's explanation by the labels of this digest.

    The case's row is locked until the transaction ends, so that two requests make one record.
    """
    Case.objects.select_for_update().get(pk=case.pk)
    found = Explanation.objects.filter(
        case=case, layer__name=layer.name, target=target, labels_digest=digest
    )
    return (
        found.filter(completed__isnull=False).first()
        or found.first()
        or Explanation.objects.create(
            case=case,
            layer=layer,
            target=target,
            labels_digest=digest,
            content={"labels": to_json(labels())},
        )
    )


def names_now(model: TrainedModel, layer_name: str) -> Labels:
    """The names that stand now on the units of a layer, as a record."""
    terms = unit_terms(model, layer_name)
    return snapshot_labels(model, layer_name, terms, labels_digest(terms))


def retry_explanation(*, explanation: Explanation) -> None:
    """Run the failed or cancelled job of an unfinished explanation again; else do nothing."""
    job = explanation.job
    if explanation.completed is None and job and not job.is_active:
        jobs.retry(job=job)


def labels_of(explanation: Explanation) -> Labels:
    """The names that an explanation is (to be) made from."""
    return from_json(Labels, explanation.content["labels"])


def content_of(explanation: Explanation) -> Content:
    """What a finished explanation says."""
    return from_json(Content, explanation.content)


@transaction.atomic
def complete(explanation: Explanation, content: Content, maps: "Maps") -> bool:
    """Store what a worker found. False, and nothing is changed, where the record is complete."""
    row = Explanation.objects.select_for_update().get(pk=explanation.pk)
    if row.completed is not None:
        return False
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **maps)
    folder = f"projects/{explanation.case.project.slug}/explanations"
    row.maps.save(f"{folder}/{row.pk}.npz", ContentFile(archive.getvalue()), save=False)
    row.content = to_json(content)
    row.term_codes = [finding.code for finding in content.support.findings]
    row.supported = content.removal.supported if content.removal else None
    row.completed = timezone.now()
    row.save(update_fields=["maps", "content", "term_codes", "supported", "completed"])
    return True


def snapshot_labels(
    model: TrainedModel, layer_name: str, terms: Mapping[int, UnitTerms], digest: str
) -> Labels:
    """The terms that stand on a layer's units, as a record that later answers do not change."""
    changed = dict(
        Label.objects.filter(model=model, layer_name=layer_name, unit_index__in=terms)
        .values_list("unit_index")
        .annotate(Max("updated"))
        .order_by()
    )
    ancestors = _ancestors(support.term for unit in terms.values() for support in unit.terms)
    units = [
        NamedUnit(
            index=index,
            answered=unit.answered,
            terms=[
                TermNaming(
                    code=support.term.code,
                    code_system=support.term.code_system,
                    name=support.term.name,
                    phrase=support.term.phrase,
                    category=support.term.category,
                    experts=list(support.experts),
                    ancestors=ancestors[support.term.pk],
                )
                for support in unit.terms
            ],
            changed=_latest(changed.get(index), unit.decided),
            decided_by=unit.decided_by,
        )
        for index, unit in sorted(terms.items())
    ]
    return Labels(digest=digest, units=units)


def _latest(*times: datetime | None) -> str | None:
    known = [time for time in times if time is not None]
    return max(known).isoformat() if known else None


def _ancestors(terms: Iterable[Term]) -> dict[int, list[str]]:
    """Codes of each term's broader terms, nearest first, by the term's primary key."""
    chosen = {term.pk: term for term in terms}
    vocabularies = {term.vocabulary_id for term in chosen.values()}
    tree = {term.pk: term for term in Term.objects.filter(vocabulary__in=vocabularies)}
    codes: dict[int, list[str]] = {}
    for pk, term in chosen.items():
        codes[pk] = []
        parent = term.parent_id
        while parent is not None and tree[parent].code not in codes[pk]:
            codes[pk].append(tree[parent].code)
            parent = tree[parent].parent_id
    return codes
