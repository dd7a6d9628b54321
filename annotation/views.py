from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import LABELLERS, get_project
from accounts.requests import MemberRequest
from annotation import selectors, services
from annotation.forms import LabelChangeForm
from annotation.models import Label
from annotation.panel import label_state
from annotation.services import LabelError
from catalog.models import Project
from catalog.terms import search_terms
from dissections.evidence import evidence
from dissections.models import Unit
from dissections.selectors import get_layer, get_unit

# The page takes an answer as saved only when it carries this header: a sign-in page does not.
SAVED_HEADER = "Unitscope-Saved"


@require_POST
def save(request: MemberRequest, slug: str, dissection: int, layer: str, unit: int) -> HttpResponse:
    """Save one or several fields of the user's label; answers with the parts of the form anew."""
    project, shown = _get(request, slug, dissection, layer, unit)
    before = selectors.own_label(request.user, shown)
    form = LabelChangeForm(request.POST)
    if not form.is_valid():
        message = " ".join(str(error) for errors in form.errors.values() for error in errors)
        return _answer(request, project, shown, before, refused=message)
    try:
        services.save_label(
            user=request.user,
            model=shown.layer.dissection.model,
            layer_name=shown.layer.name,
            unit_index=shown.index,
            **form.changes(),
        )
    except LabelError as error:
        return _answer(request, project, shown, before, refused=str(error))
    return _answer(request, project, shown, before)


@require_POST
def undo(request: MemberRequest, slug: str, dissection: int, layer: str, unit: int) -> HttpResponse:
    project, shown = _get(request, slug, dissection, layer, unit)
    before = selectors.own_label(request.user, shown)
    try:
        if before is None:
            raise LabelError("There is nothing to undo on this unit.")
        services.undo_label(user=request.user, label=before)
    except LabelError as error:
        return _answer(request, project, shown, before, refused=str(error))
    return _answer(request, project, shown, before, undone=True)


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
        **label_state(label),
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
    return project, get_unit(get_layer(project, dissection, layer), unit)


def _answer(
    request: MemberRequest,
    project: Project,
    unit: Unit,
    before: Label | None,
    *,
    refused: str = "",
    undone: bool = False,
) -> HttpResponse:
    """The changed parts of the form, each to be put in its place by htmx (out of band)."""
    state = label_state(selectors.own_label(request.user, unit))
    layer = unit.layer
    context = {
        "project": project,
        "dissection": layer.dissection,
        "layer": layer,
        "unit": unit,
        "refused": refused,
        "renew_note": undone,
        "answered_count": len(
            selectors.answered_indexes(request.user, layer.dissection.model, layer.name)
        ),
        "oob": True,
        **state,
    }
    reader = selectors.reader(request.user, project)
    if reader.blinded and state["answered"] != selectors.is_answered(before):
        context["reader"] = reader
        context["evidence"] = evidence(request.user, unit, reader, answered=state["answered"])
    response = render(request, "annotation/_saved.html", context, status=422 if refused else 200)
    response[SAVED_HEADER] = "refused" if refused else "yes"
    return response
