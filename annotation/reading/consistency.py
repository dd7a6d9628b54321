"""Whether readers agree with themselves, and whether they see more in units than in controls."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score


@dataclass(frozen=True)
class Answer:
    """What a reader said: "yes", "no" or "unsure", and the codes of the terms."""

    recognisable: str
    terms: frozenset[str]


@dataclass(frozen=True)
class SelfAgreement:
    """How a reader's first and repeated answers on the same units agree.

    agreement: share of pairs with the same answer to "is something recognisable?". kappa: Cohen's
    kappa of it; None where both times only one answer was ever given. overlap: mean Jaccard index
    of the terms over pairs where at least one answer has terms; None where no pair has.
    """

    pairs: int
    agreement: float
    kappa: float | None
    overlap: float | None


@dataclass(frozen=True)
class Share:
    """count of total, with its 95 % interval (Wilson)."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.total


@dataclass(frozen=True)
class ControlContrast:
    """ "Nothing recognisable" on controls and on real units, and the difference of the shares.

    low, high: its 95 % interval. A reader who sees less in controls has a difference above 0.
    """

    controls: Share
    real: Share
    difference: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        return self.low > 0


def self_agreement(pairs: Sequence[tuple[Answer, Answer]]) -> SelfAgreement | None:
    """Of (first, repeated) answers; None without any."""
    if not pairs:
        return None
    first = [before.recognisable for before, _ in pairs]
    again = [after.recognisable for _, after in pairs]
    overlaps = [
        len(before.terms & after.terms) / len(before.terms | after.terms)
        for before, after in pairs
        if before.terms | after.terms
    ]
    return SelfAgreement(
        pairs=len(pairs),
        agreement=float(np.mean([a == b for a, b in zip(first, again, strict=True)])),
        kappa=float(cohen_kappa_score(first, again)) if len({*first, *again}) > 1 else None,
        overlap=float(np.mean(overlaps)) if overlaps else None,
    )


def control_contrast(
    controls: Collection[Answer], real: Collection[Answer]
) -> ControlContrast | None:
    """How often nothing is recognised in controls and in real units; None without both.

    The interval of the difference is Newcombe's, from the two Wilson intervals (Statistics in
    Medicine 17, 873-890, 1998, method 10).
    """
    if not controls or not real:
        return None
    there, here = _nothing(controls), _nothing(real)
    difference = there.value - here.value
    return ControlContrast(
        controls=there,
        real=here,
        difference=difference,
        low=difference - hypot(there.value - there.low, here.high - here.value),
        high=difference + hypot(there.high - there.value, here.value - here.low),
    )


def share(count: int, total: int) -> Share:
    """With `total` > 0."""
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return Share(count, total, float(interval.low), float(interval.high))


def _nothing(answers: Collection[Answer]) -> Share:
    return share(sum(answer.recognisable == "no" for answer in answers), len(answers))
