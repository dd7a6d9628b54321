"""The units on which experts differ, worst first, and what has been settled on them."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from annotation.agreement.answers import LayerAnswers
from annotation.agreement.consensus import agreed, is_older_than_answers
from annotation.agreement.standing import standing_consensus
from annotation.agreement.statistics import MISSING
from annotation.models import Consensus, Label
from catalog.models import TrainedModel

OPEN, SETTLED, OUTDATED, ALL = "open", "settled", "outdated", "all"
SHOW_CHOICES = [
    (OPEN, "To be settled"),
    (OUTDATED, "Settled, but answers are newer"),
    (SETTLED, "Settled"),
    (ALL, "All units with two answers or a consensus"),
]


@dataclass(frozen=True)
class UnitState:
    """A unit with its answers. `distance` is the mean over pairs of experts, 0 (same) to 1."""

    index: int
    labels: list[Label]
    distance: float
    consensus: Consensus | None
    outdated: bool

    @property
    def agreed(self) -> bool:
        return agreed(self.labels) is not None


def unit_states(model: TrainedModel, layer_name: str, answers: LayerAnswers) -> list[UnitState]:
    """All units with at least two answers or a consensus, the greatest disagreement first."""
    settled = standing_consensus(model, layer_name)
    places = {unit: place for place, unit in enumerate(answers.units)}
    states = []
    for index in sorted({*answers.by_unit, *settled}):
        labels, consensus = answers.by_unit.get(index, []), settled.get(index)
        if len(labels) < 2 and consensus is None:
            continue
        states.append(
            UnitState(
                index=index,
                labels=labels,
                distance=_distance(answers, places[index]) if index in places else 0.0,
                consensus=consensus,
                outdated=consensus is not None and is_older_than_answers(consensus, labels),
            )
        )
    return sorted(states, key=lambda state: (-state.distance, state.index))


def shown(states: list[UnitState], show: str, term: str = "") -> list[UnitState]:
    """The states of one of SHOW_CHOICES on which anybody chose `term` (a code; empty for any)."""
    tests = {
        OPEN: lambda state: state.consensus is None and not state.agreed,
        SETTLED: lambda state: state.consensus is not None,
        OUTDATED: lambda state: state.outdated,
        ALL: lambda state: True,
    }
    return [state for state in states if tests[show](state) and (not term or _has(state, term))]


def next_to_settle(states: list[UnitState], after: int) -> int | None:
    """The unit that waits for a decision after this one, worst first, and around to the start."""
    waiting = [state.index for state in states if waits(state)]
    order = [state.index for state in states]
    place = order.index(after) if after in order else -1
    onward = order[place + 1 :] + order[: place + 1]
    return next((index for index in onward if index in waiting and index != after), None)


def waits(state: UnitState) -> bool:
    return state.outdated or (state.consensus is None and not state.agreed)


def _has(state: UnitState, code: str) -> bool:
    return any(term.code == code for label in state.labels for term in label.terms.all())


def _distance(answers: LayerAnswers, place: int) -> float:
    """Mean over pairs of experts: 1 where they differ on "recognisable", else that of the terms."""
    raters = np.flatnonzero(answers.recognisable[:, place] != MISSING).tolist()
    pairs = [_apart(answers, place, first, second) for first, second in combinations(raters, 2)]
    return float(np.mean(pairs)) if pairs else 0.0


def _apart(answers: LayerAnswers, place: int, first: int, second: int) -> float:
    if answers.recognisable[first, place] != answers.recognisable[second, place]:
        return 1.0
    mine, theirs = answers.sets[first, place], answers.sets[second, place]
    return 0.0 if mine == MISSING else float(answers.partial[mine, theirs])
