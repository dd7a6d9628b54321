from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import get_project, has_role
from accounts.requests import MemberRequest
from explanations.evaluation import selectors
from explanations.evaluation.forms import EvaluationForm
from explanations.evaluation.pages import detail, estimate_text, to_csv
from explanations.models import Evaluation
from explanations.services import ExplanationRequestError
from jobs.forms import require_form, sent
from jobs.selectors import queue_hint

PER_PAGE = 30


@require_safe
def evaluations(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug)
    listed = selectors.evaluations_of(project)
    page = Paginator(listed, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "lines": [(evaluation, _summary(evaluation)) for evaluation in page],
        "may_start": has_role(request.user, project, *selectors.EVALUATORS),
    }
    return render(request, "explanations/evaluation/evaluations.html", context)


@require_form
def evaluation_start(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *selectors.EVALUATORS)
    form = EvaluationForm(sent(request)[0], project=project)
    if request.method == "POST" and form.is_valid():
        try:
            evaluation = form.start(request.user)
        except ExplanationRequestError as error:
            form.add_error(None, str(error))
        else:
            return redirect("evaluation", project.slug, evaluation.pk)
    return render(
        request,
        "explanations/evaluation/start.html",
        {"project": project, "form": form},
        status=422 if form.errors else 200,
    )


@require_safe
def evaluation(request: MemberRequest, slug: str, evaluation: int) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = selectors.get_evaluation(project, evaluation)
    context: dict[str, Any] = {"project": project, "evaluation": shown, "job": shown.job}
    if shown.completed:
        names = selectors.sees_names(request.user, shown)
        context |= {
            "names_withheld": not names,
            "labels_changed": selectors.labels_have_changed(shown),
            **detail(shown, selectors.readable_result(shown, names=names)),
        }
    elif shown.job:
        context["queue_hint"] = queue_hint(shown.job)
    return render(request, "explanations/evaluation/evaluation.html", context)


@require_safe
def evaluation_download(
    request: MemberRequest, slug: str, evaluation: int, suffix: str
) -> HttpResponse:
    """A finished evaluation as JSON or CSV, as far as the reader may see it."""
    project = get_project(request.user, slug)
    shown = selectors.get_evaluation(project, evaluation)
    if not shown.completed or suffix not in ("json", "csv"):
        raise Http404("The evaluation has no such file.")
    names = selectors.sees_names(request.user, shown)
    result = selectors.readable_result(shown, names=names)
    name = f'attachment; filename="evaluation-{shown.pk}.{suffix}"'
    if suffix == "csv":
        text = to_csv(result)
        return HttpResponse(text, content_type="text/csv", headers={"Content-Disposition": name})
    record = {
        "model": shown.model.name,
        "model_sha256": shown.model.sha256,
        "layer": shown.layer.name,
        "dataset": shown.dataset.name,
        "split": shown.split,
        "reference": shown.reference,
        "labels_digest": shown.labels_digest,
        "labels": selectors.readable_labels(request.user, shown) if names else None,
        "settings": shown.settings,
        "code_version": shown.code_version,
        "completed": shown.completed.isoformat(),
        "result": result,
    }
    return JsonResponse(
        record, json_dumps_params={"indent": 1}, headers={"Content-Disposition": name}
    )


def _summary(evaluation: Evaluation) -> dict[str, Any] | None:
    """F1 by the first reading, and whether it beats all controls."""
    if not evaluation.completed:
        return None
    agreement = evaluation.result["readings"][0]["nameable"]
    beats = all(control["beaten"] for control in agreement["controls"])
    return {"f1": estimate_text(agreement["f1"]), "beats": beats}
