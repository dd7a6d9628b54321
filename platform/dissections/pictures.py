"""Pictures as answers to requests: what they name never changes, so browsers keep them for good."""

import json
from collections.abc import Callable
from typing import TypeVar

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from accounts.requests import MemberRequest
from analysis.imaging import ImageError
from catalog.models import Image
from dissections import rendering
from dissections.models import TopPatch

THUMBNAIL, TILE, LARGE, DETAIL = 128, 320, 900, 1800
PATCH_SIZES = {str(size): size for size in (THUMBNAIL, TILE, LARGE, DETAIL)}
IMAGE_SIZES = {"96": 96, "256": 256, "full": None}
PARTS = {part.value: part for part in rendering.Part}
RENDERING_VERSION = 2
PIXELS_HEADER = "Unitscope-Pixels"

Value = TypeVar("Value")


def patch_picture(
    request: MemberRequest, patch: TopPatch, *, alias: str | None = None
) -> HttpResponseBase:
    """One part of a top patch as PNG: ?part=(a rendering.Part)&size=…; the caller has seen to it
    that the reader may see the patch. Raises Http404 for another part or size.

    `alias` stands for the patch in the ETag where that must not tell which patch it is.
    """
    part = _choice(request, "part", "patch", PARTS)
    size = _choice(request, "size", str(TILE), PATCH_SIZES)
    return _png(
        request,
        f"{alias or f'patch-{patch.pk}'}-{part}-{size}",
        lambda: rendering.render_patch(patch, part, size),
    )


def image_picture(request: MemberRequest, image: Image) -> HttpResponseBase:
    """A whole image as PNG: ?size=96|256|full"""
    size = _choice(request, "size", "256", IMAGE_SIZES)
    return _png(
        request,
        f"image-{image.pk}-{image.sha256[:16]}-{size}",
        lambda: rendering.render_image(image, size),
    )


def image_pixels(request: MemberRequest, image: Image) -> HttpResponseBase:
    """A whole image at its stored depth, for the page to window: little-endian uint16, row by row.

    The header Unitscope-Pixels says in JSON what the bytes are (`analysis.imaging.StoredPixels`);
    nothing else of the file is given away.
    """
    return _kept(request, f"pixels-{image.pk}-{image.sha256[:16]}", lambda: _pixels_response(image))


def _pixels_response(image: Image) -> HttpResponse:
    stored = rendering.stored_pixels(image)
    response = HttpResponse(
        stored.values.astype("<u2").tobytes(), content_type="application/octet-stream"
    )
    height, width, *planes = stored.values.shape
    response[PIXELS_HEADER] = json.dumps(
        {
            "width": width,
            "height": height,
            "channels": planes[0] if planes else 1,
            "bits": stored.bits,
            "full": stored.full,
            "windows": stored.windows,
            "slope": stored.slope,
            "intercept": stored.intercept,
            "inverted": stored.inverted,
            "longestSide": max(image.width, image.height),
        }
    )
    return response


def _choice(request: MemberRequest, name: str, default: str, choices: dict[str, Value]) -> Value:
    value = request.GET.get(name, default)
    if value not in choices:
        raise Http404(f"“{value}” is not a {name}; there are {', '.join(choices)}.")
    return choices[value]


def _png(request: MemberRequest, name: str, draw: Callable[[], bytes]) -> HttpResponseBase:
    return _kept(request, name, lambda: HttpResponse(draw(), content_type="image/png"))


def _kept(request: MemberRequest, name: str, make: Callable[[], HttpResponse]) -> HttpResponseBase:
    etag = quote_etag(f"{name}-{RENDERING_VERSION}")
    response = get_conditional_response(request, etag=etag)
    if response is None:
        try:
            response = make()
        except (OSError, ImageError) as error:
            raise Http404("The stored image cannot be read.") from error
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    return response
