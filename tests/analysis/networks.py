"""Small networks of several families, and one whose units are known by construction."""

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.functional import interpolate

Network = TypeVar("Network", bound=nn.Module)


class Block(nn.Module):
    """As torchvision's BasicBlock: one in-place ReLU module used twice."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.downsample(x)
        return self.relu(out)


class SmallResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(True))
        self.stage1 = nn.Sequential(Block(6, 8, 1))
        self.stage2 = nn.Sequential(Block(8, 12, 2), Block(12, 12, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.stage1(self.stem(x)))
        return self.fc(self.drop(self.pool(x).flatten(1)))


class Dense(nn.Module):
    """Later layers see earlier ones by concatenation; two linear layers make the head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 4))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.head(torch.cat([first, self.second(first)], 1).mean((2, 3)))


class Mobile(nn.Module):
    """Depthwise convolution, squeeze and excitation, hard-swish, 1 x 1 convolution as the head."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Hardswish(True))
        self.depth = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.last = nn.SiLU()
        self.classify = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depth(self.expand(x))
        x = self.last(x * self.squeeze(x))
        return self.classify(x.mean((2, 3), keepdim=True)).flatten(1)


class Modern(nn.Module):
    """Layer norm over channels, GELU, layer scale, max pooling, upsampling, padding, chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.depth = nn.Conv2d(8, 8, 3, padding="same", groups=8)
        self.norm = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 16)
        self.narrow = nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.full((8,), 0.1))
        self.group = nn.GroupNorm(2, 8)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(nn.functional.gelu(self.wide(y), approximate="tanh"))
        x = self.group(x + y.permute(0, 3, 1, 2))
        x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = nn.functional.max_pool2d(nn.functional.pad(x, (1, 1, 1, 1)), 2)
        first, second = x.chunk(2, 1)
        batch, channels, height, width = x.shape
        x = torch.cat([first, second * torch.tensor(2.0)], 1)
        x = x.reshape(batch * channels, height * width).reshape(batch, channels, height, width)
        return self.fc(x.amax((2, 3)))


def bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def random_filter() -> Tensor:
    """8 x 8 weights without a constant part, which alone would see bright areas."""
    weights = torch.randn(1, 8, 8) / 8
    return weights - weights.mean()


class SquareDetector(nn.Module):
    """Unit 3 sees bright areas of 8 x 8 pixels; the other units are random filters.

    For images with values up to 0.4 outside of bright squares (which have 0.6 to 1): the mean over
    8 x 8 pixels is above 0.55 only where most of them lie on a square.
    """

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Conv2d(1, 8, 8, 2, 4)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, 2)
        with torch.no_grad():
            for unit in range(8):
                self.units.weight[unit] = random_filter()
            bias(self.units).zero_()
            self.units.weight[3] = 1 / 64
            bias(self.units)[3] = -0.55

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.units(x)).mean((2, 3)))


def seeded(kind: type[Network], seed: int = 0) -> Network:
    """A network in eval mode with random weights and batch norm statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = kind()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
                nn.init.normal_(module.get_buffer("running_mean"), 0, 0.2)
                nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
    return network.eval()


def small_resnet() -> SmallResNet:
    return seeded(SmallResNet)


def export(network: nn.Module, shape: tuple[int, int, int], path: Path, **options: Any) -> None:
    example = torch.zeros(2, *shape)
    dynamic = options.get("dynamic_shapes", ({0: Dim("batch")},))
    program = torch.export.export(network, (example,), dynamic_shapes=dynamic)
    torch.export.save(program, path)
