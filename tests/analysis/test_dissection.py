"""A whole dissection against plain loops over the activations of plain hooks."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from analysis.data import Sample, decode_input, read_sample
from analysis.dissection import (
    Cancelled,
    Dissection,
    DissectionError,
    DissectionSettings,
    LayerResult,
    dissect,
)
from analysis.dissection.classes import selectivity
from analysis.dissection.masks import mask_grid
from analysis.models.errors import ModelError
from analysis.models.loading import load_model
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures

SETTINGS = DissectionSettings(quantile=0.95, top_k=4, batch_size=7, influence_samples=5)
LAYERS = ["stage1", "stage2", "stem.1"]


@pytest.fixture(scope="module")
def model(resnet_file: Path) -> nn.Module:
    return load_model(resnet_file, torch.device("cpu"))


@pytest.fixture(scope="module")
def dissection(model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing) -> Dissection:
    return dissect(model, LAYERS, noise_samples, grey32, 3, ["blob", "never"], SETTINGS)


@pytest.fixture(scope="module")
def activations(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> dict[str, np.ndarray]:
    """Maps [N, K, h, w] per layer and "logits" [N, C], one image at a time."""
    kept: dict[str, list[np.ndarray]] = {name: [] for name in [*LAYERS, "logits"]}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, output, name=name: kept[name].append(output[0].clone().numpy())
        )
        for name in LAYERS
    ]
    for sample in noise_samples:
        image = torch.from_numpy(grey32.apply(read_sample(sample)))[None]
        kept["logits"].append(model(image)[0].numpy())
    for handle in handles:
        handle.remove()
    return {name: np.stack(maps) for name, maps in kept.items()}


def test_logits_are_those_of_the_model(
    dissection: Dissection, activations: dict[str, np.ndarray]
) -> None:
    np.testing.assert_allclose(dissection.logits, activations["logits"], rtol=1e-4, atol=1e-5)
    assert dissection.skipped == []


@pytest.mark.parametrize("layer", LAYERS)
def test_statistics_are_those_of_numpy(
    dissection: Dissection, activations: dict[str, np.ndarray], layer: str
) -> None:
    result, maps = dissection.layers[layer], activations[layer]
    everything = np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1)
    assert (result.height, result.width) == maps.shape[2:]
    np.testing.assert_allclose(
        result.threshold, np.quantile(everything, 0.95, axis=1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        result.quantiles,
        np.quantile(everything, result.quantile_levels, axis=1).T,
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(result.mean, everything.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.maximum, everything.max(axis=1), rtol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_class_means_are_those_of_a_loop(
    dissection: Dissection,
    activations: dict[str, np.ndarray],
    noise_samples: list[Sample],
    layer: str,
) -> None:
    result, maps = dissection.layers[layer], activations[layer]
    labels = np.array([sample.label for sample in noise_samples])
    for label in range(3):
        chosen = maps[labels == label]
        assert result.class_counts[label] == len(chosen)
        np.testing.assert_allclose(
            result.class_mean[:, label], chosen.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            result.class_max_mean[:, label], chosen.max(axis=(2, 3)).mean(axis=0), rtol=1e-4
        )


@pytest.mark.parametrize("layer", LAYERS)
def test_top_images_are_the_best_of_each_patient(
    dissection: Dissection,
    activations: dict[str, np.ndarray],
    noise_samples: list[Sample],
    layer: str,
) -> None:
    result, maps = dissection.layers[layer], activations[layer]
    for unit in range(maps.shape[1]):
        peak = maps[:, unit].max(axis=(1, 2))
        if peak.max() <= 0:
            continue  # all images tie
        best: dict[str, int] = {}
        for image in np.argsort(-peak, kind="stable"):
            best.setdefault(noise_samples[image].group, int(image))
        expected = list(best.values())[:4]
        np.testing.assert_allclose(result.top_value[unit], peak[expected], rtol=1e-4, atol=1e-5)
        for rank, image in enumerate(result.top_index[unit]):
            one = maps[image, unit]
            row, column = result.top_row[unit, rank], result.top_col[unit, rank]
            assert one[row, column] == pytest.approx(result.top_value[unit, rank], rel=1e-4)
            np.testing.assert_allclose(
                result.top_maps[unit, rank], one.astype(np.float16), rtol=2e-3, atol=1e-4
            )
        patients = {noise_samples[image].group for image in result.top_index[unit]}
        assert len(patients) == 4


def test_iou_is_that_of_a_loop_over_pixels(
    dissection: Dissection, activations: dict[str, np.ndarray], noise_samples: list[Sample]
) -> None:
    result, maps = dissection.layers["stage2"], activations["stage2"]
    assert (result.mask_height, result.mask_width) == (32, 32)
    fine = interpolate(torch.from_numpy(maps), (32, 32), mode="bilinear").numpy()
    concept_area = 0
    both = np.zeros(maps.shape[1], int)
    unit_area = np.zeros(maps.shape[1], int)
    for image, sample in enumerate(noise_samples):
        mask = np.zeros((32, 32), bool)
        if "blob" in sample.masks:
            mask = read_sample(Sample("m", sample.masks["blob"])) > 0.5
        concept_area += int(mask.sum())
        for unit in range(maps.shape[1]):
            on = fine[image, unit] > result.threshold[unit]
            for row in range(32):
                for column in range(32):
                    unit_area[unit] += int(on[row, column])
                    both[unit] += int(on[row, column] and mask[row, column])
    assert result.concepts == ["blob", "never"]
    assert result.concept_area.tolist() == [concept_area, 0]
    assert result.concept_images.tolist() == [15, 0]
    # A pixel at the threshold may fall on either side by rounding.
    np.testing.assert_allclose(result.unit_area, unit_area, atol=2)
    np.testing.assert_allclose(result.intersection[:, 0], both, atol=2)
    np.testing.assert_allclose(
        result.iou[:, 0], both / (unit_area + concept_area - both), rtol=1e-2, atol=1e-4
    )
    assert (result.iou[:, 1] == 0).all()


def test_exact_influence_equals_really_removing_on_all_images(
    dissection: Dissection,
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
) -> None:
    result = dissection.layers["stage2"]
    assert result.influence_method == "exact"
    images = torch.stack([decode_input(sample, grey32) for sample in noise_samples])
    before = model(images)
    for unit in (0, 3, 11):

        def hook(_m: nn.Module, _i: object, out: torch.Tensor, unit: int = unit) -> torch.Tensor:
            out = out.clone()
            out[:, unit] = 0
            return out

        handle = model.get_submodule("stage2").register_forward_hook(hook)
        effect = (before - model(images)).mean(0)
        handle.remove()
        np.testing.assert_allclose(result.influence[unit], effect, rtol=1e-3, atol=1e-5)


def test_measured_influence_equals_removing_one_by_one(
    dissection: Dissection,
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
) -> None:
    result = dissection.layers["stage1"]
    assert result.influence_method == "measured"
    assert result.influence_images == 5
    everything = replace(SETTINGS, influence_samples=1000)
    again = dissect(model, ["stage1"], noise_samples, grey32, 3, [], everything).layers["stage1"]
    assert again.influence_images == 30
    images = torch.stack([decode_input(sample, grey32) for sample in noise_samples])
    before = model(images)
    for unit in (0, 5):
        handle = model.get_submodule("stage1").register_forward_hook(
            lambda _m, _i, out, unit=unit: out * (torch.arange(8) != unit)[:, None, None]
        )
        effect = (before - model(images)).mean(0)
        handle.remove()
        np.testing.assert_allclose(again.influence[unit], effect, rtol=1e-3, atol=1e-5)


def test_several_layers_at_once_give_what_each_gives_alone(
    dissection: Dissection,
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
) -> None:
    alone = dissect(model, ["stage1"], noise_samples, grey32, 3, ["blob", "never"], SETTINGS)
    assert_same(alone.layers["stage1"], dissection.layers["stage1"])


def test_a_cache_on_disk_and_a_repeat_give_the_same(
    dissection: Dissection,
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS, cache_bytes=1000, cache_folder=tmp_path)
    again = dissect(model, LAYERS, noise_samples, grey32, 3, ["blob", "never"], settings)
    for name in LAYERS:
        assert_same(again.layers[name], dissection.layers[name])
    assert list(tmp_path.iterdir()) == []


def test_a_result_survives_its_file(dissection: Dissection, tmp_path: Path) -> None:
    for name in ("stage1", "stage2"):
        dissection.layers[name].save(tmp_path / "x.npz")
        assert_same(LayerResult.load(tmp_path / "x.npz"), dissection.layers[name])
        stream = io.BytesIO()
        dissection.layers[name].save(stream)
        stream.seek(0)
        assert_same(LayerResult.load(stream), dissection.layers[name])


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a dissection result"):
        LayerResult.load(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", format=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        LayerResult.load(tmp_path / "x.npz")


def assert_same(one: LayerResult, other: LayerResult) -> None:
    for name in LayerResult.__dataclass_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if name == "head":
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_array_equal(left.weight, right.weight)
        elif isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
        else:
            assert left == right


# A network whose unit 3 detects bright squares by construction.


@pytest.fixture(scope="module")
def squares() -> list[Sample]:
    """40 dark noisy images, each with one bright 12 x 12 square, marked by its mask."""
    generator = np.random.default_rng(9)
    samples = []
    for i in range(40):
        picture = generator.integers(0, 100, (48, 48))
        mask = np.zeros((48, 48), np.uint8)
        row, column = generator.integers(0, 36, 2)
        picture[row : row + 12, column : column + 12] += 150
        mask[row : row + 12, column : column + 12] = 255
        samples.append(
            Sample(
                str(i),
                pictures.opener(pictures.png(picture.astype(np.uint8))),
                masks={"square": pictures.opener(pictures.png(mask))},
            )
        )
    return samples


PLAIN = Preprocessing((48, 48), 1, (0.0,), (1.0,))


def test_a_planted_detector_is_found_and_nothing_else(
    squares: list[Sample], export: Callable[..., Path]
) -> None:
    network = networks.seeded(networks.SquareDetector)
    model = load_model(export(network, (1, 48, 48), "squares"), torch.device("cpu"))
    settings = DissectionSettings(quantile=0.97)
    result = dissect(model, ["relu"], squares, PLAIN, 2, ["square"], settings).layers["relu"]
    assert result.iou[3, 0] > 0.4
    others = np.delete(np.arange(8), 3)
    assert result.iou[others, 0].max() < 0.3
    # Controls: other images' masks, and a network with random units only.
    assert result.iou_chance[:, 0].max() < 0.1
    with torch.no_grad():
        network.units.weight[3] = networks.random_filter()
        networks.bias(network.units)[3] = 0
    result = dissect(network, ["relu"], squares, PLAIN, 2, ["square"], settings).layers["relu"]
    assert result.iou[3, 0] < 0.3


def test_unit_area_counts_images_without_the_concept(squares: list[Sample]) -> None:
    network = networks.seeded(networks.SquareDetector)
    half = [replace(s, masks=s.masks if i < 20 else {}) for i, s in enumerate(squares)]
    settings = DissectionSettings(quantile=0.97)
    full = dissect(network, ["relu"], squares, PLAIN, 2, ["square"], settings).layers["relu"]
    part = dissect(network, ["relu"], half, PLAIN, 2, ["square"], settings).layers["relu"]
    np.testing.assert_array_equal(full.unit_area, part.unit_area)
    assert part.concept_images[0] == 20
    assert part.iou[3, 0] < 0.75 * full.iou[3, 0]


# Odd inputs.


def test_unreadable_images_are_skipped_and_reported(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    bad = Sample("broken", pictures.opener(b"nonsense"), ".png", "x")
    bad_mask = replace(noise_samples[1], key="mask", masks={"blob": pictures.opener(b"nonsense")})
    samples = [bad, *noise_samples[:9], bad_mask, *noise_samples[9:]]
    found = dissect(model, ["stage2"], samples, grey32, 3, ["blob"], SETTINGS)
    clean = dissect(model, ["stage2"], noise_samples, grey32, 3, ["blob"], SETTINGS)
    assert [key for key, _ in found.skipped] == ["broken", "mask"]
    assert "not a PNG" in found.skipped[0][1]
    assert np.isnan(found.logits[[0, 10]]).all()
    assert np.isfinite(np.delete(found.logits, [0, 10], axis=0)).all()
    np.testing.assert_allclose(
        found.layers["stage2"].threshold, clean.layers["stage2"].threshold, rtol=1e-5
    )
    shifted = clean.layers["stage2"].top_index
    shifted = shifted + 1 + (shifted >= 9)
    active = clean.layers["stage2"].maximum > 0
    np.testing.assert_array_equal(found.layers["stage2"].top_index[active], shifted[active])


def test_it_fails_only_if_no_image_can_be_read(model: nn.Module, grey32: Preprocessing) -> None:
    bad = [Sample(str(i), pictures.opener(b"nonsense")) for i in range(3)]
    with pytest.raises(DissectionError, match="No image could be read"):
        dissect(model, ["stage2"], bad, grey32, 3, [], SETTINGS)


def test_one_image_works(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    found = dissect(model, ["stage1"], noise_samples[1:2], grey32, 3, ["blob"])
    result = found.layers["stage1"]
    assert (result.top_index[:, 0] == 0).all()
    assert (result.top_index[:, 1:] == -1).all()
    assert np.isnan(result.iou_chance).all()
    assert np.isnan(result.selectivity).all()


def test_labels_may_be_missing_and_groups_too(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    samples = [replace(s, label=None, group="", masks={}) for s in noise_samples]
    result = dissect(model, ["stage2"], samples, grey32, 3, [], SETTINGS).layers["stage2"]
    assert result.class_counts.tolist() == [0, 0, 0]
    assert np.isnan(result.class_mean).all()
    assert result.iou.shape == (12, 0)
    assert len(set(result.top_index[0].tolist())) == 4


@pytest.mark.parametrize(
    ("layers", "message", "error"),
    [
        ([], "at least one layer", DissectionError),
        (["stage2", "stage2"], "only once", DissectionError),
        (["fc"], "not maps", DissectionError),
        (["stage9"], "no layer named", ModelError),
    ],
)
def test_wrong_layers_are_named(
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
    layers: list[str],
    message: str,
    error: type[Exception],
) -> None:
    with pytest.raises(error, match=message):
        dissect(model, layers, noise_samples, grey32, 3, [], SETTINGS)


def test_a_layer_that_runs_twice_is_refused(
    noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    with pytest.raises(DissectionError, match="more than once"):
        dissect(networks.small_resnet(), ["stage1.0.relu"], noise_samples, grey32, 3, [], SETTINGS)


def test_wrong_data_are_named(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    with pytest.raises(DissectionError, match="no images"):
        dissect(model, ["stage2"], [], grey32, 3, [], SETTINGS)
    wrong = [replace(noise_samples[0], label=3)]
    with pytest.raises(DissectionError, match="has class 3"):
        dissect(model, ["stage2"], wrong, grey32, 3, [], SETTINGS)
    with pytest.raises(DissectionError, match=r"expected \(1, 4\)"):
        dissect(model, ["stage2"], noise_samples[:1], grey32, 4, [], SETTINGS)


def test_values_that_are_not_finite_are_named(
    noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    network = networks.small_resnet()
    with torch.no_grad():
        network.stage1[0].get_parameter("conv1.weight")[0] = float("nan")
    with pytest.raises(DissectionError, match=r"Unit 0 of layer 'stage1'.*'image-0'"):
        dissect(network, ["stage1"], noise_samples, grey32, 3, [], SETTINGS)


def test_progress_grows_to_its_total(
    model: nn.Module, noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    seen: list[tuple[int, int, str]] = []
    dissect(
        model,
        ["stage1", "stage2"],
        noise_samples,
        grey32,
        3,
        ["blob"],
        SETTINGS,
        progress=lambda done, total, message: seen.append((done, total, message)),
    )
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert len({step[1] for step in seen}) == 1
    assert done[-1] == seen[0][1]
    assert len({step[2] for step in seen}) >= 3


@pytest.mark.parametrize("after", [0, 3, 20, 60])
def test_it_stops_when_asked(
    model: nn.Module,
    noise_samples: list[Sample],
    grey32: Preprocessing,
    tmp_path: Path,
    after: int,
) -> None:
    calls = iter(range(1000))
    settings = replace(SETTINGS, cache_bytes=0, cache_folder=tmp_path)
    with pytest.raises(Cancelled):
        dissect(
            model,
            ["stage1", "stage2"],
            noise_samples,
            grey32,
            3,
            ["blob"],
            settings,
            should_stop=lambda: next(calls) >= after,
        )
    assert list(tmp_path.iterdir()) == []
    assert not model.get_submodule("stage1")._forward_hooks


def test_selectivity_by_hand() -> None:
    nan = float("nan")
    means = np.array([[4, 1, 1], [2, 2, 2], [0, 0, 0], [-1, 2, 2], [3, 0, 0]], np.float32)
    expected = [(4 - 1) / (4 + 1), 0, 0, nan, 1]
    np.testing.assert_allclose(selectivity(means), expected, rtol=1e-6)
    with_empty_class = np.array([[4, nan, 1]], np.float32)
    np.testing.assert_allclose(selectivity(with_empty_class), [0.6], rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((224, 224), (224, 224)),
        ((512, 512), (256, 256)),
        ((1152, 896), (230, 179)),
    ],
)
def test_the_mask_grid_is_at_most_256(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert mask_grid(size) == grid
