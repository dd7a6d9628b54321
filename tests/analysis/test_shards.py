"""Shards merge to the answer of one run, in any order and grouping."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.data import Sample
from analysis.dissection import (
    DissectionError,
    DissectionSettings,
    ShardResult,
    dissect,
    dissect_shard,
    finish,
    merge_shards,
    plan_shards,
)
from analysis.dissection.classes import ClassSums
from analysis.dissection.collect import Batch, LayerSums
from analysis.dissection.shards import _sums_arrays
from analysis.dissection.sketch import QuantileSketch
from analysis.dissection.sums import ExactSums
from analysis.dissection.topk import TopImages
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures
from tests.analysis.test_dissection import assert_same

LAYERS = ["stage1", "stage2"]
CONCEPTS = ["blob", "never"]
SETTINGS = DissectionSettings(quantile=0.95, top_k=4, batch_size=4, influence_samples=3)


# Generated activations: the sums alone.


def sums_of(values: np.ndarray, labels: np.ndarray, groups: np.ndarray, rows: range) -> LayerSums:
    """Of maps values[rows] [n, K, 2, 3], in batches of 3."""
    units = values.shape[1]
    sums = LayerSums(TopImages(units, 3), ClassSums(units, 2), QuantileSketch(units))
    for start in range(rows.start, rows.stop, 3):
        chosen = np.arange(start, min(start + 3, rows.stop))
        maps = torch.from_numpy(values[chosen])
        maximum, cell = maps.flatten(2).max(2)
        samples = [
            Sample(str(i), Path().open, label=None if labels[i] < 0 else int(labels[i]))  # type: ignore[arg-type]
            for i in chosen
        ]
        sums.update(
            maps,
            maps.mean((2, 3)).numpy(),
            maximum.numpy(),
            cell.numpy(),
            Batch(samples, chosen, groups[chosen]),
        )
    return sums


def assert_equal(one: LayerSums, other: LayerSums) -> None:
    left, right = _sums_arrays("", one), _sums_arrays("", other)
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    size=st.sampled_from([1e-8, 1.0, 1e9]),
    ties=st.booleans(),
)
def test_merging_sums_is_associative_commutative_and_equal_to_one_run(
    seed: int, cuts: tuple[int, int], size: float, ties: bool
) -> None:
    generator = np.random.default_rng(seed)
    values = (generator.normal(size=(20, 4, 2, 3)) * size).astype(np.float32)
    if ties:
        values = np.round(values / size).astype(np.float32)
    labels, groups = generator.integers(-1, 2, 20), generator.integers(0, 6, 20)
    low, high = min(cuts), max(cuts)
    a, b, c = (
        sums_of(values, labels, groups, rows)
        for rows in (range(low), range(low, high), range(high, 20))
    )
    whole = sums_of(values, labels, groups, range(20))
    assert_equal(a.merge(b), b.merge(a))
    assert_equal(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_equal(c.merge(a).merge(b), whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=1, max_size=20), st.randoms())
def test_sums_are_those_of_fractions_in_any_order(values: list[float], random: object) -> None:
    from fractions import Fraction

    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = ExactSums((1,)), ExactSums((1,))
    one.add(np.array(values)[:, None])
    for value in shuffled:
        other.add(np.array([[value]]))
    np.testing.assert_array_equal(one.digits, other.digits)
    exact = float(sum(Fraction(value) for value in values))
    scale = max(abs(value) for value in values)
    assert one.total[0] == pytest.approx(exact, rel=1e-12, abs=scale * 1e-12 + len(values) * 2**-64)


# Whole runs.


def shards_of(
    samples: list[Sample], preprocessing: Preprocessing, settings: DissectionSettings, n: int
) -> list[ShardResult]:
    return [
        dissect_shard(
            networks.small_resnet(), LAYERS, samples, span, preprocessing, 3, CONCEPTS, settings
        )
        for span in plan_shards(len(samples), settings.batch_size, n)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, statistics="sketch"),
        replace(SETTINGS, statistics="sketch", cache_type="float16", cache_bytes=0),
    ],
    ids=["exact", "sketch", "compact"],
)
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_shards_in_files_give_exactly_what_one_run_gives(
    noise_samples: list[Sample],
    grey32: Preprocessing,
    tmp_path: Path,
    settings: DissectionSettings,
    order: list[int],
) -> None:
    model = networks.small_resnet()
    whole = dissect(model, LAYERS, noise_samples, grey32, 3, CONCEPTS, settings)
    for number, shard in enumerate(shards_of(noise_samples, grey32, settings, 3)):
        with shard:
            shard.save(tmp_path / str(number))
    loaded = [ShardResult.load(tmp_path / str(number)) for number in order]
    with merge_shards(loaded) as merged:
        merged.save(tmp_path / "merged")
        found = finish(model, merged, noise_samples, grey32, settings)
    with ShardResult.load(tmp_path / "merged") as again:
        repeated = finish(model, again, noise_samples, grey32, settings)
    for name in LAYERS:
        assert_same(found.layers[name], whole.layers[name])
        assert_same(repeated.layers[name], whole.layers[name])
    np.testing.assert_array_equal(found.logits, whole.logits)


def test_unreadable_images_and_empty_shards_merge_too(
    noise_samples: list[Sample], grey32: Preprocessing
) -> None:
    samples = [
        replace(sample, open=pictures.opener(b"nonsense"), key=f"bad-{i}")
        if 8 <= i < 16 or i == 20
        else sample
        for i, sample in enumerate(noise_samples)
    ]
    model = networks.small_resnet()
    whole = dissect(model, LAYERS, samples, grey32, 3, CONCEPTS, SETTINGS)
    shards = [
        dissect_shard(model, LAYERS, samples, span, grey32, 3, CONCEPTS, SETTINGS)
        for span in (range(16, 30), range(8, 16), range(8))
    ]
    assert shards[1].sums == {}
    found = finish(model, merge_shards(shards), samples, grey32, SETTINGS)
    assert found.skipped == whole.skipped
    assert len(found.skipped) == 9
    for name in LAYERS:
        assert_same(found.layers[name], whole.layers[name])


def test_wrong_shards_are_refused(
    noise_samples: list[Sample], grey32: Preprocessing, tmp_path: Path
) -> None:
    model = networks.small_resnet()
    first, second, third = shards_of(noise_samples, grey32, SETTINGS, 3)
    other = dissect_shard(model, ["stage2"], noise_samples, range(12), grey32, 3, [], SETTINGS)
    with pytest.raises(DissectionError, match="different dissections"):
        first.merge(other)
    with pytest.raises(DissectionError, match="Two shards hold the image 0"):
        first.merge(first)
    with pytest.raises(DissectionError, match=rf"image {second.parts[0].span.start} is missing"):
        finish(model, first.merge(third), noise_samples, grey32, SETTINGS)
    everything = merge_shards([second, first, third])
    with pytest.raises(DissectionError, match="other images or settings"):
        finish(model, everything, noise_samples, grey32, replace(SETTINGS, top_k=3))
    with pytest.raises(DissectionError, match="no shards"):
        merge_shards([])
    with pytest.raises(DissectionError, match="not a range"):
        dissect_shard(model, LAYERS, noise_samples, range(20, 40), grey32, 3, [], SETTINGS)
    with pytest.raises(FileNotFoundError):
        ShardResult.load(tmp_path)
    first.save(tmp_path)
    (tmp_path / "maps-0-1.bin").write_bytes(b"cut")
    with pytest.raises(ValueError, match="not complete"):
        ShardResult.load(tmp_path)
    np.savez(tmp_path / "shard.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a shard"):
        ShardResult.load(tmp_path)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 20))
def test_plans_cover_all_images_once_and_cut_between_batches(
    n_samples: int, batch_size: int, n_shards: int
) -> None:
    spans = plan_shards(n_samples, batch_size, n_shards)
    assert [i for span in spans for i in span] == list(range(n_samples))
    assert 1 <= len(spans) <= n_shards
    assert all(len(span) > 0 and span.start % batch_size == 0 for span in spans)
