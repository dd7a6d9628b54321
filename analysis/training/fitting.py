"""The training of the demo classifier, in two phases.

First on crops around the outlined findings, then on whole images (Shen et al., Scientific Reports
9, 2019): findings of a few pixels would take many more whole images to be discovered. In both
phases linear readouts of the last two stages learn, as a second task, which cells each finding
touches. They are dropped after training: the classifier sees pixels only.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import nn
from torch.nn import functional

from analysis.training.batches import Tensors, normalise, training_batches
from analysis.training.metrics import macro_auc
from analysis.training.network import PhantomClassifier
from analysis.training.population import Population
from analysis.training.readouts import OutlineReadouts

OUTLINE_WEIGHT = 0.5
"""Weight of the outlines against the class in the loss."""
HEAD_SPEED = 5.0
"""Learning rate of the head relative to the rest: averages over 256 cells are small inputs."""
MAX_GRADIENT = 2.0
"""Gradients longer than this are shortened."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; one crop epoch costs a quarter of an epoch."""

    epochs: int
    crop_epochs: int
    batch_size: int = 16
    crop_rate: float = 3e-3
    rate: float = 1.2e-3
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
    model = PhantomClassifier().to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    readouts = OutlineReadouts(model).to(device)
    tensors = Tensors.of(train, device)

    def phase(epochs: int, rate: float, crops: bool) -> Iterator[tuple[int, float]]:
        """Train for some epochs; yields the number and the mean loss of each."""
        steps = epochs * (len(train.labels) // schedule.batch_size)
        optimizer, rates = _optimizer(model, readouts, rate, schedule.weight_decay, steps)
        for epoch in range(1, epochs + 1):
            model.train()
            batches = training_batches(tensors, schedule.batch_size, crops, device, generator)
            losses = []
            for images, labels, cells in batches:
                with _autocast(device):
                    loss = functional.cross_entropy(model(images), labels, label_smoothing=0.03)
                    loss = loss + OUTLINE_WEIGHT * readouts.loss(cells)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
                optimizer.step()
                rates.step()
                losses.append(loss.item())
            yield epoch, float(np.mean(losses))

    for epoch, loss in phase(schedule.crop_epochs, schedule.crop_rate, crops=True):
        report(f"crops {epoch:2d}: loss {loss:.3f}")
    best, best_state = -1.0, model.state_dict()
    for epoch, loss in phase(schedule.epochs, schedule.rate, crops=False):
        score = macro_auc(validation.labels, softmax(logits_of(model, validation, device)))
        report(f"epoch {epoch:2d}: loss {loss:.3f}, validation macro AUC {score:.3f}")
        if score > best:
            best = score
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
    readouts.detach_from_model()
    model.load_state_dict(best_state)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return model.eval()


def _optimizer(
    model: PhantomClassifier, readouts: nn.Module, rate: float, weight_decay: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW whose rates rise over the first fifth of the steps and fall to zero at the end."""
    head = list(model.head.parameters())
    body = [p for name, p in model.named_parameters() if not name.startswith("head.")]
    optimizer = torch.optim.AdamW(
        [{"params": [*body, *readouts.parameters()]}, {"params": head}],
        weight_decay=weight_decay,
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate, HEAD_SPEED * rate], total_steps=steps, pct_start=0.2
    )
    return optimizer, rates


def logits_of(
    model: nn.Module, population: Population, device: torch.device, batch_size: int = 64
) -> NDArray[np.float32]:
    """Logits ``[N, C]`` of all images, in float32, without training behaviour."""
    if isinstance(model, PhantomClassifier):
        model.eval()
    pixels = Tensors.of(population, device).pixels
    with torch.no_grad():
        parts = [model(normalise(part, device)).cpu() for part in pixels.split(batch_size)]
    return torch.cat(parts).numpy()


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities ``[N, C]`` of logits ``[N, C]``, in double precision so that rows sum to 1."""
    return np.asarray(special.softmax(logits.astype(np.float64), axis=1))


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
