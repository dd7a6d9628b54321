"""Run a model over images and see what the units of a layer do on each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from analysis.data import Sample, decode_in_batches, decode_input, to_device
from analysis.errors import AnalysisError
from analysis.evaluation.faithfulness import LogitsOf
from analysis.models.ablation import Ablator
from analysis.models.hooks import device_of
from analysis.models.layers import Head, head_weights
from analysis.models.preprocessing import Preprocessing
from analysis.models.splitting import Cut


class EvaluationError(AnalysisError):
    """An evaluation cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class Observation:
    """One image: logits [C], the largest value of each unit's map [K] and the maps [K, h, w].

    effects [K, C]: what each unit adds to the logits; None where it was not measured.
    logits_of runs (or, for a pooled linear head, works out) the model with units removed.
    """

    index: int
    logits: NDArray[np.float32]
    peaks: NDArray[np.float32]
    maps: NDArray[np.float32]
    effects: NDArray[np.float64] | None
    logits_of: LogitsOf

    @property
    def target(self) -> int:
        return int(self.logits.argmax())


@dataclass(frozen=True)
class Unreadable:
    index: int
    reason: str


def is_additive(model: nn.Module, layer: str, preprocessing: Preprocessing) -> bool:
    """Whether the units' effects on every image follow from a pooled linear head."""
    return _head(model, layer, preprocessing) is not None


def observe(
    model: nn.Module,
    layer: str,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    *,
    measured: Collection[int],
    batch_size: int = 32,
) -> Iterator[Observation | Unreadable]:
    """The samples in order. Behind a pooled linear head effects are exact on every image; elsewhere
    each unit is removed from the model, on the images `measured` alone.

    Raises EvaluationError: the layer gives no maps, or values are not finite.
    """
    device = device_of(model)
    head = _head(model, layer, preprocessing)
    ablator = Ablator(model, layer, batch_size)

    def decode(sample: Sample) -> torch.Tensor:
        return decode_input(sample, preprocessing)

    for good, bad in decode_in_batches(samples, decode, batch_size):
        yield from (Unreadable(index, str(error)) for index, error in bad)
        if not good:
            continue
        inputs = to_device([item for _, item in good], device)
        cut = ablator.cut(inputs)
        if cut.maps.ndim != 4:
            raise EvaluationError(f"The layer {layer!r} does not give maps. Choose another layer.")
        for place, (index, _) in enumerate(good):
            logits = cut.logits[place].float().cpu().numpy()
            maps = cut.maps[place].float().cpu().numpy()
            if not np.isfinite(logits).all() or not np.isfinite(maps).all():
                yield Unreadable(index, "The model gives values that are not finite for it.")
                continue
            alone = None
            if head is None and index in measured:
                alone = ablator.cut(inputs[place : place + 1])
            yield _observation(index, logits, maps, head, ablator, alone)


def _observation(
    index: int,
    logits: NDArray[np.float32],
    maps: NDArray[np.float32],
    head: Head | None,
    ablator: Ablator,
    alone: Cut | None,
) -> Observation:
    effects: NDArray[np.float64] | None = None
    if head is not None:
        mean = maps.mean((1, 2), dtype=np.float64)
        effects = head.weight.T.astype(np.float64) * mean[:, None]
    elif alone is not None:
        effects = ablator.unit_effects(alone).double().cpu().numpy()

    def logits_of(keep: NDArray[np.float32]) -> NDArray[np.floating]:
        if head is not None and effects is not None:
            return logits - (1 - keep.astype(np.float64)) @ effects
        if alone is None:
            raise EvaluationError(f"Image {index} was not chosen to be measured.")
        sets = torch.from_numpy(keep).to(alone.maps.device)
        return ablator.resumed(alone, sets).double().cpu().numpy()

    return Observation(
        index=index,
        logits=logits,
        peaks=maps.max((1, 2)),
        maps=maps,
        effects=effects,
        logits_of=logits_of,
    )


def _head(model: nn.Module, layer: str, preprocessing: Preprocessing) -> Head | None:
    return head_weights(model, layer, (preprocessing.channels, *preprocessing.input_size))
