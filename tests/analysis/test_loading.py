from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from analysis.models.errors import ModelError
from analysis.models.layers import inspect_model
from analysis.models.loading import load_model, pick_device
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks


def test_the_model_is_ready_for_inference(resnet_file: Path) -> None:
    model = load_model(resnet_file)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert next(model.parameters()).device.type == pick_device().type
    names = [name for name, _ in model.named_modules()]
    assert {"stage2", "stage2.0.conv1", "fc"} <= set(names)


def test_models_in_training_mode_are_refused(tmp_path: Path) -> None:
    network = networks.seeded(networks.SmallResNet).train()
    networks.export(network, (1, 32, 32), tmp_path / "x.pt2")
    with pytest.raises(ModelError, match=r"call model\.eval\(\)|Call model\.eval\(\)"):
        load_model(tmp_path / "x.pt2")


def test_a_fixed_batch_size_is_named_with_the_remedy(tmp_path: Path, grey32: Preprocessing) -> None:
    networks.export(networks.small_resnet(), (1, 32, 32), tmp_path / "x.pt2", dynamic_shapes=None)
    model = load_model(tmp_path / "x.pt2")
    with pytest.raises(ModelError, match=r"exactly 2 images.*Dim\(\"batch\"\)"):
        inspect_model(model, grey32, 3)


def test_another_image_size_is_named(resnet_file: Path) -> None:
    larger = Preprocessing((64, 48), 1, (0.5,), (0.25,))
    with pytest.raises(ModelError, match=r"\(1, 32, 32\).*\(1, 64, 48\)"):
        inspect_model(load_model(resnet_file), larger, 3)


def test_the_number_of_classes_is_checked(resnet_file: Path, grey32: Preprocessing) -> None:
    with pytest.raises(ModelError, match="3 outputs, but 4 class names"):
        inspect_model(load_model(resnet_file), grey32, 4)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.conv(x)
        return y.mean((2, 3)), y


class NotANumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean((2, 3)) / 0


@pytest.mark.parametrize(
    ("network", "message"), [(TwoOutputs(), "one tensor"), (NotANumber(), "not finite")]
)
def test_unusable_outputs_are_named(
    network: nn.Module, message: str, export: Callable[..., Path], grey32: Preprocessing
) -> None:
    model = load_model(export(network.eval(), (1, 32, 32), "odd"))
    with pytest.raises(ModelError, match=message):
        inspect_model(model, grey32, 3)
