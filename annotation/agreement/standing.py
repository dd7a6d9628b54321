"""Which consensus stands on a unit. A row without an answer withdraws the rows before it."""

from django.db.models import Max, OuterRef, QuerySet, Subquery

from annotation.models import Consensus
from catalog.models import TrainedModel


def latest_rows(model: TrainedModel, layer_name: str) -> QuerySet[Consensus]:
    """The last row of each unit, whether it settles the unit or withdraws what was settled."""
    last = (
        Consensus.objects.filter(
            model=model, layer_name=layer_name, unit_index=OuterRef("unit_index")
        )
        .order_by()
        .values("unit_index")
        .annotate(last=Max("number"))
        .values("last")
    )
    return (
        Consensus.objects.filter(model=model, layer_name=layer_name, number=Subquery(last))
        .select_related("model", "decided_by", "question_set")
        .prefetch_related("terms")
    )


def standing_consensus(model: TrainedModel, layer_name: str) -> dict[int, Consensus]:
    """The consensus that counts, by unit index; terms and who decided are prefetched."""
    rows = latest_rows(model, layer_name).exclude(recognisable="")
    return {row.unit_index: row for row in rows}


def decider(consensus: Consensus) -> str:
    """Who settled it and how, for people; never empty."""
    person = consensus.decided_by.display_name if consensus.decided_by else "a former member"
    return f"{person} ({consensus.get_source_display().lower()})"
