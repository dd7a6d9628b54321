"""Overlap against shifted masks: exact moments, valid p-values, planted and shuffled concepts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.dissection.cells import CellCounter
from analysis.dissection.significance import ShiftTest, benjamini_hochberg, bennett

PIXELS = np.full((4, 6), 4.0, np.float32)


def test_mean_and_variance_are_those_of_all_shifts() -> None:
    generator = np.random.default_rng(0)
    test = ShiftTest(3, 2)
    mean, variance, largest = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    for _ in range(4):
        on = generator.random((3, 4, 6)) > 0.7
        counts = generator.integers(0, 5, (2, 4, 6)).astype(np.float32)
        test.update(on, counts, [0, 1], PIXELS)
        shifted = np.array(
            [
                np.tensordot(on, np.roll(counts, (row, column), (1, 2)), ((1, 2), (1, 2)))
                for row in range(4)
                for column in range(6)
            ]
        )
        mean += shifted.mean(axis=0)
        variance += shifted.var(axis=0)
        largest = np.maximum(largest, (shifted - shifted.mean(axis=0)).max(axis=0))
    np.testing.assert_allclose(test._expected, mean)
    np.testing.assert_allclose(test._variance, variance, rtol=1e-6)
    assert (test._largest >= largest - 1e-6).all()


def images_of(generator: np.random.Generator, *, planted: bool) -> ShiftTest:
    """60 images with one blob; unit 0 is on at the blob or, if not planted, elsewhere."""
    test = ShiftTest(6, 2)
    for image in range(60):
        counts = np.zeros((1, 8, 8), np.float32)
        row, column = generator.integers(0, 7, 2)
        counts[0, row : row + 2, column : column + 2] = 4
        on = generator.random((6, 8, 8)) > 0.97
        if planted:
            on[0] = counts[0] > 0
        else:
            on[0] = np.roll(counts[0] > 0, generator.integers(0, 8, 2), (0, 1))
        test.update(on, counts, [image % 2], np.full((8, 8), 4.0, np.float32))
    return test


def test_a_planted_concept_is_significant_and_a_shuffled_one_is_not() -> None:
    found = images_of(np.random.default_rng(1), planted=True).result()
    assert (found.q[0] < 1e-6).all()
    assert (found.q[1:] > 0.05).all()
    assert (found.iou < 0.05).all()
    control = images_of(np.random.default_rng(1), planted=False).result()
    assert (control.q > 0.05).all()


def test_p_values_are_valid_under_the_null_hypothesis() -> None:
    generator = np.random.default_rng(2)
    p = np.concatenate([images_of(generator, planted=False).result().p.ravel() for _ in range(40)])
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level


def test_bennett_by_simulation() -> None:
    generator = np.random.default_rng(3)
    sums = (generator.random((100_000, 30)) < 0.1).sum(axis=1) - 3.0
    for excess in (1.0, 3.0, 6.0):
        bound = bennett(np.array([excess]), np.array([30 * 0.09]), np.array([0.9]))[0]
        assert (sums >= excess - 1e-9).mean() <= bound < 1


def test_nothing_to_test_gives_nan() -> None:
    test = ShiftTest(2, 2)
    on = np.zeros((2, 4, 6), bool)
    on[0, 0, 0] = True
    test.update(on, np.zeros((0, 4, 6), np.float32), [], PIXELS)
    test.update(on, np.ones((1, 4, 6), np.float32), [1], PIXELS)
    found = test.result()
    assert np.isnan(found.p).tolist() == [[True, False], [True, True]]
    assert np.isnan(found.q).tolist() == [[True, False], [True, True]]
    assert found.p[0, 1] == 1
    assert ShiftTest(3, 0).result().q.shape == (3, 0)


def test_benjamini_hochberg_by_hand() -> None:
    p = np.array([[0.01, 0.04], [0.03, np.nan], [0.5, 0.02]])
    expected = np.array([[0.05, 0.05], [0.05, np.nan], [0.5, 0.05]])
    np.testing.assert_allclose(benjamini_hochberg(p), expected)


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_cells_share_out_all_pixels(cells: tuple[int, int], grid: tuple[int, int]) -> None:
    counter = CellCounter(cells, grid)
    masks = np.random.default_rng(4).random((3, *grid)) > 0.5
    counts = counter.count(masks)
    assert counts.shape == (3, *cells)
    np.testing.assert_array_equal(counts.sum(axis=(1, 2)), masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(counter.pixels(), counter.count(np.ones((1, *grid), bool))[0])
    row, column = grid[0] // 2, grid[1] // 2
    one = np.zeros((1, *grid), bool)
    one[0, row, column] = True
    place = np.unravel_index(counter.count(one)[0].argmax(), cells)
    centre = ((row + 0.5) * cells[0] / grid[0], (column + 0.5) * cells[1] / grid[1])
    assert place == pytest.approx(tuple(np.floor(centre)))
