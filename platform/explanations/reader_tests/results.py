"""How often readers guessed right, by what they saw, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explanations.models import ReaderTest, ReaderTestAnswer

DRAWS = 2000
# One patient resampled is always the same one: that says nothing of how results vary.
LEAST_PATIENTS = 2
WAYS = [str(way) for way in ReaderTestAnswer.Seen]


@dataclass(frozen=True)
class Turn:
    """An answered turn: the patient, what was seen, whether the guess was right."""

    patient: str
    seen: str
    right: bool


@dataclass(frozen=True)
class Estimate:
    """A share (or a difference of shares) with its 95 % interval; None where it is not known."""

    value: float | None
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Results:
    """accuracy: by what was seen. gain: of seeing both over the image alone.

    chance: of guessing among as many cases of each class. model: of the model on the same cases.
    guesses [true class][guessed class]: counts, by what was seen.
    """

    accuracy: dict[str, Estimate]
    gain: Estimate
    chance: float
    model: float | None
    guesses: dict[str, list[list[int]]]
    answered: int
    planned: int


def results(test: ReaderTest) -> Results:
    """The results so far. Patients are resampled whole (percentile bootstrap, seeded)."""
    names = test.model.class_names
    planned = list(
        test.answers.select_related("explanation__case__image__dataset", "explanation__case__model")
    )
    turns, guesses = [], {way: [[0] * len(names) for _ in names] for way in WAYS}
    for turn in planned:
        if turn.guess is None:
            continue
        image = turn.explanation.case.image
        truth = names.index(image.class_name or "")
        guesses[turn.seen][truth][turn.guess] += 1
        turns.append(Turn(image.patient, turn.seen, turn.guess == truth))
    cases = {turn.explanation.case_id: turn.explanation.case for turn in planned}
    hits = [case.predicted_class == case.image.class_name for case in cases.values()]
    accuracy, gain = estimates(turns, test.seed)
    return Results(
        accuracy=accuracy,
        gain=gain,
        chance=1 / len(names),
        model=float(np.mean(hits)) if hits else None,
        guesses=guesses,
        answered=len(turns),
        planned=len(planned),
    )


def estimates(turns: Sequence[Turn], seed: int) -> tuple[dict[str, Estimate], Estimate]:
    """Accuracy by what was seen, and the gain of both over the image alone."""
    if not turns:
        unknown = Estimate(None, None, None, 0)
        return dict.fromkeys(WAYS, unknown), unknown
    patients = sorted({turn.patient for turn in turns})
    place = {patient: number for number, patient in enumerate(patients)}
    right, count = np.zeros((2, len(WAYS), len(patients)))
    for turn in turns:
        where = (WAYS.index(turn.seen), place[turn.patient])
        right[where] += turn.right
        count[where] += 1
    draws = np.random.default_rng(seed).multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), DRAWS
    )
    whole = np.ones((1, len(patients)), int)
    with np.errstate(invalid="ignore"):
        shares = {
            name: (weights @ right.T) / (weights @ count.T)
            for name, weights in (("value", whole), ("draws", draws))
        }
    accuracy = {
        way: _estimate(
            shares["value"][0, w], shares["draws"][:, w], int(count[w].sum()), len(patients)
        )
        for w, way in enumerate(WAYS)
    }
    both, image = WAYS.index("both"), WAYS.index("image")
    gain = _estimate(
        shares["value"][0, both] - shares["value"][0, image],
        shares["draws"][:, both] - shares["draws"][:, image],
        int(count[both].sum() + count[image].sum()),
        len(patients),
    )
    return accuracy, gain


def _estimate(value: float, draws: np.ndarray, count: int, patients: int) -> Estimate:
    if not np.isfinite(value):
        return Estimate(None, None, None, count)
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    if patients < LEAST_PATIENTS:
        return Estimate(float(value), None, None, count)
    return Estimate(float(value), float(low), float(high), count)
