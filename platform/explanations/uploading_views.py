from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from accounts.access import get_project
from accounts.requests import MemberRequest
from explanations.forms import UploadCaseForm
from explanations.models import Case
from jobs.forms import require_form, sent
from jobs.selectors import queue_hint


@require_form
def case_upload(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    form = UploadCaseForm(*sent(request), project=project)
    if request.method == "POST" and form.is_valid():
        try:
            run = form.upload(request.user)
        except ValueError as error:
            form.add_error("file", str(error))
        else:
            return redirect("case-uploaded", slug, run.pk)
    status = 422 if form.errors else 200
    return render(
        request, "explanations/upload.html", {"project": project, "form": form}, status=status
    )


@require_safe
def case_uploaded(request: MemberRequest, slug: str, run: int) -> HttpResponse:
    """The uploaded image's case, or how far its prediction is."""
    project = get_project(request.user, slug)
    shown = get_object_or_404(
        project.prediction_runs.exclude(image=None).select_related(
            "job__project", "image", "model"
        ),
        pk=run,
    )
    case = Case.objects.filter(model=shown.model_id, image=shown.image_id).first()
    if case is not None:
        return redirect("case", slug, case.pk)
    context = {
        "project": project,
        "run": shown,
        "queue_hint": queue_hint(shown.job) if shown.job else "",
    }
    return render(request, "explanations/uploaded.html", context)
