"""Agreement against published worked examples, the libraries, and answers without meaning."""

from typing import Any

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as library_fleiss

from annotation.agreement import statistics
from annotation.agreement.distances import (
    masi_distances,
    partial_credit_distances,
    tree_similarities,
)
from annotation.agreement.statistics import (
    MISSING,
    Estimate,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    percent_agreement,
)

X = MISSING
# K. Krippendorff, Computing Krippendorff's alpha-reliability (2011), section C: four observers,
# twelve units, five values; nominal alpha is 0.743, the ordinal, interval and ratio ones differ.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
        [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
    ]
)
# J. L. Fleiss, Psychol Bull 76 (1971), table 1: 30 patients, 6 psychiatrists, 5 diagnoses.
FLEISS = np.array(
    [
        [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
        [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
        [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
        [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0], [0, 2, 0, 4, 0], [1, 0, 2, 0, 3],
        [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0], [1, 0, 0, 4, 1],
        [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
    ]
)  # fmt: skip


def from_counts(table: np.ndarray) -> np.ndarray:
    return np.array([np.repeat(np.arange(len(row)), row) for row in table]).T


def by_table(distances: np.ndarray) -> Any:
    """A distance for the library that looks its values up."""
    return lambda v1, v2, i1, i2, n_v, dtype: distances[i1, i2]


def shuffled(ratings: np.ndarray, seed: int) -> np.ndarray:
    """Each rater's answers given to other units of theirs."""
    rng = np.random.default_rng(seed)
    result = ratings.copy()
    for row in result:
        given = np.flatnonzero(row != MISSING)
        row[given] = row[rng.permutation(given)]
    return result


def noisy(units: int = 120, raters: int = 4, categories: int = 3, seed: int = 0) -> np.ndarray:
    """Raters who see the truth three times in four and skip one unit in five."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(categories, size=units)
    wrong = rng.integers(categories, size=(raters, units))
    ratings = np.where(rng.random((raters, units)) < 0.75, truth, wrong)
    ratings[rng.random((raters, units)) < 0.2] = MISSING
    return ratings


def close(found: Estimate, expected: float, tolerance: float = 1e-12) -> bool:
    return found.value is not None and abs(found.value - expected) < tolerance


def test_krippendorffs_own_example() -> None:
    ratings = np.where(KRIPPENDORFF == X, X, KRIPPENDORFF - 1)
    found = krippendorff_alpha(ratings, 5)
    assert close(found, 0.743, 0.0005)
    assert (found.units, found.raters) == (11, 4), "one unit has a single rating"
    steps = np.arange(5.0)
    interval = krippendorff_alpha(ratings, 5, (steps[:, None] - steps) ** 2 / 16)
    assert close(interval, 0.849, 0.0005)


def test_fleiss_own_example() -> None:
    found = fleiss_kappa(from_counts(FLEISS), 5)
    assert close(found, 0.430, 0.0005)
    assert found.observed == pytest.approx(0.5556, abs=5e-4)
    assert found.chance == pytest.approx(0.2201, abs=5e-4)
    assert (found.units, found.raters) == (30, 6)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.430 < found.high


def test_cohens_kappa_of_a_two_by_two_table() -> None:
    first = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    second = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    found = cohen_kappa(first, second, 2)
    assert close(found, 0.4)
    assert (found.observed, found.chance) == (pytest.approx(0.7), pytest.approx(0.5))
    both = np.stack([first, second])
    assert close(percent_agreement(both, 2), 0.7)


def test_intervals_are_the_libraries_values_on_resampled_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[np.ndarray] = []
    seen = statistics._with_interval

    def keep(estimate: Estimate, resampled: Any) -> Estimate:
        drawn.append(resampled)
        return seen(estimate, resampled)

    monkeypatch.setattr(statistics, "_with_interval", keep)
    full = np.random.default_rng(3).integers(3, size=(3, 40))
    table = np.stack([(full == c).sum(0) for c in range(3)], axis=1)
    distances = np.abs(np.arange(3.0)[:, None] - np.arange(3.0)) / 2
    fleiss_kappa(full, 3)
    krippendorff_alpha(full, 3)
    krippendorff_alpha(full, 3, distances)
    cohen_kappa(full[0], full[1], 3)
    for number, weights in enumerate(statistics._resamples(40, 0)[:25].astype(int)):
        rows = np.repeat(np.arange(40), weights)
        counts = table[rows]
        expected = [
            library_fleiss(counts),
            krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"),
            krippendorff.alpha(
                value_counts=counts,
                level_of_measurement=by_table(distances),
            ),
            cohen_kappa_score(full[0, rows], full[1, rows]),
        ]
        assert [values[number] for values in drawn] == pytest.approx(expected, abs=1e-12)


def test_alpha_with_distances_takes_missing_answers_as_the_library_does() -> None:
    ratings = noisy(categories=4)
    distances = np.abs(np.arange(4.0)[:, None] - np.arange(4.0)) / 3
    expected = krippendorff.alpha(
        np.where(ratings == MISSING, np.nan, ratings),
        value_domain=range(4),
        level_of_measurement=by_table(distances),
    )
    assert close(krippendorff_alpha(ratings, 4, distances), expected)


def test_shuffled_answers_agree_by_chance_alone() -> None:
    real = krippendorff_alpha(noisy(), 3)
    assert real.low is not None
    assert real.low > 0.2
    covered = 0
    values = []
    for seed in range(20):
        control = krippendorff_alpha(shuffled(noisy(), seed), 3, seed=seed)
        assert control.value is not None
        assert control.low is not None
        assert control.high is not None
        values.append(control.value)
        covered += control.low <= 0 <= control.high
    assert abs(np.mean(values)) < 0.03
    assert covered >= 17, "a 95 % interval misses zero about once in twenty shuffles"


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = krippendorff_alpha(noisy(units=40_000), 3).value
    assert truth is not None
    held = 0
    for seed in range(100, 160):
        found = krippendorff_alpha(noisy(units=80, seed=seed), 3)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert held >= 52


def test_what_is_undefined_is_said_in_words() -> None:
    same = np.zeros((3, 20), int)
    for found in (
        krippendorff_alpha(same, 3),
        fleiss_kappa(same, 3),
        cohen_kappa(same[0], same[1], 3),
    ):
        assert found.value is None
        assert "same answer" in found.reason
        assert found.observed == 1
    alone = np.array([[0, 1, 2], [X, X, X]])
    for found in (
        krippendorff_alpha(alone, 3),
        fleiss_kappa(alone, 3),
        percent_agreement(alone, 3),
    ):
        assert found.value is None
        assert "two experts" in found.reason
    assert "in common" in cohen_kappa(alone[0], alone[1], 3).reason
    few = krippendorff_alpha(np.array([[0, 1, 1], [0, 1, 0]]), 2)
    assert few.value is not None
    assert few.low is None
    assert "Fewer than 10" in few.reason
    rare = np.zeros((2, 40), int)
    rare[:, 0] = 1
    once = krippendorff_alpha(rare, 2)
    assert once.value == 1
    assert once.low is None
    assert "mislead" in once.reason


def test_fleiss_takes_the_units_with_the_commonest_number_of_answers() -> None:
    ratings = np.random.default_rng(0).integers(2, size=(3, 30))
    ratings[2, :12] = MISSING
    found = fleiss_kappa(ratings, 2)
    assert (found.units, found.raters) == (18, 3)


def test_masi_of_the_four_kinds_of_overlap() -> None:
    sets = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    found = 1 - masi_distances(sets)
    assert found[0, 1] == pytest.approx(1 / 2 * 2 / 3), "one holds the other"
    assert found[0, 2] == pytest.approx(1 / 3 * 1 / 3), "overlap"
    assert found[0, 3] == 0
    assert found[4, 0] == 0
    assert np.diag(found) == pytest.approx(1)
    assert found == pytest.approx(found.T)


def test_near_terms_of_the_tree_earn_part_of_the_credit() -> None:
    #  0 mass ─ 1 margin ─ 2 spiculated, 3 circumscribed;  4 calcification
    similar = tree_similarities([None, 0, 1, 1, None])
    assert similar[2, 3] == pytest.approx(2 * 2 / 6)
    assert similar[0, 2] == pytest.approx(2 * 1 / 4)
    assert similar[2, 4] == 0
    assert np.diag(similar) == pytest.approx(1)
    sets = np.eye(5, dtype=bool)[[2, 3, 4]]
    sets = np.vstack([sets, np.zeros(5, bool), sets[0] | sets[2]])
    apart = partial_credit_distances(sets, similar)
    assert apart[0, 1] == pytest.approx(1 - 2 / 3)
    assert apart[0, 2] == 1
    assert apart[0, 3] == 1
    assert apart[3, 3] == 0
    assert apart[0, 4] == pytest.approx(1 - (1 + 1 + 0) / 3)
    assert tree_similarities([1, 0]) == pytest.approx(1), "a circle ends the line of ancestors"
