"""Find out what a model loses without some of its units."""

from analysis.ablation.cumulative import Curve, cumulative_removal, ranking
from analysis.ablation.metrics import Metrics, measure
from analysis.ablation.settings import AblationError, AblationSettings, Fill
from analysis.ablation.study import AblationResult, ablate, ablate_units

__all__ = [
    "AblationError",
    "AblationResult",
    "AblationSettings",
    "Curve",
    "Fill",
    "Metrics",
    "ablate",
    "ablate_units",
    "cumulative_removal",
    "measure",
    "ranking",
]
