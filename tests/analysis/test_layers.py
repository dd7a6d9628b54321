from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.models.errors import ModelError
from analysis.models.layers import head_weights, inspect_model
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks

COLOUR = Preprocessing((32, 32), 3, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def resnet(resnet_file: Path) -> nn.Module:
    return load_model(resnet_file, torch.device("cpu"))


def test_layers_are_listed_in_order_with_their_shapes(
    resnet: nn.Module, grey32: Preprocessing
) -> None:
    report = inspect_model(resnet, grey32, 3)
    layers = {layer.name: layer for layer in report.layers}
    assert report.output_shape == (3,)
    assert report.n_outputs == 3
    assert (layers["stem"].units, layers["stem"].height, layers["stem"].width) == (6, 16, 16)
    assert (layers["stage2"].units, layers["stage2"].height) == (12, 8)
    assert [layer.depth_index for layer in report.layers] == list(range(len(report.layers)))
    assert layers["stage1"].depth_index < layers["stage2"].depth_index
    assert layers["stage2"].nonnegative
    assert not layers["stage2.0.conv1"].nonnegative


def test_a_container_stands_for_its_last_child(resnet: nn.Module, grey32: Preprocessing) -> None:
    names = {layer.name for layer in inspect_model(resnet, grey32, 3).layers}
    assert {"stem", "stage1", "stage2", "stage2.0"} <= names
    assert not {"stem.2", "stage1.0", "stage2.1"} & names


def test_only_layers_with_maps_that_run_once_are_listed(
    resnet: nn.Module, grey32: Preprocessing
) -> None:
    names = {layer.name for layer in inspect_model(resnet, grey32, 3).layers}
    assert not {"fc", "drop", "stage1.0.relu"} & names


def test_a_layer_changed_in_place_later_is_listed_as_it_was(
    resnet: nn.Module, grey32: Preprocessing
) -> None:
    """stem.1 is batch norm, followed by an in-place ReLU on the same memory."""
    layers = {layer.name: layer for layer in inspect_model(resnet, grey32, 3).layers}
    assert not layers["stem.1"].nonnegative
    assert layers["stem"].nonnegative


def test_the_head_is_found_and_adds_up(resnet: nn.Module, grey32: Preprocessing) -> None:
    report = inspect_model(resnet, grey32, 3)
    assert report.head == "stage2"
    assert [layer.name for layer in report.layers if layer.is_head_input] == ["stage2"]
    head = head_weights(resnet, "stage2")
    assert head is not None
    original = networks.small_resnet()
    np.testing.assert_array_equal(head.weight, original.fc.weight.detach())
    np.testing.assert_array_equal(head.bias, original.fc.bias.detach())
    assert head_weights(resnet, "stage1") is None
    assert head_weights(resnet, "fc") is None


def test_a_1x1_convolution_can_be_the_head(export: Callable[..., Path]) -> None:
    network = networks.seeded(networks.Mobile)
    model = load_model(export(network, (3, 32, 32), "mobile"), torch.device("cpu"))
    report = inspect_model(model, COLOUR, 5)
    assert report.head == "last"
    head = head_weights(model, "last")
    assert head is not None
    np.testing.assert_array_equal(head.weight, network.classify.weight.detach()[:, :, 0, 0])


@pytest.mark.parametrize(("kind", "classes"), [(networks.Dense, 4), (networks.Modern, 2)])
def test_other_heads_are_not_taken_for_linear_ones(
    kind: type[nn.Module], classes: int, export: Callable[..., Path]
) -> None:
    """Dense has two linear layers and a concatenation; Modern pools by the maximum."""
    model = load_model(export(networks.seeded(kind), (3, 32, 32), kind.__name__))
    report = inspect_model(model, COLOUR, classes)
    assert report.head is None
    assert report.layers


def test_plain_modules_work_when_their_input_shape_is_given(grey32: Preprocessing) -> None:
    network = networks.small_resnet()
    assert inspect_model(network, grey32, 3).head == "stage2"
    assert head_weights(network, "stage2", (1, 32, 32)) is not None
    with pytest.raises(ModelError, match="input_shape"):
        head_weights(network, "stage2")


def test_probabilities_in_place_of_logits_are_refused(grey32: Preprocessing) -> None:
    network = nn.Sequential(networks.small_resnet(), nn.Softmax(1))
    with pytest.raises(ModelError, match="Export logits, without softmax"):
        inspect_model(network, grey32, 3)


def test_a_model_without_a_layer_to_dissect_is_refused(grey32: Preprocessing) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 3))
    with pytest.raises(ModelError, match=r"No submodule .* nn\.Conv2d/nn\.ReLU"):
        inspect_model(network, grey32, 3)


def test_an_unknown_layer_is_named(resnet: nn.Module) -> None:
    with pytest.raises(ModelError, match="no layer named 'stage9'"):
        head_weights(resnet, "stage9")


def test_a_head_is_looked_for_once_until_the_weights_change() -> None:
    network = networks.small_resnet()
    runs: list[int] = []
    network.register_forward_hook(lambda *_a: runs.append(1))
    first = head_weights(network, "stage2", (1, 32, 32))
    assert head_weights(network, "stage2", (1, 32, 32)) is first
    assert head_weights(network, "stage1", (1, 32, 32)) is None
    assert head_weights(network, "stage1", (1, 32, 32)) is None
    assert len(runs) == 2
    with torch.no_grad():
        network.fc.weight.mul_(3)
    changed = head_weights(network, "stage2", (1, 32, 32))
    assert first is not None
    assert changed is not None
    np.testing.assert_allclose(changed.weight, 3 * first.weight, rtol=1e-6)
