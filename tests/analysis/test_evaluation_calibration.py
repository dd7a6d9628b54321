"""Temperature scaling and its measures against scikit-learn and planted temperatures."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from analysis.evaluation.bootstrap import PatientBootstrap
from analysis.evaluation.calibration import (
    CalibrationError,
    calibrate,
    fit_temperature,
    reliability,
)

Labelled = tuple[np.ndarray, np.ndarray, list[str]]


def planted(temperature: float, images: int, seed: int, prefix: str) -> Labelled:
    """Labels drawn from softmax(logits / temperature); two images a patient."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (images, 3))
    chances = softmax(logits / temperature, axis=1)
    labels = np.array([generator.choice(3, p=row) for row in chances])
    return logits, labels, [f"{prefix}{image // 2}" for image in range(images)]


def bootstrap_of(labelled: Labelled) -> PatientBootstrap:
    return PatientBootstrap(labelled[2], repeats=200, seed=0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_found(temperature: float) -> None:
    logits, labels, _ = planted(temperature, 6000, 0, "f")
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


def test_calibration_helps_an_overconfident_model_and_leaves_a_calibrated_one() -> None:
    found = calibrate(planted(2.5, 3000, 0, "f"), planted(2.5, 3000, 1, "t"), repeats=200)
    assert found.after.ece.high < found.before.ece.low
    assert found.after.brier.value < found.before.brier.value
    assert found.after.nll.value < found.before.nll.value
    assert found.after.accuracy == found.before.accuracy
    control = calibrate(planted(1.0, 3000, 0, "f"), planted(1.0, 3000, 1, "t"), repeats=200)
    assert abs(control.after.ece.value - control.before.ece.value) < 0.01


def test_the_measures_are_those_of_scikit_learn() -> None:
    labelled = planted(2.0, 800, 0, "t")
    probabilities = softmax(labelled[0], axis=1)
    found = reliability(probabilities, labelled[1], bootstrap_of(labelled))
    assert found.nll.value == pytest.approx(log_loss(labelled[1], probabilities))
    truth = np.eye(3)[labelled[1]]
    assert found.brier.value == pytest.approx(((probabilities - truth) ** 2).sum(1).mean())
    correct = probabilities.argmax(1) == labelled[1]
    accuracy, confidence = calibration_curve(correct, probabilities.max(1), n_bins=10)
    np.testing.assert_allclose([one.accuracy for one in found.bins], accuracy)
    np.testing.assert_allclose([one.confidence for one in found.bins], confidence)
    counts = np.array([one.count for one in found.bins])
    expected = (np.abs(accuracy - confidence) * counts).sum() / 800
    assert found.ece.value == pytest.approx(expected)


def test_bins_of_equal_counts_by_hand() -> None:
    confidence = np.linspace(0.51, 0.89, 20)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.tile([0, 1], 10)
    found = reliability(
        probabilities, labels, PatientBootstrap(list("ab") * 10, repeats=20, seed=0)
    )
    expected = np.abs(confidence.reshape(10, 2).mean(1) - 0.5).mean()
    assert found.adaptive_ece.value == pytest.approx(expected)


def test_a_patient_in_both_sets_is_refused() -> None:
    with pytest.raises(CalibrationError, match="patients are in the images to fit on"):
        calibrate(planted(1.0, 20, 0, "same"), planted(1.0, 20, 1, "same"))


def test_what_fits_no_temperature_is_refused() -> None:
    certain = np.eye(3)[[0, 1, 2, 0]] * 5.0
    with pytest.raises(CalibrationError, match="No sensible temperature"):
        fit_temperature(certain, np.array([0, 1, 2, 0]))
    with pytest.raises(CalibrationError, match="No sensible temperature"):
        fit_temperature(certain, np.array([1, 2, 0, 1]))
    with pytest.raises(CalibrationError, match="No image with a known class"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
