"""Really remove units: set their maps to zero and run the layers behind them."""

from __future__ import annotations

import torch
from torch import nn

from analysis.models.splitting import Cut, split_after


class Ablator:
    """Runs a model with chosen sets of units of a layer removed.

    The part of the model before the layer runs once per image; only the layers behind it run for
    each set, on the edited maps. That this equals the whole model with a hook is checked on the
    first use of a layer (`analysis.models.splitting`); where it does not hold, the whole model is
    run. Inputs and maps are copied, because models may change them in place.
    """

    def __init__(self, model: nn.Module, layer: str, batch_size: int = 32) -> None:
        self._model = model
        self._layer = layer
        self._batch_size = batch_size

    def cut(self, inputs: torch.Tensor) -> Cut:
        """Logits and maps of images [N, channels, H, W], unchanged."""
        return split_after(self._model, self._layer, inputs[0]).observe(inputs)

    def observe(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [C] and the layer's maps [K, h, w] of one image [channels, H, W], unchanged."""
        cut = self.cut(image[None])
        return cut.logits[0], cut.maps[0]

    def logits(self, image: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Logits [S, C] of one image for S sets; keep [S, K] is 1 for units left, 0 for removed."""
        return self.resumed(self.cut(image[None]), keep)

    def resumed(self, cut: Cut, keep: torch.Tensor) -> torch.Tensor:
        """As `logits`, for the one image of a cut that was made before."""
        rows = torch.zeros(len(keep), dtype=torch.long, device=keep.device)
        return self.edited(cut, rows, keep, cut.maps.new_zeros(keep.shape[1]))

    def edited(
        self, cut: Cut, rows: torch.Tensor, keep: torch.Tensor, fill: torch.Tensor
    ) -> torch.Tensor:
        """Logits [R, C] of the images `rows` [R] of the cut, edited as `keep` [R, K] says.

        Units with 0 in `keep` have the value `fill` [K] everywhere.
        """
        parts = zip(rows.split(self._batch_size), keep.split(self._batch_size), strict=True)
        return torch.cat(
            [
                cut.resume(
                    row,
                    # where, not a product: a removed unit is `fill` even if its map holds infinity.
                    torch.where(kept[:, :, None, None] > 0, cut.maps[row], fill[:, None, None]),
                )
                for row, kept in parts
            ]
        )

    def effects(self, image: torch.Tensor) -> torch.Tensor:
        """[K, C]: logits of the image minus its logits with the unit removed, for each unit.

        A unit whose map is zero everywhere has the effect 0 and is not run.
        """
        return self.unit_effects(self.cut(image[None]))

    def unit_effects(self, cut: Cut) -> torch.Tensor:
        """As `effects`, for the one image of a cut that was made before."""
        maps, logits = cut.maps[0], cut.logits[0]
        active = maps.flatten(1).ne(0).any(1).nonzero()[:, 0]
        effects = torch.zeros(len(maps), len(logits), device=logits.device)
        if len(active):
            keep = torch.ones(len(active), len(maps), device=maps.device)
            keep[torch.arange(len(active)), active] = 0
            effects[active] = logits - self.resumed(cut, keep)
        return effects
