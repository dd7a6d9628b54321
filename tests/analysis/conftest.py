from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.data import Sample
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a network with a free batch size and give the path of the .pt2 file."""
    folder = tmp_path_factory.mktemp("exported")

    def write(network: nn.Module, shape: tuple[int, int, int], name: str = "net") -> Path:
        path = folder / f"{name}.pt2"
        networks.export(network, shape, path)
        return path

    return write


@pytest.fixture(scope="session")
def resnet_file(export: Callable[..., Path]) -> Path:
    return export(networks.small_resnet(), (1, 32, 32), "resnet")


@pytest.fixture(scope="session")
def grey32() -> Preprocessing:
    return Preprocessing((32, 32), 1, (0.5,), (0.25,))


@pytest.fixture(scope="session")
def noise_samples() -> list[Sample]:
    """30 noise images of 10 patients and 3 classes; about half carry the concept "blob"."""
    generator = np.random.default_rng(5)
    samples = []
    for i in range(30):
        picture = generator.integers(0, 256, (32, 32), np.uint8)
        masks = {}
        if i % 2:
            mask = np.zeros((32, 32), np.uint8)
            row, column = generator.integers(0, 20, 2)
            mask[row : row + 10, column : column + 8] = 255
            masks["blob"] = pictures.opener(pictures.png(mask))
        samples.append(
            Sample(
                key=f"image-{i}",
                open=pictures.opener(pictures.png(picture)),
                suffix=".png",
                group=f"patient-{i // 3}",
                label=i % 3,
                masks=masks,
            )
        )
    return samples
