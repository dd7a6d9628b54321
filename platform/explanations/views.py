from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import ADMINS, LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from catalog.models import Project
from catalog.selectors import ready_model_or_404, ready_models
from dissections.models import Layer
from explanations import rendering, selectors, services
from explanations.blinding import own_answers, readable, readers_answers, unanswered_names
from explanations.content import unit_label
from explanations.evaluation.selectors import current_calibration
from explanations.findings import may_see_findings, summaries
from explanations.forms import ExplainAllForm, ExplanationForm, PredictForm
from explanations.listing import listed_cases
from explanations.models import Case
from explanations.pages import case_lines, explanation_page, prediction_rows, reference_class
from jobs.forms import require_form, sent, start_from_form
from jobs.fragments import render_page_or_part
from jobs.selectors import queue_hint

CASES_PER_PAGE = 24
LIST_PARAMETERS = (
    "q", "predicted", "patient", "sort", "model", "truth", "term", "check", "page",
)  # fmt: skip
FILTERS = ("q", "predicted", "patient", "term", "check")
RENDERING_VERSION = 1


@require_safe
def cases(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    may_see = may_see_findings(request.user, project)
    listed = listed_cases(project, request.GET, may_see=may_see)
    model, form = listed.model, listed.form
    context: dict[str, Any] = {
        "project": project,
        "model": model,
        "form": form,
        "may_explain_all": has_role(request.user, project, *ADMINS),
        "prediction_job": selectors.latest_prediction_job(project),
        "may_upload": ready_models(project).exists(),
    }
    if model:
        page = Paginator(listed.cases, CASES_PER_PAGE).get_page(request.GET.get("page"))
        found = summaries(model, page) if may_see else {}
        context |= {
            "page": page,
            "lines": case_lines(page, found, with_truth=bool(form.values.get("truth"))),
            "may_see_findings": may_see,
            "has_findings": len(form.fields["term"].choices) > 1,  # type: ignore[attr-defined]
            "total": model.cases.count(),
            "list_query": _list_query(request.GET),
            "page_query": _list_query(request.GET, without="page"),
            "filtered": any(form.values.get(name) not in (None, "") for name in FILTERS),
        }
    return render_page_or_part(
        request, context, page="explanations/cases.html", part="explanations/_case_list.html"
    )


@require_safe
def case(request: MemberRequest, slug: str, case: int) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = _get_case(project, case)
    query = request.GET.copy()
    query["model"] = str(shown.model_id)
    listed = listed_cases(project, query, may_see=may_see_findings(request.user, project))
    context = {
        "project": project,
        "case": shown,
        "neighbours": selectors.neighbours(listed.cases, shown),
        "other_models": selectors.same_image_cases(shown),
        **_explanation_context(request, shown),
    }
    return render(request, "explanations/case.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def case_explanation(request: MemberRequest, slug: str, case: int) -> HttpResponse:
    """The explanation's part of the case page. POST runs one that failed again first."""
    project = get_project(request.user, slug)
    shown = _get_case(project, case)
    context = _explanation_context(request, shown)
    if request.method == "POST" and context["explanation"]:
        services.retry_explanation(explanation=context["explanation"])
        context = _explanation_context(request, shown)
    return render(
        request,
        "explanations/_explanation.html",
        {"project": project, "case": shown, "fragment": True, **context},
    )


@require_safe
def explanation_map(
    request: MemberRequest, slug: str, explanation: int, key: str
) -> HttpResponseBase:
    """Where a finding lies, as a transparent PNG in the image's proportions."""
    project = get_project(request.user, slug)
    shown = get_object_or_404(selectors.finished_explanations(project), pk=explanation)
    readers_answers(request.user, shown)
    etag = quote_etag(f"explanation-{shown.pk}-{key}-{RENDERING_VERSION}")
    response = get_conditional_response(request, etag=etag)
    if response is None:
        with shown.maps.open("rb") as stream:
            density = rendering.read_map(cast(BinaryIO, stream), key)
        if density is None:
            raise Http404("The explanation has no such map.")
        image = shown.case.image
        colour = rendering.colour_index(services.content_of(shown), key)
        png = rendering.overlay_png(density, width=image.width, height=image.height, colour=colour)
        response = HttpResponse(png, content_type="image/png")
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


def _get_case(project: Project, pk: int) -> Case:
    return get_object_or_404(
        Case.objects.select_related("model", "image__dataset", "project"), project=project, pk=pk
    )


def _explanation_context(request: MemberRequest, case: Case) -> dict[str, Any]:
    """The explanation that the address asks for, finished or under way, with what shows it."""
    chosen = ExplanationForm(request.GET).values
    layers = selectors.explained_layers(case.model)
    layer = _chosen(layers, chosen.get("layer"))
    target = chosen.get("target")
    if target is None or target >= len(case.probabilities):
        target = case.predicted
    calibration = current_calibration(case.model)
    context: dict[str, Any] = {
        "layers": layers,
        "layer": layer,
        "target": target,
        "target_name": case.model.class_names[target],
        "predictions": prediction_rows(case, target, calibration),
        "calibration": calibration,
        "show_truth": bool(chosen.get("truth")),
        "truth": reference_class(case) or "not known" if chosen.get("truth") else None,
        "list_query": _list_query(request.GET),
        "query": request.GET.urlencode(),
        "explanation": None,
        "job": None,
    }
    if layer is None:
        return context
    explanation = services.request_explanation(
        case=case, layer=layer, target=target, user=request.user
    )
    context |= {"explanation": explanation, "job": explanation.job}
    answers = own_answers(request.user, explanation)
    if waiting := unanswered_names(explanation, answers):
        context["withheld"] = [(index, unit_label(index, layer.unit_count)) for index in waiting]
    elif explanation.completed:
        content = readable(services.content_of(explanation), answers)
        context |= explanation_page(explanation, content, layer)
        context["may_label"] = has_role(request.user, case.project, *LABELLERS)
    elif explanation.job:
        context["queue_hint"] = queue_hint(explanation.job)
    return context


def _chosen(layers: list[Layer], name: str | None) -> Layer | None:
    return next((layer for layer in layers if layer.name == name), next(iter(layers), None))


def _list_query(parameters: QueryDict, without: str = "") -> str:
    return urlencode(
        {
            name: value
            for name, value in parameters.items()
            if name in LIST_PARAMETERS and name != without and value
        }
    )


@require_form
def explain_all(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = ready_model_or_404(project, model)
    form = ExplainAllForm(*sent(request), project=project, model=chosen)
    return start_from_form(request, project, form, "explanations/explain_all.html")


@require_form
def model_predict(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = ready_model_or_404(project, model)
    form = PredictForm(*sent(request), project=project, model=chosen)
    return start_from_form(request, project, form, "explanations/predict.html")
