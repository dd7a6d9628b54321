"""The order in which units come. Everything follows from the list's seed, so it can be repeated."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Unit = TypeVar("Unit")

BAND = 10
LEAST_GAP = 10
GAP_SPREAD = 10


def mixed(ranked: Sequence[Unit], controls: Sequence[Unit], *, seed: int) -> list[Unit]:
    """Controls at random places among the ranked units, which keep their order."""
    random = Random(f"controls {seed}")  # noqa: S311
    places = set(random.sample(range(len(ranked) + len(controls)), len(controls)))
    real, other = iter(ranked), iter(controls)
    return [
        next(other) if place in places else next(real)
        for place in range(len(ranked) + len(controls))
    ]


def reader_order(items: Sequence[int], *, seed: int, reader: int) -> list[int]:
    """A reader's own order of the items, which are given by rank.

    It is shuffled within bands of ten: what matters most is read first by everybody, and yet no
    two readers go the same way.
    """
    random = Random(f"order {seed} {reader}")  # noqa: S311
    order: list[int] = []
    for start in range(0, len(items), BAND):
        band = list(items[start : start + BAND])
        random.shuffle(band)
        order += band
    return order


def repeat_gaps(order: Sequence[int], share: float, *, seed: int, reader: int) -> dict[int, int]:
    """Which items of a reader's order come again, and after how many other readings at least.

    Items are drawn from those that ten others follow, as far as these suffice. The gaps vary from
    10 to 19, so that no reader learns when to expect a repeat.
    """
    random = Random(f"repeats {seed} {reader}")  # noqa: S311
    count = round(share * len(order))
    followed = len(order) - LEAST_GAP
    candidates = order[: max(followed, count)]
    return {
        item: LEAST_GAP + random.randrange(GAP_SPREAD) for item in random.sample(candidates, count)
    }
