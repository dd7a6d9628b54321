"""Labels and consensus as rows that other programs read, and that `importing` takes back."""

from collections.abc import Iterator
from enum import StrEnum

from accounts.access import ADMINS, LABELLERS, has_role, require
from accounts.models import User
from annotation.agreement.tables import Row, to_csv, to_json
from annotation.models import Consensus, Label
from catalog.models import Project

LABEL_COLUMNS = [
    "model_sha256", "layer", "unit", "author", "occasion", "recognisable", "terms", "term_names",
    "confidence", "note", "answers", "question_set", "created", "updated", "revisions",
]  # fmt: skip
CONSENSUS_COLUMNS = [
    "model_sha256", "layer", "unit", "number", "recognisable", "terms", "term_names", "note",
    "source", "decided_by", "question_set", "basis", "created",
]  # fmt: skip


class Kind(StrEnum):
    LABELS = "labels"
    CONSENSUS = "consensus"


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"


def export(project: Project, kind: Kind, file_format: Format, *, author: User | None = None) -> str:
    """The text of an export.

    Args:
        author: leaves everything out but this person's labels, without hidden repeats and without
            units of control models, which would tell what they were.
    """
    rows = list(label_rows(project, author) if kind == Kind.LABELS else consensus_rows(project))
    if file_format == Format.CSV:
        return to_csv(rows, LABEL_COLUMNS if kind == Kind.LABELS else CONSENSUS_COLUMNS)
    vocabulary = {"slug": project.vocabulary.slug, "version": project.vocabulary.version}
    return to_json(rows, kind=kind, about={"project": project.slug, "vocabulary": vocabulary})


def export_for(user: User, project: Project, kind: Kind, file_format: Format) -> str:
    """What this member may take out: admins all, other labellers their own labels.

    Raises:
        PermissionDenied: the member neither labels nor is an admin, or asks for the consensus.
    """
    require(user, project, *(LABELLERS if kind == Kind.LABELS else ADMINS))
    own_only = not has_role(user, project, *ADMINS)
    return export(project, kind, file_format, author=user if own_only else None)


def label_rows(project: Project, author: User | None) -> Iterator[Row]:
    labels = (
        Label.with_repeats.filter(model__project=project)
        .select_related("model", "author", "question_set")
        .prefetch_related("terms", "revisions")
        .order_by("model__sha256", "layer_name", "unit_index", "author__username", "occasion")
    )
    if author is not None:
        labels = labels.filter(author=author, occasion=0, model__control_of=None)
    for label in labels:
        terms = list(label.terms.all())
        yield {
            "model_sha256": label.model.sha256,
            "layer": label.layer_name,
            "unit": label.unit_index,
            "author": label.author.username,
            "occasion": label.occasion,
            "recognisable": label.recognisable,
            "terms": [term.code for term in terms],
            "term_names": [term.name for term in terms],
            "confidence": label.confidence,
            "note": label.note,
            "answers": label.answers,
            "question_set": label.question_set.number if label.question_set else None,
            "created": label.created.isoformat(),
            "updated": label.updated.isoformat(),
            "revisions": len(label.revisions.all()),
        }


def consensus_rows(project: Project) -> Iterator[Row]:
    """What stands on each unit; decisions that later ones replaced stay behind."""
    decisions = (
        Consensus.objects.filter(model__project=project)
        .select_related("decided_by", "question_set")
        .prefetch_related("terms")
        .order_by("model_sha256", "layer_name", "unit_index", "-number")
        .distinct("model_sha256", "layer_name", "unit_index")
    )
    for row in decisions:
        if not row.recognisable:
            continue
        terms = list(row.terms.all())
        yield {
            "model_sha256": row.model_sha256,
            "layer": row.layer_name,
            "unit": row.unit_index,
            "number": row.number,
            "recognisable": row.recognisable,
            "terms": [term.code for term in terms],
            "term_names": [term.name for term in terms],
            "note": row.note,
            "source": row.source,
            "decided_by": row.decided_by.username if row.decided_by else None,
            "question_set": row.question_set.number if row.question_set else None,
            "basis": row.basis,
            "created": row.created.isoformat(),
        }
