"""Small made-up evidence for the tests of explanations; no torch and no database."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from explanations.building import Maps, Picture, build
from explanations.content import Content, Labels, NamedUnit, TermNaming

CLASSES = ["normal", "benign", "malignant"]
MALIGNANT = 2

TERMS = {
    "mass": TermNaming("mass", "BI-RADS", "Mass", "mass", "Mass", []),
    "spiculated": TermNaming(
        "mass.margin.spiculated", "BI-RADS", "Spiculated margin", "spiculated margin",
        "Mass margin", [], ["mass"],
    ),
    "grouped": TermNaming(
        "calcification.distribution.grouped", "BI-RADS", "Grouped distribution",
        "grouped calcifications", "Calcification distribution", [], ["calcification"],
    ),
    "normal": TermNaming(
        "other.normal-tissue", "UNITSCOPE", "Normal tissue", "normal tissue", "Outside BI-RADS", []
    ),
}  # fmt: skip


def named(index: int, *keys: str, experts: tuple[str, ...] = ("Dr Ada Reyes",)) -> NamedUnit:
    terms = [TermNaming(**{**vars(TERMS[key]), "experts": list(experts)}) for key in keys]
    return NamedUnit(index, len(experts), terms, "2026-01-02T03:04:05+00:00")


def removal(units: list[int], **changes: Any) -> SimpleNamespace:
    """A check that holds: from 83 % to 22 %, beyond 98 of 100 random sets of similar activity."""
    random = np.full(100, 0.8, np.float32)
    random[:2] = 0.1
    values: dict[str, Any] = {
        "units": units,
        "probability_before": 0.83,
        "probability_after": 0.22,
        "logit_before": 3.0,
        "logit_after": -0.5,
        "kept_probability": 0.77,
        "random_probability_after": random,
        "rank": 3 / 101,
        "n_random": 100,
        "supported": True,
        "random_activation": 0.97,
        "note": "",
    }
    return SimpleNamespace(**{**values, **changes})


def make(
    effects: list[float],
    units: list[NamedUnit],
    *,
    check: SimpleNamespace | None = None,
    probabilities: tuple[float, float, float] = (0.05, 0.12, 0.83),
    target: int = MALIGNANT,
    method: str = "additive",
    picture: Picture | None = None,
    maps: np.ndarray | None = None,
) -> tuple[Content, Maps]:
    if maps is None:
        maps = np.zeros((len(effects), 8, 8), np.float16)
        maps[:, 1, 1] = 1
    evidence: Any = SimpleNamespace(
        logits=np.array([-1.0, 0.0, 3.0], np.float32),
        probabilities=np.array(probabilities, np.float32),
        target=target,
        method=method,
        bias=0.25 if method == "additive" else None,
        effects=np.array(effects, np.float32),
        effects_all=np.outer(effects, [-0.5, 0.25, 1.0]).astype(np.float32),
        maps=maps,
        removal=check or removal([unit.index for unit in units if unit.terms]),
        switches=SimpleNamespace(
            groups=[0], logits=np.array([[-1.0, 0.0, 3.0], [1.0, 0.0, 0.0]], np.float32)
        ),
    )
    return build(
        evidence,
        Labels("d" * 64, units),
        picture or Picture(np.full((64, 64), 0.5, np.float32)),
        class_names=CLASSES,
        layer="stage4",
        model_sha256="a" * 64,
    )
