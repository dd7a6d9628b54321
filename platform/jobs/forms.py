"""Forms that start a job, and the view of every such form."""

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.requests import MemberRequest
from catalog.models import Project
from jobs.models import Job

require_form = require_http_methods(["GET", "HEAD", "POST"])


class JobForm(forms.Form):
    """A form that starts a job in a project."""

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project

    def start(self, user: User) -> Job:
        """Start the job. Raises ValueError with words for the user where it is refused."""
        raise NotImplementedError


def sent(request: MemberRequest) -> tuple[Any, Any]:
    """What a form is bound to: an empty POST is a mistake to be shown, a GET is not."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def start_from_form(
    request: MemberRequest, project: Project, form: JobForm, template: str
) -> HttpResponse:
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
