"""Labelling rules on planted ground truth, with controls."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.data import Sample
from analysis.dissection import DissectionSettings, LayerResult, dissect
from analysis.dissection.iqr import JointCounts, information_quality_ratio
from analysis.dissection.labelling import (
    DISSECT,
    NETDISSECT,
    QuantileRule,
    information_quality_labels,
    quantile_labels,
)
from analysis.models.preprocessing import Preprocessing
from tests.analysis import networks, pictures


def test_the_ratio_by_hand() -> None:
    # The same everywhere: I = H. Independent: I = 0. Constant: 0 / 0.
    tables = np.array([[25, 0, 0, 75], [6, 14, 24, 56], [100, 0, 0, 0], [0, 0, 0, 0]]).T
    np.testing.assert_allclose(information_quality_ratio(*tables), [1, 0, 0, 0], atol=1e-12)
    both, unit, concept, neither = 0.1, 0.2, 0.05, 0.65
    joint = -sum(p * np.log(p) for p in (both, unit, concept, neither))
    information = sum(
        p * np.log(p / (row * column))
        for p, row, column in (
            (both, 0.3, 0.15),
            (unit, 0.3, 0.85),
            (concept, 0.7, 0.15),
            (neither, 0.7, 0.85),
        )
    )
    found = information_quality_ratio(*(np.array([1000 * p]) for p in (0.1, 0.2, 0.05, 0.65)))
    np.testing.assert_allclose(found, information / joint)


def test_tables_are_those_of_a_loop_over_thresholds() -> None:
    generator = np.random.default_rng(0)
    levels = generator.normal(size=(3, 7)).astype(np.float32)
    counts = JointCounts(levels, 2)
    pixels = np.full((4, 5), 9.0, np.float32)
    maps = generator.normal(size=(6, 3, 4, 5)).astype(np.float32)
    masks = generator.integers(0, 10, (6, 2, 4, 5)).astype(np.float32)
    for image in range(6):
        counts.update(image % 2, maps[image], masks[image], [0, 1], pixels)
    for half in (0, 1):
        both, unit, concept, neither = counts._tables(half)
        for k in range(3):
            for place, level in enumerate(np.sort(levels[k])):
                on = maps[half::2, k] > level
                for m in range(2):
                    shared = masks[half::2, m][on].sum()
                    assert both[k, place, m] == shared
                    assert unit[k, place, m] == on.sum() * 9 - shared
                    assert concept[k, place, m] == masks[half::2, m].sum() - shared
        assert (both + unit + concept + neither == 3 * 20 * 9).all()


def generated(*, shuffled: bool, inverse: bool = False) -> JointCounts:
    """40 images; unit 0 is 3 above its noise on concept 0, or where another image has it."""
    generator = np.random.default_rng(1)
    masks = np.zeros((40, 1, 8, 8), np.float32)
    for image in range(40):
        row, column = generator.integers(0, 6, 2)
        masks[image, 0, row : row + 3, column : column + 3] = 1
    maps = generator.normal(size=(40, 4, 8, 8)).astype(np.float32)
    seen = np.roll(masks[:, 0], 1, axis=0) if shuffled else masks[:, 0]
    maps[:, 0] += (-6 if inverse else 6) * seen
    levels = np.quantile(np.moveaxis(maps, 1, 0).reshape(4, -1), np.linspace(0, 1, 100), axis=1).T
    counts = JointCounts(levels, 1)
    for image in range(40):
        counts.update(image // 20, maps[image], masks[image], [0], np.ones((8, 8), np.float32))
    return counts


def test_a_planted_threshold_is_found_on_the_other_half() -> None:
    found = generated(shuffled=False).result()
    assert 2 < found.threshold[0, 0] < 4
    assert found.iqr[0, 0] > 0.9
    assert found.iou[0, 0] > 0.95
    assert found.iqr[1:, 0].max() < 0.01
    control = generated(shuffled=True).result()
    assert control.iqr.max() < 0.02
    # A unit that is off on the concept is as informative, and not a detector of it.
    assert generated(shuffled=False, inverse=True).result().iqr[0, 0] < 0.02


# Whole dissections of a network whose unit 3 detects bright squares.


@pytest.fixture(scope="module")
def squares() -> list[Sample]:
    """60 dark noisy images; every third has a bright square, all a concept that lies anywhere."""
    generator = np.random.default_rng(9)
    samples = []
    for i in range(60):
        picture = generator.integers(0, 100, (48, 48))
        masks = []
        for _ in range(2):
            mask = np.zeros((48, 48), np.uint8)
            row, column = generator.integers(0, 36, 2)
            mask[row : row + 12, column : column + 12] = 255
            masks.append(pictures.opener(pictures.png(mask)))
            if len(masks) == 1 and i % 3 == 0:
                picture[row : row + 12, column : column + 12] += 150
        image = pictures.opener(pictures.png(picture.astype(np.uint8)))
        named = {"square": masks[0]} if i % 3 == 0 else {}
        samples.append(Sample(str(i), image, masks={**named, "anywhere": masks[1]}))
    return samples


def dissected(samples: list[Sample], quantile: float, statistics: str = "exact") -> LayerResult:
    settings = DissectionSettings(
        quantile=quantile, information_quality=True, statistics=statistics, batch_size=10
    )
    plain = Preprocessing((48, 48), 1, (0.0,), (1.0,))
    network = networks.seeded(networks.SquareDetector)
    return dissect(network, ["relu"], samples, plain, 2, ["square", "anywhere"], settings).layers[
        "relu"
    ]


@pytest.mark.parametrize("statistics", ["exact", "sketch"])
def test_all_rules_find_the_detector(squares: list[Sample], statistics: str) -> None:
    for rule in (NETDISSECT, DISSECT):
        result = dissected(squares, rule.quantile, statistics)
        labels = quantile_labels(result, rule, max_q=0.05)
        assert labels.concept[3] == 0
        assert labels.score[3] >= rule.iou_cut
    assert result.iou_q is not None
    assert result.iqr is not None
    assert result.iqr_iou is not None
    assert result.iou_q[3, 0] < 1e-6
    assert (result.iou_q[:, 1] > 0.05).all()
    labels = information_quality_labels(result)
    assert labels.concept[3] == 0
    assert result.iqr_iou[3, 0] > 0.4
    assert (labels.concept != 1).all()


def test_masks_of_other_images_label_nothing(squares: list[Sample]) -> None:
    shuffled = [
        replace(sample, masks=squares[(i + 3) % len(squares)].masks)
        for i, sample in enumerate(squares)
    ]
    result = dissected(shuffled, 0.99)
    assert (quantile_labels(result, DISSECT, max_q=0.05).concept == -1).all()
    assert (information_quality_labels(result).concept == -1).all()


def test_rules_say_what_they_need(squares: list[Sample]) -> None:
    result = dissected(squares[:4], 0.99)
    with pytest.raises(ValueError, match=r"quantile=0\.995"):
        quantile_labels(result, NETDISSECT)
    without = replace(result, iqr=None, iqr_iou=None, iou_q=None)
    with pytest.raises(ValueError, match="information_quality=True"):
        information_quality_labels(without)
    with pytest.raises(ValueError, match="q-values"):
        quantile_labels(without, QuantileRule(0.99, 0.04), max_q=0.05)
    empty = replace(result, iou=result.iou[:, :0])
    assert (quantile_labels(empty, DISSECT).concept == -1).all()
