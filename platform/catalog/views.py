"""The catalogue of a project and its vocabulary, and the forms that bring something in."""

from itertools import groupby
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import ADMINS, get_project, has_role
from accounts.requests import MemberRequest
from annotation.selectors import search_terms
from catalog import selectors
from catalog.forms import AddDatasetForm, AddModelForm, DissectForm, JobForm, PredictForm
from catalog.models import ImportState, Project, TrainedModel
from jobs.models import Job

require_form = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def catalog(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    models = list(project.models.all())
    datasets = list(selectors.datasets_of(project))
    checks = selectors.latest_jobs(project, Job.Kind.CHECK_MODEL, [m.pk for m in models])
    imports = selectors.latest_jobs(project, Job.Kind.IMPORT_DATASET, [d.pk for d in datasets])
    context = {
        "project": project,
        "is_admin": has_role(request.user, project, *ADMINS),
        "models": [(model, checks.get(model.pk)) for model in models],
        "datasets": [(dataset, imports.get(dataset.pk)) for dataset in datasets],
        "images_ready": any(dataset.state == ImportState.READY for dataset in datasets),
    }
    return render(request, "catalog/catalog.html", context)


@require_form
def model_add(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = AddModelForm(*_sent(request), project=project)
    return _start(request, project, form, "catalog/model_add.html")


@require_form
def dataset_add(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = AddDatasetForm(*_sent(request), project=project)
    return _start(request, project, form, "catalog/dataset_add.html")


@require_form
def model_dissect(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = _ready_model(project, model)
    form = DissectForm(*_sent(request), project=project, model=chosen)
    return _start(request, project, form, "catalog/model_dissect.html")


@require_form
def model_predict(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = _ready_model(project, model)
    form = PredictForm(*_sent(request), project=project, model=chosen)
    return _start(request, project, form, "catalog/model_predict.html")


@require_safe
def vocabulary(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    query = request.GET.get("q", "").strip()
    found = search_terms(project.vocabulary, query, limit=project.vocabulary.terms.count())
    terms = sorted(found, key=lambda term: term.position)
    context = {
        "project": project,
        "query": query,
        "term_count": len(terms),
        "categories": [
            (category, list(group))
            for category, group in groupby(terms, key=lambda term: term.category)
        ],
    }
    return render(request, "catalog/vocabulary.html", context)


def _sent(request: MemberRequest) -> tuple[Any, Any]:
    """What a form is bound to: an empty POST is a mistake to be shown, a GET is not."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _start(request: MemberRequest, project: Project, form: JobForm, template: str) -> HttpResponse:
    """Show the form, or start its job and go to the job's page."""
    if request.method == "POST" and form.is_valid():
        try:
            job = form.start(request.user)
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            return redirect("job", project.slug, job.pk)
    status = 422 if form.errors else 200
    return render(request, template, {"project": project, "form": form}, status=status)


def _ready_model(project: Project, pk: int) -> TrainedModel:
    return get_object_or_404(project.models.filter(state=ImportState.READY), pk=pk)
