import numpy as np
import pytest

from analysis.dissection.cache import ActivationCache
from analysis.dissection.quantiles import BINS, LEVELS, distribution
from analysis.dissection.settings import DissectionError

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
    result = distribution(cached(maps), quantile)
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
    result = distribution(cached(maps), 0.995)
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
    one, other = distribution(memory, 0.99), distribution(file, 0.99)
    for name in ("threshold", "quantiles", "histogram", "mean"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    with file:
        pass
    assert file.maps.size == 0


def test_a_full_disk_is_an_error_and_not_a_crash() -> None:
    with pytest.raises(DissectionError, match="no room for"):
        ActivationCache((2**30, 2048, 64, 64), budget=100)
