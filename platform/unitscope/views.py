from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import visible_projects
from accounts.requests import MemberRequest
from annotation.selectors import labelling_by_project


@require_safe
def home(request: MemberRequest) -> HttpResponse:
    """The projects of the user; straight into the project where there is just one."""
    projects = list(visible_projects(request.user))
    if len(projects) == 1:
        return redirect("project", projects[0].slug)
    labelling = labelling_by_project(projects, request.user)
    entries = [(project, labelling[project.pk]) for project in projects]
    return render(request, "home.html", {"entries": entries})
