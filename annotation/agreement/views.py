"""The agreement page of a layer, and the page on which a unit is settled."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from annotation.agreement import consensus, disagreements
from annotation.agreement.access import (
    SETTLERS,
    AnsweredLayer,
    answered_layers,
    units_in_view,
)
from annotation.agreement.answers import layer_answers
from annotation.agreement.charts import interval_marks
from annotation.agreement.consensus import ConsensusError
from annotation.agreement.disagreements import UnitState
from annotation.agreement.forms import AcceptForm, DecisionForm, ListForm
from annotation.agreement.proposals import proposal_agreement
from annotation.agreement.report import agreement_report
from annotation.models import Label
from catalog.models import Project, Term, TrainedModel
from dissections.models import Layer, Unit
from dissections.selectors import get_unit, top_patches, with_card_details
from jobs.forms import require_form

UNITS_PER_PAGE = 20
THUMBNAIL, TILE = 128, 320


@dataclass(frozen=True)
class ListedUnit:
    """A row of the list; `answers_shown` is False where its reader is to stay blinded."""

    unit: Unit
    state: UnitState
    answers_shown: bool


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
    answers = layer_answers(shown.model, layer)
    report = agreement_report(answers)
    statistics = [*report.recognisable, *report.terms]
    marks, left = interval_marks([entry.estimate for entry in statistics])
    term_marks, term_left = interval_marks([entry.alpha for entry in report.by_term])
    proposals = proposal_agreement(shown.model, layer, answers.by_unit)
    proposal_marks, _ = interval_marks([proposals.exact, proposals.near])
    states = disagreements.unit_states(shown.model, layer, answers)
    chosen = ListForm(request.GET).chosen
    listed = disagreements.shown(states, chosen["show"], chosen["term"])
    page = Paginator(listed, UNITS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "layers": [entry for entry in layers if entry.open],
        "shown": shown,
        "report": report,
        "marks": list(zip(statistics, marks, strict=True)),
        "left": left,
        "by_term": list(zip(report.by_term, term_marks, strict=True)),
        "term_left": term_left,
        "proposals": proposals,
        "proposal_marks": proposal_marks,
        "chosen": chosen,
        "list_query": urlencode(chosen),
        "show_choices": disagreements.SHOW_CHOICES,
        "page": page,
        "rows": _listed(request, project, shown.model, layer, list(page)),
        "settles": has_role(request.user, project, *SETTLERS),
        "agreed": sum(state.agreed and state.consensus is None for state in states),
        "accepted": sum(
            state.consensus is not None and state.consensus.source == "agreement"
            for state in states
        ),
        "first_to_settle": disagreements.next_to_settle(states, -1),
        "thumbnail": THUMBNAIL,
    }
    return render(request, "agreement/agreement.html", context)


@require_form
def adjudicate(
    request: MemberRequest, slug: str, model: int, layer: str, unit: int
) -> HttpResponse:
    project, chosen, shown = _unit(request, slug, model, layer, unit)
    labels = consensus.answers_on(chosen, layer).get(unit, [])
    terms = list(project.vocabulary.terms.all())
    form = DecisionForm(
        request.POST if request.method == "POST" else None, codes=[term.code for term in terms]
    )
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
        **_decision(request, chosen, layer, unit, labels, terms),
    }
    return render(request, "agreement/adjudicate.html", context, status=422 if refused else 200)


@require_POST
def adjudicate_undo(
    request: MemberRequest, slug: str, model: int, layer: str, unit: int
) -> HttpResponse:
    _, chosen, shown = _unit(request, slug, model, layer, unit)
    try:
        consensus.take_back(
            user=request.user, model=chosen, layer_name=layer, unit_index=shown.index
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
    home = _latest_layers(shown.model, layer)
    if home is None:
        raise Http404("The layer has no dissection any more.")
    return project, shown.model, get_unit(home, unit)


def _latest_layers(model: TrainedModel, name: str) -> Layer | None:
    return (
        Layer.objects.filter(
            dissection__model=model, dissection__completed__isnull=False, name=name
        )
        .select_related("dissection__model__project", "dissection__dataset")
        .order_by("-dissection__completed", "-dissection_id")
        .first()
    )


def _listed(
    request: MemberRequest,
    project: Project,
    model: TrainedModel,
    name: str,
    states: list[UnitState],
) -> list[ListedUnit]:
    layer = _latest_layers(model, name)
    if layer is None:
        return []
    visible = units_in_view(request.user, project, model, name)
    units = with_card_details(layer.units.filter(index__in=[state.index for state in states]))
    by_index = {unit.index: unit for unit in units}
    for unit in by_index.values():
        unit.layer = layer
    return [
        ListedUnit(by_index[state.index], state, visible is None or state.index in visible)
        for state in states
        if state.index in by_index
    ]


def _decision(
    request: MemberRequest,
    model: TrainedModel,
    layer: str,
    unit: int,
    labels: list[Label],
    terms: list[Term],
) -> dict[str, object]:
    """The answers side by side, and the form as it was sent or as the consensus stands."""
    states = disagreements.unit_states(model, layer, layer_answers(model, layer))
    state = next((entry for entry in states if entry.index == unit), None)
    settled = state.consensus if state else None
    sent = request.POST if request.method == "POST" else None
    chosen = (
        sent.getlist("terms") if sent else [t.code for t in settled.terms.all()] if settled else []
    )
    support = {
        term.code: [label.author.display_name for label in labels if term in label.terms.all()]
        for term in terms
    }
    recognisable = sent.get("recognisable", "") if sent else settled.recognisable if settled else ""
    return {
        "labels": labels,
        "state": state,
        "settled": settled,
        "history": consensus.history(model, layer, unit),
        "version": consensus.version((model, layer, unit), labels),
        "next": disagreements.next_to_settle(states, unit),
        "waiting": sum(disagreements.waits(entry) for entry in states),
        "answers": Label.Recognisable.choices,
        "recognisable": recognisable,
        "options": [
            (term, support[term.code], term.code in chosen)
            for term in terms
            if support[term.code] or term.code in chosen
        ],
        "note": sent.get("note", "") if sent else settled.note if settled else "",
    }


def _onward(slug: str, model: TrainedModel, layer: str, unit: int) -> HttpResponse:
    states = disagreements.unit_states(model, layer, layer_answers(model, layer))
    following = disagreements.next_to_settle(states, unit)
    if following is None:
        return redirect("agreement-layer", slug, model.pk, layer)
    return redirect("adjudicate", slug, model.pk, layer, following)
