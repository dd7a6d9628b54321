"""Intervals from resampling whole patients: images of one patient are not independent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
LEVEL = 0.95
FEWEST_PATIENTS = 2


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where it cannot be known, as from a single patient."""

    value: float
    low: float
    high: float

    def above(self, other: Estimate) -> bool:
        """Larger than `other`, and the two intervals do not overlap."""
        return self.low > other.high


class PatientBootstrap:
    """Draws as many patients as there are, with repeats, `repeats` times (percentile intervals).

    Statistics are functions of sums over images, so that a draw only weights sums per patient.
    Two estimates of one instance use the same draws; their difference is therefore a paired one.
    """

    def __init__(self, patients: Sequence[str], *, repeats: int, seed: int) -> None:
        names = np.array(patients, dtype=str)
        self._order = np.argsort(names, kind="stable")
        _, self._starts = np.unique(names[self._order], return_index=True)
        self.patients = len(self._starts)
        share = np.full(self.patients, 1 / max(self.patients, 1))
        generator = np.random.default_rng(seed)
        self._weights = generator.multinomial(self.patients, share, repeats).astype(np.float64)

    def sums(self, values: NDArray[np.generic]) -> Array:
        """[P, ...]: what each patient's images [N, ...] add up to."""
        return np.add.reduceat(values[self._order].astype(np.float64), self._starts, axis=0)

    def estimate(self, sums: Array, statistic: Statistic) -> Estimate:
        """`statistic` of sums [..., J], from sums per patient [P, J]."""
        return interval(float(statistic(sums.sum(0))), self.draws(sums, statistic))

    def draws(self, sums: Array, statistic: Statistic) -> Array:
        """[R]: the statistic of each draw of patients; NaN where only one contributes to the sums,
        as drawing that patient again says nothing of others."""
        return self._drawn(sums, statistic, self._weights)

    def chance_draws(
        self, runs: Iterable[Array], count: int, statistics: Sequence[Statistic]
    ) -> tuple[Array, Array]:
        """For a control with chance in it, of which `runs` are `count` runs [P, J].

        Returns the means over runs [S] and draws [S, R]. Draw r takes run r mod `count`, so that
        the spread holds both kinds of chance.
        """
        values = np.full((len(statistics), count), np.nan)
        draws = np.full((len(statistics), len(self._weights)), np.nan)
        for run, sums in enumerate(runs):
            for place, statistic in enumerate(statistics):
                values[place, run] = float(statistic(sums.sum(0)))
                draws[place, run::count] = self._drawn(sums, statistic, self._weights[run::count])
        return values.mean(1), draws

    @staticmethod
    def _drawn(sums: Array, statistic: Statistic, weights: Array) -> Array:
        if np.count_nonzero(sums.any(axis=1)) < FEWEST_PATIENTS:
            return np.full(len(weights), np.nan)
        return statistic(weights @ sums)


def interval(value: float, draws: Array) -> Estimate:
    """The percentile interval of draws around a value; NaN where too few draws are known."""
    known = draws[np.isfinite(draws)]
    if not len(known) or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def ratio(sums: Array) -> Array:
    """First of two sums over the second, e.g. a mean from a sum and a count; NaN for nothing."""
    return divided(sums[..., 0], sums[..., 1])


def divided(above: Array, below: Array) -> Array:
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def mean(bootstrap: PatientBootstrap, values: NDArray[np.generic]) -> Estimate:
    """The mean over images with an interval; images whose value is NaN do not take part."""
    return bootstrap.estimate(known_sums(bootstrap, values), ratio)


def known_sums(bootstrap: PatientBootstrap, values: NDArray[np.generic]) -> Array:
    """[P, 2] per patient: the sum and the number of those values [N] that are not NaN."""
    known = np.isfinite(values)
    return bootstrap.sums(np.stack([np.where(known, values, 0), known], axis=1))
