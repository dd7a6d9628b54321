"""Every sentence says what the numbers bear, in each of the cases that numbers can make."""

from typing import Any

import numpy as np
import pytest

from explanations.content import Content
from explanations.wording import Narrative, listing, narrate, percent, rest_percent
from tests.platform.explaining import make, named, removal


def words(*arguments: Any, **changes: Any) -> Narrative:
    content: Content = make(*arguments, **changes)[0]
    plain: dict[str, Any] = {}
    for name, value in vars(narrate(content)).items():
        many = isinstance(value, list)
        plain[name] = [spaced(text) for text in value] if many else spaced(value)
    return Narrative(**plain)


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ")


SPICULATED = [named(0, "spiculated")]


@pytest.mark.parametrize(
    ("share", "text", "rest"),
    [
        (0, "0 %", "100 %"),
        (0.0001, "less than 1 %", "more than 99 %"),
        (0.005, "1 %", "99 %"),
        (0.287, "29 %", "71 %"),
        (0.5, "50 %", "50 %"),
        (0.745, "75 %", "25 %"),
        (0.994, "99 %", "1 %"),
        (0.9999, "more than 99 %", "less than 1 %"),
        (1, "100 %", "0 %"),
    ],
)
def test_percentages(share: float, text: str, rest: str) -> None:
    assert percent(share).replace("\u00a0", " ") == text
    assert rest_percent(share).replace("\u00a0", " ") == rest


def test_listing() -> None:
    assert [listing(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_the_whole_text() -> None:
    text = words(
        [5.0, 1.1, 1.0, 2.0, 0.9, -1.0],
        [named(0, "spiculated"), named(1, "spiculated"), named(2, "grouped"), named(5, "normal")],
    )
    assert text.prediction == "The model gives malignant a probability of 83 %."
    assert text.support == [
        "Most of the evidence for it (61 %) comes from what experts named “spiculated margin” "
        "(units 0 and 1), in the upper left part of the image.",
        "A further 10 % comes from “grouped calcifications” (unit 2), in the same area.",
    ]
    assert text.against == (
        "Against malignant speaks “normal tissue” (100 % of the evidence against it)."
    )
    assert text.coverage == (
        "Named units carry 71 % of the evidence for malignant; the remaining 29 % comes from "
        "2 units without an agreed name."
    )
    assert text.check == (
        "Removing the 4 named units lowers the probability from 83 % to 22 %, a larger fall than "
        "for 98 of 100 random sets of equally many other units of similar activity."
    )
    assert text.warning == ""


def test_most_is_said_of_more_than_half_only() -> None:
    assert words([6.0, 4.0], SPICULATED).support[0].startswith("Most of the evidence for it (60 %)")
    half = words([5.0, 5.0], SPICULATED).support[0]
    assert half.startswith("The largest named part of the evidence for it (50 %)")


def test_all_of_the_evidence() -> None:
    text = words([2.0], SPICULATED)
    assert text.support[0].startswith("All of the evidence for it (100 %) comes from")
    assert text.coverage == "Named units carry all of the evidence for malignant."


def test_ties_are_told_together() -> None:
    text = words([2.0, 2.0, 6.0], [named(0, "spiculated"), named(1, "grouped")])
    assert text.support[0].startswith("The largest named parts of the evidence for it, 20 % each,")
    assert "“spiculated margin” (unit 0)" in text.support[0]
    assert "and “grouped calcifications” (unit 1), in the same area" in text.support[0]


def test_many_units_are_counted_not_listed() -> None:
    text = words([1.0] * 6, [named(index, "spiculated") for index in range(6)])
    assert "(units 0, 1, 2 and 3 more)" in text.support[0]


def test_small_findings_are_summed_up() -> None:
    text = words([96.0, 2.0, 2.0], [named(0, "spiculated"), named(1, "grouped"), named(2, "mass")])
    assert text.support[1:] == ["Another 4 % comes from 2 other named findings."]


def test_no_names_at_all() -> None:
    text = words([2.0, 1.0, -1.0], [])
    assert text.support == [
        "No unit of this layer has an agreed name yet, so the evidence cannot be put into words. "
        "On this image 2 units speak for malignant."
    ]
    assert text.coverage == text.check == text.warning == ""
    one = words([2.0, -1.0], [])
    assert one.support[0].endswith("On this image 1 unit speaks for malignant.")
    none = words([-2.0, -1.0], [])
    assert none.support[0].endswith("On this image no unit speaks for malignant.")


def test_no_named_unit_speaks_for_the_class() -> None:
    text = words([2.0, -1.0], [named(1, "normal")])
    assert text.support == [
        "No named unit speaks for malignant on this image; all of the evidence for it comes from "
        "1 unit without an agreed name."
    ]
    assert text.coverage.startswith("Named units carry 0 % of the evidence for malignant")


def test_nothing_speaks_for_the_class() -> None:
    text = words([0.0, -1.0], [named(1, "normal")])
    assert text.support == ["On this image no unit of the layer speaks for malignant."]
    assert text.coverage == ""


def test_evidence_against() -> None:
    assert words([1.0], SPICULATED).against == "No unit of the layer speaks against malignant."
    assert words([1.0, -1.0], SPICULATED).against == (
        "The evidence against malignant comes from 1 unit without an agreed name."
    )
    both = words([1.0, -3.0, -1.0], [named(1, "normal"), named(2, "mass")]).against
    assert both == (
        "Against malignant speak “normal tissue” (75 % of the evidence against it) and “mass” "
        "(25 % of the evidence against it)."
    )


def test_a_class_that_is_not_predicted_says_which_one_is() -> None:
    text = words([1.0], SPICULATED, probabilities=(0.7, 0.1, 0.2))
    assert text.prediction == (
        "The model gives malignant a probability of 20 %. It predicts normal (70 %) instead."
    )
    tied = words([1.0], SPICULATED, probabilities=(0.4, 0.2, 0.4))
    assert "instead" not in tied.prediction


def test_a_check_that_no_random_set_reaches() -> None:
    check = removal([0], random_probability_after=np.full(100, 0.8, np.float32), rank=1 / 101)
    text = words([1.0], SPICULATED, check=check)
    assert text.check == (
        "Removing the one named unit lowers the probability from 83 % to 22 %, a larger fall than "
        "for any of 100 random sets of one other unit of similar activity."
    )


def test_a_check_that_fails_because_random_sets_do_as_much() -> None:
    after = np.r_[np.full(34, 0.1), np.full(66, 0.8)].astype(np.float32)
    check = removal([0], random_probability_after=after, rank=35 / 101, supported=False)
    text = words([1.0], SPICULATED, check=check)
    assert text.warning == (
        "This explanation is not supported by its causal check: Removing the one named unit lowers "
        "the probability from 83 % to 22 %, but removing 34 of 100 random sets of one other unit "
        "of similar activity lowers it as much or more. Read the findings with caution: they may "
        "not be what decided this prediction."
    )
    assert text.text.startswith(text.warning)
    assert text.text.count("34 of 100") == 1


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (0.83, "Removing the one named unit does not lower the probability of 83 %."),
        (0.9, "Removing the one named unit raises the probability from 83 % to 90 %."),
    ],
)
def test_a_check_that_fails_because_the_probability_does_not_fall(
    after: float, expected: str
) -> None:
    text = words([1.0], SPICULATED, check=removal([0], probability_after=after, supported=False))
    assert expected in text.warning


def test_a_check_with_nothing_to_compare() -> None:
    check = removal(
        [0],
        random_probability_after=np.zeros(0, np.float32),
        rank=1.0,
        supported=False,
        random_activation=float("nan"),
        note="The layer has 0 other units.",
    )
    text = words([1.0], SPICULATED, check=check)
    assert "but there is nothing to compare with. The layer has 0 other units." in text.warning


def test_few_random_sets_are_called_a_weak_comparison() -> None:
    check = removal(
        [0],
        random_probability_after=np.full(3, 0.8, np.float32),
        rank=0.25,
        supported=False,
        note="Only 3 different random sets exist, too few to support a claim.",
    )
    text = words([1.0], SPICULATED, check=check)
    assert "but the comparison is weak. Only 3 different random sets exist" in text.warning


def test_similar_activity_is_claimed_only_where_it_is_so() -> None:
    check = removal([0], random_activation=0.4, note="No equally active units exist.")
    text = words([1.0], SPICULATED, check=check)
    assert "(40 % as active). No equally active units exist." in text.check
    assert "similar" not in text.check


def test_a_tiny_fall_is_given_in_hundredths() -> None:
    check = removal([0], probability_before=0.9996, probability_after=0.9981)
    text = words([1.0], SPICULATED, check=check)
    assert "lowers the probability by less than one point (99.96 % to 99.81 %)" in text.check
