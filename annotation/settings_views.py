"""The settings of a project: whether experts answer blind, and what they are asked."""

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import ADMINS, get_project
from accounts.requests import MemberRequest
from annotation import questions
from annotation.settings_forms import BlindingForm, QuestionSetForm, question_set_form
from catalog.models import Project


@require_safe
def project_settings(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    return _page(request, project, BlindingForm(instance=project), question_set_form(project))


@require_POST
def blinding(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    BlindingForm(request.POST, instance=project).save()
    how = "blind" if project.blinded else "with all results open"
    messages.success(request, f"Experts now answer {how}.")
    return redirect("project-settings", slug)


@require_POST
def ask(request: MemberRequest, slug: str) -> HttpResponse:
    """Make the next question set of what was sent."""
    project = get_project(request.user, slug, *ADMINS)
    form = question_set_form(project, request.POST)
    if not form.is_valid():
        return _page(request, project, BlindingForm(instance=project), form)
    before = questions.current(project)
    asked = form.save(request.user)
    if asked == before:
        messages.info(request, f"Nothing changed: {asked} stays.")
    else:
        messages.success(request, f"Experts are asked {asked} from now on.")
    return redirect("project-settings", slug)


def _page(
    request: MemberRequest, project: Project, blinding: BlindingForm, editor: QuestionSetForm
) -> HttpResponse:
    current = questions.current(project)
    sets = project.question_sets.select_related("created_by").annotate(label_count=Count("labels"))
    context = {
        "project": project,
        "blinding": blinding,
        "editor": editor,
        "current": current,
        "next_number": current.number + 1,
        "sets": [(one, questions.questions_of(one)) for one in sets.order_by("-number")],
    }
    refused = editor.is_bound and not editor.is_valid()
    return render(request, "annotation/settings.html", context, status=422 if refused else 200)
