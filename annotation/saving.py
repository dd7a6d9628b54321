"""What happens when the form on a unit posts: the routes of every page with the form call this."""

from functools import wraps
from typing import Any, Protocol
from urllib.parse import quote

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render

from accounts.requests import MemberRequest
from annotation import selectors, services
from annotation.errors import LabelError
from annotation.forms import LabelChangeForm
from annotation.models import Label
from annotation.panel import FormUrls, label_state
from catalog.models import Project
from dissections.evidence import evidence
from dissections.models import Unit

# The page takes an answer as dealt with only when it carries this header: "yes", or "refused" with
# the reason. A sign-in page does not carry it.
SAVED_HEADER = "Unitscope-Saved"
REASON_HEADER = "Unitscope-Reason"
# Whose answer it is, by id, and the mark under which it was sent: see outbox.js.
USER_HEADER = "Unitscope-User"
MARK_HEADER = "Unitscope-Mark"
MARK_CHARACTERS = 64


class View(Protocol):
    def __call__(self, request: MemberRequest, *args: Any, **kwargs: Any) -> HttpResponse: ...


def tells_outbox(view: View) -> View:
    """For views that take answers: says in the headers why one was refused for good, so that a
    page can tell this from a lost session; and takes no answer that another person gave.
    """

    @wraps(view)
    def wrapped(request: MemberRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        author = request.headers.get(USER_HEADER)
        if author is not None and author != str(request.user.pk):
            return _refusal("Somebody else is signed in now.", status=409, saved="other-user")
        try:
            return view(request, *args, **kwargs)
        except (Http404, PermissionDenied) as error:
            if author is None:
                raise
            status = 404 if isinstance(error, Http404) else 403
            return _refusal(str(error) or "There is no such page any more.", status=status)

    return wrapped


def save_from_request(
    request: MemberRequest,
    project: Project,
    unit: Unit,
    *,
    occasion: int = 0,
    urls: FormUrls | None = None,
) -> HttpResponse:
    """Save one or several fields of the user's label; answers with the parts of the form anew.

    `urls` are those of a page that is not the unit's own: its answer names no other label and no
    result of the unit, unless it has statistics to open.
    """
    before = selectors.own_label(request.user, unit, occasion)
    form = LabelChangeForm(request.POST)
    refused = ""
    if form.is_valid():
        try:
            services.save_label(
                user=request.user,
                model=unit.layer.dissection.model,
                layer_name=unit.layer.name,
                unit_index=unit.index,
                occasion=occasion,
                sent=_mark(request),
                **form.changes(),
            )
        except LabelError as error:
            refused = str(error)
    else:
        refused = " ".join(str(error) for errors in form.errors.values() for error in errors)
    return _answer(request, project, unit, before, occasion, urls, refused=refused)


def undo_from_request(
    request: MemberRequest,
    project: Project,
    unit: Unit,
    *,
    occasion: int = 0,
    urls: FormUrls | None = None,
) -> HttpResponse:
    """Take back the latest change of the user's label; answers like `save_from_request`."""
    before = selectors.own_label(request.user, unit, occasion)
    refused = ""
    try:
        if before is None:
            raise LabelError("There is nothing to undo on this unit.")
        services.undo_label(user=request.user, label=before, sent=_mark(request))
    except LabelError as error:
        refused = str(error)
    return _answer(
        request, project, unit, before, occasion, urls, refused=refused, undone=not refused
    )


def _answer(
    request: MemberRequest,
    project: Project,
    unit: Unit,
    before: Label | None,
    occasion: int,
    urls: FormUrls | None,
    *,
    refused: str = "",
    undone: bool = False,
) -> HttpResponse:
    """The changed parts of the form, each to be put in its place by htmx (out of band)."""
    state = label_state(project, unit, selectors.own_label(request.user, unit, occasion))
    layer = unit.layer
    context = {
        "project": project,
        "dissection": layer.dissection,
        "layer": layer,
        "unit": unit,
        "refused": refused,
        "renew_text": undone,
        "oob": True,
        **state,
    }
    if urls is None:
        answered = selectors.answered_indexes(request.user, layer.dissection.model, layer.name)
        context["answered_count"] = len(answered)
    if urls is None or urls.early_look is not None:
        reader = selectors.reader(request.user, project)
        if reader.blinded and state["answered"] != selectors.is_answered(before):
            context["reader"] = reader
            context["evidence"] = evidence(request.user, unit, reader, answered=state["answered"])
    response = render(request, "annotation/_saved.html", context, status=422 if refused else 200)
    response[SAVED_HEADER] = "refused" if refused else "yes"
    if refused:
        response[REASON_HEADER] = quote(refused)
    return response


def _mark(request: MemberRequest) -> str:
    return request.headers.get(MARK_HEADER, "")[:MARK_CHARACTERS]


def _refusal(reason: str, *, status: int, saved: str = "refused") -> HttpResponse:
    response = HttpResponse(reason, status=status, content_type="text/plain; charset=utf-8")
    response[SAVED_HEADER] = saved
    response[REASON_HEADER] = quote(reason)
    return response
