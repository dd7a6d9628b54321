"""Pictures of an explanation: overlays as PNG, charts as numbers that a template draws as SVG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.imaging import resize, upsample_map
from analysis.regions import evidence_region
from explanations.content import Content, Finding, Removal
from explanations.wording import percent, signed

PALETTE = (
    (255, 159, 28),
    (86, 180, 233),
    (240, 228, 66),
    (232, 124, 181),
    (57, 208, 160),
    (240, 96, 64),
    (150, 140, 255),
    (190, 220, 110),
)
"""Colours of findings, told apart by colour-blind readers too (after Okabe and Ito, brightened for
grey images). cases.css repeats them as .finding-0 to .finding-7."""
REST_COLOUR = (255, 255, 255)
OVERLAY_SIDE = 1024
SMALLEST_SIDE = 768
TINT = 0.42

Mask = NDArray[np.bool_]


def colour_index(content: Content, key: str) -> int | None:
    """Which colour of the palette shows a map; None (white) for the unnamed rest."""
    keys = [finding.key for finding in content.findings()]
    return keys.index(key) % len(PALETTE) if key in keys else None


def overlay_png(
    density: NDArray[np.floating], *, width: int, height: int, colour: int | None
) -> bytes:
    """A map [h, w] as a transparent PNG of the image's proportions: a contour and a tint.

    The contour encloses the smallest area that holds half of the evidence; the tint is in
    proportion to the evidence everywhere.
    """
    fine = _enlarged(density, _overlay_size(width, height))
    buffer = io.BytesIO()
    _overlay(fine, colour, TINT).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def outlined(
    pixels: NDArray[np.floating], layers: Sequence[tuple[NDArray[np.floating], int | None]]
) -> Image.Image:
    """An image [H, W] or [H, W, 3] in [0, 1] with the contours of maps in their colours, as RGB.

    The first of `layers` (map, colour) lies on top.
    """
    size = _overlay_size(pixels.shape[1], pixels.shape[0])
    levels = np.rint(255 * np.clip(resize(pixels, size), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(levels).convert("RGBA")
    for density, colour in reversed(layers):
        picture.alpha_composite(_overlay(_enlarged(density, size), colour, 0))
    return picture.convert("RGB")


def region_mask(density: NDArray[np.floating], *, width: int, height: int) -> Mask:
    """What the contour of a map [h, w] encloses, at the image's own size [height, width].

    The level is that of the contour people see, so that mask and contour agree for any size.
    """
    shown = _enlarged(density, _overlay_size(width, height))
    region = evidence_region(shown)
    if not region.any():
        return np.zeros((height, width), bool)
    return _enlarged(density, (height, width)) >= shown[region].min()


def _overlay_size(width: int, height: int) -> tuple[int, int]:
    """Height and width in which the contours of an image are drawn."""
    scale = max(SMALLEST_SIDE, min(OVERLAY_SIDE, max(width, height))) / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _enlarged(density: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    fine: NDArray[np.float32] = upsample_map(np.asarray(density, np.float32), size)
    return np.maximum(fine, 0)


def _overlay(fine: NDArray[np.float32], colour: int | None, tint: float) -> Image.Image:
    peak = float(fine.max(initial=0.0))
    rgba = np.zeros((*fine.shape, 4), np.uint8)
    if peak > 0:
        red_green_blue = REST_COLOUR if colour is None else PALETTE[colour]
        rgba[..., :3] = red_green_blue
        rgba[..., 3] = np.rint(255 * tint * fine / peak)
        line = _outline(evidence_region(fine))
        halo = _grown(line, 3) & ~_grown(line, 1)
        rgba[halo] = (0, 0, 0, 150)
        rgba[_grown(line, 1)] = (*red_green_blue, 255)
    return Image.fromarray(rgba, "RGBA")


def _outline(region: Mask) -> Mask:
    """The border pixels of a region; where it meets the image's edge, that edge too."""
    inner = np.pad(region, 1)
    inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return region & ~inside


def _grown(mask: Mask, by: int) -> Mask:
    grown = mask
    for _ in range(by):
        padded = np.pad(grown, 1)
        grown = (
            padded[1:-1, 1:-1]
            | padded[:-2, 1:-1]
            | padded[2:, 1:-1]
            | padded[1:-1, :-2]
            | padded[1:-1, 2:]
        )
    return grown


@dataclass(frozen=True)
class BarRow:
    """One line of the chart of evidence: a bar to the right speaks for the class, to the left
    against it. Positions and widths are in a drawing 200 wide whose zero is at 100."""

    label: str
    key: str | None
    colour: int | None
    against_x: float
    against_width: float
    for_width: float
    against: str
    support: str
    """The effects as text; empty where there are none."""
    kind: str
    """ "term", "rest" or "bias"."""


def bar_rows(content: Content) -> list[BarRow]:
    """Terms by size, then the unnamed units and the model's starting point."""
    pairs: dict[tuple[str, str], dict[str, Finding]] = {}
    for side, findings in (
        ("for", content.support.findings),
        ("against", content.against.findings),
    ):
        for finding in findings:
            pairs.setdefault((finding.code_system, finding.code), {})[side] = finding
    values: list[tuple[str, str | None, int | None, float, float, str]] = []
    for pair in pairs.values():
        first = pair.get("for") or pair["against"]
        values.append(
            (
                first.name,
                first.key,
                colour_index(content, first.key),
                pair["for"].effect if "for" in pair else 0.0,
                pair["against"].effect if "against" in pair else 0.0,
                "term",
            )
        )
    values.sort(key=lambda row: -max(row[3], -row[4]))
    rest = (content.support.rest, content.against.rest)
    if rest[0].count or rest[1].count:
        values.append(("Units without a name", None, None, rest[0].effect, rest[1].effect, "rest"))
    if content.bias is not None:
        bias = content.bias
        values.append(
            ("Starting point of the model", None, None, max(bias, 0), min(bias, 0), "bias")
        )
    scale = max([1e-12, *(max(row[3], -row[4]) for row in values)])
    return [
        BarRow(
            label=label,
            key=key,
            colour=colour,
            against_x=round(100 + 98 * against / scale, 2),
            against_width=round(-98 * against / scale, 2),
            for_width=round(98 * support / scale, 2),
            against=signed(against) if against else "",
            support=signed(support) if support else "",
            kind=kind,
        )
        for label, key, colour, support, against, kind in values
    ]


@dataclass(frozen=True)
class DotPlot:
    """The causal check as a picture 400 wide: probabilities after removal, 0 to 100 % from left.

    Every dot is a random set, stacked where several came out alike."""

    dots: list[tuple[float, float]]
    named_x: float
    before_x: float
    kept_x: float
    radius: float
    ticks: list[tuple[float, str]]

    LEFT = 12.0
    WIDTH = 376.0
    FLOOR = 96.0
    CEILING = 30.0


def dot_plot(check: Removal) -> DotPlot:
    bins = 60
    stacks: dict[int, int] = {}
    columns = []
    for value in sorted(check.random_after):
        column = min(bins - 1, int(value * bins))
        columns.append((column, stacks.get(column, 0)))
        stacks[column] = stacks.get(column, 0) + 1
    tallest = max(stacks.values(), default=1)
    radius = 3.0
    step = min(2 * radius, (DotPlot.FLOOR - DotPlot.CEILING - radius) / tallest)
    return DotPlot(
        dots=[
            (
                round(DotPlot.LEFT + DotPlot.WIDTH * (column + 0.5) / bins, 2),
                round(DotPlot.FLOOR - radius - step * level, 2),
            )
            for column, level in columns
        ],
        named_x=_along(check.after),
        before_x=_along(check.before),
        kept_x=_along(check.kept),
        radius=radius,
        ticks=[(_along(share), percent(share)) for share in (0, 0.25, 0.5, 0.75, 1)],
    )


def _along(share: float) -> float:
    return round(DotPlot.LEFT + DotPlot.WIDTH * share, 2)


def read_map(stream: BinaryIO, key: str) -> NDArray[np.float16] | None:
    """One map of a stored explanation, or None where it has no such map."""
    with np.load(stream, allow_pickle=False) as archive:
        return archive[key] if key in archive.files else None
