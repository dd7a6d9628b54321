"""The most similar units of a layer, against numpy's correlation of all positions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.dissection import similarity
from analysis.dissection.cache import ActivationCache, Maps
from analysis.dissection.result import LayerResult
from analysis.dissection.similarity import Nearest, correlations, nearest_units


def maps_of(values: np.ndarray, *cuts: int) -> Maps:
    """Maps [N, K, h, w], spread over caches that end at `cuts`."""
    caches = []
    for part in np.split(values, cuts):
        cache = ActivationCache(part.shape, budget=part.nbytes)
        cache.append(part)
        caches.append(cache)
    return Maps(caches)


def random_values(units: int = 7, *, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    """Maps [23, K, 4, 5] of units that share some of what they respond to."""
    generator = np.random.default_rng(seed)
    causes = generator.normal(size=(23, 3, 4, 5))
    mixed = np.einsum("kc,nchw->nkhw", generator.normal(size=(units, 3)), causes)
    return np.asarray(mixed + generator.normal(size=mixed.shape) + offset, np.float32)


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = flat_units(values)
    return flat.mean(1), flat.std(1), flat.max(1) > flat.min(1)


def flat_units(values: np.ndarray) -> np.ndarray:
    return values.transpose(1, 0, 2, 3).reshape(values.shape[1], -1).astype(np.float64)


def nearest_of(values: np.ndarray, count: int = 8) -> Nearest:
    return nearest_units(maps_of(values), *moments(values), count=count, advance=lambda _: None)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("block", [1, 2**26])
def test_it_is_the_correlation_over_all_positions_of_all_images(
    monkeypatch: pytest.MonkeyPatch, offset: float, block: int
) -> None:
    monkeypatch.setattr(similarity, "BLOCK_BYTES", block)
    values = random_values(offset=offset)
    found = correlations(maps_of(values), *moments(values), advance=lambda _: None)
    np.testing.assert_allclose(found, np.corrcoef(flat_units(values)), atol=2e-6)
    about = (np.zeros(7), np.full(7, 3.0), np.ones(7, bool))
    rough = correlations(maps_of(values - offset), *about, advance=lambda _: None)
    np.testing.assert_allclose(rough, np.corrcoef(flat_units(values - offset)), atol=2e-6)


def test_the_best_come_first_and_never_the_unit_itself() -> None:
    values = random_values()
    found = nearest_of(values, count=3)
    expected = np.corrcoef(flat_units(values))
    np.fill_diagonal(expected, -2)
    np.testing.assert_array_equal(found.index, np.argsort(-expected, axis=1)[:, :3])
    np.testing.assert_allclose(found.correlation, np.sort(expected, axis=1)[:, :-4:-1], atol=2e-6)


def test_a_planted_copy_is_found_and_the_same_values_at_other_places_are_not() -> None:
    values = np.random.default_rng(1).gamma(0.5, size=(40, 30, 4, 5)).astype(np.float32)
    values[:, 20] = 3 * values[:, 4] + 1
    values[:, 21] = values[:, 5, ::-1]
    found = nearest_of(values)
    assert (found.index[4, 0], found.index[20, 0]) == (20, 4)
    assert found.correlation[4, 0] == pytest.approx(1, abs=1e-5)
    others = np.delete(found.correlation[:, 0], [4, 20])
    assert others.max() < 0.2, "units that share nothing are not alike"


def test_a_unit_that_never_varies_is_nobodys_neighbour() -> None:
    values = random_values(units=4)
    values[:, 2] = np.float32(0.3)
    found = nearest_of(values)
    assert (found.index[2] == -1).all()
    assert np.isnan(found.correlation[2]).all()
    for unit in (0, 1, 3):
        assert set(found.index[unit]) == {0, 1, 3, -1} - {unit}


def test_it_is_the_same_to_the_bit_however_the_maps_are_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = random_values()
    monkeypatch.setattr(similarity, "BLOCK_BYTES", 5 * values[0].nbytes)
    whole, parted = (
        nearest_units(maps_of(values, *cuts), *moments(values), advance=lambda _: None)
        for cuts in ((), (3, 14))
    )
    np.testing.assert_array_equal(whole.index, parted.index)
    np.testing.assert_array_equal(whole.correlation, parted.correlation)


def test_results_of_earlier_versions_still_load(tmp_path: Path) -> None:
    shapes: dict[str, Any] = {name: np.zeros((1, 1)) for name in LayerResult.__dataclass_fields__}
    shapes |= {"format": np.array(1), "concepts": np.array([], np.str_)}
    for name in ("head", "nearest_index", "nearest_correlation"):
        del shapes[name]
    np.savez(tmp_path / "old.npz", **shapes)
    assert LayerResult.load(tmp_path / "old.npz").nearest_index is None
