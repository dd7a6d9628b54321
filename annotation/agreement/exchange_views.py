"""The page for taking labels and consensus out and bringing them in."""

import base64
import binascii

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.access import ADMINS, LABELLERS, get_project, has_role
from accounts.requests import MemberRequest
from annotation.agreement.exporting import Format, Kind, export_for
from annotation.agreement.forms import ConfirmForm, ExportForm, ImportForm
from annotation.agreement.importing import (
    ImportPlan,
    ImportRefusedError,
    import_table,
    plan_import,
)
from annotation.agreement.tables import TableError
from catalog.models import Project

ROWS_SHOWN = 200
# Both forms stand on one page, and both have a field “what”.
IMPORT_IDS = "import_%s"
CONTENT_TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.JSON: "application/json"}
# Spreadsheets take a file without this mark for one in the local encoding.
BYTE_ORDER_MARK = "\ufeff"


@require_safe
def labels_export(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *LABELLERS)
    return render(request, "agreement/exchange.html", _page(request, project))


@require_safe
def labels_download(request: MemberRequest, slug: str) -> HttpResponse:
    """The file: ?what=labels|consensus&file_format=csv|json"""
    project = get_project(request.user, slug, *LABELLERS)
    form = ExportForm(request.GET)
    if not form.is_valid():
        context = {**_page(request, project), "export_form": form}
        return render(request, "agreement/exchange.html", context, status=422)
    kind, file_format = Kind(form.cleaned_data["what"]), Format(form.cleaned_data["file_format"])
    text = export_for(request.user, project, kind, file_format)
    mark = BYTE_ORDER_MARK if file_format == Format.CSV else ""
    response = HttpResponse(mark + text, content_type=CONTENT_TYPES[file_format])
    name = f"{project.slug}-{kind}-{timezone.now():%Y-%m-%d}.{file_format}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_POST
def labels_import(request: MemberRequest, slug: str) -> HttpResponse:
    """Check a file and report what importing it would do; nothing is stored yet."""
    project = get_project(request.user, slug, *ADMINS)
    form = ImportForm(request.POST, request.FILES, auto_id=IMPORT_IDS)
    if form.is_valid():
        data = form.cleaned_data["file"].read()
        kind, replace = Kind(form.cleaned_data["what"]), form.cleaned_data["replace"]
        try:
            plan = plan_import(project=project, kind=kind, data=data, replace=replace)
        except TableError as error:
            form.add_error("file", str(error))
        else:
            return _report(request, project, plan, data=data, replace=replace)
    context = {**_page(request, project), "import_form": form}
    return render(request, "agreement/exchange.html", context, status=422)


@require_POST
def labels_import_confirm(request: MemberRequest, slug: str) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    form = ConfirmForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The checked file did not come along. Choose it again.")
        return redirect("labels-export", slug)
    kind, replace = Kind(form.cleaned_data["what"]), form.cleaned_data["replace"]
    try:
        data = base64.b64decode(form.cleaned_data["content"], validate=True)
        plan = import_table(
            project=project, user=request.user, kind=kind, data=data, replace=replace
        )
    except (binascii.Error, TableError) as error:
        messages.error(request, f"Nothing was imported: {error}")
        return redirect("labels-export", slug)
    except ImportRefusedError as error:
        return _report(request, project, error.plan, data=data, replace=replace)
    counts = plan.counts
    messages.success(
        request,
        f"Imported: {counts['add']} added, {counts['replace']} replaced, "
        f"{counts['keep']} were here already.",
    )
    return redirect("labels-export", slug)


def _page(request: MemberRequest, project: Project) -> dict[str, object]:
    return {
        "project": project,
        "export_form": ExportForm(initial={"what": Kind.LABELS, "file_format": Format.CSV}),
        "import_form": ImportForm(auto_id=IMPORT_IDS),
        "is_admin": has_role(request.user, project, *ADMINS),
    }


def _report(
    request: MemberRequest, project: Project, plan: ImportPlan, *, data: bytes, replace: bool
) -> HttpResponse:
    context = {
        "project": project,
        "plan": plan,
        "rows": (plan.refused or plan.rows)[:ROWS_SHOWN],
        "rows_shown": ROWS_SHOWN,
        "content": base64.b64encode(data).decode(),
        "replace": replace,
    }
    status = 422 if plan.refused else 200
    return render(request, "agreement/import_report.html", context, status=status)
