import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from analysis.models.ablation import Ablator
from analysis.models.errors import ModelError
from analysis.models.loading import load_model
from tests.analysis import networks

CPU = torch.device("cpu")


def removed(model: nn.Module, layer: str, image: torch.Tensor, units: list[int]) -> torch.Tensor:
    """Independent of Ablator: one image, one hook that writes zeros."""

    def hook(_m: nn.Module, _i: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        for unit in units:
            output[:, unit] = 0
        return output

    handle = model.get_submodule(layer).register_forward_hook(hook)
    with torch.no_grad():
        logits = model(image[None].clone())[0]
    handle.remove()
    return logits


CASES = [
    (networks.SmallResNet, 1, "stem"),
    (networks.SmallResNet, 1, "stem.1"),
    (networks.SmallResNet, 1, "stage1"),
    (networks.SmallResNet, 1, "stage2.0.conv1"),
    (networks.SmallResNet, 1, "stage2.0.bn2"),
    (networks.SmallResNet, 1, "stage2"),
    (networks.Dense, 3, "first"),
    (networks.Dense, 3, "second"),
    (networks.Mobile, 3, "expand"),
    (networks.Modern, 3, "depth"),
    (networks.Modern, 3, "patch"),
]


@pytest.mark.parametrize("exported", [True, False])
@pytest.mark.parametrize(("kind", "channels", "layer"), CASES)
def test_it_equals_a_hook_that_writes_zeros(
    kind: type[nn.Module], channels: int, layer: str, exported: bool, export: Callable[..., Path]
) -> None:
    model = networks.seeded(kind)
    if exported:
        model = load_model(export(model, (channels, 32, 32), kind.__name__), CPU)
    image = torch.randn(channels, 32, 32, generator=torch.Generator().manual_seed(1))
    before = image.clone()
    ablator = Ablator(model, layer, batch_size=3)
    assert ablator.cut(image[None]).split.cuts
    logits, maps = ablator.observe(image)
    torch.testing.assert_close(logits, removed(model, layer, image, []))
    units = len(maps)
    sets = [[0], [1, 2], list(range(units)), [], [units - 1], [0, units - 1], [3]]
    keep = torch.ones(len(sets), units)
    for row, chosen in enumerate(sets):
        keep[row, chosen] = 0
    expected = torch.stack([removed(model, layer, image, chosen) for chosen in sets])
    torch.testing.assert_close(ablator.logits(image, keep), expected, rtol=1e-4, atol=1e-5)
    single = torch.stack([logits - removed(model, layer, image, [k]) for k in range(units)])
    torch.testing.assert_close(ablator.effects(image), single, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(image, before, rtol=0, atol=0)


def test_observed_maps_are_those_before_a_later_in_place_change() -> None:
    model = networks.small_resnet()
    image = torch.randn(1, 32, 32)
    _, maps = Ablator(model, "stem.1").observe(image)
    expected = model.stem[1](model.stem[0](image[None]))[0]
    torch.testing.assert_close(maps, expected)
    assert maps.min() < 0


def test_only_the_layers_behind_are_run_again(resnet_file: Path) -> None:
    model = load_model(resnet_file, CPU)
    image = torch.randn(1, 32, 32)
    ablator = Ablator(model, "stage1")
    cut = ablator.cut(image[None])
    assert cut.split.cuts
    calls: list[str] = []
    for name in ("stem", "stage1", "stage2"):
        model.get_submodule(name).register_forward_hook(lambda *_a: calls.append("whole model"))
    ablator.resumed(cut, torch.ones(5, 8))
    assert not calls


def test_changed_weights_are_noticed() -> None:
    model = networks.small_resnet()
    image = torch.randn(1, 32, 32)
    ablator = Ablator(model, "stage1")
    ablator.effects(image)
    with torch.no_grad():
        model.fc.weight.mul_(2)
        model.stage2[0].conv1 = torch.nn.Conv2d(8, 12, 3, 2, 1, bias=False)
    torch.testing.assert_close(
        ablator.logits(image, torch.tensor([[0.0] * 8]))[0],
        removed(model, "stage1", image, list(range(8))),
    )


class TwoOutputs(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, x + 1


class Odd(nn.Module):
    """A layer that runs twice, and one with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(2, 2, 1)
        self.pair = TwoOutputs()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.pair(self.twice(self.twice(x)))
        return (first + second).mean((2, 3))


@pytest.mark.parametrize(
    ("layer", "words"), [("twice", "runs 2 times"), ("pair", "not give one tensor")]
)
@pytest.mark.parametrize("exported", [True, False])
def test_layers_without_one_map_are_named(
    layer: str, words: str, exported: bool, export: Callable[..., Path]
) -> None:
    model: nn.Module = networks.seeded(Odd)
    if exported:
        model = load_model(export(model, (2, 8, 8), "odd"), CPU)
    with pytest.raises(ModelError, match=words):
        Ablator(model, layer).observe(torch.randn(2, 8, 8))


def test_what_is_remembered_lives_no_longer_than_the_model() -> None:
    model = networks.small_resnet()
    Ablator(model, "stage1").observe(torch.randn(1, 32, 32))
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
