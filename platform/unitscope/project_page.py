"""The home page of a project: what is here, how far it has come, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import get_project
from accounts.requests import MemberRequest
from annotation import selectors as annotation
from annotation.models import ReadingList
from annotation.reading.selectors import open_lists
from annotation.reading.standing import Standing
from annotation.selectors import Reader
from catalog.models import Dataset, ImportState, Project, TrainedModel
from catalog.selectors import own_models
from dissections import selectors as dissections
from dissections.models import Dissection
from dissections.selectors import LayerProgress
from jobs.models import Job


@dataclass(frozen=True)
class Step:
    """What the reader of the page should do next."""

    title: str
    text: str
    action: str = ""
    address: str = ""


@dataclass(frozen=True)
class DissectionProgress:
    dissection: Dissection
    layers: list[LayerProgress]


@require_safe
def project_home(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    reader = annotation.reader(request.user, project)
    models = list(own_models(project))
    datasets = list(project.datasets.annotate(image_count=Count("images")))
    progress = annotation.progress(models, request.user)
    shown = [
        DissectionProgress(run, dissections.layers_with_progress(run, progress))
        for run in dissections.completed_dissections(project)
    ]
    jobs = list(project.jobs.filter(state__in=Job.ACTIVE, parent=None))
    lists = open_lists(project, request.user) if reader.can_label else []
    context = {
        "project": project,
        "reading_lists": lists,
        "reader": reader,
        "models": models,
        "datasets": datasets,
        "dissections": shown,
        "jobs": jobs,
        "failed": project.jobs.filter(state=Job.State.FAILED, parent=None).first()
        if not jobs
        else None,
        "labelling": annotation.labelling_by_project([project], request.user)[project.pk],
        "case_count": project.cases.count(),
        "step": _next_step(request, project, reader, models, datasets, shown, jobs, lists),
    }
    return render(request, "project.html", context)


def _next_step(
    request: MemberRequest,
    project: Project,
    reader: Reader,
    models: list[TrainedModel],
    datasets: Sequence[Dataset],
    shown: list[DissectionProgress],
    jobs: list[Job],
    lists: Sequence[tuple[ReadingList, Standing]],
) -> Step:
    if not shown:
        return _set_up_step(project, reader, models, datasets, jobs)
    for reading_list, standing in lists:
        if standing.left:
            return _reading_step(project, reading_list, standing)
    if reader.can_label:
        for entry in shown[0].layers:
            if entry.mine < entry.layer.unit_count:
                return _labelling_step(request, project, entry)
    return Step(
        "Read the explanations",
        "See how the terms on the units read in the explanation of a case.",
        "Open cases",
        reverse("cases", args=[project.slug]),
    )


def _reading_step(project: Project, reading_list: ReadingList, standing: Standing) -> Step:
    return Step(
        f"{standing.left} units of “{reading_list}” wait for you",
        "They come one by one. Each answer is saved at once; stop whenever you like.",
        "Continue reading",
        reverse("read", args=[project.slug, reading_list.pk]),
    )


def _labelling_step(request: MemberRequest, project: Project, entry: LayerProgress) -> Step:
    layer = entry.layer
    model = layer.dissection.model
    answered = annotation.answered_indexes(request.user, model, layer.name)
    unit = dissections.first_unanswered(layer, answered)
    return Step(
        f"{layer.unit_count - entry.mine} units of {layer.name} wait for your answer",
        "The most influential come first. Each answer is saved at once; stop whenever you like.",
        "Label the next unit",
        reverse("unit", args=[project.slug, layer.dissection_id, layer.name, unit]),
    )


def _set_up_step(
    project: Project,
    reader: Reader,
    models: list[TrainedModel],
    datasets: Sequence[Dataset],
    jobs: list[Job],
) -> Step:
    if any(job.kind == Job.Kind.DISSECT for job in jobs):
        return Step(
            "The model is being dissected",
            "Its units can be labelled as soon as this is done; progress is shown below.",
        )
    catalog = reverse("catalog", args=[project.slug])
    if not reader.is_admin:
        return Step(
            "Nothing to label yet",
            "An admin of this project has to add a model and a dataset and dissect the model.",
        )
    if not any(model.state == ImportState.READY for model in models):
        text = "Upload a model exported with torch.export (.pt2). It is checked before it is used."
        return Step("Add a model", text, "Add a model", catalog)
    if not any(dataset.state == ImportState.READY for dataset in datasets):
        text = "Upload a zip with one folder of images per class, or import a dataset folder."
        return Step("Add a dataset", text, "Add a dataset", catalog)
    text = "Run the images through the model to find what excites each of its units."
    return Step("Dissect the model", text, "Choose layers", catalog)
