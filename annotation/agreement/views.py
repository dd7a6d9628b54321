"""The agreement page of a layer, and the page on which a unit is settled."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from annotation.agreement import consensus, disagreements
from annotation.agreement.access import SETTLERS, AnsweredLayer, answered_layers
from annotation.agreement.answers import layer_answers
from annotation.agreement.consensus import ConsensusError
from annotation.agreement.forms import AcceptForm, DecisionForm, ListForm
from annotation.agreement.pages import decision_panel, latest_layer, layer_panel
from catalog.models import Project, TrainedModel
from dissections.models import Unit
from dissections.selectors import get_unit, top_patches
from jobs.forms import require_form, sent

TILE = 320


@require_safe
def agreement(request: MemberRequest, slug: str) -> HttpResponse:
    """The first layer that this person may see, or what there is to do."""
    project = get_project(request.user, slug, *LABELLERS)
    layers = answered_layers(request.user, project)
    first = next((layer for layer in layers if layer.open), None)
    if first:
        return redirect("agreement-layer", slug, first.model.pk, first.layer_name)
    context = {"project": project, "layers": layers}
    return render(request, "agreement/nothing.html", context)


@require_safe
def agreement_layer(request: MemberRequest, slug: str, model: int, layer: str) -> HttpResponse:
    project = get_project(request.user, slug, *LABELLERS)
    layers = answered_layers(request.user, project)
    shown = _answered_layer(layers, model, layer)
    if not shown.open:
        raise PermissionDenied(
            "This page opens once you have answered every unit that others have answered."
        )
    context = {
        "project": project,
        "layers": [entry for entry in layers if entry.open],
        "shown": shown,
        "settles": has_role(request.user, project, *SETTLERS),
        **layer_panel(request.user, shown, ListForm(request.GET), request.GET.get("page")),
    }
    return render(request, "agreement/agreement.html", context)


@require_form
def adjudicate(
    request: MemberRequest, slug: str, model: int, layer: str, unit: int
) -> HttpResponse:
    project, chosen, shown = _unit(request, slug, model, layer, unit)
    labels = consensus.answers_on(chosen, layer).get(unit, [])
    terms = list(project.vocabulary.terms.all())
    data, _ = sent(request)
    form = DecisionForm(data, codes=[term.code for term in terms])
    refused = ""
    if request.method == "POST":
        if form.is_valid():
            try:
                consensus.adjudicate(
                    user=request.user,
                    model=chosen,
                    layer_name=layer,
                    unit_index=unit,
                    answer=form.answer,
                    note=form.cleaned_data["note"],
                    seen=form.cleaned_data["seen"],
                )
            except ConsensusError as error:
                refused = str(error)
            else:
                messages.success(request, f"Unit {shown.label} is settled.")
                return _onward(slug, chosen, layer, unit)
        else:
            refused = " ".join(str(error) for errors in form.errors.values() for error in errors)
    context = {
        "project": project,
        "model": chosen,
        "layer": shown.layer,
        "unit": shown,
        "patches": top_patches(shown),
        "tile": TILE,
        "refused": refused,
        **decision_panel(chosen, layer, unit, labels, terms, sent=data),
    }
    return render(request, "agreement/adjudicate.html", context, status=422 if refused else 200)


@require_POST
def adjudicate_undo(
    request: MemberRequest, slug: str, model: int, layer: str, unit: int
) -> HttpResponse:
    _, chosen, shown = _unit(request, slug, model, layer, unit)
    try:
        consensus.take_back(
            user=request.user,
            model=chosen,
            layer_name=layer,
            unit_index=shown.index,
            seen=request.POST.get("seen", ""),
        )
    except ConsensusError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "The last decision is taken back; the history keeps it.")
    return redirect("adjudicate", slug, model, layer, unit)


@require_POST
def agreements_accept(request: MemberRequest, slug: str, model: int, layer: str) -> HttpResponse:
    """Settle every unit without a consensus on which enough experts fully agree."""
    project = get_project(request.user, slug, *SETTLERS)
    shown = _answered_layer(answered_layers(request.user, project), model, layer)
    form = AcceptForm(request.POST)
    if form.is_valid():
        rows = consensus.accept_agreements(
            user=request.user,
            model=shown.model,
            layer_name=layer,
            fewest=form.cleaned_data["fewest"],
        )
        messages.success(request, f"Units settled because experts agree: {len(rows)}.")
    else:
        messages.error(request, "Say how many experts have to agree: two or more.")
    return redirect("agreement-layer", slug, model, layer)


@require_POST
def agreements_withdraw(request: MemberRequest, slug: str, model: int, layer: str) -> HttpResponse:
    project = get_project(request.user, slug, *SETTLERS)
    shown = _answered_layer(answered_layers(request.user, project), model, layer)
    rows = consensus.withdraw_agreements(user=request.user, model=shown.model, layer_name=layer)
    messages.success(request, f"Units opened again: {len(rows)}. Adjudicated ones stay settled.")
    return redirect("agreement-layer", slug, model, layer)


def _answered_layer(layers: list[AnsweredLayer], model: int, name: str) -> AnsweredLayer:
    for layer in layers:
        if (layer.model.pk, layer.layer_name) == (model, name):
            return layer
    raise Http404("No such layer has answers.")


def _unit(
    request: MemberRequest, slug: str, model: int, layer: str, unit: int
) -> tuple[Project, TrainedModel, Unit]:
    """A unit of a layer with answers, in the latest dissection of that layer."""
    project = get_project(request.user, slug, *SETTLERS)
    shown = _answered_layer(answered_layers(request.user, project), model, layer)
    home = latest_layer(shown.model, layer)
    if home is None:
        raise Http404("The layer has no dissection any more.")
    return project, shown.model, get_unit(home, unit)


def _onward(slug: str, model: TrainedModel, layer: str, unit: int) -> HttpResponse:
    states = disagreements.unit_states(model, layer, layer_answers(model, layer))
    following = disagreements.next_to_settle(states, unit)
    if following is None:
        return redirect("agreement-layer", slug, model.pk, layer)
    return redirect("adjudicate", slug, model.pk, layer, following)
