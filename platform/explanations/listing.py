"""The list of cases that an address asks for: model, filters and order."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import QueryDict

from catalog.models import Project, TrainedModel
from explanations import selectors
from explanations.findings import terms_found, with_findings
from explanations.forms import CaseFilterForm
from explanations.models import Case


@dataclass(frozen=True)
class ListedCases:
    """model: None where the project has no cases."""

    model: TrainedModel | None
    form: CaseFilterForm
    cases: QuerySet[Case]


def listed_cases(project: Project, query: QueryDict, *, may_see: bool) -> ListedCases:
    """The cases of the chosen model that fit; filters by findings work for who may see them."""
    models = selectors.models_with_cases(project)
    wanted = query.get("model", "")
    model = next((one for one in models if str(one.pk) == wanted), next(iter(models), None))
    if model is None:
        return ListedCases(None, CaseFilterForm(query, model=None, models=[]), Case.objects.none())
    terms = terms_found(model) if may_see else []
    form = CaseFilterForm(query, model=model, models=models, terms=terms)
    cases = selectors.case_list(model, form.values)
    if may_see:
        term, check = form.values.get("term") or "", form.values.get("check") or ""
        cases = with_findings(cases, model, term, check)
    return ListedCases(model, form, cases)
