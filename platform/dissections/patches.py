"""What the patch viewer of a unit shows (`dissections/_patches.html`)."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from dissections import selectors
from dissections.models import Unit
from dissections.pictures import TILE
from dissections.rendering import patch_box


@dataclass(frozen=True)
class PatchTile:
    """Addresses of a patch's pictures: `source` wants ?part=…&size=…, `pixels` is its whole image.

    `box`: the patch's left, top, right and bottom as shares of the image, separated by spaces.
    """

    source: str
    pixels: str
    box: str


def patch_viewer(unit: Unit, patch_base: str) -> dict[str, Any]:
    """Context of `dissections/_patches.html`.

    `patch_base`: URL prefix of the unit's pictures; "<rank>.png?part=…&size=…" is appended, and
    `pictures.patch_picture` answers. It need not tell which unit is shown.
    """
    return {
        "patches": patch_tiles(unit, patch_base),
        "image_count": unit.layer.dissection.image_count,
        "tile": TILE,
    }


def patch_tiles(unit: Unit, patch_base: str) -> list[PatchTile]:
    layer = unit.layer
    slug = layer.dissection.model.project.slug
    tiles = []
    for patch in selectors.top_patches(unit):
        height, width = patch.image.height, patch.image.width
        box = patch_box((height, width), (layer.height, layer.width), patch.row, patch.column)
        shares = (box.left / width, box.top / height, box.right / width, box.bottom / height)
        tiles.append(
            PatchTile(
                source=f"{patch_base}{patch.rank}.png",
                pixels=reverse("image-pixels", args=[slug, patch.image_id]),
                box=" ".join(f"{share:.5f}" for share in shares),
            )
        )
    return tiles


def unit_patch_base(slug: str, unit: Unit) -> str:
    """The prefix of a unit's pictures for all members of the project."""
    return reverse("patch", args=[slug, unit.pk, 0]).removesuffix("0.png")
