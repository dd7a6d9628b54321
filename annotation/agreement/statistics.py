"""How far raters agree, beyond chance, with percentile bootstrap intervals over units.

Plain arrays only. Ratings are integers [R, N] for R raters and N units: the index of a category,
or MISSING. Units with fewer than two ratings say nothing about agreement and are left out.

The values come from scikit-learn (Cohen), statsmodels (Fleiss) and krippendorff (nominal alpha).
Resamples need a thousand values at once: they are computed here from sums over units, weighted by
how often a resample drew each unit. The tests hold both ways against each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import krippendorff
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

MISSING = -1
RESAMPLES = 1000
LEVEL = 0.95
FEWEST_UNITS = 10
UNDEFINED_SHARE = 0.05
NO_PAIRS = "No unit has answers of two experts."
ONE_CATEGORY = (
    "Everybody always gave the same answer, so agreement by chance would be complete too."
)

Ratings = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A statistic of agreement, its interval, and what it rests on.

    `value` is None where the statistic is undefined, `low` and `high` where an interval would
    mislead; `reason` then says why, in words. `observed` and `chance` are the agreement that was
    found and that chance would give: the statistic is (observed - chance) / (1 - chance).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    observed: float | None = None
    chance: float | None = None
    units: int = 0
    raters: int = 0
    reason: str = ""


def percent_agreement(ratings: Ratings, categories: int, *, seed: int = 0) -> Estimate:
    """The share of agreeing pairs of raters on a unit, averaged over units (0 to 1)."""
    counts, raters = _pairable(ratings, categories)
    if not len(counts):
        return Estimate(None, reason=NO_PAIRS)
    agreeing = _agreeing_pairs(counts)
    weights = _resamples(len(counts), seed)
    value = float(agreeing.mean())
    return _with_interval(
        Estimate(value, observed=value, units=len(counts), raters=raters),
        weights @ agreeing / len(counts),
    )


def cohen_kappa(first: Ratings, second: Ratings, categories: int, *, seed: int = 0) -> Estimate:
    """Cohen's kappa of two raters over the units [N] that both rated.

    J. Cohen, A coefficient of agreement for nominal scales, Educ Psychol Meas 20 (1960).
    """
    both = (first != MISSING) & (second != MISSING)
    first, second = first[both], second[both]
    units = len(first)
    if not units:
        return Estimate(None, reason="These two have answered no unit in common.")
    pairs = np.eye(categories * categories)[first * categories + second]

    def statistic(weights: Floats) -> tuple[Floats, Floats]:
        tables = (weights @ pairs).reshape(-1, categories, categories) / units
        observed = np.trace(tables, axis1=1, axis2=2)
        return observed, np.einsum("bi,bi->b", tables.sum(1), tables.sum(2))

    return _beyond_chance(
        statistic,
        lambda: cohen_kappa_score(first, second, labels=range(categories)),
        units=units,
        raters=2,
        seed=seed,
    )


def fleiss_kappa(ratings: Ratings, categories: int, *, seed: int = 0) -> Estimate:
    """Fleiss' kappa, which asks for the same number of ratings on every unit.

    It is taken over the units with the commonest number of ratings, the larger one where two are
    as common. J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychol Bull 76
    (1971).
    """
    counts, _ = _pairable(ratings, categories)
    if not len(counts):
        return Estimate(None, reason=NO_PAIRS)
    per_unit = counts.sum(1)
    numbers, occurrences = np.unique(per_unit, return_counts=True)
    number = int(max(zip(occurrences, numbers, strict=True))[1])
    table = counts[per_unit == number]
    agreeing = _agreeing_pairs(table)

    def statistic(weights: Floats) -> tuple[Floats, Floats]:
        shares = weights @ table / (len(table) * number)
        return weights @ agreeing / len(table), (shares**2).sum(1)

    def library() -> float:
        # It brings in pandas, which every page would have to wait for at the start of a process.
        from statsmodels.stats.inter_rater import fleiss_kappa as of_table

        return float(of_table(table))

    return _beyond_chance(statistic, library, units=len(table), raters=number, seed=seed)


def krippendorff_alpha(
    ratings: Ratings, categories: int, distances: Floats | None = None, *, seed: int = 0
) -> Estimate:
    """Krippendorff's alpha for any number of raters and missing ratings.

    Args:
        distances: [categories, categories] in 0 to 1, zero on the diagonal; None for nominal.

    K. Krippendorff, Computing Krippendorff's alpha-reliability (2011). With distances the value
    is computed here: the library holds an array of units x categories x categories, too much where
    every set of terms is a category of its own.
    """
    counts, raters = _pairable(ratings, categories)
    if not len(counts):
        return Estimate(None, reason=NO_PAIRS)
    nominal = distances is None
    apart = 1 - np.eye(categories) if distances is None else distances
    disagreeing = ((counts @ apart) * counts).sum(1) / (counts.sum(1) - 1)

    def statistic(weights: Floats) -> tuple[Floats, Floats]:
        marginals = weights @ counts
        total = marginals.sum(1)
        chance = ((marginals @ apart) * marginals).sum(1) / (total * (total - 1))
        return 1 - weights @ disagreeing / total, 1 - chance

    def library() -> float:
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))

    return _beyond_chance(
        statistic, library if nominal else None, units=len(counts), raters=raters, seed=seed
    )


def mean_with_interval(values: Floats, *, raters: int, seed: int = 0) -> Estimate:
    """The mean of one value per unit [N], with the same kind of interval."""
    if not len(values):
        return Estimate(None, reason="There is no unit to compare.")
    resampled = _resamples(len(values), seed) @ values / len(values)
    estimate = Estimate(float(values.mean()), units=len(values), raters=raters)
    return _with_interval(estimate, resampled)


def _beyond_chance(
    statistic: Callable[[Floats], tuple[Floats, Floats]],
    library: Callable[[], float] | None,
    *,
    units: int,
    raters: int,
    seed: int,
) -> Estimate:
    """The estimate of (observed - chance) / (1 - chance).

    `statistic` gives both shares [B] for weights [B, N] of the units.
    """
    (observed,), (chance,) = statistic(np.ones((1, units)))
    if np.isclose(chance, 1):
        return Estimate(
            None,
            observed=float(observed),
            chance=float(chance),
            units=units,
            raters=raters,
            reason=ONE_CATEGORY,
        )
    value = library() if library else float((observed - chance) / (1 - chance))
    many_observed, many_chance = statistic(_resamples(units, seed))
    defined = ~np.isclose(many_chance, 1)
    resampled = (many_observed[defined] - many_chance[defined]) / (1 - many_chance[defined])
    estimate = Estimate(
        value, observed=float(observed), chance=float(chance), units=units, raters=raters
    )
    return _with_interval(estimate, resampled)


def _with_interval(estimate: Estimate, resampled: Floats) -> Estimate:
    if estimate.units < FEWEST_UNITS:
        reason = f"Fewer than {FEWEST_UNITS} units: too few for an interval."
        return replace(estimate, reason=reason)
    if len(resampled) < (1 - UNDEFINED_SHARE) * RESAMPLES:
        reason = "Too few units differ from the rest: an interval would mislead."
        return replace(estimate, reason=reason)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return replace(estimate, low=float(low), high=float(high))


def _pairable(ratings: Ratings, categories: int) -> tuple[Floats, int]:
    """How often each category was given to each unit with at least two ratings [n, categories],
    and how many raters gave them."""
    enough = (ratings != MISSING).sum(0) >= 2
    kept = ratings[:, enough]
    counts = np.stack([(kept == category).sum(0) for category in range(categories)], axis=1)
    return counts.astype(np.float64), int((kept != MISSING).any(1).sum())


def _agreeing_pairs(counts: Floats) -> Floats:
    """The share of pairs of ratings on each unit [N] that agree."""
    number = counts.sum(1)
    return (counts * (counts - 1)).sum(1) / (number * (number - 1))


@lru_cache(maxsize=8)
def _resamples(units: int, seed: int) -> Floats:
    """How often each of RESAMPLES bootstrap samples holds each unit: [RESAMPLES, units]."""
    drawn = np.random.default_rng(seed).integers(units, size=(RESAMPLES, units))
    drawn += np.arange(RESAMPLES)[:, None] * units
    return (
        np.bincount(drawn.ravel(), minlength=RESAMPLES * units)
        .reshape(RESAMPLES, units)
        .astype(np.float64)
    )
