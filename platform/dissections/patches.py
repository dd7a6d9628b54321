"""What the patch viewer of a unit shows (`dissections/_patches.html`)."""

from typing import Any

from django.urls import reverse

from dissections import selectors
from dissections.models import Unit
from dissections.pictures import LARGE, TILE


def patch_viewer(unit: Unit, patch_base: str) -> dict[str, Any]:
    """Context of `dissections/_patches.html`.

    `patch_base`: URL prefix of the unit's pictures; "<rank>.png?part=…&size=…" is appended, and
    `pictures.patch_picture` answers. It need not tell which unit is shown.
    """
    return {
        "patches": selectors.top_patches(unit),
        "patch_base": patch_base,
        "image_count": unit.layer.dissection.image_count,
        "tile": TILE,
        "large": LARGE,
    }


def patch_base(slug: str, unit_pk: int) -> str:
    """The prefix of a unit's own pictures, for members of the project."""
    return reverse("patch", args=[slug, unit_pk, 0]).removesuffix("0.png")
