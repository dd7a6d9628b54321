"""Pages of reading lists for the admins who run them, and the overview for everyone."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import ADMINS, get_project, has_role
from accounts.models import User
from accounts.requests import MemberRequest
from annotation.models import ReadingList
from annotation.reading import progress, selectors, services
from annotation.reading.forms import ReadingListForm
from annotation.reading.services import ReadingError
from catalog.models import Project
from catalog.selectors import latest_jobs, own_models
from dissections.models import Dissection
from dissections.selectors import completed_dissections, control_dissections
from jobs.forms import require_form
from jobs.models import Job


@require_safe
def lists(request: MemberRequest, slug: str) -> HttpResponse:
    """The lists the user reads and, for admins, all lists of the project."""
    project = get_project(request.user, slug)
    is_admin = has_role(request.user, project, *ADMINS)
    context = {
        "project": project,
        "is_admin": is_admin,
        "own": selectors.open_lists(project, request.user),
        "all": selectors.with_counts(selectors.lists_of(project)) if is_admin else [],
    }
    return render(request, "reading/lists.html", context)


@require_form
def new(request: MemberRequest, slug: str) -> HttpResponse:
    """Make a list from the dissection ?dissection=, or from the latest one."""
    project = get_project(request.user, slug, *ADMINS)
    dissections = completed_dissections(project)
    dissection = _chosen(request, dissections)
    if dissection is None:
        return render(request, "reading/nothing.html", {"project": project})
    sent = request.POST if request.method == "POST" else None
    form = ReadingListForm(sent, dissection=dissection)
    if form.is_valid() and (made := form.save(request.user)):
        return redirect("reading-list", slug, made.pk)
    context = {
        "project": project,
        "dissections": dissections,
        "dissection": dissection,
        "form": form,
        "control": control_dissections(dissection).exists(),
        "control_job": _control_job(project, dissection),
        "back": reverse("reading-lists", args=[slug]),
    }
    return render(request, "reading/new.html", context, status=422 if form.errors else 200)


@require_POST
def make_control(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = get_object_or_404(own_models(project), pk=model)
    try:
        job = services.start_control(model=chosen, user=request.user)
    except ReadingError as error:
        messages.error(request, str(error))
        return redirect("reading-list-new", slug)
    return redirect("job", slug, job.pk)


@require_safe
def reading_list(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    """How far a list has come, by reader and by unit."""
    project, shown = _get(request, slug, reading_list)
    items = progress.by_item(shown)
    readers = progress.by_reader(shown)
    present = {entry.reader.pk for entry in readers if entry.active}
    context = {
        "project": project,
        "list": shown,
        "readers": readers,
        "items": items,
        "complete": sum(entry.complete for entry in items),
        "others": selectors.possible_readers(project).exclude(pk__in=present),
    }
    return render(request, "reading/list.html", context)


@require_POST
def close(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    _, shown = _get(request, slug, reading_list)
    services.set_closed(reading_list=shown, closed=True)
    return redirect("reading-list", slug, shown.pk)


@require_POST
def reopen(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    _, shown = _get(request, slug, reading_list)
    services.set_closed(reading_list=shown, closed=False)
    return redirect("reading-list", slug, shown.pk)


@require_POST
def add_reader(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    project, shown = _get(request, slug, reading_list)
    user = get_object_or_404(
        User, username=request.POST.get("username", ""), memberships__project=project
    )
    try:
        services.add_reader(reading_list=shown, user=user)
    except ReadingError as error:
        messages.error(request, str(error))
    return redirect("reading-list", slug, shown.pk)


@require_POST
def remove_reader(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    _, shown = _get(request, slug, reading_list)
    user = get_object_or_404(shown.readers.all(), username=request.POST.get("username", ""))
    services.remove_reader(reading_list=shown, user=user)
    return redirect("reading-list", slug, shown.pk)


def _get(request: MemberRequest, slug: str, pk: int) -> tuple[Project, ReadingList]:
    project = get_project(request.user, slug, *ADMINS)
    return project, selectors.get_list(project, pk)


def _chosen(request: MemberRequest, dissections: QuerySet[Dissection]) -> Dissection | None:
    wanted = request.GET.get("dissection")
    if wanted is None:
        return dissections.first()
    if not (wanted.isdecimal() and len(wanted) < 10):
        raise Http404("No such dissection.")
    return get_object_or_404(dissections, pk=wanted)


def _control_job(project: Project, dissection: Dissection) -> Job | None:
    """The latest making of the model's control, while it is at work or where it ended badly."""
    model = dissection.model_id
    job = latest_jobs(project, Job.Kind.MAKE_CONTROL, [model]).get(model)
    return job if job and job.state != Job.State.SUCCEEDED else None
