"""Made-up material of exports: a picture, maps with known places and names; no database."""

import hashlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image as Picture

from explanations.building import Picture as Explained
from explanations.content import NamedUnit
from explanations.exports.record import (
    FORMAT,
    VERSION,
    DissectionRecord,
    ImageRecord,
    Material,
    ModelRecord,
    Record,
    Software,
    VocabularyRecord,
)
from explanations.wording import narrate
from tests.platform.explaining import make, named, removal

HEIGHT, WIDTH = 768, 576
"""Contours are drawn at this size, so masks at the image's size have exactly their pixels."""
EFFECTS = [3.0, 1.0, 2.0, -1.0, 0.4, 0.5, -0.3, 0.0]
EXPERTS = ("Dr Ada Reyes", "Zoë Müller-Łukasz")
FAILS = {"supported": False, "rank": 0.5, "random_probability_after": np.full(100, 0.2, "f4")}


def picture(bits: int = 8) -> np.ndarray:
    """A ramp with a bright half-disc at the left, [HEIGHT, WIDTH] uint8 or uint16."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    inside = np.hypot(rows - HEIGHT / 2, columns) < 0.45 * HEIGHT
    levels = np.where(inside, 0.4 + 0.4 * rows / HEIGHT, 0.02)
    kind = np.uint8 if bits == 8 else np.uint16
    return np.rint(levels * (2**bits - 1)).astype(kind)


def unit_maps() -> np.ndarray:
    """Eight units on 8 x 6 cells; each has a block of its own and a little everywhere."""
    random = np.random.default_rng(0)
    maps = 0.1 * random.random((8, 8, 6))
    for unit in range(8):
        row, column = divmod(unit, 3)
        maps[unit, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
    return maps.astype(np.float16)


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def named_units(experts: tuple[str, ...] = EXPERTS) -> list[NamedUnit]:
    return [
        named(0, "spiculated", experts=experts),
        named(1, "grouped", "spiculated", experts=experts[:1]),
        named(3, "normal", experts=experts[:1]),
    ]


def settled_units(decided_by: str) -> list[NamedUnit]:
    """One unit that an adjudicator named with a term that no expert chose."""
    return [replace(named(0, "spiculated", experts=()), answered=2, decided_by=decided_by)]


def material(
    *,
    units: list[NamedUnit] | None = None,
    check: dict[str, Any] | None = None,
    image: bytes | None = None,
    suffix: str = ".png",
    bits: int = 8,
    patient: str = "p0001",
    effects: list[float] | None = None,
    maps: np.ndarray | None = None,
) -> Material:
    units = named_units() if units is None else units
    names = [unit.index for unit in units]
    content, found = make(
        effects or EFFECTS,
        units,
        check=removal(names, **(check or {})),
        picture=Explained((picture() / 255).astype(np.float32), "L", "MLO"),
        maps=unit_maps() if maps is None else maps,
    )
    file = png(picture(bits)) if image is None else image
    record = Record(
        format=FORMAT,
        version=VERSION,
        software=Software("Unitscope", "0.1.0", "0123456789abcdef"),
        project="study",
        number=12,
        created="2026-01-02T03:04:05+00:00",
        completed="2026-01-02T03:04:25+00:00",
        labels_digest="d" * 64,
        image=ImageRecord(
            name="p0001 L MLO",
            patient=patient,
            study="s1",
            laterality="L",
            view="MLO",
            dataset="Screening",
            width=WIDTH,
            height=HEIGHT,
            bits=bits,
            sha256=hashlib.sha256(file).hexdigest(),
        ),
        model=ModelRecord("Small classifier", "ab" * 32),
        dissection=DissectionRecord(3, "Screening", "stage4", "2026-01-01T00:00:00+00:00"),
        vocabulary=VocabularyRecord("bi-rads-mammography", "5", None),
        content=content,
        narrative=narrate(content),
    )
    return Material(record, file, suffix, found)
