"""Explaining many cases at once: a job in parts, each a handful of cases for any worker."""

from django.db import transaction
from django.db.models import F, QuerySet

from accounts.models import User
from catalog.models import Dataset, Project
from dissections.models import Layer
from explanations.content import Labels, from_json, to_json
from explanations.models import Case, Explanation, ExplanationRun, ExplanationShare
from explanations.services import ExplanationRequestError, names_now, record_of
from jobs import services as jobs
from jobs.models import Job

CASES_PER_SHARE = 24


@transaction.atomic
def start_run(
    *, project: Project, layer: Layer, dataset: Dataset, split: str, user: User | None
) -> Job:
    """Queue explanations of the predicted class for the model's cases of a split.

    All are made by the names that stand now, also where labels change meanwhile.

    Raises:
        ExplanationRequestError: layer or dataset of another project, no cases, no named unit.
    """
    if layer.dissection.project_id != project.pk or dataset.project_id != project.pk:
        raise ExplanationRequestError("Layer and dataset must belong to this project.")
    model = layer.dissection.model
    labels = names_now(model, layer.name)
    if not labels.named:
        raise ExplanationRequestError(
            f"No unit of {layer.name} has a name yet, so there is nothing to explain with. Let "
            "experts label units first."
        )
    run = ExplanationRun(
        project=project, layer=layer, dataset=dataset, split=split, labels=to_json(labels)
    )
    if not cases_of(run).exists():
        raise ExplanationRequestError(
            f"{model} has no predictions for {run}. Predict these cases first."
        )
    run.save()
    run.job = jobs.start(
        project=project,
        kind=Job.Kind.EXPLAIN_RUN,
        target_id=run.pk,
        title=f"Explain {run}",
        user=user,
    )
    run.save(update_fields=["job"])
    return run.job


def cases_of(run: ExplanationRun) -> QuerySet[Case]:
    return Case.objects.filter(
        model=run.layer.dissection.model, image__dataset=run.dataset, image__split=run.split
    ).order_by("image__name")


def explanations_of(run: ExplanationRun) -> QuerySet[Explanation]:
    """The finished explanations that the run asked for, whoever had them made."""
    return Explanation.objects.filter(
        case__in=cases_of(run),
        layer__name=run.layer.name,
        labels_digest=run.labels["digest"],
        target=F("case__predicted"),
        completed__isnull=False,
    )


@transaction.atomic
def shares_left(run: ExplanationRun) -> list[ExplanationShare]:
    """New shares of the cases that are neither explained yet nor known to fail."""
    ExplanationRun.objects.select_for_update().get(pk=run.pk)
    run.shares.filter(failed={}).delete()
    done = explanations_of(run).values("case")
    left = list(
        cases_of(run)
        .exclude(pk__in=done)
        .exclude(pk__in=[int(case) for case in failures_of(run)])
        .values_list("pk", flat=True)
    )
    return ExplanationShare.objects.bulk_create(
        ExplanationShare(run=run, cases=left[start : start + CASES_PER_SHARE])
        for start in range(0, len(left), CASES_PER_SHARE)
    )


def failures_of(run: ExplanationRun) -> dict[str, str]:
    """Why cases could not be explained, by the text of their primary keys."""
    return {
        case: reason
        for share in run.shares.exclude(failed={})
        for case, reason in share.failed.items()
    }


def note_failure(share: ExplanationShare, record: Explanation, reason: str) -> None:
    """Let the run go on without a case; its empty record goes, so that it can be asked for anew."""
    share.failed[str(record.case_id)] = reason
    share.save(update_fields=["failed"])
    # Not one that somebody who opened the case has a job on.
    Explanation.objects.filter(pk=record.pk, completed=None, job=None).delete()


def records_of(share: ExplanationShare) -> list[Explanation]:
    """The unfinished records of the share's cases, made where there are none."""
    run = share.run
    labels = from_json(Labels, run.labels)
    cases = Case.objects.filter(pk__in=share.cases).select_related("model", "image", "project")
    records = [
        record_of(case, run.layer, case.predicted, labels.digest, lambda: labels) for case in cases
    ]
    return [record for record in records if record.completed is None]
