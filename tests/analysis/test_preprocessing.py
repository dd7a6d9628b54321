import json

import numpy as np
import pytest

from analysis.models.preprocessing import Preprocessing

COLOUR = Preprocessing((4, 6), 3, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0))


def test_grey_images_are_repeated_and_normalised() -> None:
    image = np.random.default_rng(0).random((4, 6), np.float32)
    result = COLOUR.apply(image)
    assert result.shape == (3, 4, 6)
    assert result.dtype == np.float32
    for channel, (mean, std) in enumerate(zip(COLOUR.mean, COLOUR.std, strict=True)):
        np.testing.assert_allclose(result[channel], (image - mean) / std, rtol=1e-5)


def test_bgr_means_the_first_plane_is_blue() -> None:
    image = np.zeros((4, 6, 3), np.float32)
    image[..., 2] = 1
    bgr = Preprocessing((4, 6), 3, (0, 0, 0), (1, 1, 1), "BGR")
    np.testing.assert_array_equal(bgr.apply(image)[:, 0, 0], [1, 0, 0])


def test_colour_becomes_luma_for_grey_models() -> None:
    grey = Preprocessing((4, 6), 1, (0.0,), (1.0,))
    image = np.broadcast_to(np.array([1, 0, 0], np.float32), (4, 6, 3))
    np.testing.assert_allclose(grey.apply(image), 0.299, rtol=1e-6)


def test_it_survives_json() -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(COLOUR.to_dict()))) == COLOUR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": [0, 5]}, "input_size"),
        ({"input_size": "big"}, "input_size"),
        ({"input_size": [float("inf"), 5]}, "input_size"),
        ({"channels": 2}, "channels must be 1"),
        ({"mean": [10**400, 0, 0]}, "mean and std must hold numbers"),
        ({"mean": [0.5]}, "mean needs 3"),
        ({"std": [1, 0, 1]}, "std must be positive"),
        ({"std": [1, float("nan"), 1]}, "finite"),
        ({"channel_order": "RBG"}, "channel_order"),
        ({"colour": 1}, "Unknown preprocessing fields: colour"),
    ],
)
def test_wrong_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict({**COLOUR.to_dict(), **change})
