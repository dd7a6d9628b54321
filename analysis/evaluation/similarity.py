"""Greedy text similarity, with distances in the term tree in place of word embeddings.

DeepMiner (Wu et al. 2018) compares the joined unit names with the report by greedy matching (Rus
and Lintean 2012): each word takes its most similar word of the other text, and the mean of both
directions counts. Word embeddings would have to be downloaded and know little about lexicon terms;
here terms are matched as wholes by where they stand in the vocabulary (Wu and Palmer 1994). The
numbers are therefore not comparable with published ones. The control is DeepMiner's: the report of
one image with the explanation of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.evaluation.bootstrap import (
    Array,
    Estimate,
    PatientBootstrap,
    interval,
    known_sums,
    mean,
    ratio,
)

Flags = NDArray[np.bool_]
ROWS_AT_ONCE = 1000
"""Images matched at a time: each takes a square of the number of terms in memory."""


@dataclass(frozen=True)
class Similarity:
    """Mean over images with a term in the explanation or the reference, in [0, 1].

    other_images: explanations of other patients. beaten: intervals do not overlap.
    """

    own: Estimate
    other_images: Estimate
    difference: Estimate
    beaten: bool
    images: int


def tree_similarity(codes: Sequence[str], parents: Mapping[str, str | None]) -> Array:
    """[T, T]: 2 depth(nearest common broader term) / (depth + depth), 0 without a common one.

    A root has depth 1; the same term gives 1. `parents` must know every broader term.
    """
    lines = [_line(code, parents) for code in codes]
    similarity = np.zeros((len(codes), len(codes)))
    for i, one in enumerate(lines):
        for j, other in enumerate(lines):
            common = len([1 for a, b in zip(one, other, strict=False) if a == b])
            similarity[i, j] = 2 * common / (len(one) + len(other))
    return similarity


def _line(code: str, parents: Mapping[str, str | None]) -> list[str]:
    """From the root to the term."""
    line = [code]
    while (parent := parents.get(line[0])) is not None and parent not in line:
        line.insert(0, parent)
    return line


def greedy_matching(named: Flags, reference: Flags, similarity: Array) -> Array:
    """[N]: mean of both directions of the best matches, for images of named and reference [N, T].

    0 where one side is empty, NaN where both are.
    """
    scores = np.zeros(len(named))
    for start in range(0, len(named), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        forth = _mean_where(_nearest(reference[rows], similarity), named[rows])
        back = _mean_where(_nearest(named[rows], similarity), reference[rows])
        scores[rows] = (forth + back) / 2
    return np.where(named.any(1) | reference.any(1), scores, np.nan)


def _nearest(chosen: Flags, similarity: Array) -> Array:
    """[N, T]: how near each term's nearest one among those chosen [N, T] is."""
    return np.asarray(np.where(chosen[:, None, :], similarity[None], 0).max(2, initial=0))


def _mean_where(values: Array, chosen: Flags) -> Array:
    return (values * chosen).sum(1) / np.maximum(chosen.sum(1), 1)


def text_similarity(
    named: Flags,
    reference: Flags,
    similarity: Array,
    patients: Sequence[str],
    bootstrap: PatientBootstrap,
    *,
    runs: int = 50,
    seed: int = 0,
) -> Similarity:
    """Greedy matching of explanations with their references, and with other patients' ones."""
    own_scores = greedy_matching(named, reference, similarity)
    own = mean(bootstrap, own_scores)
    generator = np.random.default_rng(seed)
    owner = np.array(patients, dtype=str)

    def swapped() -> Array:
        partner = generator.permutation(len(owner))
        scores = greedy_matching(named[partner], reference, similarity)
        scores[owner[partner] == owner] = np.nan
        return known_sums(bootstrap, scores)

    values, draws = bootstrap.chance_draws((swapped() for _ in range(runs)), runs, (ratio,))
    other = interval(float(values[0]), draws[0])
    paired = bootstrap.draws(known_sums(bootstrap, own_scores), ratio) - draws[0]
    return Similarity(
        own=own,
        other_images=other,
        difference=interval(own.value - other.value, paired),
        beaten=own.above(other),
        images=int(np.isfinite(own_scores).sum()),
    )
