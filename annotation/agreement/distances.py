"""How far two sets of terms are apart, from 0 (the same) to 1 (nothing in common).

Plain arrays only. A set is a row of `members`, bool [sets, terms]. Two empty sets are the same; an
empty set has nothing in common with any other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Members = NDArray[np.bool_]
Floats = NDArray[np.float64]


def masi_distances(members: Members) -> Floats:
    """1 - MASI of all pairs of sets: [sets, sets].

    MASI is the Jaccard index times 1 for equal sets, 2/3 where one holds the other, 1/3 where they
    overlap, 0 otherwise. R. Passonneau, Measuring agreement on set-valued items (MASI) for
    semantic and pragmatic annotation, LREC 2006.
    """
    held = members.astype(np.float64)
    sizes = held.sum(1)
    shared = held @ held.T
    union = sizes[:, None] + sizes[None, :] - shared
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    jaccard = np.divide(shared, union, out=np.ones_like(union), where=union > 0)
    monotonicity = np.select(
        [shared == union, (shared == smaller) & (shared > 0), shared > 0],
        [1.0, 2 / 3, 1 / 3],
    )
    return np.asarray(1 - jaccard * monotonicity, dtype=np.float64)


def tree_similarities(parents: Sequence[int | None]) -> Floats:
    """Similarity of all pairs of terms by their places in the term tree: [terms, terms].

    2 · depth(lowest shared ancestor) / (depth(a) + depth(b)), where a term without a parent has
    the depth 1 and a term is an ancestor of itself; 0 where no ancestor is shared. Z. Wu and
    M. Palmer, Verb semantics and lexical selection, ACL 1994.
    """
    lines = [_ancestors(index, parents) for index in range(len(parents))]
    above = np.zeros((len(parents), len(parents)))
    for index, line in enumerate(lines):
        above[index, line] = 1
    depth = above.sum(1)
    shared = above @ above.T
    return np.asarray(2 * shared / (depth[:, None] + depth[None, :]), dtype=np.float64)


def partial_credit_distances(members: Members, similarities: Floats) -> Floats:
    """1 - the best-match average of all pairs of sets: [sets, sets].

    Each term of either set is credited with its best match in the other one. C. Pesquita and
    others, Metrics for GO based protein semantic similarity, BMC Bioinformatics 9 S4 (2008).

    Args:
        similarities: [terms, terms] in 0 to 1, 1 on the diagonal.
    """
    held = members.astype(np.float64)
    best = np.zeros(members.shape)
    for index, row in enumerate(members):
        if row.any():
            best[index] = similarities[row].max(0)
    credit = best @ held.T
    sizes = held.sum(1)
    both = sizes[:, None] + sizes[None, :]
    similarity = np.divide(credit + credit.T, both, out=np.ones_like(both), where=both > 0)
    return np.asarray(1 - similarity, dtype=np.float64)


def _ancestors(index: int, parents: Sequence[int | None]) -> list[int]:
    """The term and those above it. A circle, which no vocabulary should have, ends the line."""
    line: list[int] = []
    place: int | None = index
    while place is not None and place not in line:
        line.append(place)
        place = parents[place]
    return line
