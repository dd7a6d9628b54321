"""Which concept a unit matches, by three published rules.

NETDISSECT: top 0.5 % of the unit's values, IoU of at least 0.04 (Bau et al. 2017, Network
Dissection). DISSECT: top 1 %, IoU above 0.04 (Bau et al. 2020, PNAS). Both need a dissection with
that quantile. `information_quality_labels`: the threshold of best information quality ratio per
unit and concept, IQR above 0.01 and IoU above 0.05 (Bau et al. 2019, the published code of GAN
Dissection; see `analysis.dissection.iqr`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.dissection.result import LayerResult


@dataclass(frozen=True)
class QuantileRule:
    """A unit is on above its `quantile`, and matches a concept from an IoU of `iou_cut` on."""

    quantile: float
    iou_cut: float


NETDISSECT = QuantileRule(0.995, 0.04)
DISSECT = QuantileRule(0.99, 0.04)
IQR_CUT = 0.01
IQR_IOU_CUT = 0.05


@dataclass(frozen=True)
class UnitLabels:
    """concept [K]: index of the matched concept, -1 for none; score [K]: its IoU or ratio."""

    concept: np.ndarray
    score: np.ndarray


def quantile_labels(
    result: LayerResult, rule: QuantileRule, *, max_q: float | None = None
) -> UnitLabels:
    """The concept of highest IoU from the rule's cut on; with max_q only significant matches.

    Raises ValueError if the dissection used another quantile.
    """
    if result.quantile is None or abs(result.quantile - rule.quantile) > 1e-9:
        raise ValueError(f"The rule needs a dissection with quantile={rule.quantile}.")
    passed = result.iou >= rule.iou_cut
    if max_q is not None:
        if result.iou_q is None:
            raise ValueError("The result has no q-values. Dissect again.")
        passed &= result.iou_q <= max_q
    return _best(result.iou, passed)


def information_quality_labels(result: LayerResult) -> UnitLabels:
    """The concept of highest information quality ratio that passes the cuts.

    Raises ValueError if the dissection was done without `information_quality=True`.
    """
    if result.iqr is None or result.iqr_iou is None:
        raise ValueError("The rule needs a dissection with information_quality=True.")
    return _best(result.iqr, (result.iqr > IQR_CUT) & (result.iqr_iou > IQR_IOU_CUT))


def _best(score: np.ndarray, passed: np.ndarray) -> UnitLabels:
    if score.shape[1] == 0:
        return UnitLabels(np.full(len(score), -1), np.zeros(len(score), np.float32))
    allowed = np.where(passed, score, 0)
    best = allowed.argmax(axis=1)
    value = allowed[np.arange(len(score)), best]
    return UnitLabels(np.where(value > 0, best, -1), value)
