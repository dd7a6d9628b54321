"""Reading evaluations, and what of them a reader may see."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from accounts.access import has_role
from accounts.models import Role, User
from annotation.selectors import answered_indexes, labels_digest, reader, unit_terms
from catalog.models import Project, TrainedModel
from dissections.models import Layer
from dissections.selectors import completed_dissections
from explanations.evaluation.services import labels_of
from explanations.models import Calibration, Evaluation

EVALUATORS = (Role.ADMIN, Role.ADJUDICATOR)


def evaluations_of(project: Project) -> QuerySet[Evaluation]:
    return project.evaluations.select_related("model", "layer", "dataset", "job").defer("labels")


def get_evaluation(project: Project, pk: int) -> Evaluation:
    return get_object_or_404(
        Evaluation.objects.select_related("project", "model", "layer", "dataset", "job"),
        project=project,
        pk=pk,
    )


def layers_to_evaluate(project: Project) -> QuerySet[Layer]:
    """Layers of dissections that are shown, the newest and the deepest first."""
    return (
        Layer.objects.filter(dissection__in=completed_dissections(project))
        .select_related("dissection__model", "dissection__dataset")
        .order_by("-dissection__completed", "-position")
    )


def labels_have_changed(evaluation: Evaluation) -> bool:
    """Whether the names that stand now are others than the evaluation was made from."""
    now = unit_terms(evaluation.model, evaluation.layer.name)
    return labels_digest(now) != evaluation.labels_digest


def sees_names(user: User, evaluation: Evaluation) -> bool:
    """Whether the reader may see single units and terms: not while they still label the layer.

    Experts answer units without knowing what colleagues said, and single results would tell.
    """
    answers = _own_answers(user, evaluation)
    return answers is None or all(unit.index in answers for unit in labels_of(evaluation).named)


def readable_labels(user: User, evaluation: Evaluation) -> dict[str, Any]:
    """The labels it was made from, of a blinded reader only the units that they have answered.

    For readers who may see names (see `sees_names`): that leaves out how many colleagues answered
    units without a name.
    """
    answers = _own_answers(user, evaluation)
    if answers is None:
        return evaluation.labels
    units = [unit for unit in evaluation.labels["units"] if unit["index"] in answers]
    return {**evaluation.labels, "units": units}


def readable_result(evaluation: Evaluation, *, names: bool) -> dict[str, Any]:
    """The result, without single terms and units unless `names` (see `sees_names`)."""
    result = evaluation.result
    if names or not result:
        return result
    return {
        **result,
        "unmentioned": [],
        "readings": [
            {
                **reading,
                "nameable": {**reading["nameable"], "terms": []},
                "all": {**reading["all"], "terms": []},
            }
            for reading in result["readings"]
        ],
        "localisation": result["localisation"] and {**result["localisation"], "terms": []},
    }


def _own_answers(user: User, evaluation: Evaluation) -> set[int] | None:
    """The units of the layer that a blinded reader has answered; None for all other readers."""
    project = evaluation.project
    if not reader(user, project).blinded or has_role(user, project, Role.ADJUDICATOR):
        return None
    return answered_indexes(user, evaluation.model, evaluation.layer.name)


def current_calibration(model: TrainedModel) -> Calibration | None:
    """The newest calibration of the model."""
    return model.calibrations.select_related("dataset").first()
