"""Discrimination of a classifier, with an interval that respects patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Auc:
    """A macro one-vs-rest AUC and its 95 % patient-bootstrap interval."""

    value: float
    low: float
    high: float
    per_class: tuple[float, ...]
    images: int
    patients: int

    def __str__(self) -> str:
        return (
            f"{self.value:.3f} (95 % interval {self.low:.3f} to {self.high:.3f}, "
            f"{self.images} images of {self.patients} patients)"
        )


def macro_auc(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """Mean over classes of the area under the one-vs-rest ROC curve.

    ``labels`` is ``[N]``, ``probabilities`` ``[N, C]`` with rows summing to 1. Every class must
    occur, otherwise scikit-learn raises ValueError.
    """
    return float(roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))


def patient_auc(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    patients: NDArray[np.int64],
    resamples: int = 1000,
    seed: int = 0,
) -> Auc:
    """``macro_auc`` with a percentile bootstrap over patients (all images of a patient together).

    Resamples in which a class is missing are drawn again.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(patients == number) for number in np.unique(patients)]
    classes = np.arange(probabilities.shape[1])
    values: list[float] = []
    while len(values) < resamples:
        drawn = rng.integers(len(members), size=len(members))
        index = np.concatenate([members[k] for k in drawn])
        if np.isin(classes, labels[index]).all():
            values.append(macro_auc(labels[index], probabilities[index]))
    low, high = np.quantile(values, (0.025, 0.975))
    per_class = tuple(float(roc_auc_score(labels == c, probabilities[:, c])) for c in classes)
    return Auc(
        value=macro_auc(labels, probabilities),
        low=float(low),
        high=float(high),
        per_class=per_class,
        images=len(labels),
        patients=len(members),
    )
