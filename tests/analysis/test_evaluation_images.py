"""Localisation and faithfulness: planted places, real removals, controls that must fail."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from skimage.draw import disk
from sklearn.metrics import jaccard_score

from analysis.data import Sample
from analysis.evaluation.bootstrap import PatientBootstrap
from analysis.evaluation.faithfulness import (
    ImageCurves,
    LogitsOf,
    faithfulness,
    image_curves,
    removal_counts,
)
from analysis.evaluation.localisation import Localisation, Localiser, finding_map
from analysis.evaluation.observation import EvaluationError, Observation, observe
from analysis.evaluation.run import evaluate
from analysis.evaluation.settings import EvaluationSettings, Question
from analysis.imaging import upsample_map
from analysis.models.preprocessing import Preprocessing
from analysis.regions import evidence_region
from tests.analysis.networks import small_resnet
from tests.analysis.pictures import opener, png

GRID = (64, 48)
PREPROCESSING = Preprocessing((48, 36), 1, (0.3,), (0.2,), "RGB")


def located(*, right: bool, count: int = 60) -> Localisation:
    """Discs at random places; maps that peak in them, or in the disc of the next finding."""
    generator = np.random.default_rng(0)
    localiser = Localiser(tolerance=0.05, shifts=10, seed=0)
    masks, maps = [], []
    for _ in range(count):
        centre = (generator.uniform(8, 56), generator.uniform(8, 40))
        mask = np.zeros(GRID, bool)
        mask[disk(centre, 6, shape=GRID)] = True
        rows, columns = np.mgrid[0:16, 0:12] * 4 + 1.5
        distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        maps.append(np.exp(-distance / 50).astype(np.float32))
        masks.append(mask)
    for number, mask in enumerate(masks):
        shown = maps[number if right else (number + 1) % count]
        localiser.add(f"i{number}", f"p{number // 2}", "mass", shown, mask)
    found = localiser.result(repeats=300)
    assert found is not None
    return found


def test_maps_in_the_right_place_beat_every_control_and_others_none() -> None:
    right = located(right=True)
    assert right.own.hit.value == 1
    assert all(right.beaten.values())
    assert set(right.beaten) == {"centre", "average_map", "shifted"}
    assert right.own.iou is not None
    assert right.own.iou.value > 0.4
    wrong = located(right=False)
    # The shifted maps are the weakest control: they do not know where findings usually lie.
    assert not wrong.beaten["average_map"]
    assert not wrong.beaten["centre"]


def test_a_finding_by_hand() -> None:
    mask = np.zeros((8, 8), bool)
    mask[1:3, 1:3] = True
    place = np.zeros((4, 4), np.float32)
    place[0, 0] = 1
    localiser = Localiser(tolerance=0.0, shifts=1, seed=0)
    localiser.add("image", "patient", "mass", place, mask)
    localiser.add("image", "patient", "vessel", place, np.zeros((8, 8), bool))
    found = localiser.result(repeats=10)
    assert found is not None
    assert (found.findings, found.own.hit.value) == (1, 0.0), "the peak is at the very corner"
    region = evidence_region(upsample_map(place, (8, 8)))
    assert found.own.iou is not None
    assert found.own.iou.value == pytest.approx(jaccard_score(mask.ravel(), region.ravel()))
    near = Localiser(tolerance=0.2, shifts=1, seed=0)
    near.add("image", "patient", "mass", place, mask)
    tolerant = near.result(repeats=10)
    assert tolerant is not None
    assert tolerant.own.hit.value == 1.0
    assert Localiser(tolerance=0.1, shifts=1, seed=0).result(repeats=10) is None


def test_a_findings_map_spreads_each_units_effect_over_its_activation() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 1, 1], maps[2] = 4, 0.5, -1
    place = finding_map(maps, np.array([2.0, -6.0, 4.0]), [0, 1, 2])
    np.testing.assert_allclose(place, [[2 + 1, 1], [1, 6 + 1]])


def additive(effects: np.ndarray, bias: np.ndarray) -> LogitsOf:
    return lambda keep: bias + keep.astype(np.float64) @ effects


def test_curves_by_hand() -> None:
    effects = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.5, 0.0]])
    bias = np.array([-1.0, 0.0])
    curves = image_curves(
        effects[:, 0], 0, [1, 0], additive(effects, bias),
        steps=12, orders=3, generator=np.random.default_rng(0),
    )  # fmt: skip

    def chance(logit: float) -> float:
        return float(softmax([logit, 0.0])[0])

    np.testing.assert_allclose(curves.deletion, [chance(2.5), chance(0.5), chance(-0.5)])
    np.testing.assert_allclose(curves.insertion, [chance(-0.5), chance(1.5), chance(2.5)])
    assert removal_counts(2, 12).tolist() == [0, 1, 2]
    assert removal_counts(100, 4).tolist() == [0, 25, 50, 75, 100]


def test_the_order_by_effect_is_better_than_random_and_a_wrong_one_is_not() -> None:
    generator = np.random.default_rng(0)
    right: list[ImageCurves] = []
    wrong: list[ImageCurves] = []
    for _ in range(40):
        effects = generator.exponential(1, (10, 1)) * [1.0, 0.0]
        logits_of = additive(effects, np.array([-4.0, 0.0]))
        for curves, ranked_by in (
            (right, effects[:, 0]),
            (wrong, generator.permutation(effects[:, 0])),
        ):
            curves.append(
                image_curves(
                    ranked_by, 0, range(8), logits_of, steps=12, orders=10, generator=generator
                )
            )
    bootstrap = PatientBootstrap([str(n // 2) for n in range(40)], repeats=300, seed=0)
    found = faithfulness(right, 8, 12, bootstrap)
    assert found.deletion.advantage.low > 0
    assert found.insertion.advantage.low > 0
    assert found.deletion.area.value == pytest.approx(
        np.mean([np.trapezoid(one.deletion, found.shares) for one in right])
    )
    control = faithfulness(wrong, 8, 12, bootstrap)
    assert control.deletion.advantage.low <= 0 <= control.deletion.advantage.high
    assert control.insertion.advantage.low <= 0 <= control.insertion.advantage.high


def noise_samples(count: int = 6) -> list[Sample]:
    generator = np.random.default_rng(0)
    mask = np.zeros((48, 36), np.uint8)
    mask[10:20, 10:20] = 255
    return [
        Sample(
            key=f"n{number}",
            open=opener(png(generator.integers(0, 256, (48, 36), np.uint8))),
            suffix=".png",
            group=f"p{number // 2}",
            label=number % 3,
            masks={"mass": opener(png(mask))},
        )
        for number in range(count)
    ]


def question(count: int = 6) -> Question:
    return Question(
        unit_terms={0: ["mass"], 5: ["mass.shape.oval"], 7: ["vessel"]},
        thresholds={0: 0.0, 5: 1e9, 7: None},
        references=[frozenset({"mass"}), None, *[frozenset({"mass.shape.oval"})] * (count - 2)],
        parents={"mass": None, "mass.shape.oval": "mass", "vessel": None},
        mask_terms={"mass": "mass"},
    )


@pytest.mark.parametrize("layer", ["stage2", "stage2.0"])
def test_removed_units_are_really_removed(layer: str) -> None:
    model = small_resnet()
    found = list(observe(model, layer, noise_samples(), PREPROCESSING, measured={1, 4}))
    assert [one.index for one in found] == list(range(6))
    for one in found:
        assert isinstance(one, Observation)
        assert (one.effects is not None) == (layer == "stage2" or one.index in {1, 4})
    chosen = found[4]
    assert isinstance(chosen, Observation)
    assert chosen.effects is not None
    inputs = torch.from_numpy(PREPROCESSING.apply(_picture(4)))[None]

    def without(units: list[int]) -> np.ndarray:
        def silence(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[:, units] = 0
            return output

        hook = model.get_submodule(layer).register_forward_hook(silence)
        with torch.no_grad():
            logits = model(inputs)[0].numpy()
        hook.remove()
        return logits

    keep = np.ones((2, 12), np.float32)
    keep[1, [2, 5]] = 0
    removed = chosen.logits_of(keep)
    np.testing.assert_allclose(removed, [without([]), without([2, 5])], atol=1e-4)
    np.testing.assert_allclose(chosen.effects[5], without([]) - without([5]), atol=1e-4)


def _picture(number: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (48, 36), np.uint8) for _ in range(number + 1)]
    return pictures[number].astype(np.float32) / 255


@pytest.mark.parametrize("layer", ["stage2", "stage2.0"])
def test_one_evaluation_has_every_part(layer: str) -> None:
    settings = EvaluationSettings(repeats=50, permutations=5, measured_images=3)
    found = evaluate(small_resnet(), layer, noise_samples(), PREPROCESSING, question(), settings)
    assert found.method == ("additive" if layer == "stage2" else "measured")
    assert (found.images, found.patients, found.referenced_images) == (6, 3, 5)
    assert found.measured_images == (6 if layer == "stage2" else 3)
    assert found.unmentioned == ["vessel"]
    active = found.readings[0]
    named = {term.code: term.named for term in active.nameable.terms}
    assert named == {"mass": 5, "mass.shape.oval": 0}
    assert active.nameable.recall.value == pytest.approx(1 / 5)
    assert found.localisation is not None
    assert found.localisation.findings == found.measured_images
    assert found.faithfulness is not None
    assert found.faithfulness.images == found.measured_images
    assert 0 <= found.coverage.value <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit_terms": {}}, "No unit of this layer has an agreed name"),
        ({"unit_terms": {40: ["mass"]}}, "Unit 40 is named, but the layer has 12 units"),
        ({"references": [None] * 6}, "None of the images has a report"),
        ({"references": [frozenset({"other"})] * 6}, "nothing can be compared"),
    ],
)
def test_what_cannot_be_evaluated_is_said(change: dict[str, Any], words: str) -> None:
    asked = replace(question(), **change)
    with pytest.raises(EvaluationError, match=words):
        evaluate(
            small_resnet(), "stage2", noise_samples(), PREPROCESSING, asked,
            EvaluationSettings(repeats=10, permutations=2),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("carried", "reported"), [("mass.shape.oval", "mass"), ("mass", "mass.shape.oval")]
)
def test_ancestor_credit_joins_units_and_reports_that_name_parent_and_child(
    carried: str, reported: str
) -> None:
    asked = replace(
        question(),
        unit_terms={0: [carried]},
        thresholds={0: -1e9},
        references=[frozenset({reported})] * 6,
    )
    settings = EvaluationSettings(repeats=20, permutations=2, ancestor_credit=True)
    found = evaluate(small_resnet(), "stage2", noise_samples(), PREPROCESSING, asked, settings)
    active = found.readings[0]
    assert {term.code: (term.named, term.both) for term in active.nameable.terms} == {
        "mass": (6, 6)
    }
    assert active.nameable.f1.value == 1
    assert found.unmentioned == []
    assert active.similarity.own.value == pytest.approx(2 / 3)
    with pytest.raises(EvaluationError, match="nothing can be compared"):
        evaluate(
            small_resnet(), "stage2", noise_samples(), PREPROCESSING, asked,
            replace(settings, ancestor_credit=False),
        )  # fmt: skip
