"""What the pages of agreement and adjudication show."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import QueryDict

from accounts.models import User
from annotation.agreement import consensus, disagreements
from annotation.agreement.access import AnsweredLayer, units_in_view
from annotation.agreement.answers import layer_answers
from annotation.agreement.charts import interval_marks
from annotation.agreement.disagreements import UnitState
from annotation.agreement.forms import ListForm
from annotation.agreement.proposals import proposal_agreement
from annotation.agreement.report import agreement_report
from annotation.answers import told
from annotation.models import Label
from catalog.models import Term, TrainedModel
from dissections.models import Layer, Unit
from dissections.selectors import with_card_details

UNITS_PER_PAGE = 20
THUMBNAIL = 128


@dataclass(frozen=True)
class ListedUnit:
    """A row of the list; `answers_shown` is False where its reader is to stay blinded."""

    unit: Unit
    state: UnitState
    answers_shown: bool


def layer_panel(
    user: User, shown: AnsweredLayer, form: ListForm, page_number: str | None
) -> dict[str, Any]:
    """The numbers of a layer with their plots, and the list of its units."""
    answers = layer_answers(shown.model, shown.layer_name)
    report = agreement_report(answers)
    statistics = [*report.recognisable, *report.terms]
    marks, left = interval_marks([entry.estimate for entry in statistics])
    term_marks, term_left = interval_marks([entry.alpha for entry in report.by_term])
    proposals = proposal_agreement(shown.model, shown.layer_name, answers.by_unit)
    proposal_marks, _ = interval_marks([proposals.exact, proposals.near])
    states = disagreements.unit_states(shown.model, shown.layer_name, answers)
    chosen = form.chosen
    listed = disagreements.shown(states, chosen["show"], chosen["term"])
    page = Paginator(listed, UNITS_PER_PAGE).get_page(page_number)
    return {
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
        "rows": _listed(user, shown, list(page)),
        "agreed": sum(state.agreed and state.consensus is None for state in states),
        "accepted": sum(
            state.consensus is not None and state.consensus.source == "agreement"
            for state in states
        ),
        "first_to_settle": disagreements.next_to_settle(states, -1),
        "thumbnail": THUMBNAIL,
    }


def decision_panel(
    model: TrainedModel,
    layer: str,
    unit: int,
    labels: list[Label],
    terms: list[Term],
    *,
    sent: QueryDict | None,
) -> dict[str, Any]:
    """The answers side by side, and the form as it was sent or as the consensus stands."""
    states = disagreements.unit_states(model, layer, layer_answers(model, layer))
    state = next((entry for entry in states if entry.index == unit), None)
    settled = state.consensus if state else None
    chosen = (
        sent.getlist("terms") if sent else [t.code for t in settled.terms.all()] if settled else []
    )
    support = {
        term.code: [label.author.display_name for label in labels if term in label.terms.all()]
        for term in terms
    }
    recognisable = sent.get("recognisable", "") if sent else settled.recognisable if settled else ""
    return {
        "labels": [(label, told(label)) for label in labels],
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


def latest_layer(model: TrainedModel, name: str) -> Layer | None:
    """The layer in its latest dissection, which has the patches to show."""
    return (
        Layer.objects.filter(
            dissection__model=model, dissection__completed__isnull=False, name=name
        )
        .select_related("dissection__model__project", "dissection__dataset")
        .order_by("-dissection__completed", "-dissection_id")
        .first()
    )


def _listed(user: User, shown: AnsweredLayer, states: list[UnitState]) -> list[ListedUnit]:
    layer = latest_layer(shown.model, shown.layer_name)
    if layer is None:
        return []
    visible = units_in_view(user, shown.model, shown.layer_name)
    units = with_card_details(layer.units.filter(index__in=[state.index for state in states]))
    by_index = {unit.index: unit for unit in units}
    for unit in by_index.values():
        unit.layer = layer
    return [
        ListedUnit(by_index[state.index], state, visible is None or state.index in visible)
        for state in states
        if state.index in by_index
    ]
