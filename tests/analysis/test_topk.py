import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.dissection.topk import TopImages


def brute_force(
    values: np.ndarray, groups: np.ndarray, unit: int, k: int
) -> list[tuple[float, int]]:
    """Sort all images, walk down, skip patients seen before."""
    ranked = sorted(range(len(values)), key=lambda i: (-values[i, unit], i))
    chosen: list[tuple[float, int]] = []
    seen: set[int] = set()
    for image in ranked:
        if groups[image] not in seen and len(chosen) < k:
            seen.add(groups[image])
            chosen.append((float(values[image, unit]), image))
    return chosen


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(1, 40),
    patients=st.integers(1, 12),
    k=st.integers(1, 9),
    batch=st.integers(1, 11),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_it_equals_sorting_everything(
    seed: int, images: int, patients: int, k: int, batch: int, levels: int
) -> None:
    generator = np.random.default_rng(seed)
    values = generator.integers(0, levels, (images, 3)).astype(np.float32)
    cells = generator.integers(0, 49, (images, 3))
    groups = generator.integers(0, patients, images)
    top = TopImages(3, k)
    for start in range(0, images, batch):
        part = slice(start, start + batch)
        top.update(values[part], cells[part], np.arange(images)[part], groups[part])
    for unit in range(3):
        expected = brute_force(values, groups, unit, k)
        found = [
            (float(v), int(i))
            for v, i in zip(top.value[unit], top.index[unit], strict=True)
            if i >= 0
        ]
        assert found == expected
        assert (top.index[unit, len(expected) :] == -1).all()
        for rank, (_, image) in enumerate(expected):
            assert top.cell[unit, rank] == cells[image, unit]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]])
def test_the_order_of_the_images_does_not_matter(order: list[int]) -> None:
    values = np.array([[1], [5], [5], [3], [4]], np.float32)
    groups = np.array([0, 1, 2, 2, 1])
    top = TopImages(1, 3)
    for image in order:
        top.update(values[[image]], np.zeros((1, 1)), np.array([image]), groups[[image]])
    assert top.index.tolist() == [[1, 2, 0]]
