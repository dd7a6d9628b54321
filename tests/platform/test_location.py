"""Places in words, on breasts drawn as a half disc and on plain images."""

import numpy as np
import pytest

from analysis.regions import evidence_region
from explanations.location import place_of

SIZE = 96


def breast(laterality: str) -> np.ndarray:
    """A half disc, the nipple at mid height, the chest wall where `laterality` puts it."""
    row, column = np.mgrid[:SIZE, :SIZE]
    image = np.where(np.hypot((row - 48) / 44, column / 70) < 1, 0.5, 0.0).astype(np.float32)
    return image[:, ::-1] if laterality == "R" else image


def spot(row: int, column: int, size: int = 12) -> np.ndarray:
    density = np.zeros((size, size), np.float32)
    density[row, column] = 1
    return density


@pytest.mark.parametrize(
    ("view", "row", "column", "expected"),
    [
        ("CC", 2, 1, "in the outer left breast at posterior depth"),
        ("CC", 9, 3, "in the inner left breast at middle depth"),
        ("MLO", 2, 1, "in the upper left breast at posterior depth"),
        ("MLO", 9, 1, "in the lower left breast at posterior depth"),
    ],
)
def test_places_in_a_left_breast(view: str, row: int, column: int, expected: str) -> None:
    place = place_of(spot(row, column), breast("L"), laterality="L", view=view)
    assert place is not None
    assert place.phrase == expected


def test_a_right_breast_is_mirrored() -> None:
    place = place_of(spot(2, 10), breast("R"), laterality="R", view="CC")
    assert place is not None
    assert place.phrase == "in the outer right breast at posterior depth"


def test_near_the_nipple_level_is_central() -> None:
    density = np.zeros((12, 12), np.float32)
    density[5:7, 6] = 1
    place = place_of(density, breast("L"), laterality="L", view="MLO")
    assert place is not None
    assert place.phrase == "in the central left breast at anterior depth"


def test_outside_the_breast_is_said() -> None:
    place = place_of(spot(0, 11), breast("L"), laterality="L", view="CC")
    assert place is not None
    assert place.phrase == "outside the outline of the breast"


def test_a_picture_against_the_convention_is_described_as_a_picture() -> None:
    place = place_of(spot(2, 10), breast("R"), laterality="L", view="CC")
    assert place is not None
    assert place.phrase == "in the upper right part of the image"


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (1, 1, "in the upper left part of the image"),
        (6, 6, "in the centre of the image"),
        (6, 10, "in the right part of the image"),
        (11, 6, "in the lower part of the image"),
    ],
)
def test_places_in_a_plain_image(row: int, column: int, expected: str) -> None:
    place = place_of(spot(row, column), np.ones((60, 90, 3), np.float32))
    assert place is not None
    assert place.phrase == expected


def test_spread_evidence_has_no_place() -> None:
    flat = np.ones((12, 12), np.float32)
    generic = place_of(flat, np.ones((64, 64), np.float32))
    in_breast = place_of(flat, breast("L"), laterality="L", view="CC")
    assert generic is not None
    assert in_breast is not None
    assert generic.phrase == "spread widely over the image"
    assert in_breast.phrase == "spread widely over the left breast"
    assert generic.area == 1


def test_two_places_are_not_averaged_into_a_third() -> None:
    density = 1.2 * spot(1, 1) + spot(10, 10)
    place = place_of(density, np.ones((64, 64), np.float32))
    assert place is not None
    assert place.phrase == "in several places, most of it in the upper left part of the image"


def test_no_evidence_no_place() -> None:
    assert place_of(np.zeros((4, 4)), np.ones((8, 8), np.float32)) is None


def test_the_region_is_the_smallest_that_holds_half() -> None:
    density = np.array([[5.0, 1.0], [3.0, 1.0]])
    assert evidence_region(density).tolist() == [[True, False], [False, False]]
    assert evidence_region(density, 0.6).tolist() == [[True, False], [True, False]]
    assert evidence_region(np.ones((2, 2))).all()
    assert not evidence_region(np.zeros((2, 2))).any()
