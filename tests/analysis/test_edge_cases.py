"""Odd networks and odd data: each works, or fails with words that say what to do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.data import Sample, read_sample
from analysis.dissection import DissectionError, DissectionSettings, LayerResult, dissect
from analysis.dissection.forward import folded_graph
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures

SETTINGS = DissectionSettings(quantile=0.9, top_k=3, batch_size=8, influence_samples=2)


class Odd(nn.Module):
    """Layers of many kinds on [n, 1, 32, 32], behind them pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.twice = nn.Conv2d(4, 4, 3, 1, 1)
        self.pair = Pair()
        self.tokens = nn.Flatten(2)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(x)))
        x = self.twice(self.twice(x))
        x, means = self.pair(x)
        return self.fc(self.tokens(x).mean(2)) + means[:, :2]


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, x.mean((2, 3))


def run(
    model: nn.Module,
    layer: str,
    samples: list[Sample],
    preprocessing: Preprocessing,
    concepts: tuple[str, ...] = ("blob",),
    settings: DissectionSettings = SETTINGS,
) -> LayerResult:
    found = dissect(model, [layer], samples, preprocessing, 2, concepts, settings)
    return found.layers[layer]


@pytest.fixture(scope="module")
def samples(noise_samples: list[Sample]) -> list[Sample]:
    return [replace(sample, label=i % 2) for i, sample in enumerate(noise_samples)]


@pytest.fixture(params=["python", "exported"])
def odd(request: pytest.FixtureRequest, export: Callable[..., Path]) -> nn.Module:
    network = networks.seeded(Odd)
    if request.param == "python":
        return network
    return load_model(export(network, (1, 32, 32), "odd"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("fc", r"'fc' gives .*\(8, 2\), not maps"),
        ("tokens", "'tokens' gives .*not maps"),
        ("pair", "'pair' gives .*not maps"),
        ("twice", "'twice' runs more than once"),
    ],
)
def test_layers_without_one_map_a_unit_are_refused(
    odd: nn.Module,
    samples: list[Sample],
    grey32: Preprocessing,
    layer: str,
    message: str,
) -> None:
    with pytest.raises(DissectionError, match=message):
        run(odd, layer, samples, grey32)


@pytest.mark.parametrize("layer", ["conv", "norm", "relu"])
def test_a_layer_is_seen_before_it_is_changed_in_place(
    odd: nn.Module, samples: list[Sample], grey32: Preprocessing, layer: str
) -> None:
    result = run(odd, layer, samples, grey32)
    plain = networks.seeded(Odd)
    images = torch.stack([torch.from_numpy(grey32.apply(read_sample(s))) for s in samples])
    with torch.no_grad():
        maps = plain.conv(images)
        if layer != "conv":
            maps = plain.norm(maps)
        if layer == "relu":
            maps = maps.relu()
    np.testing.assert_allclose(result.maximum, maps.amax((0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(result.mean, maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert (result.quantiles[:, 0] < 0).all() == (layer != "relu")


def test_batch_norm_is_folded_only_in_exported_models(
    resnet_file: Path, grey32: Preprocessing
) -> None:
    example = torch.zeros(1, 32, 32)
    assert folded_graph(networks.small_resnet(), ("stage2",), example) is None
    model = load_model(resnet_file, torch.device("cpu"))
    folded = folded_graph(model, ("stage2", "stem.1"), example)
    assert folded is not None
    targets = [node.target for node in folded.graph.nodes]
    assert torch.ops.aten.batch_norm.default not in targets
    images = torch.randn(3, 1, 32, 32)
    logits, maps, _ = folded(images)
    np.testing.assert_allclose(logits, model(images), rtol=1e-4, atol=1e-6)
    assert maps.shape == (3, 12, 8, 8)


def test_a_model_in_bfloat16_is_near_the_model(
    resnet_file: Path, samples: list[Sample], grey32: Preprocessing
) -> None:
    model = load_model(resnet_file, torch.device("cpu"))
    labelled = [replace(sample, label=None) for sample in samples]
    near, exact = (
        dissect(model, ["stage2"], labelled, grey32, 3, [], replace(SETTINGS, precision=precision))
        for precision in ("bfloat16", "float32")
    )
    one, other = near.layers["stage2"], exact.layers["stage2"]
    np.testing.assert_allclose(one.mean, other.mean, atol=0.05 * np.abs(other.mean).max())
    np.testing.assert_allclose(near.logits, exact.logits, atol=0.05 * np.abs(exact.logits).max())
    assert (one.mean != other.mean).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_names_unit_and_image(
    odd: nn.Module, samples: list[Sample], grey32: Preprocessing, value: float
) -> None:
    with torch.no_grad():
        odd.get_parameter("conv.bias")[2] = value
    with pytest.raises(DissectionError, match=r"Unit 2 of layer 'relu'.*'image-0'"):
        run(odd, "relu", samples, grey32)


@pytest.mark.parametrize("statistics", ["exact", "sketch"])
@pytest.mark.parametrize("constant", [0.0, 2.5])
def test_constant_units_are_never_on(
    samples: list[Sample], grey32: Preprocessing, statistics: str, constant: float
) -> None:
    network = networks.seeded(Odd)
    with torch.no_grad():
        network.norm.weight[1] = 0
        network.norm.bias[1] = constant
    settings = replace(SETTINGS, statistics=statistics, information_quality=True)
    result = run(network, "relu", samples, grey32, settings=settings)
    assert result.threshold[1] == constant
    assert result.std[1] == pytest.approx(0, abs=1e-6)
    assert result.unit_area[1] == 0
    assert result.iou[1, 0] == 0
    assert result.iqr is not None
    assert result.iou_p is not None
    assert result.iqr[1, 0] == 0
    assert np.isnan(result.iou_p[1, 0])
    assert result.top_index[1].tolist() == [0, 3, 6]  # ties: the first image of each patient
    assert result.histogram[1].sum() == 30 * 16 * 16


def test_images_of_any_size_are_brought_to_the_model(grey32: Preprocessing) -> None:
    generator = np.random.default_rng(0)
    samples = []
    for i, (height, width) in enumerate([(1, 1), (7, 91), (300, 20), (32, 32), (64, 48)]):
        picture = generator.integers(0, 256, (height, width), np.uint8)
        mask = np.full((height, width), 255, np.uint8)
        mask[height // 2 :] = 0
        masks = {"top": pictures.opener(pictures.png(mask))}
        samples.append(Sample(str(i), pictures.opener(pictures.png(picture)), masks=masks))
    result = run(networks.seeded(Odd), "relu", samples, grey32, ("top",))
    assert result.top_maps.shape == (4, 3, 16, 16)
    assert result.concept_area[0] == pytest.approx(4 * 512, abs=64)


@pytest.mark.parametrize("statistics", ["exact", "sketch"])
def test_one_image_without_label_or_masks(
    samples: list[Sample], grey32: Preprocessing, statistics: str
) -> None:
    one = [replace(samples[1], label=None, masks={})]
    settings = replace(SETTINGS, statistics=statistics, information_quality=True)
    result = run(networks.seeded(Odd), "relu", one, grey32, settings=settings)
    assert np.isfinite(result.threshold).all()
    assert (result.top_index[:, 0] == 0).all()
    assert np.isnan(result.class_mean).all()
    assert np.isnan(result.selectivity).all()
    assert (result.iou == 0).all()
    assert np.isnan(result.iou_chance).all()
    assert result.iou_q is not None
    assert np.isnan(result.iou_q).all()
    without = run(networks.seeded(Odd), "relu", one, grey32, (), settings)
    assert without.iou.shape == (4, 0)
    assert without.iqr is not None
    assert without.iqr.shape == (4, 0)
