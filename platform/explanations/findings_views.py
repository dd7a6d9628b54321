from dataclasses import asdict

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from accounts.access import get_project
from accounts.requests import MemberRequest
from explanations.findings import as_csv, finding_rows, may_see_findings
from explanations.listing import listed_cases

WITHHELD = (
    "Experts who answer units blind cannot export the findings of all cases: they are made of "
    "colleagues' answers. Ask an admin of the project."
)


@require_safe
def findings(request: MemberRequest, slug: str, form: str) -> HttpResponse:
    """The findings of the listed cases as CSV or JSON."""
    project = get_project(request.user, slug)
    if form not in ("csv", "json"):
        raise Http404("Findings come as csv or json.")
    if not may_see_findings(request.user, project):
        raise PermissionDenied(WITHHELD)
    listed = listed_cases(project, request.GET, may_see=True)
    if listed.model is None:
        raise Http404("The project has no cases.")
    rows = finding_rows(listed.cases, listed.model)
    if form == "json":
        response: HttpResponse = JsonResponse([asdict(row) for row in rows], safe=False)
    else:
        response = HttpResponse(as_csv(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="findings-{project.slug}.{form}"'
    return response
