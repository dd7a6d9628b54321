"""One address, two answers: a whole page, or the part of it that htmx replaces."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def render_page_or_part(
    request: HttpRequest, context: Mapping[str, Any], *, page: str, part: str
) -> HttpResponse:
    """Render `part` for htmx, and `page` otherwise or where htmx restores its history."""
    restores = request.headers.get("HX-History-Restore-Request") == "true"
    wants_part = request.headers.get("HX-Request") == "true" and not restores
    response = render(request, part if wants_part else page, dict(context))
    patch_vary_headers(response, ["HX-Request"])
    return response
