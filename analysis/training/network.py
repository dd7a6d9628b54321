"""The demo classifier's network: a small residual CNN whose stages can be dissected."""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al., CVPR 2016), ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(y)) + self.shortcut(x))


class PhantomClassifier(nn.Module):
    """Logits ``[N, classes]`` of images ``[N, 1, 256, 256]``.

    Every stage ends in a ReLU, so its units are non-negative; their sizes are in ``STAGES``. The
    head is global average pooling and one linear layer, so that contributions add up to the logits.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.stage1 = ResidualBlock(16, 24, 2)
        self.stage2 = ResidualBlock(24, 32, 1)
        self.stage3 = ResidualBlock(32, 64, 2)
        self.stage4 = ResidualBlock(64, 96, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(96, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return self.head(self.flatten(self.pool(x)))


STAGES = {
    "stem": (16, 128, 128),
    "stage1": (24, 64, 64),
    "stage2": (32, 64, 64),
    "stage3": (64, 32, 32),
    "stage4": (96, 16, 16),
}
"""Units, height and width of each stage for an input of 256 x 256 pixels."""
LAST_STAGES = ("stage3", "stage4")


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
