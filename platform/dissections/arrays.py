"""Reading single members of a layer's stored arrays (`LayerResult` as .npz), without torch."""

from functools import lru_cache

import numpy as np
from django.core.files.storage import default_storage

from dissections.models import Layer


def histogram(layer: Layer, unit_index: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges [B + 1] and counts [B] of a unit's activations over all positions of all images."""
    edges = _small_member(str(layer.arrays), "histogram_edges")
    counts = _small_member(str(layer.arrays), "histogram")
    return edges[unit_index], counts[unit_index]


def nearest(layer: Layer, unit_index: int) -> list[tuple[int, float]]:
    """The units most like this one, best first, with their correlation; empty where the dissection
    is older than this comparison."""
    try:
        index = _small_member(str(layer.arrays), "nearest_index")
        correlation = _small_member(str(layer.arrays), "nearest_correlation")
    except KeyError:
        return []
    rows = zip(index[unit_index].tolist(), correlation[unit_index].tolist(), strict=True)
    return [(other, value) for other, value in rows if other >= 0]


def top_map(layer: Layer, unit_index: int, rank: int) -> np.ndarray:
    """The activation map [h, w] of a unit on its top image of this rank, float32."""
    return _maps(str(layer.arrays))[unit_index, rank].astype(np.float32)


# A stored file is never rewritten: another run of the dissection gets a new name.
@lru_cache(maxsize=4)
def _maps(name: str) -> np.ndarray:
    return _read(name, "top_maps")


@lru_cache(maxsize=64)
def _small_member(name: str, member: str) -> np.ndarray:
    return _read(name, member)


def _read(name: str, member: str) -> np.ndarray:
    with default_storage.open(name, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return arrays[member]
