"""What the label form of a unit shows."""

from typing import Any

from accounts.models import User
from annotation import selectors
from annotation.models import Label
from catalog.models import Project
from dissections.models import Unit


def label_panel(user: User, project: Project, unit: Unit) -> dict[str, Any]:
    """Context of `annotation/_form.html`."""
    label = selectors.own_label(user, unit)
    return {
        **label_state(label),
        "recent_terms": selectors.recent_terms(user, project),
    }


def label_state(label: Label | None) -> dict[str, Any]:
    """The part of the form's context that a save can change."""
    history = selectors.history(label) if label else []
    return {
        "label": label,
        "terms": list(label.terms.all()) if label else [],
        "answered": selectors.is_answered(label),
        "history": history,
        "can_undo": any(entry.standing for entry in history),
        "answers": Label.Recognisable.choices,
        "confidences": Label.Confidence.choices,
    }
