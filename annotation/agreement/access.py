"""Who sees which answers.

Admins and adjudicators see agreement at any time. Experts see that of a layer where the project is
not blinded, or once they have answered every unit of it that anybody has answered: the numbers and
lists tell what colleagues said. Units of a control model are for admins alone, since others are
not to know which models are controls.
"""

from dataclasses import dataclass

from django.db.models import Count, F, Q

from accounts.access import ADMINS, LABELLERS, has_role
from accounts.models import Role, User
from annotation.models import Consensus, Label
from annotation.selectors import answered, reader
from catalog.models import Project, TrainedModel

SETTLERS = (Role.ADMIN, Role.ADJUDICATOR)


@dataclass(frozen=True)
class AnsweredLayer:
    """A layer that was answered by experts; `open` where the person may see how they agree."""

    model: TrainedModel
    layer_name: str
    units: int
    experts: int
    open: bool


def answered_layers(user: User, project: Project) -> list[AnsweredLayer]:
    """The layers with answers or a consensus, the latest model and the last layer first."""
    rows = (
        Label.objects.filter(answered(), model__project=project)
        .values("model_id", "layer_name")
        .order_by("-model_id", "-layer_name")
        .annotate(
            units=Count("unit_index", distinct=True),
            mine=Count("unit_index", filter=Q(author=user), distinct=True),
            experts=Count("author", distinct=True),
        )
    )
    models = {model.pk: model for model in project.models.select_related("project")}
    sees_controls = has_role(user, project, *ADMINS)
    sees_all = has_role(user, project, *SETTLERS) or not reader(user, project).blinded
    return [
        AnsweredLayer(
            models[row["model_id"]],
            row["layer_name"],
            row["units"],
            row["experts"],
            open=sees_all or row["mine"] == row["units"],
        )
        for row in rows
        if sees_controls or models[row["model_id"]].control_of_id is None
    ]


def sees_agreement(user: User, project: Project) -> bool:
    """Whether `answered_layers` has an open one for this member, in two queries at most; admins
    and adjudicators also have a page that says that there is none yet."""
    roles = set(project.memberships.filter(user=user).values_list("role", flat=True))
    if user.is_superuser or roles.intersection(SETTLERS):
        return True
    if not roles.intersection(LABELLERS):
        return False
    layers = (
        Label.objects.filter(answered(), model__project=project, model__control_of=None)
        .values("model_id", "layer_name")
        .order_by()
        .annotate(
            units=Count("unit_index", distinct=True),
            mine=Count("unit_index", filter=Q(author=user), distinct=True),
        )
    )
    return (layers.filter(mine=F("units")) if project.blinded else layers).exists()


def units_in_view(user: User, model: TrainedModel, layer_name: str) -> set[int] | None:
    """The units whose answers a list may show to this person; None for all of them.

    A blinded adjudicator who has neither answered nor settled a unit sees its answers on the page
    of its adjudication only.
    """
    if not reader(user, model.project).blinded:
        return None
    place = {"model": model, "layer_name": layer_name}
    mine = Label.objects.filter(answered(), author=user, **place)
    settled = Consensus.objects.filter(decided_by=user, **place)
    return {
        *mine.values_list("unit_index", flat=True),
        *settled.values_list("unit_index", flat=True),
    }
