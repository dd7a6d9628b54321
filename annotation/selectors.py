"""What experts have stated, for pages, explanations and evaluations."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Count, Exists, F, Func, Max, OuterRef, Q, QuerySet

from accounts.access import ADMINS, LABELLERS, has_role
from accounts.models import User
from annotation.agreement.standing import decider, standing_consensus
from annotation.answers import in_words, lacking
from annotation.models import Consensus, Label, LabelRevision
from annotation.questions import questions_of
from annotation.services import standing_revisions
from catalog.models import Project, Term, TrainedModel
from dissections.models import Layer, Unit

STANDS_FROM_SHARE = 0.5
RECENT_TERMS = 9


@dataclass(frozen=True)
class TermSupport:
    """A term that stands on a unit, who chose it, and their share of those who answered."""

    term: Term
    experts: list[str]
    share: float


@dataclass(frozen=True)
class UnitTerms:
    """What experts call a unit: `answered` experts gave an answer, `terms` are those that stand.

    Where they are a consensus, `decided_by` names who settled them and `decided` is the time.
    """

    unit_index: int
    answered: int
    terms: list[TermSupport]
    decided_by: str = ""
    decided: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """Units of a layer that this user, and that anyone, has answered."""

    mine: int = 0
    anyone: int = 0


@dataclass(frozen=True)
class ProjectLabelling:
    """All units of a project that can be labelled, and how many this user, and anyone, has."""

    units: int
    mine: int
    anyone: int


@dataclass(frozen=True)
class Reader:
    """What a person may do and see on the pages of units.

    Experts see no automatic score, no class statistic and no colleague's answer on a unit before
    they have answered it (blinding), unless the project is open. Admins, and members who do not
    label, see all.
    """

    can_label: bool
    is_admin: bool
    project_blinded: bool

    @property
    def blinded(self) -> bool:
        return self.project_blinded and self.can_label and not self.is_admin

    def sees_results(self, answered: bool) -> bool:
        return answered or not self.blinded


@dataclass(frozen=True)
class HistoryEntry:
    number: int
    created: datetime
    change: str
    standing: bool


def reader(user: User, project: Project) -> Reader:
    return Reader(
        can_label=has_role(user, project, *LABELLERS),
        is_admin=has_role(user, project, *ADMINS),
        project_blinded=project.blinded,
    )


class _Lacking(Func):
    """The same as `answers.lacking` has any, in SQL: a required question has no answer."""

    template = (
        "EXISTS (SELECT FROM (SELECT %(expressions)s) AS label(questions, given, confidence, note),"
        " LATERAL jsonb_array_elements(label.questions) AS question"
        " WHERE question -> 'required' = 'true'"
        " AND question ->> 'key' NOT IN ('recognisable', 'terms')"
        " AND NOT jsonb_exists(label.given || jsonb_strip_nulls(jsonb_build_object("
        "'confidence', label.confidence, 'note', nullif(label.note, ''))), question ->> 'key'))"
    )
    output_field = BooleanField()


def answered() -> Q:
    """Labels that are complete: "no", "unsure", or "yes" with at least one term and with an answer
    to every question that the label's own question set requires."""
    named = Exists(Label.terms.through.objects.filter(label_id=OuterRef("pk")))
    lacks = _Lacking(F("question_set__questions"), F("answers"), F("confidence"), F("note"))
    return Q(recognisable__in=[Label.Recognisable.NO, Label.Recognisable.UNSURE]) | (
        Q(recognisable=Label.Recognisable.YES) & Q(named) & ~Q(lacks)
    )


def is_answered(label: Label | None) -> bool:
    """The same as `answered`, for a label in hand whose terms may be prefetched."""
    if label is None or not label.recognisable:
        return False
    if label.recognisable != Label.Recognisable.YES:
        return True
    return bool(label.terms.all()) and not lacking(label)


def unit_terms(model: TrainedModel, layer_name: str) -> dict[int, UnitTerms]:
    """The terms that stand on each unit that was answered or settled, by unit index.

    The consensus decides where there is one. Elsewhere a term stands where at least half of the
    experts who answered the unit chose it. Terms are ordered by support, then as in the vocabulary.
    """
    labels = (
        Label.objects.filter(answered(), model=model, layer_name=layer_name)
        .select_related("author")
        .prefetch_related("terms")
    )
    by_unit: dict[int, list[Label]] = {}
    for label in labels:
        by_unit.setdefault(label.unit_index, []).append(label)
    settled = standing_consensus(model, layer_name)
    return {
        index: _unit_terms(index, by_unit.get(index, []), settled.get(index))
        for index in sorted({*by_unit, *settled})
    }


def labels_digest(unit_terms: Mapping[int, UnitTerms]) -> str:
    """SHA-256 (hex) of what an explanation takes from the labels; equal labels, equal digest."""
    content = [
        [
            index,
            terms.answered,
            [[support.term.code, support.term.phrase, support.experts] for support in terms.terms],
            *([terms.decided_by] if terms.decided_by else []),
        ]
        for index, terms in sorted(unit_terms.items())
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def own_labels(user: User, model: TrainedModel, layer_name: str) -> dict[int, Label]:
    """The user's labels in a layer by unit index, answered or not; terms are prefetched."""
    labels = Label.objects.filter(author=user, model=model, layer_name=layer_name).select_related(
        "question_set"
    )
    return {label.unit_index: label for label in labels.prefetch_related("terms")}


def own_label(user: User, unit: Unit, occasion: int = 0) -> Label | None:
    """The user's label on a unit; `occasion` is not 0 for a hidden repeat."""
    labels = _labels_on(unit, Label.with_repeats.filter(occasion=occasion))
    return labels.filter(author=user).select_related("question_set").first()


def colleagues_labels(user: User, unit: Unit) -> list[Label]:
    """What others answered. Show it only to readers who may see it (`Reader.sees_results`)."""
    others = _labels_on(unit, Label.objects.exclude(author=user))
    return list(others.filter(answered()).select_related("author"))


def progress(models: Iterable[TrainedModel | int], user: User) -> dict[tuple[int, str], Progress]:
    """Answered units by (model id, layer name), in one query; layers without answers are absent."""
    rows = (
        Label.objects.filter(answered(), model__in=list(models))
        .values("model_id", "layer_name")
        .order_by("model_id", "layer_name")
        .annotate(
            mine=Count("unit_index", filter=Q(author=user), distinct=True),
            anyone=Count("unit_index", distinct=True),
        )
    )
    return {
        (row["model_id"], row["layer_name"]): Progress(row["mine"], row["anyone"]) for row in rows
    }


def labelling_by_project(projects: Collection[Project], user: User) -> dict[int, ProjectLabelling]:
    """How far each project is labelled; a unit dissected twice counts once, a control never.

    Two queries.
    """
    layers = (
        Layer.objects.filter(
            dissection__project__in=projects,
            dissection__completed__isnull=False,
            dissection__model__control_of=None,
        )
        .values_list("dissection__project_id", "dissection__model_id", "name")
        .order_by()
        .annotate(Max("unit_count"))
    )
    done = progress([model for _, model, _, _ in layers], user)
    sums = {project.pk: [0, 0, 0] for project in projects}
    for project_id, model_id, name, units in layers:
        answers = done.get((model_id, name), Progress())
        for place, count in enumerate((units, answers.mine, answers.anyone)):
            sums[project_id][place] += count
    return {key: ProjectLabelling(*counts) for key, counts in sums.items()}


def answered_indexes(user: User, model: TrainedModel, layer_name: str) -> set[int]:
    labels = Label.objects.filter(answered(), author=user, model=model, layer_name=layer_name)
    return set(labels.values_list("unit_index", flat=True))


def recent_terms(user: User, project: Project) -> list[Term]:
    """The terms the user chose last in this project, latest first."""
    return list(
        Term.objects.filter(
            vocabulary=project.vocabulary_id,
            retired=False,
            labels__author=user,
            labels__model__project=project,
        )
        .annotate(last_used=Max("labels__updated"))
        .order_by("-last_used", "position")[:RECENT_TERMS]
    )


def history(label: Label) -> list[HistoryEntry]:
    """All revisions of a label, latest first, each as the change it made."""
    revisions = list(label.revisions.all())
    standing = {revision.number for revision in standing_revisions(revisions)}
    titles = _question_titles(label) if any(r.state.get("answers") for r in revisions) else {}
    givers = _givers(revisions)
    entries: list[HistoryEntry] = []
    before: dict[str, Any] = {}
    for revision in revisions:
        change = _describe_change(before, revision.state, titles)
        if revision.undoes is not None:
            change = f"Took back change {revision.undoes}"
        if given_by := revision.state.get("given_by"):
            change += f" (given by {givers.get(given_by, given_by)})"
        entries.append(
            HistoryEntry(revision.number, revision.created, change, revision.number in standing)
        )
        before = revision.state
    return entries[::-1]


def _labels_on(unit: Unit, labels: QuerySet[Label]) -> QuerySet[Label]:
    return labels.filter(
        model=unit.layer.dissection.model_id,
        layer_name=unit.layer.name,
        unit_index=unit.index,
    ).prefetch_related("terms")


def _unit_terms(index: int, labels: list[Label], consensus: Consensus | None) -> UnitTerms:
    chosen: dict[int, tuple[Term, list[str]]] = {}
    for label in labels:
        for term in label.terms.all():
            chosen.setdefault(term.pk, (term, []))[1].append(label.author.display_name)
    if consensus is not None:
        chosen = {term.pk: chosen.get(term.pk, (term, [])) for term in consensus.terms.all()}
    support = [
        TermSupport(term, sorted(experts), len(experts) / len(labels) if labels else 0.0)
        for term, experts in chosen.values()
    ]
    if consensus is None:
        support = [entry for entry in support if entry.share >= STANDS_FROM_SHARE]
    support.sort(key=lambda entry: (-entry.share, entry.term.position))
    if consensus is None:
        return UnitTerms(index, len(labels), support)
    return UnitTerms(index, len(labels), support, decider(consensus), consensus.created)


def _givers(revisions: Iterable[LabelRevision]) -> dict[str, str]:
    """By username, the names of those who changed somebody else's label."""
    names = {revision.state["given_by"] for revision in revisions if "given_by" in revision.state}
    people = User.objects.filter(username__in=names) if names else []
    return {person.username: person.display_name for person in people}


def _question_titles(label: Label) -> dict[str, str]:
    """Of all questions that the project asks or ever asked, in their latest words."""
    return {
        question.key: question.title
        for question_set in label.model.project.question_sets.all()
        for question in questions_of(question_set)
    }


def _describe_change(
    before: Mapping[str, Any], after: Mapping[str, Any], titles: Mapping[str, str]
) -> str:
    changes = []
    old = {term["code"]: term["name"] for term in before.get("terms", [])}
    new = {term["code"]: term["name"] for term in after["terms"]}
    if added := [name for code, name in new.items() if code not in old]:
        changes.append("Added " + ", ".join(added))
    if removed := [name for code, name in old.items() if code not in new]:
        changes.append("Removed " + ", ".join(removed))
    if after["recognisable"] != before.get("recognisable", "") and not added:
        answer = after["recognisable"]
        changes.append(
            f"Answered “{Label.Recognisable(answer).label}”" if answer else "Cleared the answer"
        )
    if after["confidence"] != before.get("confidence"):
        value = after["confidence"]
        name = Label.Confidence(value).label.lower() if value else "none"
        changes.append(f"Confidence {name}")
    if after["note"] != before.get("note", ""):
        changes.append("Changed the note" if after["note"] else "Removed the note")
    had, has = before.get("answers", {}), after.get("answers", {})
    for key in sorted({*had, *has}):
        if had.get(key) != has.get(key):
            answer = in_words(has[key]) if key in has else "no answer"
            changes.append(f"{titles.get(key, key)} {answer}")
    if after.get("early_look") and not before.get("early_look"):
        changes.append("Opened the statistics before answering")
    return "; ".join(changes) or "No change"
