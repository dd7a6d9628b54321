"""The tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from analysis.ablation import AblationSettings, ablate, ablate_units
from analysis.data import Sample, decode_input, read_sample
from analysis.dissection import DissectionSettings, dissect
from analysis.explanation import explain, predict
from benchmarks.data import CLASSES, concept_names, make_samples, preprocessing_for
from benchmarks.network import LAST, exported
from benchmarks.peers import peers
from benchmarks.timing import growth, side_by_side


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    images: for a pass over the data; few: where peers run the whole model for each unit.
    peer_units: units that peers remove, from which all are extrapolated; units: removed from a
    layer in the middle.
    """

    side: int = 224
    width: int = 64
    images: int = 64
    few: int = 2
    peer_units: int = 8
    units: int = 32
    concepts: int = 10
    repeats: int = 5
    slow_repeats: int = 3
    sizes: tuple[int, ...] = (8, 16, 32, 64)
    unit_sizes: tuple[int, ...] = (256, 512, 1024, 2048)
    concept_sizes: tuple[int, ...] = (5, 10, 20, 40)


QUICK = Scale(
    side=32, width=8, images=6, few=2, peer_units=2, units=4, concepts=2, repeats=1, slow_repeats=1,
    sizes=(2, 4), unit_sizes=(8, 16), concept_sizes=(1, 2),
)  # fmt: skip

Report = Iterator[str]
_BATCH = 32


class Bench:
    """The network and the data at one scale."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.preprocessing = preprocessing_for(scale.side)
        self.model = exported("resnet18", scale.width, scale.side)
        self.samples = make_samples(scale.images, scale.side, scale.concepts)
        self.settings = DissectionSettings(batch_size=_BATCH)

    def inputs(self, count: int) -> torch.Tensor:
        return torch.stack([decode_input(s, self.preprocessing) for s in self.samples[:count]])

    def dissect(self, model: nn.Module, layer: str, samples: list[Sample], concepts: int) -> object:
        return dissect(
            model,
            [layer],
            samples,
            self.preprocessing,
            CLASSES,
            concept_names(concepts),
            self.settings,
        )

    def ablate(self, layer: str, samples: list[Sample], units: int) -> object:
        sets = [[unit] for unit in range(units)]
        settings = AblationSettings(batch_size=_BATCH)
        return ablate(self.model, layer, samples, self.preprocessing, sets, settings=settings)


def passes(bench: Bench) -> Report:
    """Dissection and ablation of the last layer, against the pass over the data they need."""
    scale, inputs = bench.scale, bench.inputs(bench.scale.images)
    units = 8 * scale.width

    def bare() -> None:
        with torch.no_grad():
            for batch in inputs.split(_BATCH):
                bench.model(batch)

    seconds = side_by_side(
        {
            "forward pass, images ready in memory": bare,
            "forward pass, images read from PNG": lambda: predict(
                bench.model, bench.samples, bench.preprocessing, batch_size=_BATCH
            ),
            f"dissect the last layer: {units} units, {scale.concepts} mask concepts": (
                lambda: bench.dissect(bench.model, LAST, bench.samples, scale.concepts)
            ),
            f"ablate each of the {units} units of the last layer": lambda: ablate_units(
                bench.model, LAST, bench.samples, bench.preprocessing
            ),
        },
        scale.repeats,
    )
    ready, read = list(seconds.values())[:2]
    few = bench.inputs(scale.few)
    others = side_by_side(
        peers(bench.model, LAST, few, range(scale.peer_units), units), scale.slow_repeats
    )
    yield from _table_head("way", "to the pass, in memory", "to the pass, read from PNG")
    for name, value in seconds.items():
        yield f"| {name} | {value / ready:.2f} | {value / read:.2f} |"
    scaled = units / scale.peer_units * scale.images / scale.few
    for name, value in others.items():
        name = f"{name}, each of the {units} units ¹"
        yield f"| {name} | {value * scaled / ready:.0f} | {value * scaled / read:.0f} |"
    yield ""
    yield f"¹ Measured for {scale.peer_units} units on {scale.few} images and multiplied."


def middle(bench: Bench) -> Report:
    """Ablation where only the layers behind are run again."""
    scale = bench.scale
    inputs, samples = bench.inputs(scale.few), bench.samples[: scale.few]
    yield from _table_head("layer", "way", "time to the hook loop", "times faster")
    for layer, factor in (("stage3", 4), ("stage2", 2)):
        seconds = side_by_side(
            {
                **peers(bench.model, layer, inputs, range(scale.units), factor * scale.width),
                "Unitscope": _ours(bench, layer, samples),
            },
            scale.slow_repeats,
        )
        loop = seconds["plain hook loop"]
        for name, value in seconds.items():
            yield f"| {layer} | {name} | {value / loop:.3f} | {loop / value:.2f} |"
    yield ""
    yield (
        f"{scale.units} units, {scale.few} images. Unitscope's time includes reading the images "
        "and all metrics. stage3 has a quarter of the network's work behind it, stage2 a half."
    )


def _ours(bench: Bench, layer: str, samples: list[Sample]) -> Callable[[], object]:
    return lambda: bench.ablate(layer, samples, bench.scale.units)


def one_image(bench: Bench) -> Report:
    """Explaining one image, with five named units and 100 random sets as the check."""
    scale = bench.scale
    image = read_sample(bench.samples[0])
    batch = bench.inputs(1)

    def forward() -> None:
        with torch.no_grad():
            bench.model(batch)

    def explained() -> object:
        return explain(
            bench.model, LAST, image, bench.preprocessing, target=0, named_units=[1, 3, 5, 7, 9]
        )

    ways: dict[str, Callable[[], object]] = {
        "forward pass": forward,
        "explain: contributions, maps, removal check": explained,
        **peers(bench.model, LAST, batch, range(scale.peer_units), 8 * scale.width),
    }
    seconds = side_by_side(ways, 3 * scale.repeats)
    once = seconds["forward pass"]
    yield from _table_head("way", "to the forward pass")
    for name in list(ways)[:2]:
        yield f"| {name} | {seconds[name] / once:.2f} |"
    for name in list(ways)[2:]:
        value = seconds[name] / once / scale.peer_units
        yield f"| {name}, per removed set (the check removes 102) | {value:.2f} |"


def growths(bench: Bench) -> Report:
    """Cost against the number of images, units and concepts."""
    scale = bench.scale
    yield from _table_head("what grows", "sizes", "seconds", "exponent", "linear or better")
    network = exported("resnet18", max(scale.width // 4, 2), scale.side)
    samples = make_samples(max(scale.sizes), scale.side, max(scale.concept_sizes))
    yield _growth(
        "images, dissection",
        scale.sizes,
        lambda n: bench.dissect(network, LAST, samples[:n], scale.concepts),
        scale.slow_repeats,
    )
    wide = {units: exported("wide", units, scale.side) for units in scale.unit_sizes}
    half = samples[: max(2, len(samples) // 2)]
    yield _growth(
        "units, dissection (14 x 14 maps)",
        scale.unit_sizes,
        lambda units: bench.dissect(wide[units], "relu", half, scale.concepts),
        scale.slow_repeats,
    )
    yield _growth(
        "concepts, dissection",
        scale.concept_sizes,
        lambda concepts: bench.dissect(network, LAST, half, concepts),
        scale.slow_repeats,
    )
    yield _growth(
        "images, ablation of the last layer",
        scale.sizes,
        lambda n: ablate_units(network, LAST, samples[:n], bench.preprocessing),
        scale.slow_repeats,
    )
    few = samples[: scale.few]
    yield _growth(
        "units, ablation of stage3",
        tuple(scale.peer_units * factor for factor in (1, 2, 4, 8)),
        lambda n: ablate(network, "stage3", few, bench.preprocessing, [[k % 8] for k in range(n)]),
        scale.slow_repeats,
    )


def _growth(what: str, sizes: tuple[int, ...], way: Callable[[int], object], repeats: int) -> str:
    seconds = side_by_side({str(n): _bound(way, n) for n in sizes}, repeats)
    exponent = growth(sizes, list(seconds.values()))
    listed = ", ".join(str(n) for n in sizes)
    times = ", ".join(f"{value:.2f}" for value in seconds.values())
    # A tenth for the noise of the measurement.
    verdict = "yes" if exponent <= 1.1 else "NO"
    return f"| {what} | {listed} | {times} | {exponent:.2f} | {verdict} |"


def _bound(way: Callable[[int], object], size: int) -> Callable[[], object]:
    return lambda: way(size)


def _table_head(*columns: str) -> Report:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
