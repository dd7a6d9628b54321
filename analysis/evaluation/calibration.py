"""Do probabilities mean what they say? Temperature scaling and its measures (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from analysis.errors import AnalysisError
from analysis.evaluation.bootstrap import Array, Estimate, PatientBootstrap, divided, ratio

BINS = 10
LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures outside do not occur in practice; reaching one means that the fit ran away, as it
does towards 0 where every image is right."""


class CalibrationError(AnalysisError):
    """No temperature can be fitted; the message says why and what to do."""


@dataclass(frozen=True)
class Bin:
    """Images whose largest probability lies in a range: how sure, how often right, how many."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Reliability:
    """ece: expected calibration error of the largest probability in bins of equal width; and
    adaptive_ece in bins of equal counts. brier: over all classes, 0 to 2. nll: in nats."""

    ece: Estimate
    adaptive_ece: Estimate
    brier: Estimate
    nll: Estimate
    accuracy: Estimate
    bins: list[Bin]


@dataclass(frozen=True)
class CalibrationReport:
    temperature: float
    before: Reliability
    after: Reliability
    fitted_images: int
    images: int
    patients: int


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature T whose softmax(logits / T) makes the labels most likely.

    logits [N, C], labels [N] in [0, C). The loss is convex in 1 / T, so one minimum is the minimum.

    Raises CalibrationError: no images, or a temperature beyond all bounds fits best (every image
    is right, or the model knows nothing).
    """
    if not len(labels):
        raise CalibrationError("No image with a known class is there to fit a temperature on.")
    values = logits.astype(np.float64)
    rows = np.arange(len(labels))

    def loss(log_inverse: float) -> float:
        return float(-log_softmax(values * np.exp(log_inverse), axis=1)[rows, labels].mean())

    bounds = (-np.log(HIGHEST), -np.log(LOWEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    temperature = float(np.exp(-found.x))
    all_right = bool((values.argmax(1) == labels).all())
    if all_right or not LOWEST * 1.01 < temperature < HIGHEST * 0.99:
        raise CalibrationError(
            "No sensible temperature fits these images: the model is right on all of them, or its "
            "scores say nothing about the class. Use more images to fit on."
        )
    return temperature


def calibrate(
    fit: tuple[NDArray[np.floating], NDArray[np.integer], Sequence[str]],
    test: tuple[NDArray[np.floating], NDArray[np.integer], Sequence[str]],
    *,
    repeats: int = 1000,
    seed: int = 0,
) -> CalibrationReport:
    """Fit on one set of (logits, labels, patients), report on the other, before and after.

    Raises CalibrationError: the sets share a patient, one is empty, or no temperature fits.
    """
    shared = set(fit[2]) & set(test[2])
    if shared:
        raise CalibrationError(
            f"{len(shared)} patients are in the images to fit on and in those to report on "
            f"(first: {min(shared)}); the report would be too good. Use splits by patient."
        )
    logits, labels, patients = test
    if not len(labels):
        raise CalibrationError("No image with a known class is there to report calibration on.")
    temperature = fit_temperature(fit[0], fit[1])
    bootstrap = PatientBootstrap(patients, repeats=repeats, seed=seed)
    return CalibrationReport(
        temperature=temperature,
        before=reliability(softmax(logits.astype(np.float64), axis=1), labels, bootstrap),
        after=reliability(
            softmax(logits.astype(np.float64) / temperature, axis=1), labels, bootstrap
        ),
        fitted_images=len(fit[1]),
        images=len(labels),
        patients=bootstrap.patients,
    )


def reliability(
    probabilities: Array, labels: NDArray[np.integer], bootstrap: PatientBootstrap
) -> Reliability:
    """Measures of probabilities [N, C] against labels [N].

    The borders of bins stay as they are for all images when patients are drawn.
    """
    rows = np.arange(len(labels))
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    truth = np.eye(probabilities.shape[1])[labels]
    brier = ((probabilities - truth) ** 2).sum(1)
    nll = -np.log(np.maximum(probabilities[rows, labels], 1e-300))
    equal_width = np.minimum((confidence * BINS).astype(int), BINS - 1)
    order = np.argsort(confidence, kind="stable")
    equal_count = np.empty(len(order), int)
    equal_count[order] = np.arange(len(order)) * BINS // len(order)

    def mean(values: Array) -> Estimate:
        return bootstrap.estimate(
            bootstrap.sums(np.stack([values, np.ones(len(values))], axis=1)), ratio
        )

    def error(bins: NDArray[np.integer]) -> Estimate:
        return bootstrap.estimate(bootstrap.sums(_binned(bins, confidence, correct)), _ece)

    return Reliability(
        ece=error(equal_width),
        adaptive_ece=error(equal_count),
        brier=mean(brier),
        nll=mean(nll),
        accuracy=mean(correct.astype(np.float64)),
        bins=_curve(equal_width, confidence, correct),
    )


def _binned(bins: NDArray[np.integer], confidence: Array, correct: NDArray[np.bool_]) -> Array:
    """[N, 3 BINS]: count, confidence and success of each image in its bin."""
    member = bins[:, None] == np.arange(BINS)
    return np.concatenate(
        [member, member * confidence[:, None], member & correct[:, None]], axis=1
    ).astype(np.float64)


def _ece(sums: Array) -> Array:
    """Mean over images of |accuracy - confidence| of their bin."""
    count, confidence, correct = np.split(sums, 3, axis=-1)
    return divided(np.abs(correct - confidence).sum(-1), count.sum(-1))


def _curve(bins: NDArray[np.integer], confidence: Array, correct: NDArray[np.bool_]) -> list[Bin]:
    return [
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            confidence=float(confidence[bins == number].mean()),
            accuracy=float(correct[bins == number].mean()),
            count=int((bins == number).sum()),
        )
        for number in range(BINS)
        if (bins == number).any()
    ]
