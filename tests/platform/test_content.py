"""Grouping effects by term: nothing counted twice, nothing lost, nothing invented."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explanations.content import Content, from_json, to_json
from tests.platform.explaining import TERMS, make, named

EFFECTS = st.lists(st.floats(-5, 5, allow_nan=False, width=32), min_size=6, max_size=6)
KEYS = st.lists(st.sampled_from(sorted(TERMS)), max_size=3, unique=True)


@given(effects=EFFECTS, keys=st.lists(KEYS, min_size=6, max_size=6))
def test_the_parts_of_each_side_add_up_to_all_of_its_evidence(
    effects: list[float], keys: list[list[str]]
) -> None:
    content, _ = make(effects, [named(index, *chosen) for index, chosen in enumerate(keys)])
    totals = {
        "for": sum(value for value in np.array(effects, np.float32) if value > 0),
        "against": sum(value for value in np.array(effects, np.float32) if value < 0),
    }
    for name, side in (("for", content.support), ("against", content.against)):
        parts = sum(finding.effect for finding in side.findings) + side.rest.effect
        assert parts == pytest.approx(totals[name], rel=1e-5, abs=1e-9)
        shares = sum(finding.share for finding in side.findings) + side.rest.share
        assert shares == pytest.approx(1.0 if totals[name] else 0.0)
        assert side.named_share == pytest.approx(sum(f.share for f in side.findings))


def test_a_unit_with_two_terms_is_split_and_counts_once() -> None:
    content, _ = make([3.0, 1.0], [named(0, "spiculated", "grouped"), named(1, "grouped")])
    shares = {finding.code: finding.share for finding in content.support.findings}
    assert shares["calcification.distribution.grouped"] == pytest.approx(2.5 / 4)
    assert shares["mass.margin.spiculated"] == pytest.approx(1.5 / 4)
    assert content.coverage == pytest.approx(1.0)
    assert {u.shared_by for f in content.support.findings for u in f.units} == {1, 2}


def test_a_broader_term_that_a_narrower_one_implies_takes_no_part() -> None:
    content, _ = make([2.0], [named(0, "mass", "spiculated")])
    assert [finding.code for finding in content.support.findings] == ["mass.margin.spiculated"]
    assert content.support.findings[0].share == pytest.approx(1.0)


def test_coverage_is_the_share_of_the_evidence_for_the_class_that_named_units_carry() -> None:
    content, _ = make([6.0, 1.0, 1.0, -4.0], [named(0, "spiculated"), named(3, "normal")])
    assert content.coverage == pytest.approx(0.75)
    assert content.support.rest.count == 2
    assert [unit.index for unit in content.support.rest.strongest] == [1, 2]
    assert content.against.rest.share == 0


def test_a_term_may_speak_on_both_sides() -> None:
    content, maps = make([2.0, -1.0], [named(0, "grouped"), named(1, "grouped")])
    assert [f.key for f in content.findings()] == ["for-1", "against-1"]
    assert content.against.findings[0].effect == pytest.approx(-1)
    assert set(maps) == {"for-1", "against-1", "for-rest", "against-rest"}


def test_without_names_nothing_is_invented() -> None:
    content, _ = make([2.0, 1.0, -1.0], [named(0)])
    assert content.findings() == []
    assert content.removal is None
    assert content.coverage == 0
    assert content.support.rest.count == 2
    assert content.support.rest.strongest[0].answered == 1


def test_without_evidence_for_the_class_there_is_no_coverage() -> None:
    content, _ = make([-1.0, 0.0], [named(0, "normal")])
    assert content.coverage is None
    assert content.support.named_share == 0


def test_a_finding_map_is_its_units_evidence_spread_by_activation() -> None:
    maps = np.zeros((2, 4, 4), np.float16)
    maps[0, 0, 0], maps[0, 0, 1], maps[1, 3, 3] = 3, 1, 5
    content, stored = make([4.0, 2.0], [named(0, "grouped"), named(1, "grouped")], maps=maps)
    expected = np.zeros((4, 4))
    expected[0, 0], expected[0, 1], expected[3, 3] = 3, 1, 2
    np.testing.assert_allclose(stored["for-1"], expected / 3, atol=1e-3)
    assert content.support.findings[0].units[0].index == 0


def test_content_survives_json() -> None:
    content, _ = make([6.0, 1.0, -4.0], [named(0, "spiculated", "grouped"), named(2, "normal")])
    assert from_json(Content, json.loads(json.dumps(to_json(content)))) == content


def test_damaged_json_is_refused() -> None:
    with pytest.raises(ValueError, match="no stored Content"):
        from_json(Content, {"target": 1})
