"""Do explanations name what reports say? Precision, recall and F1 of terms, with controls.

How terms follow from an explanation is a choice, so it is explicit (`Reading`) and every reading
is measured. Controls: always the most frequent terms of the references, as many as were named
("base_rate": it knows the references and so is a hard one); the units' terms permuted among them
("shuffled"); on every image as many units, drawn at random among the named ones ("random_units").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.evaluation.bootstrap import Array, Estimate, PatientBootstrap, divided, interval

Flags = NDArray[np.bool_]
BASE_RATE, SHUFFLED, RANDOM_UNITS = "base_rate", "shuffled", "random_units"


@dataclass(frozen=True)
class Reading:
    """Which terms an explanation names, given what its named units did on an image.

    weights [N, U]: how much unit u counts on image n. A term is named where the weights of the
    units that carry it reach `limit` (above 0). share_of "term": a term's units have one vote
    together; "unit": a unit's weight is split over its terms; "": weights count as they are.
    """

    key: str
    weights: NDArray[np.floating]
    limit: float
    share_of: str = ""

    def named(self, unit_terms: Flags, weights: NDArray[np.floating] | None = None) -> Flags:
        """[N, T] from which unit carries which term [U, T]."""
        carries = unit_terms.astype(np.float64)
        if self.share_of:
            axis = 0 if self.share_of == "term" else 1
            carries /= np.maximum(carries.sum(axis, keepdims=True), 1)
        evidence = (self.weights if weights is None else weights).astype(np.float64) @ carries
        return evidence >= self.limit - 1e-9


def active_reading(active: Flags, quorum: float = 0.5) -> Reading:
    """Terms of which at least `quorum` of the units exceed their threshold. active [N, U]."""
    return Reading("active", active.astype(np.float32), quorum, "term")


def listed_reading(effects: NDArray[np.floating], total: Array, least: float = 0.02) -> Reading:
    """Terms with at least `least` of the evidence for the class, as a case page lists them.

    effects [N, U] of the named units; total [N]: all evidence for the class, named or not.
    """
    share = np.maximum(effects, 0) / np.where(total > 0, total, 1)[:, None]
    return Reading("listed", share, least, "unit")


def strongest_reading(effects: NDArray[np.floating], count: int = 3) -> Reading:
    """Terms of the `count` named units with the largest effects for the class (DeepMiner)."""
    order = np.argsort(-effects, axis=1, kind="stable")[:, :count]
    chosen = np.zeros(effects.shape, np.float32)
    np.put_along_axis(chosen, order, 1.0, axis=1)
    return Reading("strongest", chosen * (effects > 0), 1.0)


@dataclass(frozen=True)
class Control:
    """How a control fares, and how far ahead of it the explanations are (paired difference)."""

    key: str
    f1: Estimate
    macro_f1: Estimate
    difference: Estimate
    beaten: bool
    """The explanations' F1 is higher, and the two intervals do not overlap."""


@dataclass(frozen=True)
class TermScore:
    """Images that a term was named on, that its reference has it for, and both."""

    code: str
    named: int
    reference: int
    both: int

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.named + self.reference) if self.named + self.reference else 0.0


@dataclass(frozen=True)
class TermAgreement:
    reading: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    macro_f1: Estimate
    """Mean F1 over the terms that occur in a reference."""
    named_per_image: float
    terms: list[TermScore]
    controls: list[Control]

    @property
    def beats_all(self) -> bool:
        return all(control.beaten for control in self.controls)


def term_agreement(
    reading: Reading,
    unit_terms: Flags,
    reference: Flags,
    codes: Sequence[str],
    bootstrap: PatientBootstrap,
    *,
    broader: Flags | None = None,
    counted: Flags | None = None,
    permutations: int = 200,
    seed: int = 0,
) -> TermAgreement:
    """Compare what `reading` names with the references [N, T]; unit_terms [U, T], codes [T].

    broader [T, T]: row t marks the broader terms that term t implies. Where it is given, both sides
    also have what their terms imply, so that naming the parent earns part of the credit.
    counted [T]: the terms that are compared, all without it. The others still take their part of
    what their units carry, and earn credit for what they imply.
    """
    implied = np.eye(len(codes), dtype=bool)
    if broader is not None:
        implied |= broader
    if counted is not None:
        implied = implied[:, counted]
        codes = [code for code, use in zip(codes, counted, strict=True) if use]
    truth = (reference.astype(int) @ implied) > 0
    generator = np.random.default_rng(seed)

    def tallied(full: Flags) -> Array:
        """[P, 3 T] per patient: named and in the reference, named, in the reference."""
        return bootstrap.sums(np.concatenate([full & truth, full, truth], axis=1))

    def tallied_reading(units: Flags, weights: NDArray[np.floating]) -> Array:
        return tallied((reading.named(units, weights).astype(int) @ implied) > 0)

    named = (reading.named(unit_terms).astype(int) @ implied) > 0
    own = tallied(named)
    runs = range(permutations)
    chance: dict[str, tuple[Iterable[Array], int]] = {
        BASE_RATE: ([tallied(_most_frequent(named, truth))], 1),
        SHUFFLED: (
            (tallied_reading(generator.permutation(unit_terms), reading.weights) for _ in runs),
            permutations,
        ),
        RANDOM_UNITS: (
            (
                tallied_reading(unit_terms, generator.permuted(reading.weights, axis=1))
                for _ in runs
            ),
            permutations,
        ),
    }
    f1 = bootstrap.estimate(own, micro_f1)
    return TermAgreement(
        reading=reading.key,
        precision=bootstrap.estimate(own, precision),
        recall=bootstrap.estimate(own, recall),
        f1=f1,
        macro_f1=bootstrap.estimate(own, macro_f1),
        named_per_image=float(named.sum() / max(len(named), 1)),
        terms=_term_scores(codes, own),
        controls=[
            _control(key, own, f1, variants, count, bootstrap)
            for key, (variants, count) in chance.items()
        ],
    )


def _control(
    key: str,
    own: Array,
    f1: Estimate,
    variants: Iterable[Array],
    count: int,
    bootstrap: PatientBootstrap,
) -> Control:
    values, draws = bootstrap.chance_draws(variants, count, (micro_f1, macro_f1))
    control = interval(float(values[0]), draws[0])
    return Control(
        key=key,
        f1=control,
        macro_f1=interval(float(values[1]), draws[1]),
        difference=interval(f1.value - control.value, bootstrap.draws(own, micro_f1) - draws[0]),
        beaten=f1.above(control),
    )


def _most_frequent(named: Flags, truth: Flags) -> Flags:
    """On every image the most frequent terms of the references, as many as were named there."""
    order = np.argsort(-truth.sum(0), kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return rank[None, :] < named.sum(1)[:, None]


def _term_scores(codes: Sequence[str], own: Array) -> list[TermScore]:
    both, named, reference = _thirds(own.sum(0))
    scores = [
        TermScore(code, int(named[t]), int(reference[t]), int(both[t]))
        for t, code in enumerate(codes)
    ]
    return sorted(scores, key=lambda score: -score.reference)


def _thirds(sums: Array) -> tuple[Array, Array, Array]:
    both, named, reference = np.split(sums, 3, axis=-1)
    return both, named, reference


def precision(sums: Array) -> Array:
    both, named, _ = _thirds(sums)
    return divided(both.sum(-1), named.sum(-1))


def recall(sums: Array) -> Array:
    both, _, reference = _thirds(sums)
    return divided(both.sum(-1), reference.sum(-1))


def micro_f1(sums: Array) -> Array:
    """F1 of all (image, term) pairs together: 2 both / (named + reference)."""
    both, named, reference = _thirds(sums)
    return divided(2 * both.sum(-1), named.sum(-1) + reference.sum(-1))


def macro_f1(sums: Array) -> Array:
    """Mean over the terms of a reference of their F1."""
    both, named, reference = _thirds(sums)
    f1 = divided(2 * both, named + reference)
    occurs = reference > 0
    return divided(np.where(occurs, np.nan_to_num(f1), 0).sum(-1), occurs.sum(-1))
