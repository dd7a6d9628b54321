"""Readers guess the class from explanations, images or both: planning, blinding, results."""

from collections import Counter

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role, User
from explanations.models import Case, Explanation, ReaderTest, ReaderTestAnswer
from explanations.reader_tests.results import Turn, estimates, results
from explanations.reader_tests.services import (
    ReaderTestError,
    answer,
    create_test,
    set_closed,
    take_back,
)
from explanations.services import complete, labels_of, request_explanation
from tests.platform.case_world import EFFECTS, name_unit, world_with_cases
from tests.platform.explaining import make
from tests.platform.factories import CLASSES, World

pytestmark = pytest.mark.django_db
WAYS = list(ReaderTestAnswer.Seen)


@pytest.fixture
def world() -> World:
    """Eighteen explained cases, six of each class, and two more clinicians."""
    world = world_with_cases(images=18)
    name_unit(world, 0)
    name_unit(world, 3, ["mass"])
    for case in Case.objects.select_related("model", "image", "project"):
        explanation = request_explanation(
            case=case, layer=world.layer, target=case.predicted, user=None
        )
        content, maps = make(EFFECTS, labels_of(explanation).units, target=case.predicted)
        complete(explanation, content, maps)
    for name in ("reader2", "reader3"):
        user = User.objects.create_user(name)
        Membership.objects.create(project=world.project, user=user, role=Role.CLINICIAN)
        world.people[name] = user
    return world


def planned(world: World, *names: str, per_class: int = 6) -> ReaderTest:
    return create_test(
        project=world.project,
        model=world.model,
        name="Test",
        cases_per_class=per_class,
        readers=[world.people[name] for name in names],
        seed=3,
        user=world.people["admin"],
    )


def truth_of(turn: ReaderTestAnswer) -> int:
    return CLASSES.index(str(turn.explanation.case.image.class_name))


def test_every_way_meets_every_class_equally_and_every_case_in_every_way(world: World) -> None:
    test = planned(world, "clinician", "reader2", "reader3")
    turns = list(test.answers.select_related("explanation__case__image__dataset"))
    assert len(turns) == 3 * 18
    assert Counter((turn.seen, truth_of(turn)) for turn in turns) == {
        (way, label): 6 for way in WAYS for label in range(3)
    }
    assert len({(turn.explanation_id, turn.seen) for turn in turns}) == 3 * 18
    orders = {
        reader: [turn.explanation_id for turn in turns if turn.reader_id == reader]
        for reader in {turn.reader_id for turn in turns}
    }
    assert len({tuple(order) for order in orders.values()}) == 3, "readers have own orders"


def test_every_class_can_be_guessed_and_counts(world: World, client: Client) -> None:
    test = planned(world, "clinician")
    client.force_login(world.people["clinician"])
    page = reverse("reader-test-read", args=["study", test.pk])
    for number in range(18):
        turn = test.answers.filter(guess=None).order_by("position")[0]
        text = client.get(page).content.decode()
        assert all(f'value="{label}" data-key="{label + 1}"' in text for label in range(3))
        client.post(page, {"turn": turn.pk, "guess": number % 3})
    assert "All cases are answered" in client.get(page).content.decode()
    guessed = Counter(test.answers.values_list("guess", flat=True))
    assert guessed == {0: 6, 1: 6, 2: 6}
    assert sum(sum(row) for table in results(test).guesses.values() for row in table) == 18


def test_the_page_tells_neither_class_nor_prediction_nor_the_case(
    world: World, client: Client
) -> None:
    test = planned(world, "clinician")
    client.force_login(world.people["clinician"])
    page = reverse("reader-test-read", args=["study", test.pk])
    seen = set()
    for turn in test.answers.select_related("explanation__case__image").order_by("position"):
        text = client.get(page).content.decode()
        case = turn.explanation.case
        assert case.image.name not in text
        assert case.image.patient not in text
        assert "predicted" not in text.lower()
        assert text.count(case.predicted_class) == text.count(CLASSES[case.predicted - 1])
        image, findings = "case-picture" in text, "What the model saw" in text
        assert (image, findings) == {
            "image": (True, False), "explanation": (False, True), "both": (True, True),
        }[turn.seen]  # fmt: skip
        if turn.seen == "image":
            assert "Spiculated" not in text
            assert "case-overlay" not in text
        seen.add(turn.seen)
        client.post(page, {"turn": turn.pk, "guess": 0})
    assert seen == set(WAYS)


def test_right_guesses_score_one_and_those_that_know_nothing_chance(world: World) -> None:
    test = planned(world, "clinician", "reader2", "reader3")
    turns = test.answers.select_related("explanation__case__image__dataset")
    for number, turn in enumerate(turns.order_by("seen", "pk")):
        off = number % 3 if turn.seen == "image" else 0
        answer(turn=turn, guess=(truth_of(turn) + off) % 3)
    found = results(test)
    for way in ("explanation", "both"):
        assert found.accuracy[way].value == found.accuracy[way].low == 1
    image = found.accuracy["image"]
    assert image.low is not None
    assert image.high is not None
    assert image.low < found.chance < image.high
    assert found.gain.low is not None
    assert found.gain.low > 0


def test_intervals_resample_patients_and_not_answers() -> None:
    """Ten answers on one patient tell less than one answer on each of ten."""
    same = [Turn("p0", "image", True)] * 10 + [Turn("p1", "image", False)] * 10
    apart = [Turn(f"p{i}", "image", i < 10) for i in range(20)]
    (wide, _), (narrow, _) = estimates(same, 0), estimates(apart, 0)
    assert (wide["image"].low, wide["image"].high) == (0, 1)
    assert narrow["image"].low is not None
    assert narrow["image"].high is not None
    # The exact binomial interval of 10 out of 20 is 0.27 to 0.73.
    assert narrow["image"].low == pytest.approx(0.28, abs=0.04)
    assert narrow["image"].high == pytest.approx(0.72, abs=0.04)
    assert wide["both"].value is None
    (alone, _) = estimates([Turn("p0", "image", True)] * 5, 0)
    assert (alone["image"].value, alone["image"].low) == (1, None)


def test_an_answer_can_be_taken_back_which_is_counted(world: World, client: Client) -> None:
    test = planned(world, "clinician")
    client.force_login(world.people["clinician"])
    first = test.answers.order_by("position")[0]
    answer(turn=first, guess=1)
    with pytest.raises(ReaderTestError, match="Take it back"):
        answer(turn=first, guess=2)
    client.post(reverse("reader-test-back", args=["study", test.pk]))
    first.refresh_from_db()
    assert (first.guess, first.changes) == (None, 1)
    with pytest.raises(ReaderTestError, match="no answer to take back"):
        take_back(test=test, reader=world.people["clinician"])
    set_closed(test=test, closed=True)
    with pytest.raises(ReaderTestError, match="closed"):
        answer(turn=first, guess=1)


def test_experts_who_answer_blind_cannot_read(world: World) -> None:
    with pytest.raises(ReaderTestError, match="Ada Reyes"):
        planned(world, "expert1")
    assert not ReaderTest.objects.exists()


def test_too_few_cases_of_a_class_are_refused_in_words(world: World, client: Client) -> None:
    Explanation.objects.filter(case__image__class_index=2).update(completed=None)
    client.force_login(world.people["admin"])
    response = client.post(
        reverse("reader-test-new", args=["study"]),
        {
            "name": "T", "model": world.model.pk, "cases_per_class": 3, "seed": 0,
            "readers": [world.people["clinician"].pk],
        },
    )  # fmt: skip
    assert response.status_code == 422
    assert "Only 0 cases of the class malignant are explained" in response.content.decode()


def test_who_comes_to_label_blind_cannot_go_on(world: World, client: Client) -> None:
    test = planned(world, "clinician")
    page = reverse("reader-test-read", args=["study", test.pk])
    client.force_login(world.people["clinician"])
    role = world.project.memberships.filter(user=world.people["clinician"])
    for blinded, status in ((False, 200), (True, 403)):
        role.update(role=Role.EXPERT)
        world.project.blinded = blinded
        world.project.save()
        assert client.get(page).status_code == status
    role.update(role=Role.CLINICIAN)
    assert client.get(page).status_code == 200


def test_only_admins_see_results_and_only_readers_read(world: World, client: Client) -> None:
    test = planned(world, "clinician")
    own = {
        name: reverse(name, args=["study", test.pk]) for name in ("reader-test", "reader-test-read")
    }
    expected = {
        "admin": {"reader-test": 200, "reader-test-read": 404},
        "clinician": {"reader-test": 403, "reader-test-read": 200},
        "reader2": {"reader-test": 403, "reader-test-read": 404},
        "outsider": {"reader-test": 404, "reader-test-read": 404},
    }
    for who, codes in expected.items():
        client.force_login(world.people[who])
        assert {name: client.get(page).status_code for name, page in own.items()} == codes, who
        assert client.get(reverse("reader-tests", args=["study"])).status_code == (
            404 if who == "outsider" else 200
        )
