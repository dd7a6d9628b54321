from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import ADMINS, get_project, has_role
from accounts.requests import MemberRequest
from catalog.models import Project
from jobs import selectors, services
from jobs.fragments import render_page_or_part
from jobs.models import Job

JOBS_PER_PAGE = 30
LOG_LINES = 200
SHOWN = {"": "All", selectors.SHOW_ACTIVE: "Active", selectors.SHOW_FAILED: "Failed or cancelled"}
TAGS = {
    Job.State.QUEUED: "neutral",
    Job.State.RUNNING: "info",
    Job.State.WAITING: "info",
    Job.State.SUCCEEDED: "ok",
    Job.State.FAILED: "danger",
    Job.State.CANCELLED: "warn",
}


@dataclass(frozen=True)
class JobLine:
    job: Job
    tag: str
    duration: str


@require_safe
def jobs(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    show = request.GET.get("show", "")
    show = show if show in SHOWN else ""
    page = Paginator(selectors.job_list(project, show), JOBS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "project": project,
        "page": page,
        "lines": [_line(job) for job in page],
        "show": show,
        "tabs": SHOWN.items(),
        "any_active": selectors.job_list(project, selectors.SHOW_ACTIVE).exists(),
    }
    return render_page_or_part(request, context, page="jobs/jobs.html", part="jobs/_jobs.html")


@require_safe
def job(request: MemberRequest, slug: str, job: int) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = _get_job(project, job)
    context = {
        "project": project,
        "job": shown,
        "line": _line(shown),
        "log": "\n".join(shown.log.splitlines()[-LOG_LINES:]),
        "parts": [_line(part) for part in selectors.parts_of(shown)],
        "log_cut": len(shown.log.splitlines()) > LOG_LINES,
        "queue_hint": selectors.queue_hint(shown),
        "may_steer": has_role(request.user, project, *ADMINS),
    }
    return render_page_or_part(request, context, page="jobs/job.html", part="jobs/_job.html")


@require_safe
def job_progress(request: MemberRequest, slug: str, job: int) -> HttpResponse:
    """The include jobs/_progress.html by itself; says `job-ended` to the page when it has ended."""
    project = get_project(request.user, slug)
    shown = _get_job(project, job)
    response = render(request, "jobs/_progress.html", {"project": project, "job": shown})
    if not shown.is_active:
        response["HX-Trigger-After-Swap"] = "job-ended"
    return response


@require_POST
def job_cancel(request: MemberRequest, slug: str, job: int) -> HttpResponse:
    return _steer(request, slug, job, lambda shown: services.cancel(job=shown))


@require_POST
def job_retry(request: MemberRequest, slug: str, job: int) -> HttpResponse:
    return _steer(request, slug, job, lambda shown: services.retry(job=shown))


def _steer(
    request: MemberRequest, slug: str, pk: int, act: Callable[[Job], object]
) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    shown = _get_job(project, pk)
    try:
        act(shown)
    except services.JobError as error:
        messages.error(request, str(error))
    return redirect("job", slug, pk)


def _get_job(project: Project, pk: int) -> Job:
    return get_object_or_404(
        Job.objects.select_related("created_by", "project", "parent"), project=project, pk=pk
    )


def _line(job: Job) -> JobLine:
    return JobLine(job, TAGS[Job.State(job.state)], _duration_text(selectors.duration(job)))


def _duration_text(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    seconds = int(duration.total_seconds())
    if seconds < 1:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
