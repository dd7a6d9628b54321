"""Taking labels and consensus back in: every row is checked first, then all are stored or none."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import transaction

from accounts.models import User
from annotation.agreement.exporting import Kind
from annotation.agreement.statements import Content, RowError, RowReader, Statement, content_of
from annotation.agreement.tables import Row, read_table
from annotation.models import Consensus, Label, LabelRevision
from annotation.services import state_of
from catalog.models import Project

NEEDED = {
    Kind.LABELS: ["model_sha256", "layer", "unit", "author", "recognisable", "terms"],
    Kind.CONSENSUS: ["model_sha256", "layer", "unit", "recognisable", "terms"],
}

Place = tuple[Any, ...]


class ImportRefusedError(ValueError):
    """Nothing was stored; `plan` says what is wrong with which row."""

    def __init__(self, plan: "ImportPlan") -> None:
        super().__init__(
            f"Nothing was imported: {len(plan.refused)} of {len(plan.rows)} rows are refused."
        )
        self.plan = plan


class Action(StrEnum):
    ADD = "add"
    KEEP = "keep"
    REPLACE = "replace"
    REFUSE = "refuse"


@dataclass(frozen=True)
class PlannedRow:
    """What importing a row (counted from 1) would do, and why not where it is refused."""

    number: int
    where: str
    action: Action
    message: str = ""
    statement: Statement | None = None


@dataclass(frozen=True)
class ImportPlan:
    kind: Kind
    rows: list[PlannedRow]
    conflicts: int
    """Rows that differ from what is here and were not allowed to replace it."""

    @property
    def refused(self) -> list[PlannedRow]:
        return [row for row in self.rows if row.action == Action.REFUSE]

    def count(self, action: Action) -> int:
        return sum(row.action == action for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        return {action.value: self.count(action) for action in Action}


def plan_import(*, project: Project, kind: Kind, data: bytes, replace: bool) -> ImportPlan:
    """What an import would do; stores nothing.

    Args:
        replace: rows that differ from what is here take its place (its history is kept);
            otherwise they are refused.

    Raises:
        TableError: the file cannot be read as an export of this kind.
    """
    reader = RowReader(project)
    parse = reader.label if kind == Kind.LABELS else reader.consensus
    here = _labels_here(project) if kind == Kind.LABELS else _consensus_here(project)
    seen: dict[Place, int] = {}
    conflicts = 0
    planned = []
    for number, row in enumerate(read_table(data, kind=kind, columns=NEEDED[kind]), start=1):
        where = _where(row)
        try:
            statement = parse(row)
            key = _key(kind, statement)
            if key in seen:
                raise RowError(f"It speaks of the same as row {seen[key]}. Keep one of them.")
        except RowError as error:
            planned.append(PlannedRow(number, where, Action.REFUSE, str(error)))
            continue
        seen[key] = number
        message = ""
        if key not in here:
            action = Action.ADD
        elif here[key] == statement.content:
            action = Action.KEEP
        elif replace:
            action = Action.REPLACE
        else:
            action = Action.REFUSE
            conflicts += 1
            message = "Something else is here already. Allow replacing, or take the row out."
        planned.append(PlannedRow(number, where, action, message, statement))
    return ImportPlan(kind, planned, conflicts)


@transaction.atomic
def import_table(
    *, project: Project, user: User | None, kind: Kind, data: bytes, replace: bool
) -> ImportPlan:
    """Store what a file says, all of it or nothing. Every change leaves a revision or a new row.

    Raises:
        TableError: the file cannot be read as an export of this kind.
        ImportRefusedError: at least one row cannot be taken in.
    """
    Project.objects.select_for_update().get(pk=project.pk)
    plan = plan_import(project=project, kind=kind, data=data, replace=replace)
    if plan.refused:
        raise ImportRefusedError(plan)
    store = _store_label if kind == Kind.LABELS else _store_consensus
    for row in plan.rows:
        if row.statement is not None and row.action in (Action.ADD, Action.REPLACE):
            store(row.statement, user)
    return plan


def _labels_here(project: Project) -> dict[Place, Content]:
    labels = Label.with_repeats.filter(model__project=project).prefetch_related("terms")
    return {
        (label.model_id, label.layer_name, label.unit_index, label.author_id, label.occasion): (
            content_of(label, label.author, label.terms.all())
        )
        for label in labels.select_related("author", "question_set")
    }


def _consensus_here(project: Project) -> dict[Place, Content]:
    latest: dict[Place, Consensus] = {}
    rows = Consensus.objects.filter(model__project=project).order_by("number")
    for row in rows.select_related("decided_by", "question_set").prefetch_related("terms"):
        latest[row.model_id, row.layer_name, row.unit_index] = row
    return {
        key: content_of(row, row.decided_by, row.terms.all())
        for key, row in latest.items()
        if row.recognisable
    }


def _key(kind: Kind, said: Statement) -> Place:
    if kind == Kind.CONSENSUS:
        return said.place
    return (*said.place, said.person.pk if said.person else None, said.occasion)


def _store_label(said: Statement, user: User | None) -> None:
    label, created = Label.with_repeats.update_or_create(
        model=said.model,
        layer_name=said.layer_name,
        unit_index=said.unit_index,
        author=said.person,
        occasion=said.occasion,
        defaults={
            "recognisable": said.recognisable,
            "confidence": said.confidence,
            "note": said.note,
            "answers": dict(said.answers),
            "question_set": said.question_set,
        },
    )
    label.terms.set(said.terms)
    last = label.revisions.last()
    state = {**state_of(label), "imported_by": user.username if user else ""}
    LabelRevision.objects.create(label=label, number=last.number + 1 if last else 1, state=state)
    times = {"created": said.created, "updated": said.updated}
    if created and any(times.values()):
        known = {name: time for name, time in times.items() if time}
        Label.with_repeats.filter(pk=label.pk).update(**known)


def _store_consensus(said: Statement, user: User | None) -> None:
    rows = Consensus.objects.filter(
        model=said.model, layer_name=said.layer_name, unit_index=said.unit_index
    )
    last = rows.order_by("number").last()
    row = Consensus.objects.create(
        model=said.model,
        layer_name=said.layer_name,
        unit_index=said.unit_index,
        number=last.number + 1 if last else 1,
        recognisable=said.recognisable,
        note=said.note,
        source=Consensus.Source.IMPORT,
        decided_by=said.person,
        question_set=said.question_set,
        model_sha256=said.model.sha256,
        basis=said.basis,
    )
    row.terms.set(said.terms)
    if said.created:
        Consensus.objects.filter(pk=row.pk).update(created=said.created)


def _where(row: Row) -> str:
    parts = [str(row.get(name, "")) for name in ("layer", "unit", "author")]
    return " / ".join(part for part in parts if part)[:120]
