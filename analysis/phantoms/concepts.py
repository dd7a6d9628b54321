"""The concepts that have pixel masks, with their vocabulary terms."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """A concept of the dataset: ``term`` is a vocabulary code or None."""

    key: str
    name: str
    category: str
    term: str | None


def _mass(word: str, family: str) -> Concept:
    return Concept(f"mass-{word}", f"{word} mass".capitalize(), "mass", f"mass.{family}.{word}")


def _calcification(word: str, family: str) -> Concept:
    name = f"{word.replace('-', ' ')} calcification".capitalize()
    return Concept(f"calcification-{word}", name, "calcification", f"calcification.{family}.{word}")


def _distribution(word: str) -> Concept:
    name = f"{word} calcifications, area".capitalize()
    term = f"calcification.distribution.{word}"
    return Concept(f"calcifications-{word}", name, "calcification area", term)


CONCEPTS = (
    Concept("mass", "Mass", "mass", "mass"),
    *(_mass(word, "shape") for word in ("oval", "round", "irregular")),
    *(
        _mass(word, "margin")
        for word in ("circumscribed", "obscured", "microlobulated", "indistinct", "spiculated")
    ),
    Concept("calcification", "Calcification", "calcification", "calcification"),
    *(
        _calcification(word, "benign")
        for word in ("vascular", "coarse", "large-rod-like", "round", "rim")
    ),
    *(
        _calcification(word, "suspicious")
        for word in ("amorphous", "fine-pleomorphic", "fine-linear")
    ),
    *(_distribution(word) for word in ("grouped", "linear", "segmental", "regional")),
    Concept(
        "architectural-distortion",
        "Architectural distortion",
        "architecture",
        "architectural-distortion",
    ),
    Concept("asymmetry", "Asymmetry", "architecture", "asymmetry.asymmetry"),
    Concept("lymph-node", "Intramammary lymph node", "mass", "intramammary-lymph-node"),
    Concept("skin-thickening", "Skin thickening", "associated", "associated.skin-thickening"),
    Concept("vessel", "Vessel", "anatomy", "other.vessel"),
    Concept("skin", "Skin", "anatomy", "other.skin"),
    Concept("nipple", "Nipple", "anatomy", "other.nipple"),
    Concept("pectoral", "Pectoral muscle", "anatomy", "other.chest-wall"),
    Concept("dense-tissue", "Dense tissue", "anatomy", "other.dense-tissue"),
    Concept("breast-edge", "Breast edge", "anatomy", "other.breast-edge"),
)
"""Mass shapes and margins share the pixels of ``mass``. The ``calcification-*`` keys (morphology)
hold the calcified pixels, the ``calcifications-*`` keys (distribution) the area around them."""
