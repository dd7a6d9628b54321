from typing import Any

from annotation import selectors
from annotation.selectors import Progress
from annotation.services import save_label, undo_label
from catalog.models import Term
from catalog.terms import search_terms
from tests.platform.factories import World

SPICULATED, VESSEL, SKIN = "mass.margin.spiculated", "other.vessel", "other.skin"


def say(world: World, who: str, unit: int, **changes: Any) -> None:
    save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        **changes,
    )


def standing(world: World) -> dict[int, list[tuple[str, list[str], float]]]:
    return {
        index: [(support.term.code, support.experts, support.share) for support in terms.terms]
        for index, terms in selectors.unit_terms(world.model, "layer4").items()
    }


def test_a_term_stands_from_half_of_those_who_answered(world: World) -> None:
    say(world, "expert1", 0, add_terms=[SPICULATED, VESSEL])
    say(world, "expert2", 0, add_terms=[SPICULATED])
    say(world, "admin", 0, recognisable="no")
    assert standing(world) == {
        0: [(SPICULATED, ["Ada Reyes", "Ben Okafor"], 2 / 3)],
    }
    assert selectors.unit_terms(world.model, "layer4")[0].answered == 3


def test_unanswered_labels_do_not_count(world: World) -> None:
    say(world, "expert1", 0, add_terms=[VESSEL])
    say(world, "expert2", 0, note="not sure yet")
    say(world, "admin", 0, recognisable="yes")
    say(world, "expert1", 1, recognisable="unsure")
    assert standing(world) == {0: [(VESSEL, ["Ada Reyes"], 1.0)], 1: []}


def test_the_digest_follows_what_explanations_take_from_labels(world: World) -> None:
    def digest() -> str:
        return selectors.labels_digest(selectors.unit_terms(world.model, "layer4"))

    empty = digest()
    say(world, "expert1", 0, add_terms=[VESSEL])
    named = digest()
    assert named != empty
    say(world, "expert1", 0, confidence=3, note="sure")
    assert digest() == named
    say(world, "expert2", 0, recognisable="no")
    assert digest() != named
    undo_label(user=world.people["expert2"], label=_own(world, "expert2"))
    assert digest() == named


def test_progress_counts_units_once(world: World) -> None:
    say(world, "expert1", 0, recognisable="no")
    say(world, "expert2", 0, recognisable="no")
    say(world, "expert2", 1, add_terms=[SKIN])
    say(world, "expert2", 2, recognisable="yes")
    mine = world.people["expert1"]
    assert selectors.progress([world.model], mine) == {(world.model.pk, "layer4"): Progress(1, 2)}
    labelling = selectors.labelling_by_project([world.project], mine)[world.project.pk]
    assert (labelling.units, labelling.mine, labelling.anyone) == (6 + 3, 1, 2)


def test_terms_are_found_by_name_synonym_and_code_best_first(world: World) -> None:
    def found(text: str) -> list[str]:
        return [t.code for t in search_terms(world.project.vocabulary, text)]

    assert found("spic")[0] == SPICULATED
    assert found("STELLATE") == [SPICULATED]
    assert found("other.ves") == [VESSEL]
    assert found("margin circ") == ["mass.margin.circumscribed"]
    assert found("mass")[0] == "mass"
    assert found("vess")[0] == VESSEL, "the start of a name goes before a word within"
    assert found("nothing like this") == []
    Term.objects.filter(code=SPICULATED).update(retired=True)
    assert found("stellate") == []


def test_recent_terms_come_latest_first(world: World) -> None:
    say(world, "expert1", 0, add_terms=[SKIN])
    say(world, "expert1", 1, add_terms=[VESSEL])
    say(world, "expert2", 1, add_terms=[SPICULATED])
    recent = selectors.recent_terms(world.people["expert1"], world.project)
    assert [term.code for term in recent] == [VESSEL, SKIN]


def test_the_history_tells_each_change(world: World) -> None:
    say(world, "expert1", 0, add_terms=[VESSEL])
    say(world, "expert1", 0, confidence=3)
    say(world, "expert1", 0, recognisable="no")
    undo_label(user=world.people["expert1"], label=_own(world, "expert1"))
    entries = selectors.history(_own(world, "expert1"))
    assert [(entry.number, entry.change, entry.standing) for entry in entries] == [
        (4, "Took back change 3", False),
        (3, "Removed Vessel; Answered “Nothing recognisable”", False),
        (2, "Confidence high", True),
        (1, "Added Vessel", True),
    ]


def _own(world: World, who: str) -> Any:
    label = selectors.own_label(world.people[who], world.unit(0))
    assert label is not None
    return label
