"""The findings of many cases: to list cases by, and to export."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import CharField, F, Func, QuerySet

from accounts.access import has_role
from accounts.models import Role, User
from annotation.selectors import reader
from catalog.csv_cells import guarded
from catalog.models import Project, TrainedModel
from explanations.models import Case, Explanation

SHOWN = 3
READ_AT_ONCE = 200


@dataclass(frozen=True)
class FindingRow:
    """A finding of one case, as it is exported. share: of all evidence on its side, 0 to 1."""

    case: str
    patient: str
    study: str
    predicted: str
    probability: float
    explained: str
    side: str
    finding: str
    code: str
    code_system: str
    share: float
    place: str
    check_supported: bool | None
    layer: str
    labels_digest: str
    model_sha256: str


@dataclass(frozen=True)
class Summary:
    """What the list shows of a case's explanation: its first findings and what the check says."""

    findings: list[str]
    more: int
    supported: bool | None


def may_see_findings(user: User, project: Project) -> bool:
    """Experts who answer units blind read explanations case by case, once they have answered."""
    return not reader(user, project).blinded or has_role(user, project, Role.ADJUDICATOR)


def latest_explanations(
    model: TrainedModel, cases: Iterable[Case] | None = None
) -> QuerySet[Explanation]:
    """Of each case, the newest finished explanation of its predicted class."""
    found = Explanation.objects.filter(case__model=model, completed__isnull=False)
    if cases is not None:
        found = found.filter(case__in=[case.pk for case in cases])
    return (
        found.filter(target=F("case__predicted"))
        .order_by("case_id", "-completed", "-pk")
        .distinct("case_id")
    )


def terms_found(model: TrainedModel) -> list[tuple[str, str]]:
    """Code and name of the terms that some explanation of the model names, by name."""
    one = Func("term_codes", function="unnest", output_field=CharField())
    made = Explanation.objects.filter(case__model=model, completed__isnull=False)
    codes = set(made.annotate(one=one).values_list("one", flat=True).order_by().distinct())
    terms = model.project.vocabulary.terms.filter(code__in=codes)
    names = dict(terms.values_list("code", "name"))
    return sorted(((code, names.get(code, code)) for code in codes), key=lambda term: term[1])


def with_findings(
    cases: QuerySet[Case], model: TrainedModel, term: str, check: str
) -> QuerySet[Case]:
    """Those of the cases whose newest explanation names the term, and whose check says so."""
    if not term and not check:
        return cases
    found = Explanation.objects.filter(pk__in=latest_explanations(model).values("pk"))
    if term:
        found = found.filter(term_codes__contains=[term])
    if check:
        found = found.filter(supported=check == "supported")
    return cases.filter(pk__in=found.values("case"))


def summaries(model: TrainedModel, cases: Iterable[Case]) -> dict[int, Summary]:
    """By the case's primary key, for the cases that are explained."""
    return {
        explanation.case_id: _summary(explanation)
        for explanation in latest_explanations(model, cases)
    }


def _summary(explanation: Explanation) -> Summary:
    names = [finding["name"] for finding in explanation.content["support"]["findings"]]
    return Summary(names[:SHOWN], len(names[SHOWN:]), explanation.supported)


def finding_rows(cases: QuerySet[Case], model: TrainedModel) -> Iterator[FindingRow]:
    """The findings of the cases' newest explanations, case by case, strongest first."""
    found = latest_explanations(model).filter(case__in=cases)
    order = [pk for _, pk in sorted(found.values_list("case__image__name", "pk"))]
    whole = Explanation.objects.select_related("case__image", "case__model", "layer")
    for start in range(0, len(order), READ_AT_ONCE):
        keys = order[start : start + READ_AT_ONCE]
        explanations = whole.in_bulk(keys)
        for key in keys:
            yield from _rows(explanations[key])


def _rows(explanation: Explanation) -> Iterator[FindingRow]:
    case, content = explanation.case, explanation.content
    for side, word in (("support", "for"), ("against", "against")):
        for finding in content[side]["findings"]:
            place = finding["place"]
            yield FindingRow(
                case=case.image.name,
                patient=case.image.patient,
                study=case.image.study,
                predicted=case.predicted_class,
                probability=case.probability,
                explained=content["class_names"][explanation.target],
                side=word,
                finding=finding["name"],
                code=finding["code"],
                code_system=finding["code_system"],
                share=finding["share"],
                place=place["phrase"] if place else "",
                check_supported=explanation.supported,
                layer=explanation.layer.name,
                labels_digest=explanation.labels_digest,
                model_sha256=content["model_sha256"],
            )


def as_csv(rows: Iterable[FindingRow]) -> str:
    """Comma-separated, with a header. Text that a spreadsheet would run as a formula is quoted."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(FindingRow.__dataclass_fields__))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _harmless(value) for name, value in asdict(row).items()})
    return stream.getvalue()


def _harmless(value: Any) -> Any:
    return guarded(value) if isinstance(value, str) else value
