from django import template

from accounts.models import User
from annotation.agreement.access import sees_agreement
from annotation.agreement.statistics import Estimate
from catalog.models import Project

register = template.Library()


@register.filter
def has_agreement_for(project: Project, user: User) -> bool:
    """Whether the navigation leads this member to the agreement page."""
    return sees_agreement(user, project)


@register.filter
def estimate(found: Estimate, form: str = "number") -> str:
    """A statistic with its interval where it has one, as numbers or in percent."""
    if found.value is None:
        return "undefined"
    show = share if form == "percent" else _number
    if found.low is None or found.high is None:
        return show(found.value)
    return f"{show(found.value)} ({show(found.low)} to {show(found.high)})"


@register.filter
def share(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
