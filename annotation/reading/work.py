"""The reader's own pages: one unit after the other, and how far they have come.

Nothing here tells which unit is shown: addresses and pictures name the reading alone.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import LABELLERS, get_project
from accounts.requests import MemberRequest
from annotation.models import Reading, ReadingList
from annotation.panel import FormUrls, label_panel
from annotation.proposal_views import propose_from_request
from annotation.reading import selectors, services
from annotation.reading.forms import LeaveForm
from annotation.reading.services import Leaving, ReadingError
from annotation.reading.standing import standing
from annotation.saving import save_from_request, tells_outbox, undo_from_request
from catalog.models import Project
from dissections.models import TopPatch
from dissections.patches import patch_viewer
from dissections.pictures import patch_picture
from dissections.selectors import concept_scores
from jobs.forms import require_form

PROPOSALS = 3
# Where a page that was fetched ahead belongs; the browser shows it under this address.
ADDRESS_HEADER = "Unitscope-Address"


@require_safe
def read(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    """Lead the reader to their next unit: the one they are at, or a new one."""
    project, shown = _own_list(request, slug, reading_list)
    try:
        reading = services.next_reading(reading_list=shown, reader=request.user)
    except ReadingError:  # the page that follows says so
        reading = None
    if reading is None:
        return redirect("reading-mine", project.slug, shown.pk)
    return redirect("reading", project.slug, reading.pk)


@require_safe
def mine(request: MemberRequest, slug: str, reading_list: int) -> HttpResponse:
    """How far the reader has come, with everything they have read or skipped to open again."""
    project, shown = _own_list(request, slug, reading_list)
    found = standing(shown, request.user)
    context = {
        "project": project,
        "list": shown,
        "standing": found,
        "exact": selectors.is_exact(shown),
        "skipped": [(found.number(reading), reading) for reading in found.skipped],
        "done": [
            (found.number(reading), reading) for reading in found.readings(Reading.State.DONE)
        ],
    }
    return render(request, "reading/mine.html", context)


@require_safe
def reading(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    """The work page: what excites one unit, and the form about it."""
    project, shown = _own_reading(request, slug, reading)
    try:
        shown = services.open_reading(reading=shown)
    except ReadingError as error:
        messages.info(request, str(error))
        return redirect("reading-mine", project.slug, shown.item.reading_list_id)
    return _page(request, project, shown)


@require_POST
def ahead(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    """The page of the unit that comes after this one, which is held for the reader from now on.

    It is shown under the address in the header; 204 where nothing comes after.
    """
    project, shown = _own_reading(request, slug, reading)
    try:
        following = services.next_reading(
            reading_list=shown.item.reading_list, reader=request.user, after=shown
        )
    except ReadingError:
        following = None
    if following is None:
        return HttpResponse(status=204)
    response = _page(request, project, following)
    response[ADDRESS_HEADER] = reverse("reading", args=[slug, following.pk])
    return response


@require_POST
def leave(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    """Note how the unit was left; answers with what has become of the reading."""
    _, shown = _own_reading(request, slug, reading)
    form = LeaveForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    left = services.leave(
        reading=shown, how=Leaving(form.cleaned_data["how"]), seconds=form.cleaned_data["seconds"]
    )
    return JsonResponse({"state": left.state})


@require_POST
@tells_outbox
def save(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    project, shown = _own_reading(request, slug, reading)
    unit = selectors.unit_of(shown.item)
    response = save_from_request(
        request, project, unit, occasion=shown.occasion, urls=_urls(project, shown)
    )
    services.record_answer(reading=shown)
    return response


@require_POST
@tells_outbox
def undo(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    project, shown = _own_reading(request, slug, reading)
    unit = selectors.unit_of(shown.item)
    response = undo_from_request(
        request, project, unit, occasion=shown.occasion, urls=_urls(project, shown)
    )
    services.record_answer(reading=shown)
    return response


@require_form
def propose(request: MemberRequest, slug: str, reading: int) -> HttpResponse:
    project, shown = _own_reading(request, slug, reading)
    unit = selectors.unit_of(shown.item)
    return propose_from_request(request, project, unit, occasion=shown.occasion)


@require_safe
def patch(request: MemberRequest, slug: str, reading: int, rank: int) -> HttpResponseBase:
    """A picture of the unit, as the unit's own route gives it."""
    _, shown = _own_reading(request, slug, reading)
    unit = selectors.unit_of(shown.item)
    found = get_object_or_404(
        TopPatch.objects.select_related("image", "unit__layer"), unit=unit, rank=rank
    )
    # The patch's own ETag would tell one unit from another, and a repeat from what is new.
    return patch_picture(request, found, alias=f"reading-{shown.pk}-{rank}")


def _page(request: MemberRequest, project: Project, shown: Reading) -> HttpResponse:
    unit = selectors.unit_of(shown.item)
    reading_list = shown.item.reading_list
    found = standing(reading_list, request.user)
    base = reverse("reading-patch", args=[project.slug, shown.pk, 0]).removesuffix("0.png")
    context: dict[str, Any] = {
        "project": project,
        "list": reading_list,
        "reading": shown,
        "number": found.number(shown),
        "total": max(found.total, found.number(shown)),
        "exact": selectors.is_exact(reading_list),
        "previous": selectors.previous_reading(shown, found),
        "proposals": concept_scores(unit)[:PROPOSALS] if reading_list.assisted else [],
        **patch_viewer(unit, base),
        **label_panel(
            request.user,
            project,
            unit,
            occasion=shown.occasion,
            urls=_urls(project, shown),
        ),
    }
    return render(request, "reading/read.html", context)


def _urls(project: Project, shown: Reading) -> FormUrls:
    place = [project.slug, shown.pk]
    return FormUrls(
        reverse("reading-label", args=place), reverse("reading-label-undo", args=place), None
    )


def _own_list(request: MemberRequest, slug: str, pk: int) -> tuple[Project, ReadingList]:
    project = get_project(request.user, slug, *LABELLERS)
    return project, selectors.get_own_list(project, pk, request.user)


def _own_reading(request: MemberRequest, slug: str, pk: int) -> tuple[Project, Reading]:
    project = get_project(request.user, slug, *LABELLERS)
    return project, selectors.get_reading(project, pk, request.user)
