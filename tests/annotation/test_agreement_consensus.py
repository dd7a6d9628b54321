from typing import Any

import pytest

from annotation import selectors
from annotation.agreement import consensus
from annotation.agreement.consensus import Answer, ConsensusError
from annotation.models import Consensus
from explanations.services import request_explanation
from tests.annotation.saying import CIRCUMSCRIBED, SKIN, SPICULATED, VESSEL, say, settle
from tests.platform.case_world import first_case, world_with_cases
from tests.platform.factories import World


def standing(world: World) -> dict[int, tuple[str, set[str]]]:
    return {
        index: (row.recognisable, {term.code for term in row.terms.all()})
        for index, row in consensus.current(world.model, "layer4").items()
    }


def digest(world: World) -> str:
    return selectors.labels_digest(selectors.unit_terms(world.model, "layer4"))


def layer(world: World) -> dict[str, Any]:
    return {"user": world.people["admin"], "model": world.model, "layer_name": "layer4"}


def test_a_decision_keeps_where_it_comes_from(world: World) -> None:
    say(world, "expert1", 0, SPICULATED, confidence=3)
    say(world, "expert1", 0, note="rays")
    say(world, "expert2", 0, CIRCUMSCRIBED)
    row = settle(world, "admin", 0, SPICULATED, note="The rays are clear.")
    assert (row.number, row.source, row.note) == (1, "adjudication", "The rays are clear.")
    assert row.decided_by == world.people["admin"]
    assert row.model_sha256 == world.model.sha256
    assert [(entry["author"], entry["revision"]) for entry in row.basis] == [
        ("expert1", 2),
        ("expert2", 1),
    ]
    assert row.basis[0]["state"]["note"] == "rays"
    settle(world, "admin", 0, CIRCUMSCRIBED)
    assert standing(world) == {0: ("yes", {CIRCUMSCRIBED})}
    assert Consensus.objects.count() == 2, "nothing is overwritten"


def test_explanations_name_a_unit_by_its_consensus(world: World) -> None:
    say(world, "expert1", 0, VESSEL)
    say(world, "expert2", 0, VESSEL)
    by_experts = digest(world)
    settle(world, "admin", 0, VESSEL, SKIN)
    named = selectors.unit_terms(world.model, "layer4")[0]
    assert [(s.term.code, s.experts) for s in named.terms] == [
        (VESSEL, ["Ada Reyes", "Ben Okafor"]),
        (SKIN, []),
    ]
    assert named.decided_by == "Alex Admin (adjudication)"
    assert digest(world) != by_experts
    settle(world, "admin", 0, recognisable="no")
    assert selectors.unit_terms(world.model, "layer4")[0].terms == []
    for _ in range(2):
        settle(world, "admin", 0, VESSEL)
    assert digest(world) != by_experts, "who decided is part of what an explanation says"
    say(world, "expert1", 1, SKIN)
    settle(world, "admin", 5, SKIN)
    assert set(selectors.unit_terms(world.model, "layer4")) == {0, 1, 5}, "also without any answer"


def test_a_new_consensus_makes_a_new_explanation(db: None) -> None:
    world = world_with_cases(images=3)
    say(world, "expert1", 0, VESSEL)

    def explain() -> Any:
        return request_explanation(
            case=first_case(world), layer=world.layer, target=0, user=world.people["clinician"]
        )

    before = explain()
    settle(world, "admin", 0, SKIN)
    after = explain()
    assert after.pk != before.pk
    (unit,) = after.content["labels"]["units"]
    assert [term["code"] for term in unit["terms"]] == [SKIN]
    assert unit["decided_by"] == "Alex Admin (adjudication)"


def test_a_departure_from_the_majority_needs_a_reason(world: World) -> None:
    for who in ("admin", "expert1"):
        say(world, who, 0, SPICULATED)
    say(world, "expert2", 0, VESSEL)
    for answer in ({SPICULATED, VESSEL}, {VESSEL}, {SKIN, SPICULATED}):
        with pytest.raises(ConsensusError, match="departs"):
            settle(world, "admin", 0, *answer, note="  ")
    with pytest.raises(ConsensusError, match="departs"):
        settle(world, "admin", 0, recognisable="no", note="")
    settle(world, "admin", 0, SPICULATED, note="")
    say(world, "expert1", 1, SPICULATED)
    say(world, "expert2", 1, VESSEL)
    settle(world, "admin", 1, SPICULATED, VESSEL, note="")
    settle(world, "admin", 1, VESSEL, note="")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer("yes"), "at least one"),
        (Answer("no", frozenset({VESSEL})), "Terms go with"),
        (Answer(""), "Choose what stands"),
        (Answer("yes", frozenset({"absent"})), "not a term"),
    ],
)
def test_impossible_decisions_are_refused(world: World, answer: Answer, message: str) -> None:
    with pytest.raises(ConsensusError, match=message):
        consensus.adjudicate(**layer(world), unit_index=0, answer=answer, note="x")
    assert not Consensus.objects.exists()


def test_a_decision_on_answers_that_changed_meanwhile_is_refused(world: World) -> None:
    say(world, "expert1", 0, VESSEL)
    place = (world.model, "layer4", 0)
    seen = consensus.version(place, consensus.answers_on(world.model, "layer4")[0])
    say(world, "expert2", 0, SKIN)
    decision = {**layer(world), "unit_index": 0, "answer": Answer("no"), "note": "x"}
    with pytest.raises(ConsensusError, match="came in since"):
        consensus.adjudicate(**decision, seen=seen)
    seen = consensus.version(place, consensus.answers_on(world.model, "layer4")[0])
    consensus.adjudicate(**decision, seen=seen)
    with pytest.raises(ConsensusError, match="came in since"):
        consensus.adjudicate(**decision, seen=seen)


def test_agreements_are_accepted_in_one_step_and_withdrawn_in_another(world: World) -> None:
    for who in ("expert1", "expert2"):
        say(world, who, 0, VESSEL)
        say(world, who, 1, recognisable="no")
        say(world, who, 2, recognisable="unsure")
    say(world, "expert1", 3, VESSEL)
    say(world, "expert1", 4, VESSEL)
    say(world, "expert2", 4, VESSEL, SKIN)
    settle(world, "admin", 4, VESSEL)
    rows = consensus.accept_agreements(**layer(world))
    assert [(row.unit_index, row.source) for row in rows] == [(0, "agreement"), (1, "agreement")]
    assert standing(world) == {0: ("yes", {VESSEL}), 1: ("no", set()), 4: ("yes", {VESSEL})}
    assert consensus.accept_agreements(**layer(world)) == []
    consensus.withdraw_agreements(**layer(world))
    assert standing(world) == {4: ("yes", {VESSEL})}
    assert consensus.accept_agreements(**layer(world), fewest=3) == []
    with pytest.raises(ConsensusError, match="at least 2"):
        consensus.accept_agreements(**layer(world), fewest=1)


def test_a_decision_is_taken_back_by_a_newer_row(world: World) -> None:
    say(world, "expert1", 0, VESSEL)
    settle(world, "admin", 0, VESSEL, note="First.")
    settle(world, "admin", 0, SKIN, note="Second.")
    row = consensus.take_back(**layer(world), unit_index=0)
    assert (row.number, row.note) == (3, "Back to decision 1. First.")
    assert standing(world) == {0: ("yes", {VESSEL})}
    with pytest.raises(ConsensusError, match="Nothing has been decided"):
        consensus.take_back(**layer(world), unit_index=1)
    settle(world, "admin", 1, VESSEL)
    assert consensus.take_back(**layer(world), unit_index=1).recognisable == ""
    assert 1 not in standing(world)


def test_a_consensus_gets_older_than_the_answers(world: World) -> None:
    def older() -> bool:
        labels = consensus.answers_on(world.model, "layer4")[0]
        return consensus.is_older_than_answers(consensus.current(world.model, "layer4")[0], labels)

    say(world, "expert1", 0, VESSEL)
    settle(world, "admin", 0, VESSEL)
    say(world, "expert1", 0, confidence=1, note="still")
    assert not older(), "what the answer says is the same"
    say(world, "expert2", 0, VESSEL)
    assert older(), "somebody else has answered"
    settle(world, "admin", 0, VESSEL)
    assert not older()
    say(world, "expert1", 0, SKIN)
    assert older()
