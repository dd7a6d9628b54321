import numpy as np
import pytest
import torch

from analysis.dissection.cache import ActivationCache, Maps
from analysis.dissection.quantiles import BINS, LEVELS, distribution, sketched_distribution
from analysis.dissection.settings import DissectionError
from analysis.dissection.sketch import LARGEST, RELATIVE_ERROR, SMALLEST, QuantileSketch

GENERATOR = np.random.default_rng(3)
MAPS = {
    "normal": GENERATOR.normal(size=(40, 5, 6, 7)),
    "relu": np.maximum(GENERATOR.normal(size=(40, 5, 6, 7)) - 2, 0),
    "heavy tail": GENERATOR.lognormal(0, 3, size=(40, 5, 6, 7)),
    "ties": GENERATOR.integers(0, 3, size=(40, 5, 6, 7)),
    "constant": np.full((40, 5, 6, 7), 2.5),
    "dead": np.zeros((40, 5, 6, 7)),
    "one value": np.ones((1, 5, 1, 1)),
}


def cached(maps: np.ndarray, budget: int = 2**30) -> ActivationCache:
    cache = ActivationCache(maps.shape, budget)
    for start in range(0, len(maps), 7):
        cache.append(maps[start : start + 7])
    return cache


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("quantile", [0.995, 0.99, 0.5])
def test_quantiles_are_those_of_numpy_on_all_activations(kind: str, quantile: float) -> None:
    maps = MAPS[kind].astype(np.float32)
    everything = np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1).astype(np.float64)
    result = distribution(Maps([cached(maps)]), quantile)
    np.testing.assert_allclose(
        result.threshold, np.quantile(everything, quantile, axis=1), rtol=1e-6
    )
    np.testing.assert_allclose(
        result.quantiles, np.quantile(everything, LEVELS, axis=1).T, rtol=1e-6
    )
    above = (everything > result.threshold[:, None]).sum(axis=1)
    assert (above <= (1 - quantile) * everything.shape[1] + 1).all()


@pytest.mark.parametrize("kind", MAPS)
def test_moments_and_histograms_are_those_of_numpy(kind: str) -> None:
    maps = MAPS[kind].astype(np.float32)
    everything = np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1)
    result = distribution(Maps([cached(maps)]), 0.995)
    wide = everything.astype(np.float64)
    np.testing.assert_allclose(result.mean, wide.mean(axis=1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result.std, wide.std(axis=1), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(result.maximum, everything.max(axis=1))
    np.testing.assert_allclose(result.active_fraction, (everything > 0).mean(axis=1), rtol=1e-6)
    assert (result.histogram.sum(axis=1) == everything.shape[1]).all()
    for values, edges, counts in zip(everything, result.edges, result.histogram, strict=True):
        if edges[0] < edges[-1]:
            np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])
        else:
            assert counts[BINS - 1] == len(values)


def test_a_cache_in_a_file_gives_the_same(tmp_path: object) -> None:
    maps = MAPS["normal"].astype(np.float32)
    memory, file = cached(maps), cached(maps, budget=100)
    assert not memory.in_file
    assert file.in_file
    one, other = (distribution(Maps([cache]), 0.99, 3000) for cache in (memory, file))
    for name in ("threshold", "quantiles", "histogram", "mean"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    with file:
        pass
    assert file.rows == 0


def test_a_full_disk_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(DissectionError, match="no room for"):
        ActivationCache((2**30, 2048, 64, 64), budget=100)


SKETCHED = {
    **MAPS,
    "tiny": GENERATOR.normal(size=(10, 5, 6, 7)) * 1e-7,
    "negative": -GENERATOR.lognormal(0, 4, size=(40, 5, 6, 7)),
    "huge": GENERATOR.lognormal(15, 4, size=(40, 5, 6, 7)),
}


def _neighbours(ordered: np.ndarray, levels: np.ndarray, side: int) -> np.ndarray:
    """The order statistics below (0) and above (1) the levels."""
    rank = np.floor(levels * (ordered.shape[1] - 1)).astype(int) + side
    return ordered[:, np.minimum(rank, ordered.shape[1] - 1)]


@pytest.mark.parametrize("kind", SKETCHED)
def test_a_sketch_keeps_its_bound(kind: str) -> None:
    maps = SKETCHED[kind].astype(np.float32)
    everything = np.sort(np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1).astype(np.float64))
    sketch = QuantileSketch(maps.shape[1])
    for start in range(0, len(maps), 7):
        sketch.update(torch.from_numpy(maps[start : start + 7]))
    levels = np.concatenate([np.linspace(0, 1, 57), LEVELS])
    exact = np.quantile(everything, levels, axis=1).T
    lower, upper = sketch.bounds(levels)
    slack = 1e-9 * np.abs(exact)
    assert ((lower - slack <= exact) & (exact <= upper + slack)).all()
    size = np.maximum(*(np.abs(_neighbours(everything, levels, side)) for side in (0, 1)))
    error = np.abs(sketch.quantiles(levels) - exact)
    inside = size < LARGEST
    assert (error <= RELATIVE_ERROR * size * (1 + 1e-6) + SMALLEST)[inside].all()
    found = sketched_distribution(sketch, 0.995)
    expected = distribution(Maps([cached(maps)]), 0.995)
    for name in ("mean", "std", "maximum", "active_fraction"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-9, err_msg=name
        )
    assert (found.histogram.sum(axis=1) == everything.shape[1]).all()
    assert found.threshold.dtype == expected.threshold.dtype


def test_a_compact_cache_rounds_by_at_most_its_bound() -> None:
    maps = MAPS["heavy tail"].astype(np.float32)
    for budget in (0, 2**30):
        cache = ActivationCache(maps.shape, budget, dtype="float16")
        cache.append(maps[:13])
        cache.append(maps[13:])
        error = np.abs(Maps([cache]).unit_values(0, 5) - np.moveaxis(maps, 1, 0).reshape(5, -1))
        allowed = np.moveaxis(np.maximum(maps * 2.0**-11, 2.0**-25), 1, 0).reshape(5, -1)
        assert (error <= np.where(allowed * 2**11 > 65504, np.inf, allowed)).all()
        cache.close()
