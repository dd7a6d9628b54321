"""The demo classifier: the shipped checkpoint, its metrics and its training parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.models.loading import load_model
from analysis.phantoms import CLASSES, demo_patients, split_of
from analysis.training.batches import CELL, CROP, augment, crop, normalise, worst_lesion
from analysis.training.demo_classifier import evaluate
from analysis.training.exporting import check_export, export_model
from analysis.training.fitting import Schedule, fit, logits_of, softmax
from analysis.training.metrics import macro_auc, patient_auc
from analysis.training.network import LAST_STAGES, STAGES, PhantomClassifier
from analysis.training.population import (
    GRID,
    OUTLINES,
    Population,
    build_population,
    cached_population,
)

CHECKPOINT = Path(__file__).parents[2] / "demo" / "phantom_classifier.pt2"
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def held_out() -> Population:
    return build_population([n for n in demo_patients() if split_of(n) == "test"], seed=2)


@pytest.fixture(scope="module")
def shipped() -> torch.nn.Module:
    return load_model(CHECKPOINT, CPU)


def shuffled_auc(population: Population, probabilities: np.ndarray, seed: int) -> float:
    labels = population.shuffled(np.random.default_rng(seed)).labels
    return macro_auc(labels, probabilities)


def test_shipped_checkpoint_discriminates_and_its_controls_do_not(
    shipped: torch.nn.Module, held_out: Population
) -> None:
    result = evaluate(shipped, held_out)
    print(f"shipped checkpoint, test macro AUC {result}")  # noqa: T201 (shown by pytest -s)
    assert result.value >= 0.85
    assert result.low > 0.75
    assert result.low < result.value < result.high < 1
    assert result.patients == 60

    probabilities = softmax(logits_of(shipped, held_out, CPU))
    assert macro_auc(held_out.labels, probabilities) == result.value
    shuffled = [shuffled_auc(held_out, probabilities, seed) for seed in range(20)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.04)
    assert max(shuffled) < 0.65 < result.low

    torch.manual_seed(0)
    untrained = softmax(logits_of(PhantomClassifier(), held_out, CPU))
    assert macro_auc(held_out.labels, untrained) == pytest.approx(0.5, abs=0.1)


def test_shipped_description_matches_the_file(shipped: torch.nn.Module) -> None:
    description = json.loads(CHECKPOINT.with_suffix(".json").read_text())
    assert description["classes"] == list(CLASSES)
    assert CHECKPOINT.stat().st_size < 5e6
    assert description["test_macro_auc"]["value"] >= 0.85
    control = description["test_macro_auc_shuffled_training"]
    assert control["value"] == pytest.approx(0.5, abs=0.1)
    assert control["high"] < description["test_macro_auc"]["low"]
    outputs: dict[str, torch.Tensor] = {}
    for layer in description["layers"]:
        name = layer["name"]

        def keep(module: object, inputs: object, output: object, name: str = name) -> None:
            assert isinstance(output, torch.Tensor)
            outputs[name] = output

        shipped.get_submodule(name).register_forward_hook(keep)
    images = torch.rand(3, 1, *description["preprocessing"]["input_size"])
    with torch.no_grad():
        logits = shipped(images)
    for layer in description["layers"]:
        shape = (3, layer["units"], layer["height"], layer["width"])
        assert outputs[layer["name"]].shape == shape
        assert outputs[layer["name"]].min() >= 0
    weight, bias = (shipped.get_parameter(f"head.{name}") for name in ("weight", "bias"))
    pooled = outputs["stage4"].mean(dim=(2, 3))
    np.testing.assert_allclose(logits, pooled @ weight.T + bias, atol=1e-4)


def test_export_check_accepts_the_same_network_and_no_other(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = PhantomClassifier().eval(), PhantomClassifier().eval()
    images = torch.rand(3, 1, 256, 256)
    export_model(model, tmp_path / "model.pt2")
    assert check_export(model, tmp_path / "model.pt2", images) < 1e-4
    with pytest.raises(RuntimeError, match="other logits"):
        check_export(other, tmp_path / "model.pt2", images)


def test_patient_auc_agrees_with_counting_pairs() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 60)
    logits = rng.normal(size=(60, 3)) + 1.2 * np.eye(3)[labels]
    probabilities = softmax(logits)
    result = patient_auc(labels, probabilities, np.repeat(np.arange(15), 4), resamples=200)
    for c in range(3):
        positive, negative = probabilities[labels == c, c], probabilities[labels != c, c]
        wins = np.mean(positive[:, None] > negative[None, :])
        assert result.per_class[c] == pytest.approx(wins)
    assert result.value == pytest.approx(np.mean(result.per_class))
    assert result.low < result.value < result.high


def test_patient_bootstrap_is_wider_than_treating_images_as_independent() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.integers(0, 3, 25), 8)
    noise = np.repeat(rng.normal(size=(25, 3)), 8, axis=0)
    probabilities = softmax(noise + np.eye(3)[labels])
    together = patient_auc(labels, probabilities, np.repeat(np.arange(25), 8), resamples=300)
    apart = patient_auc(labels, probabilities, np.arange(200), resamples=300)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_population_cache_returns_what_was_generated(tmp_path: Path) -> None:
    first = cached_population([3, 4], 9, tmp_path)
    second = cached_population([3, 4], 9, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, getattr(second, name))
    assert first.split("test").patients.tolist() == [4] * 4
    assert first.split("train").pixels.shape == (0, 256, 256)


def tiny_population(patients: int) -> Population:
    """Bright squares at known cells instead of breasts: as many as the number of the class."""
    rng = np.random.default_rng(0)
    count = 4 * patients
    pixels = np.zeros((count, 256, 256), dtype=np.uint8)
    outlines = np.zeros((count, len(OUTLINES), GRID, GRID), dtype=bool)
    labels = rng.integers(0, 3, count)
    for index in range(count):
        for _ in range(labels[index]):
            row, column = rng.integers(4, GRID - 4, 2)
            outlines[index, [0, labels[index] - 3], row, column] = True
            pixels[index, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 255
    return Population(pixels, labels, np.repeat(np.arange(patients), 4), outlines)


def test_shuffling_moves_whole_patients() -> None:
    population = tiny_population(30)
    shuffled = population.shuffled(np.random.default_rng(0))
    before = sorted(map(tuple, population.labels.reshape(-1, 4)))
    assert sorted(map(tuple, shuffled.labels.reshape(-1, 4))) == before
    assert not np.array_equal(shuffled.labels, population.labels)
    np.testing.assert_array_equal(shuffled.pixels, population.pixels)
    findings = shuffled.outlines.sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(findings == 0, shuffled.labels == 0)


def test_outlines_stay_on_their_pixels_when_images_are_cropped_and_moved() -> None:
    population = tiny_population(10)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.from_numpy(population.pixels)[:, None]
    outlines = torch.from_numpy(population.outlines)
    parts, cells = crop(pixels, outlines, generator)
    assert parts.shape[2:] == (CROP * CELL, CROP * CELL)
    moved, moved_cells = augment(normalise(parts, CPU), cells.float(), generator)
    bright = torch.nn.functional.avg_pool2d(moved, CELL)[:, 0] > 2
    torch.testing.assert_close(bright, moved_cells[:, 0] > 0)
    assert moved_cells.sum() > 0


def test_the_label_of_a_crop_is_its_worst_lesion() -> None:
    cells = torch.zeros(4, len(OUTLINES), CROP, CROP)
    cells[0, 0, 3, 3] = 1
    cells[1, OUTLINES.index("benign lesion"), 3, 3] = 1
    cells[2:, OUTLINES.index("malignant lesion"), 5, 0] = 1
    cells[3, OUTLINES.index("benign lesion"), 3, 3] = 1
    assert [CLASSES[k] for k in worst_lesion(cells)] == [
        "normal",
        "benign",
        "malignant",
        "malignant",
    ]


def test_outlines_of_the_population_cover_the_masks() -> None:
    population = build_population(range(6), seed=2)
    diseased = population.labels > 0
    assert population.outlines[diseased].any(axis=(1, 2, 3)).mean() > 0.8
    assert 0 < population.outlines.mean() < 0.02


def test_training_is_reproducible_and_leaves_no_hooks() -> None:
    population = tiny_population(6)
    schedule = Schedule(epochs=1, crop_epochs=1, batch_size=8, seed=4)
    lines: list[str] = []
    first = fit(population, population, schedule, CPU, lines.append)
    second = fit(population, population, schedule, CPU, lines.append)
    assert len(lines) == 4
    assert lines[:2] == lines[2:]
    np.testing.assert_array_equal(
        logits_of(first, population, CPU), logits_of(second, population, CPU)
    )
    assert not first.training
    assert not any(getattr(first, name)._forward_hooks for name in LAST_STAGES)
    assert set(STAGES) == {name for name, _ in first.named_children()} - {"pool", "flatten", "head"}
