"""Show that memory does not grow with the number of images.

`python -m analysis.dissection.bound` streams generated activations of 100,000 images x 2,048 units
through the engine, in the mode whose memory is bounded (`statistics="sketch"`, float16 cache in a
file), down to thresholds and overlaps, and prints the peak memory of the process. Exit status 1
where it is above the limit.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from analysis.data import Sample
from analysis.dissection.cache import Maps
from analysis.dissection.collect import Batch, LayerCollector
from analysis.dissection.concepts import overlap
from analysis.dissection.masks import MaskStore, pack
from analysis.dissection.quantiles import sketched_distribution
from analysis.dissection.settings import DissectionSettings

logger = logging.getLogger(__name__)

_POOL = 61
_EVERY = 5


@dataclass(frozen=True)
class Outcome:
    """peak_bytes: the largest resident set of this process so far. above [K]: share of the values
    above the unit's threshold. cache_bytes: size of the activation cache's file."""

    peak_bytes: int
    above: np.ndarray
    cache_bytes: int
    seconds: float


def run(
    images: int,
    units: int,
    cells: int,
    *,
    n_concepts: int = 10,
    grid: int = 28,
    batch_size: int = 32,
    cache_bytes: int = 2**30,
    folder: Path | None = None,
) -> Outcome:
    """Dissect generated activations [images, units, cells, cells] of rectified noise.

    Every image has masks of a fifth of the concepts, on a grid x grid raster.
    """
    start = time.perf_counter()
    settings = DissectionSettings(
        batch_size=batch_size,
        cache_bytes=cache_bytes,
        cache_folder=folder,
        cache_type="float16",
        statistics="sketch",
    )
    collector = LayerCollector("generated", images, 2, settings)
    masks = MaskStore(n_concepts)
    generator = torch.Generator().manual_seed(0)
    pool = torch.randn(_POOL + batch_size, units, cells, cells, generator=generator).relu_()
    shapes = _masks(n_concepts, grid)
    for first in range(0, images, batch_size):
        indices = np.arange(first, min(first + batch_size, images))
        samples = [Sample(str(i), _unused, label=int(i) % 2) for i in indices]
        collector.expect(Batch(samples, indices, indices // 4))
        shift = first // batch_size % _POOL
        scale = 1 + 0.1 * float(np.sin(first))
        collector.see(pool[shift : shift + len(indices)] * scale)
        collector.expect(None)
        for i in indices:
            masks.append(
                [
                    shapes[(i + m) % len(shapes)] if (i + m) % _EVERY == 0 else None
                    for m in range(n_concepts)
                ]
            )
        if first // batch_size % 500 == 0:
            logger.info("%d images, %.2f GB", first, peak_bytes() / 2**30)
    cache, sums = collector.cache, collector.sums
    if cache is None or sums is None or sums.sketch is None:
        raise ValueError("images must be at least 1.")
    values = sketched_distribution(sums.sketch, settings.quantile)
    seconds = time.perf_counter() - start
    logger.info("Thresholds after %.0f s, %.2f GB", seconds, peak_bytes() / 2**30)
    overlap(
        Maps([cache]),
        values.threshold,
        masks.present,
        n_concepts,
        (grid, grid),
        seed=0,
        device=torch.device("cpu"),
        advance=lambda _: None,
    )
    above = np.zeros(units, np.int64)
    seen = range(0, images, max(1, images // 1000))
    for row in seen:
        above += (cache.read(row, row + 1)[0] > values.threshold[:, None, None]).sum((1, 2))
    outcome = Outcome(
        peak_bytes=peak_bytes(),
        above=above / (len(seen) * cells * cells),
        cache_bytes=2 * images * units * cells * cells,
        seconds=time.perf_counter() - start,
    )
    collector.close()
    masks.close()
    return outcome


def peak_bytes() -> int:
    """The largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _masks(n_concepts: int, grid: int) -> list[bytes]:
    """Packed rectangles at different places."""
    generator = np.random.default_rng(0)
    packed = []
    for _ in range(4 * max(1, n_concepts)):
        mask = np.zeros((grid, grid), bool)
        row, column = generator.integers(0, grid // 2, 2)
        mask[row : row + grid // 4, column : column + grid // 3] = True
        packed.append(pack(mask))
    return packed


def _unused() -> BinaryIO:
    raise AssertionError("Generated samples have no file.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="analysis.dissection.bound")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--units", type=int, default=2_048)
    parser.add_argument("--cells", type=int, default=4, help="height and width of the maps")
    parser.add_argument("--limit-gb", type=float, default=8.0)
    parser.add_argument("--folder", type=Path, help="where the activation cache goes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = run(options.images, options.units, options.cells, folder=options.folder)
    peak = found.peak_bytes / 2**30
    logger.info(
        "%d images x %d units x %d x %d: peak %.2f GB of memory (limit %.1f), cache file %.1f GB, "
        "%.0f s; %.2f %% of sampled values above their threshold.",
        *(options.images, options.units, options.cells, options.cells),
        *(peak, options.limit_gb, found.cache_bytes / 2**30, found.seconds),
        100 * found.above.mean(),
    )
    return int(peak > options.limit_gb)


if __name__ == "__main__":
    sys.exit(main())
