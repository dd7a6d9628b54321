"""The catalogue of a project, and the forms that bring something in."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import ADMINS, get_project, has_role
from accounts.requests import MemberRequest
from catalog import selectors
from catalog.forms import AddDatasetForm, AddModelForm
from catalog.models import ImportState
from jobs.forms import require_form, sent, start_from_form
from jobs.models import Job


@require_safe
def catalog(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    is_admin = has_role(request.user, project, *ADMINS)
    models = list(project.models.all() if is_admin else selectors.own_models(project))
    datasets = list(selectors.datasets_of(project))
    checks = selectors.latest_jobs(project, Job.Kind.CHECK_MODEL, [m.pk for m in models])
    imports = selectors.latest_jobs(project, Job.Kind.IMPORT_DATASET, [d.pk for d in datasets])
    context = {
        "project": project,
        "is_admin": is_admin,
        "models": [(model, checks.get(model.pk)) for model in models],
        "datasets": [(dataset, imports.get(dataset.pk)) for dataset in datasets],
        "images_ready": any(dataset.state == ImportState.READY for dataset in datasets),
    }
    return render(request, "catalog/catalog.html", context)


@require_form
def model_add(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = AddModelForm(*sent(request), project=project)
    return start_from_form(request, project, form, "catalog/model_add.html")


@require_form
def dataset_add(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = AddDatasetForm(*sent(request), project=project)
    return start_from_form(request, project, form, "catalog/dataset_add.html")
