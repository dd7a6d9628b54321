from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.data import Sample, read_sample
from analysis.dissection import Cancelled
from analysis.explanation import ExplanationError, explain, predict
from analysis.explanation.predict import softmax
from analysis.explanation.removal import RemovalError, check_removal, random_sets
from analysis.models.ablation import Ablator
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures


@pytest.fixture(scope="module")
def model(resnet_file: Path) -> nn.Module:
    return load_model(resnet_file, torch.device("cpu"))


@pytest.fixture(scope="module")
def image(noise_samples: list[Sample]) -> np.ndarray:
    return read_sample(noise_samples[4])


def with_only(model: nn.Module, layer: str, inputs: torch.Tensor, kept: list[int]) -> np.ndarray:
    """Logits with all other units' maps set to zero by a plain hook."""

    def hook(_m: nn.Module, _i: object, output: torch.Tensor) -> torch.Tensor:
        result = torch.zeros_like(output)
        result[:, kept] = output[:, kept]
        return result

    handle = model.get_submodule(layer).register_forward_hook(hook)
    logits = model(inputs[None])[0].numpy()
    handle.remove()
    return logits


def test_predictions_are_those_of_the_model(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    samples = [noise_samples[0], Sample("bad", pictures.opener(b"x")), *noise_samples[1:]]
    seen: list[int] = []
    found = predict(
        model, samples, grey32, batch_size=8, progress=lambda done, _t, _m: seen.append(done)
    )
    assert found.skipped[0][0] == "bad"
    assert seen == [8, 16, 24, 31]
    assert np.isnan(found.logits[1]).all()
    one = torch.from_numpy(grey32.apply(read_sample(noise_samples[7])))
    np.testing.assert_allclose(found.logits[8], model(one[None])[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found.probabilities[8], torch.softmax(model(one[None])[0], 0), rtol=1e-4
    )
    with pytest.raises(Cancelled):
        predict(model, samples, grey32, should_stop=lambda: True)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_additive_contributions_and_bias_sum_to_the_logit(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing, target: int
) -> None:
    evidence = explain(model, "stage2", image, grey32, target=target, named_units=[1])
    inputs = torch.from_numpy(grey32.apply(image))
    logits = model(inputs[None])[0].numpy()
    assert evidence.method == "additive"
    assert evidence.bias is not None
    np.testing.assert_allclose(evidence.logits, logits, rtol=1e-5)
    assert evidence.bias + evidence.effects.sum() == pytest.approx(logits[target], rel=1e-4)
    np.testing.assert_array_equal(evidence.effects, evidence.effects_all[:, target])
    np.testing.assert_allclose(evidence.probabilities.sum(), 1, rtol=1e-6)
    assert evidence.maps.shape == (12, 8, 8)


def test_additive_contributions_equal_really_removing_each_unit(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    evidence = explain(model, "stage2", image, grey32, target=0, named_units=[])
    inputs = torch.from_numpy(grey32.apply(image))
    for unit in range(12):
        others = [k for k in range(12) if k != unit]
        effect = evidence.logits - with_only(model, "stage2", inputs, others)
        np.testing.assert_allclose(evidence.effects_all[unit], effect, rtol=1e-3, atol=1e-5)


def test_other_layers_have_measured_effects(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    evidence = explain(model, "stage1", image, grey32, target=2, named_units=[0, 4])
    inputs = torch.from_numpy(grey32.apply(image))
    assert evidence.method == "ablation"
    assert evidence.bias is None
    for unit in range(8):
        others = [k for k in range(8) if k != unit]
        effect = evidence.logits - with_only(model, "stage1", inputs, others)
        np.testing.assert_allclose(evidence.effects_all[unit], effect, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layer", ["stage2", "stage1"])
def test_removal_is_real(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing, layer: str
) -> None:
    named = [5, 2, 2]
    evidence = explain(model, layer, image, grey32, target=1, named_units=named, n_random=10)
    inputs = torch.from_numpy(grey32.apply(image))
    units = len(evidence.effects)
    removal = evidence.removal
    after = with_only(model, layer, inputs, [k for k in range(units) if k not in named])
    kept = with_only(model, layer, inputs, [2, 5])
    assert removal.units == [2, 5]
    assert removal.logit_before == pytest.approx(float(evidence.logits[1]), rel=1e-4)
    assert removal.logit_after == pytest.approx(float(after[1]), rel=1e-3, abs=1e-5)
    assert removal.probability_before == pytest.approx(float(evidence.probabilities[1]), rel=1e-4)
    assert removal.probability_after == pytest.approx(float(softmax(after)[1]), rel=1e-3)
    assert removal.kept_probability == pytest.approx(float(softmax(kept)[1]), rel=1e-3)
    drop = removal.probability_before - removal.probability_after
    random_drops = removal.probability_before - removal.random_probability_after
    assert removal.n_random == len(random_drops) == 10
    assert removal.rank == pytest.approx((1 + (random_drops >= drop).sum()) / 11)


def test_random_removals_equal_really_removing_them(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    """Behind a pooled linear head their logits come from the contributions."""
    evidence = explain(model, "stage2", image, grey32, target=1, named_units=[4, 7], n_random=9)
    inputs = torch.from_numpy(grey32.apply(image))
    _, maps = Ablator(model, "stage2").observe(inputs)
    activation = maps.abs().flatten(1).mean(1).numpy()
    sets = random_sets(activation, [4, 7], 9, np.random.default_rng(0))
    for chosen, probability in zip(sets, evidence.removal.random_probability_after, strict=True):
        logits = with_only(model, "stage2", inputs, [k for k in range(12) if k not in chosen])
        assert probability == pytest.approx(float(softmax(logits)[1]), rel=1e-3)


def test_contributions_that_do_not_foretell_the_removal_are_refused(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    inputs = torch.from_numpy(grey32.apply(image))
    ablator = Ablator(model, "stage1")
    cut = ablator.cut(inputs[None])
    with pytest.raises(RemovalError, match="other logits"):
        check_removal(
            ablator, cut, np.ones(8, np.float32), 0, [1], 5, 0, additive=np.full((8, 3), 0.2)
        )


class OneCause(nn.Module):
    """The logit of class 1 is the mean of units 0 and 1; the other 30 units reach no class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(32, 2)
        with torch.no_grad():
            self.conv.weight.abs_()
            networks.bias(self.conv).fill_(0.5)
            self.fc.weight.zero_()
            self.fc.weight[1, :2] = 5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


def test_the_check_supports_the_cause_and_not_a_bystander(
    image: np.ndarray, grey32: Preprocessing
) -> None:
    network = networks.seeded(OneCause)
    cause = explain(network, "relu", image, grey32, target=1, named_units=[0, 1]).removal
    assert cause.supported
    assert cause.rank == pytest.approx(1 / (cause.n_random + 1))
    assert cause.note == ""
    assert cause.kept_probability == pytest.approx(cause.probability_before, rel=1e-4)
    bystander = explain(network, "relu", image, grey32, target=1, named_units=[7, 9]).removal
    assert not bystander.supported
    against = explain(network, "relu", image, grey32, target=0, named_units=[0, 1]).removal
    assert not against.supported
    assert against.probability_after > against.probability_before


@pytest.mark.parametrize(
    ("named", "note"),
    [
        ([], "No units are named"),
        ([0, 1, 2, 3, 4, 5, 6], "5 other units"),
        (list(range(11)), "1 other unit"),
        (list(range(10)), "2 other units"),
        ([0, 1, 2, 3, 4, 5], "Too few different random sets exist (1)"),
    ],
)
def test_a_check_that_is_not_possible_says_so(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing, named: list[int], note: str
) -> None:
    removal = explain(model, "stage2", image, grey32, target=0, named_units=named).removal
    assert not removal.supported
    assert note in removal.note


def test_random_sets_are_other_units_of_like_activation() -> None:
    generator = np.random.default_rng(0)
    activation = np.sort(generator.gamma(1, 1, 200)).astype(np.float32)
    named = [50, 120, 180]
    sets = random_sets(activation, named, 100, np.random.default_rng(1))
    assert len({tuple(chosen) for chosen in sets}) == 100
    assert all(len(set(chosen)) == 3 and not set(chosen) & set(named) for chosen in sets)
    totals = [activation[chosen].sum() for chosen in sets]
    assert np.mean(totals) == pytest.approx(activation[named].sum(), rel=0.05)
    # The control: unmatched sets miss the total.
    others = np.setdiff1d(np.arange(200), named)
    unmatched = [activation[generator.choice(others, 3)].sum() for _ in range(100)]
    assert np.std(totals) < 0.5 * np.std(unmatched)


def test_a_single_named_unit_has_enough_random_sets_to_be_supported() -> None:
    generator = np.random.default_rng(0)
    activation = generator.random(96)
    for named, fewest in (([11], 90), ([11, 12], 95), ([1, 2, 3], 95)):
        sets = random_sets(activation, named, 100, generator)
        assert len(sets) >= fewest
        assert len({tuple(chosen) for chosen in sets}) == len(sets)
        assert all(len(chosen) == len(named) and not set(chosen) & set(named) for chosen in sets)


def test_it_is_the_same_for_a_seed(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    def removed(seed: int) -> np.ndarray:
        evidence = explain(
            model, "stage2", image, grey32, target=0, named_units=[3], n_random=8, seed=seed
        )
        return evidence.removal.random_probability_after

    np.testing.assert_array_equal(removed(4), removed(4))


def test_wrong_questions_are_named(
    model: nn.Module, image: np.ndarray, grey32: Preprocessing
) -> None:
    with pytest.raises(ExplanationError, match="Class 3 does not exist"):
        explain(model, "stage2", image, grey32, target=3, named_units=[])
    with pytest.raises(ExplanationError, match="from 0 to 11"):
        explain(model, "stage2", image, grey32, target=0, named_units=[12])
    with pytest.raises(ExplanationError, match="does not give maps"):
        explain(model, "fc", image, grey32, target=0, named_units=[])


def test_a_concatenating_network_is_explained_too(
    image: np.ndarray, export: Callable[..., Path]
) -> None:
    colour = Preprocessing((32, 32), 3, (0.5,) * 3, (0.25,) * 3)
    network = load_model(export(networks.seeded(networks.Dense), (3, 32, 32), "dense"))
    evidence = explain(network, "first", image, colour, target=0, named_units=[1], n_random=3)
    inputs = torch.from_numpy(colour.apply(image))
    effect = evidence.logits - with_only(network, "first", inputs, [0, 2, 3, 4, 5])
    np.testing.assert_allclose(evidence.effects_all[1], effect, rtol=1e-3, atol=1e-5)
