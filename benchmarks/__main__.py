"""Print what the engine costs: `python -m benchmarks` (a few minutes), `--quick` for a trial."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Sequence

import torch

from benchmarks.sections import QUICK, Bench, Scale, growths, middle, one_image, passes

INTRODUCTION = """\
# Benchmarks

What `make bench` printed. Every table holds ratios of median times that were measured side by side,
in turn, in one run: {repeats} rounds for the passes over the data and {slow_repeats} for the slow
ways. The network has the size of ResNet-18 (random weights, width {width}), images are
{side} x {side}, batches hold 32 images; a pass reads {images} images. Threads are torch's; up to
four more decode images.
"""

SECTIONS = (
    ("One pass over the data", passes),
    ("A layer in the middle: each unit removed alone", middle),
    ("One image", one_image),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the numbers mean nothing")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else Scale()
    # torch's own notes on export formats would end up between the tables.
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    logging.getLogger("torch").setLevel(logging.ERROR)
    before = torch.get_num_threads()
    try:
        _print(scale, options.threads)
    finally:
        torch.set_num_threads(before)


def _print(scale: Scale, threads: Sequence[int]) -> None:
    bench = Bench(scale)
    print(INTRODUCTION.format(**vars(scale)))
    for count in threads:
        torch.set_num_threads(count)
        for title, section in SECTIONS:
            print(f"## {title}, {count} thread{'s' if count > 1 else ''}\n")
            for line in section(bench):
                print(line, flush=True)
            print()
    torch.set_num_threads(threads[0])
    print(f"## Growth, {threads[0]} thread{'s' if threads[0] > 1 else ''}\n")
    print("Exponent e of time ~ size^e; 1 is linear. A quarter of the network's width, so that the")
    print("engine's own work weighs more.\n")
    for line in growths(bench):
        print(line, flush=True)


if __name__ == "__main__":
    main()
