"""Really remove units: set their maps to zero inside the model and run it."""

from __future__ import annotations

import logging

import torch
from torch import nn

from analysis.models.hooks import edited, watched

logger = logging.getLogger(__name__)

_AGREEMENT = 1e-4


class Ablator:
    """Runs a model on one image with chosen sets of units of a layer removed.

    The part of the model before the layer runs once per call with a batch of one image; the hook
    then hands the layers behind it a batch with one entry per set. That this gives what a batch of
    repeated images gives is checked on the first use; a model where it does not (such as one that
    joins later layers with earlier ones by concatenation) is run on repeated images. Inputs and
    maps are copied, because models may change them in place.
    """

    def __init__(self, model: nn.Module, layer: str, batch_size: int = 32) -> None:
        self._model = model
        self._layer = layer
        self._batch_size = batch_size
        self._widens: bool | None = None

    def observe(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [C] and the layer's maps [K, h, w] of one image [channels, H, W], unchanged."""
        seen: list[torch.Tensor] = []
        with (
            torch.no_grad(),
            watched(self._model, self._layer, lambda out: seen.append(out[0].clone())),
        ):
            logits = self._model(image[None].clone())[0]
        return logits, seen[0]

    def logits(self, image: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Logits [S, C] of one image for S sets; keep [S, K] is 1 for units left, 0 for removed."""
        if self._widens is None:
            self._widens = self._check_widening(image, keep)
        run = self._widened if self._widens else self._repeated
        return torch.cat([run(image, part) for part in keep.split(self._batch_size)])

    def effects(self, image: torch.Tensor) -> torch.Tensor:
        """[K, C]: logits of the image minus its logits with the unit removed, for each unit.

        A unit whose map is zero everywhere has the effect 0 and is not run.
        """
        logits, maps = self.observe(image)
        active = maps.flatten(1).ne(0).any(1).nonzero()[:, 0]
        effects = torch.zeros(len(maps), len(logits), device=logits.device)
        if len(active):
            keep = torch.ones(len(active), len(maps), device=maps.device)
            keep[torch.arange(len(active)), active] = 0
            effects[active] = logits - self.logits(image, keep)
        return effects

    def _repeated(self, image: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), edited(self._model, self._layer, lambda out: _masked(out, keep)):
            return self._model(image.expand(len(keep), *image.shape).clone())

    def _widened(self, image: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), edited(self._model, self._layer, lambda out: _masked(out, keep)):
            return self._model(image[None].clone())

    def _check_widening(self, image: torch.Tensor, keep: torch.Tensor) -> bool:
        """Compare both ways on three sets, two of them with half of the units removed."""
        halves = torch.arange(keep.shape[1], device=keep.device) % 2 == 0
        sets = torch.stack([keep[0], halves.to(keep), (~halves).to(keep)])
        expected = self._repeated(image, sets)
        try:
            got = self._widened(image, sets)
        except (RuntimeError, ValueError, AssertionError) as error:
            logger.info("Layer %s: removal runs the whole model (%s).", self._layer, error)
            return False
        scale = expected.abs().max().clamp_min(1e-6)
        return got.shape == expected.shape and bool(
            (got - expected).abs().max() <= _AGREEMENT * scale
        )


def _masked(output: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    # where, not a product: a removed unit is 0 even if its map holds infinities.
    return torch.where(keep[:, :, None, None] > 0, output, output.new_zeros(()))
