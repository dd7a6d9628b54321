"""How good a classifier is, overall and for each class, and how removal changes its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import log_softmax
from scipy.stats import rankdata

_VALUES_AT_ONCE = 2**21


@dataclass(frozen=True)
class Metrics:
    """Of S sets of removed units, C classes. Shares from 0 to 1; NaN where nothing defines them.

    Over the images with a class:
    accuracy [S]: share whose largest logit is that of their class.
    class_accuracy [S, C]: the same among the images of class c.
    balanced_accuracy [S, C]: one-vs-rest, (TPR + TNR) / 2 of the answer "the largest logit is c";
        0.5 is chance (the measure of `davidbau/dissect`).
    auc [S, C]: one-vs-rest area under the ROC curve of class c's probability, ties counted half.
    Over all images, against the unchanged model:
    logit_shift [S, C]: mean of logit c with the units removed minus logit c.
    flips [S]: share whose largest logit is that of another class than before.
    """

    accuracy: np.ndarray
    class_accuracy: np.ndarray
    balanced_accuracy: np.ndarray
    auc: np.ndarray
    logit_shift: np.ndarray
    flips: np.ndarray


def measure(
    n_sets: int,
    logits: Callable[[slice], np.ndarray],
    before: np.ndarray,
    labels: np.ndarray,
    advance: Callable[[int], None] = lambda _sets: None,
) -> Metrics:
    """Metrics of `n_sets` sets.

    logits(sets) gives [s, N, C] for a slice of the sets; before [N, C]: the unchanged model's;
    labels [N]: class, -1 where unknown. `advance(s)` is called for every s sets measured.
    """
    parts = []
    for sets in _slices(n_sets, before.size):
        values = logits(sets)
        parts.append(_measure(values, before, labels))
        advance(len(values))
    if not parts:
        parts = [_measure(before[None][:0], before, labels)]
    return Metrics(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Metrics)
        }
    )


def _slices(n_sets: int, size: int) -> Iterator[slice]:
    step = max(1, _VALUES_AT_ONCE // max(size, 1))
    for start in range(0, n_sets, step):
        yield slice(start, min(start + step, n_sets))


def _measure(logits: np.ndarray, before: np.ndarray, labels: np.ndarray) -> Metrics:
    predicted = logits.argmax(2)
    known = labels >= 0
    truth = labels[known, None] == np.arange(before.shape[1])
    answers = predicted[:, known, None] == np.arange(before.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (answers & truth).sum(1) / truth.sum(0)
        specificity = (~answers & ~truth).sum(1) / (~truth).sum(0)
        accuracy = (predicted[:, known] == labels[known]).sum(1) / np.float64(known.sum())
        return Metrics(
            accuracy=accuracy,
            class_accuracy=recall,
            balanced_accuracy=(recall + specificity) / 2,
            auc=_auc(logits[:, known], truth),
            logit_shift=logits.mean(1, dtype=np.float64) - before.mean(0, dtype=np.float64),
            flips=(predicted != before.argmax(1)).mean(1),
        )


def _auc(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[S, C], by the Mann-Whitney statistic of the ranks."""
    if not len(truth) or not len(logits):
        return np.full((len(logits), truth.shape[1]), np.nan)
    # The logarithm keeps apart probabilities that would both round to 1.
    scores = log_softmax(logits.astype(np.float64), axis=2) if logits.shape[2] > 1 else logits
    ranks = rankdata(scores, axis=1)
    positive, negative = truth.sum(0), (~truth).sum(0)
    above = np.where(truth, ranks, 0).sum(1) - positive * (positive + 1) / 2
    return above / (positive * negative)
