"""Ablation over a data set, held against removal by a plain hook, image by image."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import nn

from analysis.ablation import (
    AblationError,
    AblationSettings,
    ablate,
    ablate_units,
    cumulative_removal,
    measure,
    ranking,
)
from analysis.data import Sample, decode_input
from analysis.errors import Cancelled
from analysis.models.errors import ModelError
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures

COLOUR = Preprocessing((32, 32), 3, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def model(resnet_file: Path) -> nn.Module:
    return load_model(resnet_file, torch.device("cpu"))


@pytest.fixture(scope="module")
def samples(noise_samples: list[Sample]) -> list[Sample]:
    return noise_samples[:9]


def inputs_of(samples: Sequence[Sample], preprocessing: Preprocessing) -> torch.Tensor:
    return torch.stack([decode_input(sample, preprocessing) for sample in samples])


def maps_of(model: nn.Module, layer: str, inputs: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(
        lambda _m, _i, output: seen.append(output.clone())
    )
    with torch.no_grad():
        model(inputs.clone())
    handle.remove()
    return seen[0]


def removed(
    model: nn.Module, layer: str, inputs: torch.Tensor, units: list[int], fill: np.ndarray
) -> np.ndarray:
    def hook(_m: nn.Module, _i: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        for unit in units:
            output[:, unit] = float(fill[unit])
        return output

    handle = model.get_submodule(layer).register_forward_hook(hook)
    with torch.no_grad():
        logits = torch.cat([model(image[None].clone()) for image in inputs])
    handle.remove()
    return logits.numpy()


@pytest.mark.parametrize("fill", ["zero", "mean", 0.7, "each"])
@pytest.mark.parametrize(
    ("layer", "method"), [("stage2", "exact"), ("stage1", "measured"), ("stem.1", "measured")]
)
def test_it_equals_real_removal(
    model: nn.Module,
    samples: list[Sample],
    grey32: Preprocessing,
    layer: str,
    method: str,
    fill: str | float,
) -> None:
    inputs = inputs_of(samples, grey32)
    maps = maps_of(model, layer, inputs)
    units = maps.shape[1]
    fills = {"zero": np.zeros(units), "mean": maps.mean((0, 2, 3)).numpy()}
    fills["each"] = np.linspace(-1, 1, units)
    values = fills.get(str(fill), np.full(units, 0.7))
    sets = [[0], [3, 1, 1], list(range(units)), [], [units - 1]]
    result = ablate(
        model,
        layer,
        samples,
        grey32,
        sets,
        fill=values if fill == "each" else fill,  # type: ignore[arg-type]
        settings=AblationSettings(batch_size=4),
    )
    assert result.method == method
    assert result.sets == [[0], [1, 3], list(range(units)), [], [units - 1]]
    expected = np.stack([removed(model, layer, inputs, chosen, values) for chosen in sets])
    np.testing.assert_allclose(result.logits_after(slice(None)), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        result.logits_before, removed(model, layer, inputs, [], values), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("layer", ["stage2", "stage1"])
def test_each_unit_alone(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing, layer: str
) -> None:
    result = ablate_units(model, layer, samples, grey32)
    inputs = inputs_of(samples, grey32)
    units = maps_of(model, layer, inputs).shape[1]
    assert result.sets == [[k] for k in range(units)]
    after = np.stack([removed(model, layer, inputs, [k], np.zeros(units)) for k in range(units)])
    np.testing.assert_allclose(
        result.after.logit_shift, (after - result.logits_before).mean(1), rtol=1e-3, atol=1e-5
    )
    flips = (after.argmax(2) != result.logits_before.argmax(1)).mean(1)
    np.testing.assert_allclose(result.after.flips, flips)
    truth = np.array([sample.label for sample in samples])
    np.testing.assert_allclose(result.after.accuracy, (after.argmax(2) == truth).mean(1))


def test_the_whole_model_is_run_where_it_cannot_be_cut(
    samples: list[Sample], grey32: Preprocessing
) -> None:
    """A network that asks for values in the middle of its run cannot be exported."""

    class Asking(networks.SmallResNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stage1(self.stem(x))
            return super().forward(x[:, :1]) if float(x.sum()) < -1e9 else self.rest(x)

        def rest(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.pool(self.stage2(x)).flatten(1))

    network = networks.seeded(Asking)
    result = ablate(network, "stage1", samples, grey32, [[2], [0, 5]])
    inputs = inputs_of(samples, grey32)
    expected = [removed(network, "stage1", inputs, units, np.zeros(8)) for units in ([2], [0, 5])]
    np.testing.assert_allclose(
        result.logits_after(slice(None)), np.stack(expected), rtol=1e-3, atol=1e-5
    )


def test_metrics_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    labels[:7] = -1
    before = generator.normal(size=(60, 3)).astype(np.float32)
    after = generator.normal(size=(4, 60, 3)).astype(np.float32)
    after[1] = 0
    found = measure(4, lambda part: after[part], before, labels)
    known = labels >= 0
    for s in range(4):
        probability = torch.softmax(torch.from_numpy(after[s]), 1).numpy()[known]
        predicted = after[s].argmax(1)
        assert found.accuracy[s] == pytest.approx((predicted == labels)[known].mean())
        assert found.flips[s] == pytest.approx((predicted != before.argmax(1)).mean())
        for c in range(3):
            truth, answer = labels[known] == c, predicted[known] == c
            assert found.auc[s, c] == pytest.approx(roc_auc_score(truth, probability[:, c]))
            assert found.balanced_accuracy[s, c] == pytest.approx(
                balanced_accuracy_score(truth, answer)
            )
            assert found.class_accuracy[s, c] == pytest.approx(answer[truth].mean())
            assert found.logit_shift[s, c] == pytest.approx(
                after[s, :, c].mean() - before[:, c].mean(), abs=1e-6
            )
    assert found.auc[1] == pytest.approx(0.5)


def test_what_no_image_defines_is_nan() -> None:
    before = np.zeros((3, 2), np.float32)
    found = measure(1, lambda _part: before[None] + 1, before, np.array([-1, 0, 0]))
    assert found.accuracy.tolist() == [1]
    assert np.isnan(found.class_accuracy[0, 1])
    assert np.isnan(found.auc).all()
    nothing = measure(1, lambda _part: before[None] + 1, before, np.full(3, -1))
    assert np.isnan(nothing.accuracy).all()
    assert np.isnan(nothing.auc).all()
    np.testing.assert_array_equal(nothing.logit_shift, [[1, 1]])
    assert nothing.flips.tolist() == [0]


class Sum(nn.Module):
    """Four units that see brightness; class 1 takes units 0 to 2 with weights 8, 4 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Conv2d(1, 4, 1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, 2)
        with torch.no_grad():
            self.units.weight.fill_(1)
            networks.bias(self.units).zero_()
            self.fc.weight.zero_()
            self.fc.weight[1] = torch.tensor([8.0, 4.0, 2.0, 0.0])
            self.fc.bias.copy_(torch.tensor([5.0, 0.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.units(x)).mean((2, 3)))


@pytest.fixture
def brightness() -> list[Sample]:
    """Class 1 is brighter: 0.45 to 0.95; class 0 is 0.05 to 0.3."""
    levels = [(0.05, 0), (0.1, 0), (0.2, 0), (0.3, 0), (0.45, 1), (0.6, 1), (0.8, 1), (0.95, 1)]
    return [
        Sample(
            f"{level}",
            pictures.opener(pictures.png(np.full((8, 8), round(255 * level), np.uint8))),
            ".png",
            label=label,
        )
        for level, label in levels
    ]


@pytest.mark.parametrize("layer", ["relu", "units"])
def test_curves_fall_soonest_when_the_important_units_go_first(
    brightness: list[Sample], layer: str
) -> None:
    network = networks.seeded(Sum)
    grey = Preprocessing((8, 8), 1, (0.0,), (1.0,))
    singles = ablate_units(network, layer, brightness, grey)
    ranked = ranking(singles, target=1)
    assert ranked.tolist() == [0, 1, 2, 3]
    assert ranking(singles).tolist() == [0, 1, 2, 3]
    curves = cumulative_removal(network, layer, brightness, grey, ranked, counts=[0, 1, 2, 4, 9])
    assert curves["best"].counts == [0, 1, 2, 4]
    assert curves["best"].removed == [[], [0], [0, 1], [0, 1, 2, 3]]
    assert curves["worst"].removed == [[], [3], [2, 3], [0, 1, 2, 3]]
    assert curves["keep"].removed == [[0, 1, 2, 3], [1, 2, 3], [2, 3], []]
    assert [len(chosen) for chosen in curves["random"].removed] == [0, 1, 2, 4]
    recall = {order: curve.metrics.class_accuracy[:, 1] for order, curve in curves.items()}
    np.testing.assert_allclose(recall["best"], [1, 0.25, 0, 0])
    np.testing.assert_allclose(recall["worst"], [1, 1, 1, 0])
    np.testing.assert_allclose(recall["keep"], [0, 0.5, 1, 1])
    again = cumulative_removal(network, layer, brightness, grey, ranked, counts=[2])
    assert again["random"].removed == [curves["random"].removed[2]]


def test_one_image_and_unreadable_ones(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing
) -> None:
    bad = Sample("bad", pictures.opener(b"x"), ".png", label=0)
    for layer in ("stage2", "stage1"):
        result = ablate(model, layer, [bad, samples[2]], grey32, [[1]])
        assert result.keys == [samples[2].key]
        assert [key for key, _ in result.skipped] == ["bad"]
        assert result.labels.tolist() == [2]
        assert result.logits_after(slice(None)).shape == (1, 1, 3)
        with pytest.raises(AblationError, match=r"No image can be read\..*'bad'"):
            ablate(model, layer, [bad], grey32, [[1]])


@pytest.mark.parametrize("layer", ["stage2", "stage1"])
def test_it_is_the_same_each_time(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing, layer: str
) -> None:
    first, second = (ablate_units(model, layer, samples, grey32, fill="mean") for _ in range(2))
    np.testing.assert_array_equal(first.logits_after(slice(None)), second.logits_after(slice(None)))
    np.testing.assert_array_equal(first.after.auc, second.after.auc)


def test_a_head_that_holds_for_noise_only_is_refused(samples: list[Sample]) -> None:
    class Bent(Sum):
        """Linear for the noise that heads are looked for with, not for bright images."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * torch.where(x.mean((1, 2, 3)) > 5, 2, 1)[:, None]

    bright = Preprocessing((32, 32), 1, (-10.0,), (1.0,))
    with pytest.raises(AblationError, match="miss the logits"):
        ablate(networks.seeded(Bent), "relu", samples, bright, [[0]])


def test_large_results_go_to_a_file(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing, tmp_path: Path
) -> None:
    small = AblationSettings(cache_bytes=0, cache_folder=tmp_path)
    for layer in ("stage2", "stage1"):
        on_disk = ablate_units(model, layer, samples, grey32, settings=small)
        in_memory = ablate_units(model, layer, samples, grey32)
        np.testing.assert_array_equal(
            on_disk.logits_after(slice(None)), in_memory.logits_after(slice(None))
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", ["stage2", "stage1"])
def test_progress_and_cancellation(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing, layer: str
) -> None:
    seen: list[tuple[int, int]] = []
    ablate_units(
        model,
        layer,
        samples,
        grey32,
        fill="mean",
        settings=AblationSettings(batch_size=4),
        progress=lambda done, total, _message: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) > 4
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Cancelled):
        ablate_units(model, layer, samples, grey32, should_stop=soon)
    assert len(asked) == 2


def test_wrong_questions_are_named(
    model: nn.Module, samples: list[Sample], grey32: Preprocessing
) -> None:
    with pytest.raises(AblationError, match="no images"):
        ablate(model, "stage2", [], grey32, [[0]])
    with pytest.raises(AblationError, match="from 0 to 11"):
        ablate(model, "stage2", samples, grey32, [[12]])
    with pytest.raises(AblationError, match="from 0 to 7"):
        ablate(model, "stage1", samples, grey32, [[-1]])
    with pytest.raises(AblationError, match="fill must be"):
        ablate(model, "stage1", samples, grey32, [[0]], fill=[1.0, 2.0])
    with pytest.raises(ModelError, match="does not give maps"):
        ablate(model, "fc", samples, grey32, [[0]])
    with pytest.raises(ModelError, match="no layer named"):
        ablate(model, "stage9", samples, grey32, [[0]])
    wrong = [Sample("far", samples[0].open, ".png", label=3)]
    with pytest.raises(AblationError, match="'far' has class 3"):
        ablate(model, "stage2", wrong, grey32, [[0]])
    with pytest.raises(AblationError, match="each of the 12 units"):
        cumulative_removal(model, "stage2", samples, grey32, range(11))
    with pytest.raises(AblationError, match="result of ablate_units"):
        ranking(ablate(model, "stage2", samples, grey32, [[1]]))
    unlabelled = [Sample("none", samples[0].open, ".png")]
    with pytest.raises(AblationError, match="cannot be ranked"):
        ranking(ablate_units(model, "stage2", unlabelled, grey32))


def test_a_concatenating_network(noise_samples: list[Sample], export: Callable[..., Path]) -> None:
    network = load_model(export(networks.seeded(networks.Dense), (3, 32, 32), "dense-study"))
    samples = [Sample(s.key, s.open, s.suffix) for s in noise_samples[:3]]
    result = ablate_units(network, "second", samples, COLOUR)
    inputs = inputs_of(samples, COLOUR)
    expected = [removed(network, "second", inputs, [k], np.zeros(6)) for k in range(6)]
    np.testing.assert_allclose(
        result.logits_after(slice(None)), np.stack(expected), rtol=1e-3, atol=1e-5
    )
