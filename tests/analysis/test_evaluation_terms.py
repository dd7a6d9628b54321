"""Terms, intervals and similarity against hand-computed examples and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from analysis.evaluation.bootstrap import Estimate, PatientBootstrap, interval, mean
from analysis.evaluation.similarity import greedy_matching, text_similarity, tree_similarity
from analysis.evaluation.terms import (
    Reading,
    TermAgreement,
    active_reading,
    listed_reading,
    strongest_reading,
    term_agreement,
)

CODES = ["mass", "mass.margin.spiculated", "calcification"]
BROADER = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
PARENTS = {"mass": None, "mass.margin.spiculated": "mass", "mass.shape.oval": "mass",
           "calcification": None}  # fmt: skip


def patients(images: int, each: int = 2) -> list[str]:
    return [f"p{image // each}" for image in range(images)]


def planted(seed: int = 0, images: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twelve units, four terms; a unit is active where its term is in the reference, with noise."""
    generator = np.random.default_rng(seed)
    unit_terms = np.repeat(np.eye(4, dtype=bool), 3, axis=0)
    reference = generator.random((images, 4)) < (0.4, 0.3, 0.2, 0.1)
    active = (reference[:, np.repeat(np.arange(4), 3)]) ^ (generator.random((images, 12)) < 0.1)
    return unit_terms, reference, active


def agreement(active: np.ndarray, unit_terms: np.ndarray, reference: np.ndarray) -> TermAgreement:
    bootstrap = PatientBootstrap(patients(len(active)), repeats=400, seed=1)
    return term_agreement(
        active_reading(active), unit_terms, reference, list("abcd"), bootstrap, permutations=40
    )


def test_the_measures_are_those_of_scikit_learn() -> None:
    unit_terms, reference, active = planted()
    found = agreement(active, unit_terms, reference)
    named = active_reading(active).named(unit_terms)
    assert found.precision.value == pytest.approx(
        precision_score(reference, named, average="micro")
    )
    assert found.recall.value == pytest.approx(recall_score(reference, named, average="micro"))
    assert found.f1.value == pytest.approx(f1_score(reference, named, average="micro"))
    assert found.macro_f1.value == pytest.approx(f1_score(reference, named, average="macro"))
    assert found.named_per_image == pytest.approx(named.sum() / len(named))


def test_right_names_beat_every_control_and_wrong_ones_none() -> None:
    unit_terms, reference, active = planted()
    right = agreement(active, unit_terms, reference)
    assert right.beats_all
    assert all(control.difference.low > 0 for control in right.controls)
    generator = np.random.default_rng(3)
    wrong = agreement(active[generator.permutation(len(active))], unit_terms, reference)
    assert not any(control.beaten for control in wrong.controls)


def test_the_base_rate_names_the_most_frequent_terms_as_often() -> None:
    reference = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    active = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    found = term_agreement(
        active_reading(active), np.eye(3, dtype=bool), reference, CODES,
        PatientBootstrap(patients(4), repeats=50, seed=0), permutations=5,
    )  # fmt: skip
    # It names mass; mass and spiculated; nothing; mass: 3 of 4 are right, of 5 in the references.
    base = next(control for control in found.controls if control.key == "base_rate")
    assert base.f1.value == pytest.approx(2 * 3 / (4 + 5))


def test_a_quorum_of_a_terms_units_must_be_active() -> None:
    unit_terms = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 1]], bool)
    active = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], bool)
    named = active_reading(active).named(unit_terms)
    assert named.tolist() == [[False, False, False], [True, False, False], [False, False, True]]


def test_shares_and_ranks_of_effects_name_terms_as_stated() -> None:
    unit_terms = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]], bool)
    effects = np.array([[6.0, 0.3, -5.0], [0.1, 2.0, 1.0]])
    listed = listed_reading(effects, np.array([10.0, 10.0]), least=0.02).named(unit_terms)
    assert listed.tolist() == [[True, False, False], [False, True, True]]
    strongest = strongest_reading(effects, 1).named(unit_terms)
    assert strongest.tolist() == [[True, False, False], [False, True, True]]
    assert not strongest_reading(-np.abs(effects), 3).named(unit_terms).any()


def test_a_term_that_is_not_counted_keeps_its_share_of_a_unit() -> None:
    units = np.array([[1, 0, 1]], bool)
    reference = np.array([[1, 0, 0]], bool)
    bootstrap = PatientBootstrap(["p"], repeats=10, seed=0)

    def named(share: float) -> float:
        reading = listed_reading(np.array([[share]]), np.array([1.0]), least=0.02)
        return term_agreement(
            reading, units, reference, CODES, bootstrap,
            counted=np.array([True, False, False]), permutations=3,
        ).named_per_image  # fmt: skip

    assert named(0.03) == 0, "half of it is below the limit"
    assert named(0.05) == 1


def test_ancestor_credit_counts_what_a_term_implies_on_both_sides() -> None:
    named = np.array([[0, 1, 0]], bool)
    reference = np.array([[1, 0, 0]], bool)
    bootstrap = PatientBootstrap(["p"], repeats=10, seed=0)
    reading = Reading("any", named.astype(float), 1.0)

    def f1(broader: np.ndarray | None) -> float:
        units = np.eye(3, dtype=bool)
        return term_agreement(
            reading, units, reference, CODES, bootstrap, broader=broader, permutations=3
        ).f1.value

    assert f1(None) == 0
    assert f1(BROADER) == pytest.approx(2 / 3)


def test_whole_patients_are_drawn() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    single = mean(PatientBootstrap([str(n) for n in range(8)], repeats=4000, seed=0), values)
    whole = mean(PatientBootstrap(list("aaaabbbb"), repeats=4000, seed=0), values)
    assert single.value == whole.value == 0.5
    assert (whole.low, whole.high) == (0.0, 1.0)
    assert 0 < single.low < single.high < 1
    again = mean(PatientBootstrap(list("aaaabbbb"), repeats=4000, seed=0), values)
    assert again == whole


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for run in range(200):
        level = generator.normal(0, 1, 60).repeat(3)
        values = level + generator.normal(0, 0.3, 180)
        found = mean(PatientBootstrap(patients(180, 3), repeats=300, seed=run), values)
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_what_cannot_be_known_is_not_a_number() -> None:
    nothing = interval(float("nan"), np.array([np.nan]))
    assert np.isnan(nothing.low)
    assert not Estimate(1.0, 0.5, 1.5).above(nothing)


def test_one_patient_gives_no_interval_and_beats_no_control() -> None:
    unit_terms, reference, active = planted(images=40)

    def found(owners: list[str]) -> TermAgreement:
        bootstrap = PatientBootstrap(owners, repeats=50, seed=0)
        return term_agreement(
            active_reading(active), unit_terms, reference, list("abcd"), bootstrap, permutations=5
        )

    single = found(["p"] * 40)
    assert single.f1.value == found(patients(40)).f1.value
    for estimate in (single.f1, single.macro_f1, single.controls[1].f1):
        assert np.isnan([estimate.low, estimate.high]).all()
    assert not any(control.beaten for control in single.controls)
    values = np.array([0.5, 0.7, np.nan])
    alone = mean(PatientBootstrap(list("aab"), repeats=50, seed=0), values)
    assert alone.value == pytest.approx(0.6)
    assert np.isnan(alone.low), "only one patient has a value"


def test_nearness_in_the_tree() -> None:
    codes = list(PARENTS)
    near = tree_similarity(codes, PARENTS)
    assert near[0].tolist() == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert near[1, 2] == pytest.approx(2 / 4)
    np.testing.assert_array_equal(near, near.T)


def test_greedy_matching_by_hand_and_with_other_patients_explanations() -> None:
    near = tree_similarity(CODES, PARENTS)
    named = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    reference = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    scores = greedy_matching(named, reference, near)
    np.testing.assert_allclose(scores, [2 / 3, (0.5 + 1) / 2, np.nan, 0, 0])

    unit_terms, truth, active = planted()
    owners = patients(len(truth))
    bootstrap = PatientBootstrap(owners, repeats=300, seed=0)
    named = active_reading(active).named(unit_terms)
    right = text_similarity(named, truth, np.eye(4), owners, bootstrap, runs=20)
    assert right.beaten
    wrong = text_similarity(np.roll(named, 2, axis=0), truth, np.eye(4), owners, bootstrap, runs=20)
    assert not wrong.beaten
    assert wrong.own.value == pytest.approx(wrong.other_images.value, abs=0.06)
