"""Export of the trained network as a .pt2 file and the check that it computes the same."""

from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from analysis.phantoms import SIZE


def export_model(model: nn.Module, path: Path) -> None:
    """Write ``model`` (eval mode, CPU) with a dynamic batch dimension to ``path``."""
    model = model.cpu().eval()
    example = torch.zeros(2, 1, SIZE, SIZE)
    program = torch.export.export(
        model, (example,), dynamic_shapes=({0: Dim("batch", min=1, max=4096)},)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)


def check_export(model: nn.Module, path: Path, images: torch.Tensor) -> float:
    """Largest difference between the logits of ``model`` and of the file, for ``images``.

    Raises RuntimeError when the difference exceeds 1e-4, or when the file only takes the batch
    size it was exported with.
    """
    restored = torch.export.load(path).module()
    with torch.no_grad():
        expected = model.cpu().eval()(images)
        difference = float((restored(images) - expected).abs().max())
        alone = float((restored(images[:1]) - expected[:1]).abs().max())
    if max(difference, alone) > 1e-4:
        raise RuntimeError(f"{path} gives other logits than the trained network ({difference}).")
    return difference
