"""The networks that are measured, with random weights; one is a ResNet-18 (He et al. 2016)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim

from analysis.models.loading import load_model

LAST = "stage4"


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class ResNet18(nn.Module):
    """width: channels of the first stage (64 in the paper)."""

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        self.stage1 = nn.Sequential(Block(width, width, 1), Block(width, width, 1))
        self.stage2 = nn.Sequential(Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1))
        self.stage3 = nn.Sequential(Block(2 * width, 4 * width, 2), Block(4 * width, 4 * width, 1))
        self.stage4 = nn.Sequential(Block(4 * width, 8 * width, 2), Block(8 * width, 8 * width, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return self.fc(self.pool(x).flatten(1))


class Wide(nn.Module):
    """Almost nothing but units, on maps of side / 16: shows what the units themselves cost."""

    def __init__(self, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.units = nn.Conv2d(3, width, 16, 16)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.units(x)).mean((2, 3)))


def exported(kind: Literal["resnet18", "wide"], width: int, side: int) -> nn.Module:
    """A network as the product runs it: exported, and loaded again."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ResNet18(width=width) if kind == "resnet18" else Wide(width=width)
    example = torch.zeros(2, 3, side, side)
    program = torch.export.export(network.eval(), (example,), dynamic_shapes=({0: Dim("batch")},))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pt2"
        torch.export.save(program, path)
        return load_model(path, torch.device("cpu"))
