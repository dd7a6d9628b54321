"""Parts of a dissection: each covers a range of the images, and together they give the whole.

A shard keeps, per layer, sums of fixed size (top images, class sums, sketch) and the cache of its
images' maps. `merge` adds the sums, as integers or by a total order, and puts the caches in the
order of the images; so it is associative and commutative, and the merged shard is the one that a
single run gives. Thresholds and overlaps are made of the merged shard (`analysis.dissection.run`).

The forward pass of an image may differ in the last bits with the number of images in its batch.
`plan_shards` cuts between batches, so that every image keeps its batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from analysis.dissection.cache import ActivationCache, Maps
from analysis.dissection.classes import ClassSums
from analysis.dissection.collect import LayerSums
from analysis.dissection.masks import MaskStore
from analysis.dissection.settings import DissectionError
from analysis.dissection.sketch import QuantileSketch
from analysis.dissection.topk import TopImages

FORMAT = 1
_INDEX = "shard.npz"


def plan_shards(n_samples: int, batch_size: int, n_shards: int) -> list[range]:
    """Up to n_shards ranges over the samples, of about one size, cut between batches."""
    batches = -(-n_samples // batch_size)
    cuts = np.linspace(0, batches, min(n_shards, batches) + 1).round().astype(int) * batch_size
    return [range(int(start), min(int(stop), n_samples)) for start, stop in pairwise(cuts)]


@dataclass(frozen=True)
class Part:
    """The images of one range: what grows with their number.

    indices [n]: sample per readable image, ascending; logits [n, C]; masks and, per layer, maps in
    the same order; skipped (index, key, reason).
    """

    span: range
    indices: np.ndarray
    logits: np.ndarray
    masks: MaskStore
    skipped: list[tuple[int, str, str]]
    caches: dict[str, ActivationCache]

    def close(self) -> None:
        self.masks.close()
        for cache in self.caches.values():
            cache.close()


@dataclass(frozen=True)
class ShardResult:
    """What is known of some images of a data set; see the top of this module.

    run: what shards must share to be merged (layers, concepts, sizes, settings; plain JSON).
    parts: in the order of the images. sums: per layer, empty while no image could be read.
    Close it, or use it as a context manager, to remove temporary files.
    """

    run: dict[str, Any]
    parts: tuple[Part, ...]
    sums: dict[str, LayerSums]

    def __enter__(self) -> ShardResult:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for part in self.parts:
            part.close()

    def merge(self, other: ShardResult) -> ShardResult:
        """Both together; the shards' caches stay where they are and belong to the result too.

        Raises DissectionError for shards of different runs or of the same images.
        """
        if self.run != other.run:
            raise DissectionError("The shards belong to different dissections.")
        parts = tuple(sorted((*self.parts, *other.parts), key=lambda part: part.span.start))
        for one, following in pairwise(parts):
            if one.span.stop > following.span.start:
                raise DissectionError(f"Two shards hold the image {following.span.start}.")
        return ShardResult(self.run, parts, _merged_sums(self.sums, other.sums))

    def maps(self, layer: str) -> Maps:
        """The layer's maps of all readable images."""
        return Maps([part.caches[layer] for part in self.parts if layer in part.caches])

    @property
    def indices(self) -> np.ndarray:
        return np.concatenate([part.indices for part in self.parts])

    def masks_of(self, row: int) -> dict[int, bytes]:
        """Concept -> packed mask of the row-th readable image."""
        for part in self.parts:
            if row < len(part.indices):
                return part.masks.present(row)
            row -= len(part.indices)
        raise IndexError(row)

    def check_complete(self) -> None:
        """Raises DissectionError unless every image of the data set is in a part."""
        expected = 0
        for part in self.parts:
            if part.span.start > expected:
                break
            expected = part.span.stop
        if expected < self.run["n_samples"]:
            raise DissectionError(f"The shard with the image {expected} is missing.")

    def save(self, folder: Path) -> None:
        """Write the shard to a folder: `shard.npz` without pickles, and one file of maps per part
        and layer. The index comes last: a folder without it is not a shard."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        parts = []
        for number, part in enumerate(self.parts):
            shapes = {}
            for position, name in enumerate(self.run["layers"]):
                if name in part.caches:
                    cache = part.caches[name]
                    cache.save(folder / _maps_file(number, position))
                    shapes[name] = [cache.rows, *cache.row_shape]
            ends, content = part.masks.arrays()
            arrays |= {
                f"part{number}.indices": part.indices,
                f"part{number}.logits": part.logits,
                f"part{number}.mask_ends": ends,
                f"part{number}.mask_content": content,
            }
            parts.append(
                {
                    "span": [part.span.start, part.span.stop],
                    "skipped": part.skipped,
                    "shapes": shapes,
                }
            )
        for position, name in enumerate(self.run["layers"]):
            if name in self.sums:
                arrays |= _sums_arrays(f"layer{position}.", self.sums[name])
        header = {"format": FORMAT, "run": self.run, "parts": parts}
        arrays["header"] = np.array(json.dumps(header))
        unfinished = folder / f".{_INDEX}"
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        unfinished.replace(folder / _INDEX)

    @classmethod
    def load(cls, folder: Path) -> ShardResult:
        """Read what `save` wrote; maps are read from their files when needed, so keep the folder.

        Raises ValueError for anything else, FileNotFoundError where there is no finished shard.
        """
        with np.load(folder / _INDEX, allow_pickle=False) as archive:
            arrays = dict(archive)
        try:
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT:
                raise ValueError("The shard was written by another version. Compute it again.")
            run = header["run"]
            parts = tuple(
                _loaded_part(folder, number, part, arrays, run)
                for number, part in enumerate(header["parts"])
            )
            sums = {
                name: _loaded_sums(f"layer{position}.", arrays)
                for position, name in enumerate(run["layers"])
                if f"layer{position}.top_value" in arrays
            }
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{folder.name} is not a shard of a dissection.") from error
        return cls(run, parts, sums)


def merge_shards(shards: Iterable[ShardResult]) -> ShardResult:
    """All shards together, in any order. Raises DissectionError for none."""
    found = list(shards)
    if not found:
        raise DissectionError("There are no shards to merge.")
    return reduce(ShardResult.merge, found)


def _merged_sums(one: dict[str, LayerSums], other: dict[str, LayerSums]) -> dict[str, LayerSums]:
    if not one or not other:
        return one or other
    for name in one:
        if one[name].top.value.shape != other[name].top.value.shape:
            raise DissectionError(f"The maps of layer {name!r} change size between images.")
    return {name: one[name].merge(other[name]) for name in one}


def _maps_file(part: int, layer: int) -> str:
    return f"maps-{part}-{layer}.bin"


def _loaded_part(
    folder: Path, number: int, header: dict[str, Any], arrays: dict[str, np.ndarray], run: Any
) -> Part:
    layers: Sequence[str] = run["layers"]
    return Part(
        span=range(*header["span"]),
        indices=arrays[f"part{number}.indices"],
        logits=arrays[f"part{number}.logits"],
        masks=MaskStore.of(
            arrays[f"part{number}.mask_ends"], arrays[f"part{number}.mask_content"].tobytes()
        ),
        skipped=[(int(index), str(key), str(reason)) for index, key, reason in header["skipped"]],
        caches={
            name: ActivationCache.load(
                folder / _maps_file(number, layers.index(name)), tuple(shape), run["cache_type"]
            )
            for name, shape in header["shapes"].items()
        },
    )


def _sums_arrays(prefix: str, sums: LayerSums) -> dict[str, np.ndarray]:
    top, classes, sketch = sums.top, sums.classes, sums.sketch
    arrays: dict[str, np.ndarray] = {
        "top_value": top.value,
        "top_index": top.index,
        "top_cell": top.cell,
        "top_group": top.group,
        "class_counts": classes.counts,
        "class_means": classes.means.digits,
        "class_maxima": classes.maxima.digits,
    }
    if sketch is not None:
        arrays |= {
            "sketch_counts": sketch.counts,
            "sketch_minimum": sketch.minimum,
            "sketch_maximum": sketch.maximum,
            "sketch_positive": sketch.positive,
            "sketch_sums": sketch.sums.digits,
            "sketch_squares": sketch.squares.digits,
        }
    return {prefix + name: array for name, array in arrays.items()}


def _loaded_sums(prefix: str, arrays: dict[str, np.ndarray]) -> LayerSums:
    def array(name: str) -> np.ndarray:
        return arrays[prefix + name]

    top = TopImages(*array("top_value").shape)
    top.value, top.index = array("top_value"), array("top_index")
    top.cell, top.group = array("top_cell"), array("top_group")
    classes = ClassSums(*array("class_means").shape[1:])
    classes.counts = array("class_counts")
    classes.means.digits, classes.maxima.digits = array("class_means"), array("class_maxima")
    sketch = None
    if prefix + "sketch_counts" in arrays:
        sketch = QuantileSketch(len(array("sketch_counts")))
        sketch.counts, sketch.positive = array("sketch_counts"), array("sketch_positive")
        sketch.minimum, sketch.maximum = array("sketch_minimum"), array("sketch_maximum")
        sketch.sums.digits = array("sketch_sums")
        sketch.squares.digits = array("sketch_squares")
    return LayerSums(top, classes, sketch)
