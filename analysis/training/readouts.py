"""Training help: linear readouts that learn where findings lie."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.training.network import LAST_STAGES, STAGES, PhantomClassifier
from analysis.training.population import OUTLINES

FOUND_WEIGHT = 8.0
"""Weight of a cell with a finding against one without, since most cells have none."""


class OutlineReadouts(nn.Module):
    """Linear maps from the units of the last two stages to the cells that each finding touches."""

    def __init__(self, model: PhantomClassifier) -> None:
        super().__init__()
        self.readouts = nn.ModuleDict(
            {name: nn.Conv2d(STAGES[name][0], len(OUTLINES), 1) for name in LAST_STAGES}
        )
        self._maps: dict[str, Tensor] = {}
        self._hooks = [
            getattr(model, name).register_forward_hook(partial(self._keep, name))
            for name in LAST_STAGES
        ]

    def _keep(self, name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        self._maps[name] = output

    def loss(self, cells: Tensor) -> Tensor:
        """Binary cross-entropy of the last forward pass, averaged over cells, summed over outlines.

        ``cells`` is float ``[N, F, h, w]``, h and w those of the finer stage; the coarser stage
        has a finding in a cell where any of the finer cells it covers has one.
        """
        weight = torch.tensor(FOUND_WEIGHT, device=cells.device)
        losses = []
        for name, readout in self.readouts.items():
            scores = readout(self._maps[name])
            target = functional.adaptive_max_pool2d(cells, scores.shape[-2:])
            losses.append(
                functional.binary_cross_entropy_with_logits(scores, target, pos_weight=weight)
            )
        return len(OUTLINES) * torch.stack(losses).mean()

    def detach_from_model(self) -> None:
        """Remove the hooks, so that the trained network stands alone."""
        for hook in self._hooks:
            hook.remove()
