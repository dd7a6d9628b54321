"""What the computer and colleagues say about a unit, as far as a reader may see it."""

from dataclasses import dataclass

from accounts.models import User
from annotation import selectors as annotation
from annotation.agreement.proposals import ProposalCount, proposal_count
from annotation.models import Label
from dissections import arrays, selectors
from dissections.charts import HistogramChart, SignedBar, histogram_chart, signed_bars
from dissections.models import ConceptScore, Unit


@dataclass(frozen=True)
class Statistics:
    """How a unit behaves over the dissected images and what it does to the classes."""

    histogram: HistogramChart | None
    class_means: list[SignedBar]
    influence: list[SignedBar]


@dataclass(frozen=True)
class Evidence:
    """What is None may not be seen by the reader yet; `proposals` also where nothing is counted."""

    statistics: Statistics | None
    scores: list[ConceptScore] | None
    colleagues: list[Label] | None
    proposals: ProposalCount | None


def evidence(
    user: User,
    unit: Unit,
    reader: annotation.Reader,
    *,
    answered: bool,
    early_look: bool = False,
) -> Evidence:
    """The results on a unit for this reader.

    Before answering, a blinded reader sees nothing, or with `early_look` the statistics only:
    never the concept scores or what colleagues answered.
    """
    free = reader.sees_results(answered)
    return Evidence(
        statistics=_statistics(unit) if free or early_look else None,
        scores=selectors.concept_scores(unit) if free else None,
        colleagues=annotation.colleagues_labels(user, unit) if free else None,
        proposals=proposal_count(unit.layer.dissection.model, unit.layer.name) if free else None,
    )


def _statistics(unit: Unit) -> Statistics:
    classes = unit.layer.dissection.model.class_names
    return Statistics(
        histogram=histogram_chart(*arrays.histogram(unit.layer, unit.index), unit.threshold),
        class_means=signed_bars(classes, unit.class_means),
        influence=signed_bars(classes, unit.influence),
    )
