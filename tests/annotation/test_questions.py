from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation import questions, selectors
from annotation.errors import LabelError, QuestionError
from annotation.models import Label
from annotation.questions import DEFAULT, Kind, Question
from annotation.services import save_label, undo_label
from tests.platform.factories import World

VESSEL = "other.vessel"
SUBTLETY = Question("subtlety", Kind.SCALE, "How subtle?", steps=5)
SITES = Question("sites", Kind.CHOICES, "Where?", choices=("skin", "core", "rim"))
WHY = Question("why", Kind.TEXT, "Why?", required=True)


def ask(world: World, *more: Question) -> Any:
    return questions.revise(world.project, [*DEFAULT, *more], world.people["admin"])


def save(world: World, unit: int = 0, who: str = "expert1", **changes: Any) -> Label:
    return save_label(
        user=world.people[who],
        model=world.model,
        layer_name="layer4",
        unit_index=unit,
        **changes,
    )


def test_the_default_set_is_number_one_and_is_made_once(world: World) -> None:
    first = questions.current(world.project)
    assert first == questions.current(world.project)
    assert first.number == 1
    assert questions.questions_of(first) == list(DEFAULT)


def test_a_change_is_a_new_number_and_earlier_labels_keep_theirs(world: World) -> None:
    early = save(world, add_terms=[VESSEL], answers={"association": ["malignant"]})
    second = ask(world, WHY)
    assert ask(world, WHY) == second, "the same questions again are no new set"
    early.refresh_from_db()
    assert (early.question_set and early.question_set.number, second.number) == (1, 2)
    assert selectors.is_answered(early), "what was complete stays complete"
    late = save(world, unit=1, add_terms=[VESSEL])
    assert late.question_set == second
    assert not selectors.is_answered(late)


def test_answers_of_each_kind_are_kept_and_merged(world: World) -> None:
    ask(world, SUBTLETY, SITES, WHY)
    save(world, answers={"association": ["malignant", "normal"], "subtlety": 4})
    save(world, answers={"sites": ["rim", "skin"], "why": "  thin lines "})
    label = save(world, answers={"phenomena": "several", "subtlety": None})
    assert label.answers == {
        "association": ["normal", "malignant"],
        "sites": ["skin", "rim"],
        "why": "thin lines",
        "phenomena": "several",
    }
    assert label.recognisable == "yes", "several phenomena are something recognisable"
    assert save(world, answers={"association": "unsure"}).answers["association"] == "unsure"
    assert "phenomena" not in save(world, recognisable="no").answers


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"phenomena": "three"}, "choose from one, several"),
        ({"association": ["cystic"]}, "choose from normal, benign, malignant"),
        ({"association": "normal"}, "choose from none, unsure"),
        ({"subtlety": 6}, "from 1 to 5"),
        ({"subtlety": True}, "from 1 to 5"),
        ({"sites": "rim"}, "list"),
        ({"why": "x" * 4001}, "4000"),
        ({"note": "in the wrong place"}, "not asked"),
        ({"nothing": 1}, "not asked"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    world: World, answers: dict[str, Any], message: str
) -> None:
    ask(world, SUBTLETY, SITES, WHY)
    with pytest.raises(LabelError, match=message):
        save(world, answers=answers)
    assert not Label.objects.exists()


def test_undo_brings_back_answers_and_the_set_they_were_given_under(world: World) -> None:
    save(world, answers={"association": ["benign"]})
    ask(world, SUBTLETY)
    label = save(world, answers={"association": "none", "subtlety": 2})
    label = undo_label(user=world.people["expert1"], label=label)
    assert label.answers == {"association": ["benign"]}
    assert label.question_set
    assert label.question_set.number == 1
    assert [entry.change for entry in selectors.history(label)] == [
        "Took back change 2",
        "Which class does it speak for? None of them; How subtle? 2",
        "Which class does it speak for? benign",
    ]


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({"recognisable": "no"}, True),
        ({"recognisable": "unsure"}, True),
        ({"recognisable": "yes"}, False),
        ({"add_terms": [VESSEL]}, False),
        ({"add_terms": [VESSEL], "confidence": 2}, False),
        ({"add_terms": [VESSEL], "answers": {"why": "lines"}}, False),
        ({"add_terms": [VESSEL], "answers": {"why": "lines"}, "confidence": 2}, True),
        ({"answers": {"why": "lines"}, "confidence": 2}, False),
    ],
)
def test_required_answers_complete_a_label_in_python_and_sql_alike(
    world: World, changes: dict[str, Any], complete: bool
) -> None:
    confidence = Question("confidence", Kind.CONFIDENCE, "How sure?", required=True)
    rest = [question for question in DEFAULT if question.key != "confidence"]
    questions.revise(world.project, [*rest, confidence, WHY], world.people["admin"])
    label = save(world, **changes)
    assert selectors.is_answered(label) is complete
    assert Label.objects.filter(selectors.answered()).exists() is complete


def test_what_was_sent_twice_counts_once(world: World) -> None:
    save(world, recognisable="no", sent="a")
    save(world, recognisable="unsure", sent="b")
    label = save(world, recognisable="no", sent="a")
    assert label.recognisable == "unsure", "a late copy of an older answer changes nothing"
    user = world.people["expert1"]
    for _ in range(2):
        label = undo_label(user=user, label=label, sent="c")
    assert label.recognisable == "no"


def test_a_hidden_repeat_is_a_label_of_its_own(world: World) -> None:
    save(world, recognisable="no")
    save(world, add_terms=[VESSEL], occasion=1)
    assert Label.objects.get().recognisable == "no"
    again = selectors.own_label(world.people["expert1"], world.unit(0), 1)
    assert again
    assert again.recognisable == "yes"
    assert undo_label(user=world.people["expert1"], label=again).recognisable == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words", "list of questions"),
        ([{"key": "terms", "kind": "terms", "title": "What?"}], "always asked"),
        ([{"key": "x", "kind": "riddle", "title": "X?"}], "no known kind"),
        ([{"key": "x", "kind": "choice", "title": "X?", "choices": ["a"]}], "needs 2 to 20"),
        ([{"key": "x", "kind": "choice", "title": "X?", "choices": ["a", "a "]}], "twice"),
        ([{"key": "x", "kind": "scale", "title": "X?", "steps": 99}], "2 to 10"),
        ([{"key": "x", "kind": "note", "title": "X?"}], "own"),
        ([{"key": "note", "kind": "text", "title": "X?"}], "kind note"),
        ([{"key": "x", "kind": "text", "title": " "}], "words"),
        ([{"key": "X y", "kind": "text", "title": "X?"}], "small letters"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(content: Any, message: str) -> None:
    if isinstance(content, list) and message != "always asked":
        content = questions.as_json(DEFAULT) + content
    if message in ("kind note",):
        content = [entry for entry in content if entry["kind"] != "note"]
    with pytest.raises(QuestionError, match=message):
        questions.parse(content)


# The settings page ------------------------------------------------------------------------------


def rows(*more: dict[str, str], leave_out: str = "") -> dict[str, str]:
    """What the editor posts: the default questions and `more`."""
    base = [{"key": q.key, "kind": q.kind.value, "title": q.title, "asked": "on"} for q in DEFAULT]
    if leave_out:
        next(row for row in base if row["key"] == leave_out).pop("asked")
    data = {}
    for index, row in enumerate([*base, *more]):
        for name, value in {"place": str(index + 1), **row}.items():
            data[f"form-{index}-{name}"] = value
    count = len(base) + len(more)
    return {**data, "form-TOTAL_FORMS": str(count), "form-INITIAL_FORMS": str(len(base))}


@pytest.fixture
def admin(world: World, client: Client) -> Client:
    client.force_login(world.people["admin"])
    return client


def address(world: World, name: str) -> str:
    return reverse(name, args=[world.project.slug])


def test_an_admin_asks_something_new_and_switches_something_off(
    world: World, admin: Client
) -> None:
    save(world, add_terms=[VESSEL])
    new = {
        "kind": "choice", "title": "Which side?", "choices": "left\nright", "asked": "on",
        "required": "on", "place": "3",
    }  # fmt: skip
    sent = rows(new, leave_out="phenomena")
    sent["form-3-place"] = "4"
    page = admin.post(address(world, "project-questions"), sent, follow=True)
    assert "question set 2 from now on" in page.content.decode()
    assert "1 label" in page.content.decode()
    asked = questions.questions_of(questions.current(world.project))
    assert [question.key for question in asked] == [
        "recognisable", "terms", "which-side", "association", "confidence", "note",
    ]  # fmt: skip
    assert asked[2].required
    assert asked[2].choices == ("left", "right")
    unit = reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", 0])
    html = admin.get(unit).content.decode()
    assert "Which side?" in html
    assert "One phenomenon or several?" not in html


def test_a_set_that_cannot_be_asked_is_refused_and_what_was_typed_stays(
    world: World, admin: Client
) -> None:
    new = {"kind": "choice", "title": "Which side?", "choices": "left", "asked": "on"}
    page = admin.post(address(world, "project-questions"), rows(new))
    assert page.status_code == 422
    assert "needs 2 to 20 answers" in page.content.decode()
    assert "Which side?" in page.content.decode()
    assert questions.current(world.project).number == 1


def test_an_open_project_shows_results_before_the_answer(world: World, admin: Client) -> None:
    unit = reverse("unit", args=[world.project.slug, world.dissection.pk, "layer4", 0])
    expert = Client()
    expert.force_login(world.people["expert1"])
    assert "Overlap with known concepts" not in expert.get(unit).content.decode()
    admin.post(address(world, "project-blinding"), {})
    assert "Overlap with known concepts" in expert.get(unit).content.decode()
    admin.post(address(world, "project-blinding"), {"blinded": "on"})
    assert "Overlap with known concepts" not in expert.get(unit).content.decode()


@pytest.mark.parametrize(("who", "status"), [("expert1", 403), ("outsider", 404)])
def test_only_admins_settle_a_project(world: World, client: Client, who: str, status: int) -> None:
    client.force_login(world.people[who])
    assert client.get(address(world, "project-settings")).status_code == status
    for name in ("project-blinding", "project-questions"):
        assert client.post(address(world, name), rows()).status_code == status
    world.project.refresh_from_db()
    assert world.project.blinded
