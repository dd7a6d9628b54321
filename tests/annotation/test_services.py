from threading import Thread
from typing import Any

import pytest
from django.db import connection

from annotation.models import Label
from annotation.services import LabelError, record_early_look, save_label, undo_label
from catalog.models import Term
from tests.platform.factories import World, build_world, make_vocabulary

SPICULATED, VESSEL = "mass.margin.spiculated", "other.vessel"


def save(world: World, unit: int = 0, who: str = "expert1", **changes: Any) -> Label:
    return save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        **changes,
    )


def codes(label: Label) -> list[str]:
    return [term.code for term in label.terms.all()]


def test_fields_that_are_not_given_stay(world: World) -> None:
    save(world, add_terms=[SPICULATED])
    save(world, confidence=3)
    label = save(world, note="  thin lines ")
    assert (codes(label), label.confidence, label.note) == ([SPICULATED], 3, "thin lines")
    assert Label.objects.count() == 1


def test_adding_a_term_answers_yes(world: World) -> None:
    save(world, recognisable="no")
    assert save(world, add_terms=[VESSEL]).recognisable == "yes"


@pytest.mark.parametrize("answer", ["no", "unsure"])
def test_an_answer_without_a_finding_clears_the_terms(world: World, answer: str) -> None:
    save(world, add_terms=[VESSEL, SPICULATED])
    label = save(world, recognisable=answer)
    assert (label.recognisable, codes(label)) == (answer, [])


def test_terms_beside_no_are_refused(world: World) -> None:
    with pytest.raises(LabelError, match="yes"):
        save(world, recognisable="no", term_codes=[VESSEL])
    assert not Label.objects.exists(), "a refused save leaves nothing behind"


def test_all_terms_can_be_replaced_at_once(world: World) -> None:
    save(world, add_terms=[VESSEL])
    assert codes(save(world, term_codes=[SPICULATED])) == [SPICULATED]
    assert codes(save(world, term_codes=[])) == []


def test_a_term_of_another_vocabulary_is_refused(world: World) -> None:
    other = make_vocabulary("other")
    Term.objects.create(
        vocabulary=other, code="foreign", code_system="X", name="F", phrase="f", category="c"
    )
    with pytest.raises(LabelError, match="not a term of"):
        save(world, add_terms=["foreign"])


def test_a_retired_term_is_refused_but_stays_where_it_was(world: World) -> None:
    save(world, unit=0, add_terms=[VESSEL])
    Term.objects.filter(code=VESSEL).update(retired=True)
    with pytest.raises(LabelError, match="retired"):
        save(world, unit=1, add_terms=[VESSEL])
    assert codes(save(world, unit=0, add_terms=[SPICULATED])) == [SPICULATED, VESSEL]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"recognisable": "perhaps"}, "answer"), ({"confidence": 7}, "confidence")],
)
def test_unknown_choices_are_refused(world: World, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        save(world, **changes)


def test_a_unit_that_was_never_dissected_is_refused(world: World) -> None:
    with pytest.raises(LabelError, match="no dissected unit 99"):
        save(world, unit=99, recognisable="no")


def test_every_change_leaves_a_revision_and_no_change_leaves_none(world: World) -> None:
    save(world, add_terms=[SPICULATED])
    save(world, add_terms=[SPICULATED])
    label = save(world, confidence=2)
    assert [revision.number for revision in label.revisions.all()] == [1, 2]
    assert label.revisions.get(number=2).state == {
        "recognisable": "yes",
        "terms": [{"code": SPICULATED, "name": "Spiculated margin"}],
        "confidence": 2,
        "note": "",
        "answers": {},
        "question_set": 1,
    }


def test_a_revision_stays_readable_after_a_term_is_renamed(world: World) -> None:
    label = save(world, add_terms=[VESSEL])
    Term.objects.filter(code=VESSEL).update(name="Artery")
    assert label.revisions.get().state["terms"] == [{"code": VESSEL, "name": "Vessel"}]


def test_undo_goes_back_step_by_step_to_the_empty_label(world: World) -> None:
    save(world, recognisable="unsure")
    save(world, add_terms=[SPICULATED])
    label = save(world, note="lines")
    user = world.people["expert1"]
    seen = []
    for _ in range(3):
        label = undo_label(user=user, label=label)
        seen.append((label.recognisable, codes(label), label.note))
    assert seen == [("yes", [SPICULATED], ""), ("unsure", [], ""), ("", [], "")]
    with pytest.raises(LabelError, match="nothing to undo"):
        undo_label(user=user, label=label)
    assert [r.undoes for r in label.revisions.all()] == [None, None, None, 3, 2, 1]


def test_a_change_after_an_undo_is_the_next_to_be_undone(world: World) -> None:
    user = world.people["expert1"]
    save(world, recognisable="no")
    undo_label(user=user, label=save(world, recognisable="unsure"))
    label = save(world, confidence=1)
    label = undo_label(user=user, label=label)
    assert (label.recognisable, label.confidence) == ("no", None)


def test_nobody_undoes_a_colleagues_label(world: World) -> None:
    label = save(world, recognisable="no")
    with pytest.raises(LabelError, match="author"):
        undo_label(user=world.people["expert2"], label=label)


def test_an_early_look_marks_the_label_for_good(world: World) -> None:
    user = world.people["expert1"]
    for _ in range(2):
        record_early_look(user=user, model=world.model, layer_name="layer4", unit_index=0)
    label = save(world, recognisable="no")
    undo_label(user=user, label=label)
    assert [r.state.get("early_look") for r in label.revisions.all()] == [True] * 3
    assert "early_look" not in save(world, unit=1, recognisable="no").revisions.get().state


@pytest.mark.django_db(transaction=True)
def test_changes_at_the_same_time_lose_nothing() -> None:
    world = build_world(images=3, units=2)
    terms = [SPICULATED, VESSEL, "mass", "other.skin"]
    failures: list[Exception] = []

    def add(code: str) -> None:
        try:
            save(world, add_terms=[code])
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)
        finally:
            connection.close()

    threads = [Thread(target=add, args=[code]) for code in terms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    label = Label.objects.get()
    assert not failures
    assert set(codes(label)) == set(terms)
    assert [revision.number for revision in label.revisions.all()] == [1, 2, 3, 4]
