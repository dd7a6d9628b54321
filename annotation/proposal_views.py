"""Proposing a term beside the answer form, and the pages that decide on proposals."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.access import LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from annotation import proposals as services
from annotation.models import Label, TermProposal
from annotation.proposal_forms import ApproveForm, DeclineForm, PointForm, ProposalForm
from annotation.proposals import DECIDERS, ProposalError
from annotation.saving import SAVED_HEADER
from catalog.models import Project
from catalog.vocabularies.entries import VocabularyError
from dissections.models import Layer, Unit
from dissections.selectors import get_layer, get_unit
from jobs.forms import require_form, sent

FORMS: dict[str, type[ApproveForm | PointForm | DeclineForm]] = {
    "approve": ApproveForm,
    "point": PointForm,
    "decline": DeclineForm,
}


@require_form
def unit_propose(
    request: MemberRequest, slug: str, dissection: int, layer: str, unit: int
) -> HttpResponse:
    project = get_project(request.user, slug, *LABELLERS)
    return propose_from_request(
        request, project, get_unit(get_layer(request.user, project, dissection, layer), unit)
    )


def propose_from_request(
    request: MemberRequest, project: Project, unit: Unit, *, occasion: int = 0
) -> HttpResponse:
    """The dialog that proposes a term for the user's label of a unit (GET with ?name=), and the
    list of the label's proposals once it is sent.

    A page that shows the answer form routes this at the address of its saving plus "propose/".
    """
    form = ProposalForm(
        *sent(request), project=project, initial={"name": request.GET.get("name", "")}
    )
    if request.method == "POST" and form.is_valid():
        try:
            label, _ = Label.with_repeats.get_or_create(
                author=request.user,
                model=unit.layer.dissection.model,
                layer_name=unit.layer.name,
                unit_index=unit.index,
                occasion=occasion,
            )
            services.propose_term(
                user=request.user, project=project, label=label, **form.cleaned_data
            )
        except ProposalError as error:
            form.add_error(None, str(error))
        else:
            response = render(request, "annotation/_proposed.html", {"label": label})
            response[SAVED_HEADER] = "yes"
            return response
    context = {"project": project, "form": form, "address": request.path}
    status = 422 if form.errors else 200
    response = render(request, "annotation/_propose.html", context, status=status)
    response[SAVED_HEADER] = "refused"
    response["HX-Retarget"] = "#propose-body"
    response["HX-Reswap"] = "innerHTML"
    return response


@require_safe
def proposals(request: MemberRequest, slug: str) -> HttpResponse:
    """All proposals for those who decide; for experts their own."""
    project = get_project(request.user, slug, *LABELLERS)
    decides = has_role(request.user, project, *DECIDERS)
    shown = project.term_proposals.select_related("proposed_by", "decided_by", "term", "parent")
    if not decides:
        shown = shown.filter(proposed_by=request.user)
    context = {
        "project": project,
        "decides": decides,
        "waiting": shown.filter(state=TermProposal.State.OPEN),
        "decided": shown.exclude(state=TermProposal.State.OPEN),
    }
    return render(request, "annotation/proposals.html", context)


@require_form
def proposal(request: MemberRequest, slug: str, proposal: int) -> HttpResponse:
    """One proposal and its three answers; a POST gives the `answer`: approve, point or decline."""
    project = get_project(request.user, slug, *DECIDERS)
    shown = get_object_or_404(
        project.term_proposals.select_related("project__vocabulary", "label", "proposed_by"),
        pk=proposal,
    )
    answer = request.POST.get("answer", "")
    forms = {
        name: form(*(sent(request) if name == answer else (None, None)), proposal=shown)
        for name, form in FORMS.items()
    }
    if answer in forms and forms[answer].is_valid():
        try:
            text = _carry_out(request, shown, answer, forms[answer].cleaned_data)
        except (ProposalError, VocabularyError) as error:
            forms[answer].add_error(None, str(error))
        else:
            messages.success(request, text)
            return redirect("term-proposals", slug)
    context = {
        "project": project,
        "proposal": shown,
        "forms": forms,
        "unit_address": _unit_address(project, shown.label),
        "copies": project.vocabulary.owner_id is None,
        "is_open": shown.state == TermProposal.State.OPEN,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "annotation/proposal.html", context, status=status)


def _carry_out(
    request: MemberRequest, proposal: TermProposal, answer: str, values: dict[str, Any]
) -> str:
    """What was done, in words."""
    if answer == "decline":
        services.decline_proposal(proposal=proposal, user=request.user, **values)
        return f"Declined “{proposal.name}”. {proposal.proposed_by.display_name} sees the reason."
    if answer == "point":
        services.point_proposal(proposal=proposal, user=request.user, **values)
        return (
            f"Answered with “{values['term'].name}”. {proposal.proposed_by.display_name} reads "
            "which term to use; labels stay as they are."
        )
    copied = proposal.project.vocabulary.owner_id is None
    term, labels = services.approve_proposal(proposal=proposal, user=request.user, **values)
    word = (
        " The shared vocabulary was copied first; this project now has its own." if copied else ""
    )
    return f"Added “{term.name}” ({term.code}). {_labels(labels)}{word}"


def _labels(count: int) -> str:
    return f"{count} label{'' if count == 1 else 's'} got it."


def _unit_address(project: Project, label: Label | None) -> str:
    """The page of the label's unit; empty where it is not there, or shows a control."""
    if label is None:
        return ""
    layer = (
        Layer.objects.filter(
            dissection__model=label.model_id,
            dissection__model__control_of=None,
            dissection__completed__isnull=False,
            name=label.layer_name,
        )
        .order_by("-dissection__completed")
        .first()
    )
    if layer is None:
        return ""
    return reverse("unit", args=[project.slug, layer.dissection_id, layer.name, label.unit_index])
