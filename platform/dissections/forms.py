from typing import Any

from django import forms

from accounts.models import User
from annotation.models import Label
from annotation.selectors import Reader
from catalog.forms import RunForm
from catalog.models import Split
from dissections.models import Layer
from dissections.selectors import SORT_BY_INFLUENCE, sort_choices
from dissections.services import start_dissection
from jobs.models import Job


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


class DissectForm(RunForm):
    layers = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        help_text="The deepest layers usually answer to the most meaningful things.",
    )
    splits = forms.MultipleChoiceField(
        label="Images of these splits",
        choices=Split.choices,
        initial=[Split.VALIDATION],
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        layers = self.fields["layers"]
        layers.choices = [  # type: ignore[attr-defined]
            (layer["name"], _describe(layer)) for layer in self.model.layers
        ]
        layers.initial = _proposed(self.model.layers)

    def start(self, user: User) -> Job:
        values = self.cleaned_data
        dissection = start_dissection(
            project=self.project,
            model=self.model,
            dataset=values["dataset"],
            layers=values["layers"],
            splits=values["splits"],
            user=user,
        )
        return Job.objects.get(kind=Job.Kind.DISSECT, target_id=dissection.pk)


def _proposed(layers: list[dict[str, Any]]) -> list[str]:
    """The layer before the pooling, or the deepest one, and the deepest of another resolution."""
    maps = [layer for layer in layers if layer["height"] * layer["width"] > 1] or layers
    if not maps:
        return []
    last = next((layer for layer in reversed(maps) if layer["is_head_input"]), maps[-1])
    finer = [layer for layer in maps if layer["height"] > last["height"]]
    return [layer["name"] for layer in [*finer[-1:], last]]


def _describe(layer: dict[str, Any]) -> str:
    text = f"{layer['name']}: {layer['units']} units of {layer['height']} × {layer['width']}"
    return f"{text}, feeds the last layer: contributions add up" if layer["is_head_input"] else text
