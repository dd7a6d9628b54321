from typing import Any

from django import forms

from annotation.models import Label
from annotation.selectors import Reader
from dissections.models import Layer
from dissections.selectors import SORT_BY_INFLUENCE, sort_choices


class UnitListForm(forms.Form):
    """How the units of a layer are listed. Unknown values fall back to the defaults."""

    SHOW = [
        ("all", "All units"),
        ("unanswered", "Unanswered by me"),
        ("answered", "Answered by me"),
        ("nothing", Label.Recognisable.NO.label),
    ]

    show = forms.ChoiceField(choices=SHOW, required=False)
    q = forms.CharField(required=False, max_length=80)

    def __init__(self, data: Any, *, layer: Layer, reader: Reader, answered: int) -> None:
        """`answered`: how many units of the layer the reader has answered."""
        super().__init__(data)
        sees_scores = reader.sees_results(answered == layer.unit_count)
        self._sorts = sort_choices(layer, sees_scores=sees_scores)
        self.fields["sort"] = forms.ChoiceField(choices=self._sorts, required=False)
        if not reader.can_label:
            self.fields["show"] = forms.ChoiceField(choices=self.SHOW[:1], required=False)
        self.is_valid()

    @property
    def chosen(self) -> dict[str, str]:
        """The values in force, defaults filled in."""
        values = self.cleaned_data
        return {
            "show": values.get("show") or "all",
            "sort": values.get("sort") or SORT_BY_INFLUENCE,
            "q": (values.get("q") or "").strip(),
        }

    @property
    def sort_name(self) -> str:
        return dict(self._sorts)[self.chosen["sort"]]
