"""Which findings a patient has: the statistics of the phantom population.

Appearance only suggests the truth: spiculated and irregular masses, fine pleomorphic and fine
linear calcifications and distortion are mostly malignant, circumscribed oval masses and coarse,
rod-like or rim calcifications mostly benign, but each occurs in the other class too. Vascular
calcifications, lone round specks, vessels and dense tissue occur in every class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.phantoms.anatomy import Anatomy
from analysis.phantoms.calcifications import Calcifications
from analysis.phantoms.drawing import random_stream
from analysis.phantoms.findings import Finding, Place
from analysis.phantoms.masses import LymphNode, Mass
from analysis.phantoms.tissue_changes import Asymmetry, Distortion, SkinThickening

CLASSES = ("normal", "benign", "malignant")
SIDES = ("L", "R")
VIEWS = ("CC", "MLO")

PATIENT_SHARES = (0.16, 0.42, 0.42)
"""Share of patients whose worst lesion is none, benign, malignant."""

MASS_WORDS: dict[str, dict[str, dict[str, float]]] = {
    "benign": {
        "shape": {"oval": 0.62, "round": 0.28, "irregular": 0.10},
        "edge": {
            "circumscribed": 0.72,
            "obscured": 0.14,
            "microlobulated": 0.06,
            "indistinct": 0.06,
            "spiculated": 0.02,
        },
        "density": {"equal": 0.47, "low": 0.26, "fat-containing": 0.15, "high": 0.12},
    },
    "malignant": {
        "shape": {"irregular": 0.70, "round": 0.12, "oval": 0.18},
        "edge": {
            "spiculated": 0.54,
            "indistinct": 0.23,
            "microlobulated": 0.13,
            "obscured": 0.04,
            "circumscribed": 0.06,
        },
        "density": {"high": 0.62, "equal": 0.33, "low": 0.05},
    },
}
CALCIFICATION_WORDS: dict[str, dict[str, float]] = {
    "benign": {
        "coarse": 0.28,
        "round": 0.24,
        "large-rod-like": 0.16,
        "rim": 0.14,
        "amorphous": 0.10,
        "fine-pleomorphic": 0.08,
    },
    "malignant": {
        "fine-pleomorphic": 0.56,
        "fine-linear": 0.28,
        "amorphous": 0.12,
        "round": 0.04,
    },
}
LESION_KINDS: dict[str, dict[str, float]] = {
    "benign": {
        "mass": 0.50,
        "calcifications": 0.34,
        "lymph node": 0.08,
        "distortion": 0.03,
        "asymmetry": 0.05,
    },
    "malignant": {
        "mass": 0.45,
        "mass with calcifications": 0.16,
        "calcifications": 0.23,
        "distortion": 0.12,
        "asymmetry": 0.04,
    },
}
SEEN_IN_A_VIEW = 0.93
"""Chance that a view shows a lesion that the other view shows."""
LABEL_NOISE = 0.02
"""Share of images whose class is replaced by another one."""


@dataclass(frozen=True)
class PlannedFinding:
    """A finding in one breast; ``nature`` is "benign", "malignant" or "incidental"."""

    finding: Finding
    nature: str
    side: str
    place: Place
    views: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything decided about a patient before a pixel is drawn."""

    number: int
    seed: int
    anatomy: Anatomy
    findings: tuple[PlannedFinding, ...]


def plan_patient(number: int, seed: int) -> Plan:
    """The anatomy and the findings of patient ``number`` of the population ``seed``."""
    if number < 0:
        raise ValueError(f"Patient numbers start at 0, not {number}.")
    rng = random_stream(seed, number, 0)
    anatomy = Anatomy.draw(rng)
    nature = str(rng.choice(CLASSES, p=PATIENT_SHARES))
    first_side = str(rng.choice(SIDES))
    other_side = SIDES[1 - SIDES.index(first_side)]
    findings: list[PlannedFinding] = []
    if nature == "malignant":
        findings += _lesion(rng, "malignant", first_side)
        if rng.random() < 0.20:
            findings += _lesion(rng, "benign", other_side)
    if nature == "benign":
        findings += _lesion(rng, "benign", first_side)
        if rng.random() < 0.45:
            findings += _lesion(rng, "benign", other_side)
        if rng.random() < 0.20:
            findings += _lesion(rng, "benign", first_side)
    findings += _incidental(rng)
    return Plan(number, seed, anatomy, tuple(findings))


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _place(rng: np.random.Generator) -> Place:
    """Somewhere in the breast, more often in the upper outer quadrant."""
    outer = rng.uniform(-0.55, 0.62) if rng.random() < 0.5 else rng.uniform(0.05, 0.62)
    upper = rng.uniform(-0.55, 0.62) if rng.random() < 0.5 else rng.uniform(0.05, 0.62)
    return Place(depth=rng.uniform(0.08, 0.88), outer=outer, upper=upper)


def _views(rng: np.random.Generator) -> tuple[str, ...]:
    seen = tuple(view for view in VIEWS if rng.random() < SEEN_IN_A_VIEW)
    return seen or (str(rng.choice(VIEWS)),)


def _lesion(rng: np.random.Generator, nature: str, side: str) -> list[PlannedFinding]:
    """One lesion: usually one finding, sometimes several at the same place."""
    kind = _pick(rng, LESION_KINDS[nature])
    place = _place(rng)
    views = _views(rng)
    parts: list[Finding] = []
    if kind.startswith("mass"):
        parts.append(_mass(rng, nature))
    if kind.endswith("calcifications"):
        parts.append(_calcifications(rng, nature))
    if kind == "lymph node":
        parts.append(LymphNode(rng.uniform(4.5, 7.5)))
        place = Place(place.depth, abs(place.outer), abs(place.upper))
    if kind == "distortion":
        parts.append(Distortion(rng.uniform(17, 27)))
        if nature == "malignant" and rng.random() < 0.25:
            parts.append(_calcifications(rng, nature))
    if kind == "asymmetry":
        focal = len(views) == 2
        parts.append(Asymmetry("focal" if focal else "asymmetry", rng.uniform(15, 24)))
    if nature == "malignant" and kind.startswith("mass") and rng.random() < 0.15:
        parts.append(SkinThickening(rng.uniform(5, 8)))
    return [PlannedFinding(part, nature, side, place, views) for part in parts]


def _mass(rng: np.random.Generator, nature: str) -> Mass:
    words = MASS_WORDS[nature]
    shape, edge = _pick(rng, words["shape"]), _pick(rng, words["edge"])
    density = _pick(rng, words["density"])
    if density == "fat-containing":
        edge = "circumscribed"
    return Mass(shape, edge, density, rng.uniform(10, 20))


def _calcifications(rng: np.random.Generator, nature: str) -> Calcifications:
    morphology = _pick(rng, CALCIFICATION_WORDS[nature])
    grouped = rng.uniform(8, 15)
    if morphology in ("coarse", "rim"):
        count = int(rng.integers(1, 4))
        return Calcifications(morphology, None if count == 1 else "grouped", count, 12.0)
    if morphology == "large-rod-like":
        return Calcifications(morphology, "regional", int(rng.integers(4, 10)), 22.0)
    if morphology == "round":
        distribution = _pick(rng, {"grouped": 0.5, "regional": 0.5})
        spread = grouped if distribution == "grouped" else rng.uniform(18, 26)
        return Calcifications(morphology, distribution, int(rng.integers(4, 12)), spread)
    if morphology == "fine-linear":
        distribution = _pick(rng, {"linear": 0.45, "segmental": 0.55})
    elif nature == "malignant":
        distribution = _pick(rng, {"grouped": 0.55, "segmental": 0.3, "linear": 0.15})
    else:
        distribution = _pick(rng, {"grouped": 0.6, "regional": 0.4})
    spread = grouped if distribution == "grouped" else rng.uniform(16, 24)
    return Calcifications(morphology, distribution, int(rng.integers(12, 30)), spread)


def _incidental(rng: np.random.Generator) -> list[PlannedFinding]:
    """Findings that do not decide the class: vascular and lone round calcifications, shadows."""
    findings: list[PlannedFinding] = []
    vascular = rng.random() < 0.22
    for side in SIDES:
        if vascular and rng.random() < 0.8:
            arteries = Calcifications("vascular", None, 1, 0.0)
            findings.append(PlannedFinding(arteries, "incidental", side, _place(rng), VIEWS))
        if rng.random() < 0.07:
            speck = Calcifications("round", None, 1, 0.0)
            findings.append(PlannedFinding(speck, "incidental", side, _place(rng), _views(rng)))
        if rng.random() < 0.05:
            shadow = Asymmetry("asymmetry", rng.uniform(13, 20))
            view = (str(rng.choice(VIEWS)),)
            findings.append(PlannedFinding(shadow, "incidental", side, _place(rng), view))
    return findings


def image_class(findings: Sequence[PlannedFinding], rng: np.random.Generator) -> str:
    """The class of an image: the worst finding visible in it, with a little label noise."""
    natures = {planned.nature for planned in findings}
    worst = next((name for name in reversed(CLASSES) if name in natures), "normal")
    if rng.random() < LABEL_NOISE:
        worst = str(rng.choice([name for name in CLASSES if name != worst]))
    return worst
