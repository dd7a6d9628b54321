"""Making a reader test and taking its answers."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Project, TrainedModel
from explanations.findings import latest_explanations, may_see_findings
from explanations.models import Explanation, ReaderTest, ReaderTestAnswer

WAYS = list(ReaderTestAnswer.Seen)


class ReaderTestError(ValueError):
    """The request cannot be carried out; the message is for people."""


@transaction.atomic
def create_test(
    *,
    project: Project,
    model: TrainedModel,
    name: str,
    cases_per_class: int,
    readers: Sequence[User],
    seed: int,
    user: User,
) -> ReaderTest:
    """Plan a test over explained cases of known class, as many of each class.

    Each reader meets every case once, in an order of their own. Which way a case is seen (image,
    explanation or both) goes round from case to case and from reader to reader, so that each way
    meets every class about as often, and no reader remembers a case from another way.

    Raises:
        ReaderTestError: no readers, a reader who answers units blind, or too few cases of a class.
    """
    if not readers:
        raise ReaderTestError("Choose at least one reader.")
    for reader in readers:
        if not may_see_findings(reader, project):
            raise ReaderTestError(
                f"{reader.display_name} names units without seeing colleagues' answers, which "
                "explanations show. Choose readers who do not, or open the project's blinding."
            )
    chosen = _chosen(model, cases_per_class, np.random.default_rng(seed))
    test = ReaderTest.objects.create(
        project=project, model=model, name=name.strip(), seed=seed, created_by=user
    )
    test.readers.set(readers)
    for number, reader in enumerate(sorted(readers, key=lambda one: one.pk)):
        _plan(test, reader, number, chosen)
    return test


def _chosen(
    model: TrainedModel, per_class: int, generator: np.random.Generator
) -> list[Explanation]:
    """Explained cases, per_class of each class, class by class in a random order."""
    by_class: dict[str, list[Explanation]] = defaultdict(list)
    explained = latest_explanations(model).select_related("case__image__dataset")
    for explanation in explained:
        if explanation.case.image.class_name in model.class_names:
            by_class[str(explanation.case.image.class_name)].append(explanation)
    chosen = []
    for name in model.class_names:
        found = by_class[name]
        if len(found) < per_class:
            raise ReaderTestError(
                f"Only {len(found)} cases of the class {name} are explained; {per_class} are asked "
                "for. Explain all cases of a split first, or ask for fewer."
            )
        chosen += [found[i] for i in generator.permutation(len(found))[:per_class]]
    return chosen


def _plan(test: ReaderTest, reader: User, number: int, chosen: Sequence[Explanation]) -> None:
    """`number`: of the reader in the test, from 0."""
    order = np.random.default_rng([test.seed, reader.pk]).permutation(len(chosen))
    place = {int(index): position for position, index in enumerate(order)}
    ReaderTestAnswer.objects.bulk_create(
        ReaderTestAnswer(
            test=test,
            reader=reader,
            explanation=explanation,
            position=place[index],
            seen=WAYS[(index + number) % len(WAYS)],
        )
        for index, explanation in enumerate(chosen)
    )


@transaction.atomic
def answer(*, turn: ReaderTestAnswer, guess: int) -> None:
    """Store the reader's guess of the class.

    Raises:
        ReaderTestError: no such class, the test is closed, or the turn has its answer already.
    """
    turn = _locked(turn)
    if not 0 <= guess < len(turn.test.model.class_names):
        raise ReaderTestError("Choose one of the classes.")
    if turn.guess is not None:
        raise ReaderTestError("This case has its answer already. Take it back to change it.")
    turn.guess = guess
    turn.answered = timezone.now()
    turn.save(update_fields=["guess", "answered"])


@transaction.atomic
def take_back(*, test: ReaderTest, reader: User) -> None:
    """Let the reader answer their last case again; that it was taken back is counted.

    Raises:
        ReaderTestError: the test is closed or nothing has been answered.
    """
    last = test.answers.filter(reader=reader, guess__isnull=False).order_by("-position").first()
    if last is None:
        raise ReaderTestError("There is no answer to take back.")
    last = _locked(last)
    last.guess, last.answered = None, None
    last.changes += 1
    last.save(update_fields=["guess", "answered", "changes"])


def note_opened(turn: ReaderTestAnswer) -> None:
    """Note when a turn was first seen."""
    if turn.opened is None:
        turn.opened = timezone.now()
        turn.save(update_fields=["opened"])


def set_closed(*, test: ReaderTest, closed: bool) -> None:
    test.closed = timezone.now() if closed else None
    test.save(update_fields=["closed"])


def _locked(turn: ReaderTestAnswer) -> ReaderTestAnswer:
    turn = (
        ReaderTestAnswer.objects.select_for_update(of=("self",))
        .select_related("test__model")
        .get(pk=turn.pk)
    )
    if turn.test.closed:
        raise ReaderTestError("This test has been closed.")
    return turn
