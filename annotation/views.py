from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import LABELLERS, get_project
from accounts.requests import MemberRequest
from annotation import selectors, services
from annotation.panel import label_state
from annotation.saving import save_from_request, tells_outbox, undo_from_request
from catalog.models import Project
from catalog.terms import search_terms
from dissections.evidence import evidence
from dissections.models import Unit
from dissections.selectors import get_layer, get_unit


@require_POST
@tells_outbox
def save(request: MemberRequest, slug: str, dissection: int, layer: str, unit: int) -> HttpResponse:
    return save_from_request(request, *_get(request, slug, dissection, layer, unit))


@require_POST
@tells_outbox
def undo(request: MemberRequest, slug: str, dissection: int, layer: str, unit: int) -> HttpResponse:
    return undo_from_request(request, *_get(request, slug, dissection, layer, unit))


@require_POST
def early_look(
    request: MemberRequest, slug: str, dissection: int, layer: str, unit: int
) -> HttpResponse:
    """Show the statistics before the answer; the label's history keeps that this was done."""
    project, shown = _get(request, slug, dissection, layer, unit)
    label = services.record_early_look(
        user=request.user,
        model=shown.layer.dissection.model,
        layer_name=shown.layer.name,
        unit_index=shown.index,
    )
    reader = selectors.reader(request.user, project)
    answered = selectors.is_answered(label)
    context = {
        "project": project,
        "dissection": shown.layer.dissection,
        "layer": shown.layer,
        "unit": shown,
        "reader": reader,
        "open_statistics": True,
        "evidence": evidence(request.user, shown, reader, answered=answered, early_look=True),
        "oob": True,
        **label_state(project, shown, label),
    }
    return render(request, "annotation/_early_look.html", context)


@require_safe
def terms(request: MemberRequest, slug: str) -> HttpResponse:
    """The options of the term field for ?q="""
    project = get_project(request.user, slug)
    text = request.GET.get("q", "")
    found = search_terms(project.vocabulary, text)
    return render(request, "annotation/_options.html", {"found": found, "text": text})


def _get(
    request: MemberRequest, slug: str, dissection: int, layer: str, unit: int
) -> tuple[Project, Unit]:
    project = get_project(request.user, slug, *LABELLERS)
    return project, get_unit(get_layer(request.user, project, dissection, layer), unit)
