"""The training loop of the demo classifier.

Beside the class of the image, training uses the outlines of its findings: linear readouts of the
last two stages learn which cells each finding touches. They point the network at structures of
a few pixels that the class alone would take many more images to find. The readouts are dropped
after training; the classifier sees pixels only.
"""
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from analysis.training.metrics import macro_auc
from analysis.training.network import LAST_STAGES, STAGES, PhantomClassifier
from analysis.training.population import FINDINGS, Population

MEAN = 0.18
STD = 0.19
"""Mean and standard deviation used to normalise pixels in [0, 1]."""
CELL = 8
"""Pixels per cell of the outline maps; images are shifted by whole cells in training."""
SHIFT = 2
"""Largest shift of an image in training, in cells."""
FOUND_WEIGHT = 8.0
"""Weight of a cell with a finding against one without, since most cells have none."""
OUTLINE_WEIGHT = 6.0
"""Weight of the outlines against the class in the loss."""
HEAD_SPEED = 5.0
"""Learning rate of the head relative to the rest: averaging over 256 cells makes its inputs small."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    epochs: int = 14
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 0


def fit(
    train: Population,
    validation: Population,
    schedule: Schedule,
    device: torch.device,
    report: Callable[[str], None],
) -> PhantomClassifier:
    """Train a network and return it as it was after its best epoch on ``validation``.

    The best epoch has the highest macro AUC. ``report`` receives one line per epoch. Training on
    CUDA runs in bfloat16 autocast, on the CPU in float32.
    """
    torch.manual_seed(schedule.seed)
    generator = torch.Generator().manual_seed(schedule.seed)
    model = PhantomClassifier().to(device).to(memory_format=torch.channels_last)
    readouts = OutlineReadouts(model).to(device)
    pixels, labels, outlines = _tensors(train, device)
    steps = len(labels) // schedule.batch_size
    head = list(model.head.parameters())
    body = [p for name, p in model.named_parameters() if not name.startswith("head.")]
    speeds = [schedule.learning_rate, HEAD_SPEED * schedule.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": [*body, *readouts.parameters()]}, {"params": head}],
        weight_decay=schedule.weight_decay,
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, speeds, total_steps=steps * schedule.epochs, pct_start=0.2
    )
    best, best_state = -1.0, model.state_dict()
    for epoch in range(1, schedule.epochs + 1):
        model.train()
        order = torch.randperm(len(labels), generator=generator)
        total = 0.0
        for batch in order[: steps * schedule.batch_size].split(schedule.batch_size):
            images = _normalise(pixels[batch], device)
            cells = outlines[batch].to(device, non_blocking=True).float()
            images, cells = augment(images, cells, generator)
            target = labels[batch].to(device, non_blocking=True)
            with _autocast(device):
                loss = functional.cross_entropy(model(images), target, label_smoothing=0.03)
                loss = loss + OUTLINE_WEIGHT * readouts.loss(cells)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            rate.step()
            total += loss.item()
        score = macro_auc(validation.labels, softmax(logits_of(model, validation, device)))
        report(f"epoch {epoch:2d}: loss {total / steps:.3f}, validation macro AUC {score:.3f}")
        if score > best:
            best = score
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
    readouts.detach_from_model()
    model.load_state_dict(best_state)
    return model.eval().to(memory_format=torch.contiguous_format)


def logits_of(
    model: nn.Module, population: Population, device: torch.device, batch_size: int = 64
) -> NDArray[np.float32]:
    """Logits ``[N, C]`` of all images, in float32, without training behaviour."""
    pixels, _, _ = _tensors(population, device)
    if hasattr(model, "stem"):
        model.eval()
    with torch.no_grad():
        parts = [model(_normalise(part, device)).cpu() for part in pixels.split(batch_size)]
    return torch.cat(parts).numpy()


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities ``[N, C]`` of logits ``[N, C]``, in double precision so that rows sum to 1."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class OutlineReadouts(nn.Module):
    """Linear maps from the units of the last two stages to the cells that each finding touches."""

    def __init__(self, model: PhantomClassifier) -> None:
        super().__init__()
        self.readouts = nn.ModuleList(
            nn.Conv2d(STAGES[name][0], len(FINDINGS), 1) for name in LAST_STAGES
        )
        for readout in self.readouts:
            nn.init.constant_(readout.bias, -4.0)
        self._maps: dict[str, Tensor] = {}
        self._hooks = [
            getattr(model, name).register_forward_hook(partial(self._keep, name))
            for name in LAST_STAGES
        ]

    def _keep(self, name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        self._maps[name] = output

    def loss(self, cells: Tensor) -> Tensor:
        """Mean binary cross-entropy of the maps kept by the last forward pass.

        ``cells`` is float ``[N, F, 32, 32]``; a coarser stage has a cell where any of the finer
        cells it covers has one.
        """
        weight = torch.tensor(FOUND_WEIGHT, device=cells.device)
        losses = []
        for name, readout in zip(LAST_STAGES, self.readouts, strict=True):
            scores = readout(self._maps[name])
            target = functional.adaptive_max_pool2d(cells, scores.shape[-2:])
            losses.append(
                functional.binary_cross_entropy_with_logits(scores, target, pos_weight=weight)
            )
        return torch.stack(losses).mean()

    def detach_from_model(self) -> None:
        """Remove the hooks, so that the trained network stands alone."""
        for hook in self._hooks:
            hook.remove()


def augment(
    images: Tensor, cells: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random mirror images, shifts of up to ``SHIFT`` cells and changes of contrast.

    ``images`` is ``[N, 1, H, W]``, normalised, and gets a black border where it was shifted;
    ``cells`` ``[N, F, H / CELL, W / CELL]`` moves along.
    """
    count = len(images)
    flips = torch.rand(count, 2, generator=generator) < 0.5
    shifts = torch.randint(0, 2 * SHIFT + 1, (count, 2), generator=generator).tolist()
    gain = 0.9 + 0.2 * torch.rand(count, 1, 1, 1, generator=generator)
    offset = 0.2 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)

    def move(batch: Tensor, step: int, border: float) -> Tensor:
        height, width = batch.shape[-2:]
        padded = functional.pad(batch, (SHIFT * step,) * 4, value=border)
        moved = []
        for image, flip, (down, right) in zip(padded, flips, shifts, strict=True):
            top, left = down * step, right * step
            cut = image[:, top : top + height, left : left + width]
            moved.append(cut.flip([axis + 1 for axis in range(2) if flip[axis]]))
        return torch.stack(moved)

    images = move(images, CELL, -MEAN / STD) * gain.to(images.device) + offset.to(images.device)
    return images.contiguous(memory_format=torch.channels_last), move(cells, 1, 0.0)


def _tensors(population: Population, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels ``[N, 1, H, W]``, labels and outlines, in pinned memory where that speeds copies."""
    pixels = torch.from_numpy(population.pixels)[:, None]
    labels = torch.from_numpy(population.labels)
    outlines = torch.from_numpy(population.outlines)
    if device.type == "cuda":
        return pixels.pin_memory(), labels.pin_memory(), outlines.pin_memory()
    return pixels, labels, outlines


def _normalise(pixels: Tensor, device: torch.device) -> Tensor:
    """Normalised float32 of 8-bit pixels, as ``Preprocessing`` does for PNG files."""
    values = pixels.to(device, non_blocking=True).float() / 255
    return ((values - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
