"""The numbers of the agreement page and of the API."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from accounts.models import User
from annotation.agreement import statistics
from annotation.agreement.answers import RECOGNISABLE, LayerAnswers
from annotation.agreement.statistics import MISSING, Estimate
from catalog.models import Term


@dataclass(frozen=True)
class Statistic:
    """One line of the report; `key` is its name in the API."""

    key: str
    name: str
    estimate: Estimate


@dataclass(frozen=True)
class PairAgreement:
    first: User
    second: User
    agreement: Estimate
    kappa: Estimate
    credit: Estimate
    """Mean partial credit on terms (1 is the same terms), not corrected for chance."""


@dataclass(frozen=True)
class TermAgreement:
    """How far experts agree on whether a term fits; `uses` counts the answers that hold it."""

    term: Term
    uses: int
    agreement: Estimate
    alpha: Estimate


@dataclass(frozen=True)
class AgreementReport:
    units: int
    shared_units: int
    experts: int
    recognisable: list[Statistic]
    terms: list[Statistic]
    pairs: list[PairAgreement]
    by_term: list[TermAgreement]


def agreement_report(answers: LayerAnswers) -> AgreementReport:
    """Agreement on whether something is recognisable, on the terms, by pair and by term."""
    categories = len(RECOGNISABLE)
    given, sets = answers.recognisable, answers.sets
    return AgreementReport(
        units=len(answers.units),
        shared_units=int(((given != MISSING).sum(0) >= 2).sum()),
        experts=len(answers.experts),
        recognisable=[
            Statistic(
                "percent_agreement",
                "Percent agreement",
                statistics.percent_agreement(given, categories),
            ),
            Statistic("fleiss_kappa", "Fleiss’ kappa", statistics.fleiss_kappa(given, categories)),
            Statistic(
                "krippendorff_alpha",
                "Krippendorff’s alpha",
                statistics.krippendorff_alpha(given, categories),
            ),
        ],
        terms=[
            Statistic(
                "alpha_same_terms",
                "Alpha, same terms (MASI)",
                statistics.krippendorff_alpha(sets, len(answers.members), answers.masi),
            ),
            Statistic(
                "alpha_partial_credit",
                "Alpha, partial credit for near terms",
                statistics.krippendorff_alpha(sets, len(answers.members), answers.partial),
            ),
        ],
        pairs=[
            _pair(answers, first, second)
            for first, second in combinations(range(len(answers.experts)), 2)
        ],
        by_term=_by_term(answers),
    )


def _pair(answers: LayerAnswers, first: int, second: int) -> PairAgreement:
    rows = [first, second]
    sets = answers.sets[rows]
    both = (sets != MISSING).all(0)
    credit = 1 - answers.partial[sets[0, both], sets[1, both]]
    return PairAgreement(
        first=answers.experts[first],
        second=answers.experts[second],
        agreement=statistics.percent_agreement(answers.recognisable[rows], len(RECOGNISABLE)),
        kappa=statistics.cohen_kappa(
            answers.recognisable[first], answers.recognisable[second], len(RECOGNISABLE)
        ),
        credit=statistics.mean_with_interval(credit, raters=2),
    )


def _by_term(answers: LayerAnswers) -> list[TermAgreement]:
    """All terms that anybody chose, the most used first."""
    found = []
    for place in np.flatnonzero(answers.members.any(0)):
        presence = answers.presence(int(place))
        uses = int((presence == 1).sum())
        found.append(
            TermAgreement(
                term=answers.terms[place],
                uses=uses,
                agreement=statistics.percent_agreement(presence, 2),
                alpha=statistics.krippendorff_alpha(presence, 2),
            )
        )
    return sorted(found, key=lambda entry: (-entry.uses, entry.term.position))
