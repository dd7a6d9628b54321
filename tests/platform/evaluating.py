"""What a worker measures in an evaluation, made up; the measures of terms are the engine's own."""

from typing import Any

import numpy as np

from analysis.evaluation.bootstrap import PatientBootstrap
from analysis.evaluation.similarity import text_similarity
from analysis.evaluation.terms import active_reading, term_agreement
from explanations.evaluation.record import to_plain
from explanations.models import Calibration
from tests.platform.case_world import SPICULATED
from tests.platform.factories import World

CODES = ["mass", SPICULATED, "mass.shape.round", "architectural-distortion"]


def estimate(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def reading(*, good: bool) -> dict[str, Any]:
    """One reading's measures by the engine, of planted or of unrelated activity."""
    generator = np.random.default_rng(0)
    reference = generator.random((120, 4)) < (0.4, 0.3, 0.3, 0.2)
    named = reference if good else generator.permutation(reference)
    owners = [f"p{number // 2}" for number in range(120)]
    bootstrap = PatientBootstrap(owners, repeats=100, seed=0)
    units = np.repeat(np.eye(4, dtype=bool), 3, axis=0)
    chosen = active_reading(named[:, np.arange(4).repeat(3)])
    terms = term_agreement(chosen, units, reference, CODES, bootstrap, permutations=20)
    similarity = text_similarity(named, reference, np.eye(4), owners, bootstrap, runs=5)
    parts = {"nameable": terms, "all": terms, "similarity": similarity}
    return {"key": "active", "images": 120, **to_plain(parts)}


def result(*, good: bool = True) -> dict[str, Any]:
    curve = {
        "curve": [0.9, 0.2], "random_curve": [0.9, 0.6], "area": estimate(0.4, 0.3, 0.5),
        "random_area": estimate(0.7, 0.6, 0.8), "advantage": estimate(0.3, 0.2, 0.4),
    }  # fmt: skip
    place = {"hit": estimate(0.8, 0.7, 0.9), "iou": estimate(0.3, 0.2, 0.4)}
    return {
        "method": "additive", "images": 120, "patients": 60, "referenced_images": 120,
        "measured_images": 120, "named_units": 2, "units": 8, "unmentioned": ["other.vessel"],
        "readings": [reading(good=good)],
        "coverage": estimate(0.5, 0.4, 0.6),
        "localisation": {
            "own": place, "controls": {"centre": {**place, "iou": None}}, "findings": 9,
            "beaten": {"centre": False}, "images": 5, "tolerance": 0.05,
            "terms": [{"code": SPICULATED, "findings": 9, "hit": 0.8, "iou": 0.3}],
        },
        "faithfulness": {
            "shares": [0.0, 1.0], "deletion": curve, "insertion": curve, "images": 120, "units": 2,
        },
        "skipped": [], "calibration_note": "no other split.",
    }  # fmt: skip


def calibration(world: World, temperature: float = 2.0) -> Calibration:
    measures: dict[str, Any] = {
        name: estimate(0.123, 0.1, 0.2)
        for name in ("ece", "adaptive_ece", "brier", "nll", "accuracy")
    }
    bins = [{"low": 0.5, "high": 0.6, "confidence": 0.55, "accuracy": 0.4, "count": 7}]
    report = {
        "temperature": temperature, "fitted_images": 90, "images": 120, "patients": 60,
        "before": {**measures, "bins": bins}, "after": {**measures, "bins": bins},
    }  # fmt: skip
    return Calibration(
        model=world.model, dataset=world.dataset, split="validation", tested_split="test",
        temperature=temperature, report=report,
    )  # fmt: skip
