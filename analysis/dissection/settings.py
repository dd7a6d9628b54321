"""Settings and errors of a dissection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis.errors import AnalysisError


class DissectionError(AnalysisError):
    """A dissection cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class DissectionSettings:
    """How to dissect.

    quantile: a unit is "on" where it exceeds this quantile of ALL its values over the data set;
        0.995 is NetDissect's top 0.5 % (Bau et al. 2017).
    top_k: images kept per unit, one per patient.
    iou_cut: from this IoU on a unit counts as matching a concept (NetDissect: 0.04). Stored for
        readers of the result; the IoU itself is not changed by it.
    influence_samples: images on which units are really ablated where no closed form exists.
    cache_bytes: activations of a layer beyond this many bytes go to a temporary file in
        `cache_folder` (default: the system's temporary folder).
    cache_type: "float32" keeps every value, "float16" rounds by at most 2^-11 (see
        `analysis.dissection.cache`).
    statistics: "exact" sorts all cached values of a unit, a few units at a time; "sketch" keeps
        90 kB per unit whatever the number of images, with thresholds within 0.4 % (see
        `analysis.dissection.sketch`).
    information_quality: also find the threshold per unit and concept that maximises the
        information quality ratio (see `analysis.dissection.iqr`).
    precision: of the pass over the images. "bfloat16" (autocast) keeps 8 bits of each product's
        factors: each operation is off by about 2^-8 of its value, so near ties among the top images
        change places. docs/engine.md says by how much on a measured example.
    """

    quantile: float = 0.995
    top_k: int = 16
    batch_size: int = 32
    seed: int = 0
    iou_cut: float = 0.04
    influence_samples: int = 96
    cache_bytes: int = 2 * 2**30
    cache_folder: Path | None = None
    cache_type: str = "float32"
    statistics: str = "exact"
    information_quality: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError("quantile must lie between 0 and 1.")
        for name in ("top_k", "batch_size", "influence_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")
        if not 0 <= self.iou_cut <= 1:
            raise ValueError("iou_cut must lie between 0 and 1.")
        if self.cache_type not in ("float32", "float16"):
            raise ValueError("cache_type must be float32 or float16.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError("precision must be float32 or bfloat16.")
        if self.statistics not in ("exact", "sketch"):
            raise ValueError("statistics must be exact or sketch.")
