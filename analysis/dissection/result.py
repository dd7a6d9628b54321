"""What a dissection gives back."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from analysis.models.layers import Head

FORMAT = 1


@dataclass(frozen=True)
class LayerResult:
    """Statistics of the K units of one layer over N images with C classes and M concepts.

    Over ALL positions of ALL readable images: threshold [K] (the settings' quantile),
    quantiles [K, Q] at quantile_levels [Q], histogram [K, B] with histogram_edges [K, B + 1], mean,
    std, maximum [K], active_fraction [K] (share of positions above 0).

    Classes, over labelled images: class_counts [C]; class_mean, class_max_mean [K, C] (mean over
    images of the spatial mean and of the spatial maximum; NaN for classes without images);
    selectivity [K] (Morcos et al. 2018; NaN where undefined, see `classes.selectivity`).

    Top images, one per patient, best first: top_index [K, k] int32 into the samples, -1 where there
    are fewer; top_value [K, k] spatial maximum (-inf where there are fewer), top_row, top_col
    [K, k] its cell; top_maps [K, k, h, w] float16 (values beyond 65504 are clipped).

    Concepts (keys [M]), pixel counts on the mask grid mask_height x mask_width over all images:
    iou, iou_chance, intersection [K, M], unit_area [K], concept_area, concept_images [M]; see
    `analysis.dissection.concepts` for how areas are counted.

    influence [K, C]: mean over images of logit with the unit minus logit with its map set to zero.
    influence_method: "exact" (closed form, all images) or "measured" (by ablation on
    influence_images images).

    None in results of earlier versions: quantile (of the threshold); iou_shifted [K, M], the IoU
    that masks shifted within their images are expected to give, and iou_p, iou_q [K, M], bound of
    the p-value and q-value against them (see `analysis.dissection.significance`); nearest_index,
    nearest_correlation [K, n], the most similar units (see `analysis.dissection.similarity`). None
    unless asked for: iqr, iqr_threshold, iqr_iou [K, M] (see `analysis.dissection.iqr`).
    """

    name: str
    height: int
    width: int
    head: Head | None
    threshold: np.ndarray
    quantile_levels: np.ndarray
    quantiles: np.ndarray
    histogram_edges: np.ndarray
    histogram: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    maximum: np.ndarray
    active_fraction: np.ndarray
    class_counts: np.ndarray
    class_mean: np.ndarray
    class_max_mean: np.ndarray
    selectivity: np.ndarray
    top_index: np.ndarray
    top_value: np.ndarray
    top_row: np.ndarray
    top_col: np.ndarray
    top_maps: np.ndarray
    concepts: list[str]
    mask_height: int
    mask_width: int
    iou: np.ndarray
    iou_chance: np.ndarray
    intersection: np.ndarray
    unit_area: np.ndarray
    concept_area: np.ndarray
    concept_images: np.ndarray
    influence: np.ndarray
    influence_method: str
    influence_images: int
    quantile: float | None = None
    iou_shifted: np.ndarray | None = None
    iou_p: np.ndarray | None = None
    iou_q: np.ndarray | None = None
    iqr: np.ndarray | None = None
    iqr_threshold: np.ndarray | None = None
    iqr_iou: np.ndarray | None = None
    nearest_index: np.ndarray | None = None
    nearest_correlation: np.ndarray | None = None

    @property
    def units(self) -> int:
        return len(self.threshold)

    def save(self, path: Path | BinaryIO) -> None:
        """Write one compressed `.npz` without pickles."""
        arrays: dict[str, Any] = {"format": np.array(FORMAT)}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name != "head":
                arrays[field.name] = np.asarray(
                    value, dtype=np.str_ if field.name in _TEXT else None
                )
            else:
                arrays["head_weight"], arrays["head_bias"] = value.weight, value.bias
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path | BinaryIO) -> LayerResult:
        """Read what `save` wrote. Raises ValueError for anything else."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
            if int(arrays.pop("format")) != FORMAT:
                raise ValueError("The result was written by another version. Dissect again.")
            weight, bias = arrays.pop("head_weight", None), arrays.pop("head_bias", None)
            values: dict[str, Any] = {
                name: value.item() if value.ndim == 0 else value for name, value in arrays.items()
            }
            values["concepts"] = [str(key) for key in arrays["concepts"]]
            values["head"] = None if weight is None else Head(weight, bias)
            return cls(**values)
        except (KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError("The file is not a dissection result.") from error


_TEXT = frozenset({"name", "concepts", "influence_method"})


@dataclass(frozen=True)
class Dissection:
    """Results per layer; logits [N, C] float32 (NaN rows for skipped samples); skipped samples
    as (key, reason)."""

    layers: dict[str, LayerResult]
    logits: np.ndarray
    skipped: list[tuple[str, str]]
