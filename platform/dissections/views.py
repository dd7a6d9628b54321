from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from accounts.access import ADMINS, get_project
from accounts.requests import MemberRequest
from annotation import selectors as annotation
from annotation.panel import label_panel
from catalog.models import Image
from catalog.selectors import ready_model_or_404
from dissections import selectors
from dissections.cards import listed_units, unit_cards
from dissections.comparing import CompareForm, sides
from dissections.evidence import evidence
from dissections.forms import DissectForm, UnitListForm
from dissections.models import TopPatch
from dissections.nearest import nearest_units
from dissections.patches import patch_viewer, unit_patch_base
from dissections.pictures import THUMBNAIL, TILE, image_picture, image_pixels, patch_picture
from jobs.forms import require_form, sent, start_from_form

UNITS_PER_PAGE = 48


@require_safe
def units_start(request: MemberRequest, slug: str) -> HttpResponse:
    """The deepest layer of the latest dissection, or what to do where there is none."""
    project = get_project(request.user, slug)
    layer = selectors.latest_layer(project)
    if layer:
        return redirect("units", slug, layer.dissection_id, layer.name)
    waiting = project.dissections.select_related("job").first()
    context = {"project": project, "job": waiting.job if waiting else None}
    return render(request, "dissections/no_units.html", context)


@require_safe
def units(request: MemberRequest, slug: str, dissection: int, layer: str) -> HttpResponse:
    project = get_project(request.user, slug)
    shown = selectors.get_layer(request.user, project, dissection, layer)
    model = shown.dissection.model
    reader = annotation.reader(request.user, project)
    labels = annotation.own_labels(request.user, model, shown.name)
    answered = {index for index, label in labels.items() if annotation.is_answered(label)}
    form = UnitListForm(request.GET, layer=shown, reader=reader, answered=len(answered))
    listed = listed_units(shown, form.chosen, labels, answered)
    page = Paginator(listed, UNITS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "dissection": shown.dissection,
        "layer": shown,
        "layers": selectors.layers_with_progress(
            shown.dissection, annotation.progress([model], request.user)
        ),
        "dissections": selectors.completed_dissections(project),
        "reader": reader,
        "answered_count": len(answered),
        "form": form,
        "page": page,
        "cards": unit_cards(shown, page, reader, labels, answered),
        "sort_query": _sort_query(form),
        "list_query": urlencode(form.chosen),
        "thumbnail": THUMBNAIL,
    }
    return render(request, "dissections/units.html", context)


@require_safe
def unit(request: MemberRequest, slug: str, dissection: int, layer: str, unit: int) -> HttpResponse:
    project = get_project(request.user, slug)
    home = selectors.get_layer(request.user, project, dissection, layer)
    shown = selectors.get_unit(home, unit)
    reader = annotation.reader(request.user, project)
    answered = annotation.answered_indexes(request.user, home.dissection.model, home.name)
    form = UnitListForm(request.GET, layer=home, reader=reader, answered=len(answered))
    around = selectors.neighbours(home, form.chosen["sort"], shown.index, answered)
    likely_next = around.next_unanswered if reader.can_label else around.next
    context = {
        "project": project,
        "dissection": home.dissection,
        "layer": home,
        "unit": shown,
        "reader": reader,
        **patch_viewer(shown, unit_patch_base(slug, shown)),
        "preload": selectors.patches_to_preload(home, likely_next),
        "around": around,
        "answered_count": len(answered),
        "sort_name": form.sort_name,
        "sort_query": _sort_query(form),
        "evidence": evidence(request.user, shown, reader, answered=shown.index in answered),
        "nearest": nearest_units(request.user, shown, reader, answered),
        "thumbnail": THUMBNAIL,
        "compare": CompareForm(None, project=project, shown=shown),
        **label_panel(request.user, project, shown),
    }
    return render(request, "dissections/unit.html", context)


@require_safe
def unit_compare(
    request: MemberRequest, slug: str, dissection: int, layer: str, unit: int
) -> HttpResponse:
    """A unit beside another one, which the query names (CompareForm)."""
    project = get_project(request.user, slug)
    shown = selectors.get_unit(selectors.get_layer(request.user, project, dissection, layer), unit)
    form = CompareForm(request.GET or None, project=project, shown=shown)
    pair = [shown, form.chosen] if form.is_valid() else []
    context = {
        "project": project,
        "unit": shown,
        "layer": shown.layer,
        "dissection": shown.layer.dissection,
        "compare": form,
        "sides": sides(request.user, project, pair),
        "tile": TILE,
    }
    return render(request, "dissections/compare.html", context)


@require_safe
def patch(request: MemberRequest, slug: str, unit: int, rank: int) -> HttpResponseBase:
    project = get_project(request.user, slug)
    shown = get_object_or_404(
        TopPatch.objects.select_related("image", "unit__layer__dissection__model__project"),
        unit=unit,
        unit__layer__dissection__project=project,
        rank=rank,
    )
    selectors.hide_control(request.user, shown.unit.layer.dissection.model)
    return patch_picture(request, shown)


@require_safe
def image(request: MemberRequest, slug: str, image: int) -> HttpResponseBase:
    project = get_project(request.user, slug)
    shown = get_object_or_404(Image, pk=image, dataset__project=project)
    return image_picture(request, shown)


def _sort_query(form: UnitListForm) -> str:
    return urlencode({"sort": form.chosen["sort"]})


@require_safe
def pixels(request: MemberRequest, slug: str, image: int) -> HttpResponseBase:
    project = get_project(request.user, slug)
    return image_pixels(request, get_object_or_404(Image, pk=image, dataset__project=project))


@require_form
def model_dissect(request: MemberRequest, slug: str, model: int) -> HttpResponse:
    project = get_project(request.user, slug, *ADMINS)
    chosen = ready_model_or_404(project, model)
    form = DissectForm(*sent(request), project=project, model=chosen)
    return start_from_form(request, project, form, "dissections/start.html")
