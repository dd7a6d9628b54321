"""Training batches: normalised pixels, random views of them, crops around findings."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from analysis.training.population import GRID, Population

MEAN = 0.18
STD = 0.19
"""Mean and standard deviation used to normalise pixels in [0, 1]."""
CELL = 8
"""Pixels per cell of the outline maps; images are shifted by whole cells in training."""
SHIFT = 2
"""Largest shift of an image in training, in cells."""
CROP = 16
"""Side of a crop, in cells."""
AIMED_CROPS = 0.9
"""Share of the images with findings whose crop contains one."""


@dataclass(frozen=True)
class Tensors:
    """A population as tensors: pixels uint8 ``[N, 1, H, W]``, labels ``[N]``, outlines."""

    pixels: Tensor
    labels: Tensor
    outlines: Tensor

    @classmethod
    def of(cls, population: Population, device: torch.device) -> "Tensors":
        """The arrays of ``population``, in pinned memory where that speeds copies to the device."""
        tensors = [
            torch.from_numpy(population.pixels)[:, None],
            torch.from_numpy(population.labels),
            torch.from_numpy(population.outlines),
        ]
        return cls(*(t.pin_memory() if device.type == "cuda" else t for t in tensors))


def training_batches(
    tensors: Tensors, size: int, crops: bool, device: torch.device, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """One epoch in random order as (images, labels, cells); an incomplete last batch is left out.

    With ``crops`` each image is replaced by a window of ``CROP`` x ``CROP`` cells and its label by
    the worst lesion in the window.
    """
    order = torch.randperm(len(tensors.labels), generator=generator)
    for batch in order[: len(order) // size * size].split(size):
        pixels, outlines = tensors.pixels[batch], tensors.outlines[batch]
        if crops:
            pixels, outlines = crop(pixels, outlines, generator)
        images = normalise(pixels, device)
        cells = outlines.to(device, non_blocking=True).float()
        images, cells = augment(images, cells, generator)
        labels = worst_lesion(cells) if crops else tensors.labels[batch]
        yield images, labels.to(device, non_blocking=True), cells


def worst_lesion(cells: Tensor) -> Tensor:
    """Class ``[N]`` (normal, benign, malignant) of the outlines ``[N, F, h, w]``."""
    benign, malignant = (cells[:, -2:].amax(dim=(2, 3)) > 0).unbind(dim=1)
    return torch.where(malignant, 2, torch.where(benign, 1, 0))


def normalise(pixels: Tensor, device: torch.device) -> Tensor:
    """Normalised float32 of 8-bit pixels, as ``Preprocessing`` does for PNG files."""
    values = pixels.to(device, non_blocking=True).float() / 255
    return ((values - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def crop(pixels: Tensor, outlines: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A window of each image, mostly around a finding where there is one."""
    images, cells = [], []
    for image, outline in zip(pixels, outlines, strict=True):
        places = outline.any(dim=0).nonzero()
        corner = torch.randint(0, GRID - CROP + 1, (2,), generator=generator)
        if len(places) and torch.rand((), generator=generator) < AIMED_CROPS:
            chosen = places[torch.randint(len(places), (), generator=generator)]
            inset = torch.randint(2, CROP - 2, (2,), generator=generator)
            corner = (chosen - inset).clamp(0, GRID - CROP)
        top, left = corner.tolist()
        cells.append(outline[:, top : top + CROP, left : left + CROP])
        side = CROP * CELL
        top, left = top * CELL, left * CELL
        images.append(image[:, top : top + side, left : left + side])
    return torch.stack(images), torch.stack(cells)


def augment(images: Tensor, cells: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
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
