"""Two units beside each other, each with as much as the reader may see of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms

from accounts.models import User
from annotation import selectors as annotation
from annotation.models import Label
from catalog.models import Project
from dissections import selectors
from dissections.evidence import Statistics, evidence
from dissections.models import Layer, Unit
from dissections.patches import PatchTile, patch_tiles, unit_patch_base


@dataclass(frozen=True)
class Side:
    """`statistics` are None where the reader may not see them yet; `label` is the reader's own."""

    unit: Unit
    patches: list[PatchTile]
    label: Label | None
    statistics: Statistics | None


class CompareForm(forms.Form):
    """Which unit to put beside the one at hand. Send it without `with` to be asked."""

    layer = forms.ModelChoiceField(Layer.objects.none(), empty_label=None)
    unit = forms.IntegerField(label="Unit number", min_value=0)

    def __init__(self, data: Any, *, project: Project, shown: Unit) -> None:
        super().__init__(data, initial={"layer": shown.layer_id})
        self._shown = shown
        field = self.fields["layer"]
        field.queryset = selectors.comparable_layers(project)  # type: ignore[attr-defined]
        field.label_from_instance = describe  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        layer, index = values.get("layer"), values.get("unit")
        if layer is not None and index is not None:
            if index >= layer.unit_count:
                self.add_error("unit", f"{layer.name} has the units 0 to {layer.unit_count - 1}.")
            elif (layer.pk, index) == (self._shown.layer_id, self._shown.index):
                self.add_error("unit", "Choose another unit than the one it is compared with.")
        return values

    @property
    def chosen(self) -> Unit:
        """The unit of a valid form."""
        return selectors.get_unit(self.cleaned_data["layer"], self.cleaned_data["unit"])


def describe(layer: Layer) -> str:
    dissection = layer.dissection
    return f"{layer.name}: {dissection.model.name} over {dissection.dataset.name}"


def sides(user: User, project: Project, units: Iterable[Unit]) -> list[Side]:
    reader = annotation.reader(user, project)
    found = []
    for unit in units:
        label = annotation.own_label(user, unit)
        results = evidence(user, unit, reader, answered=annotation.is_answered(label))
        patches = patch_tiles(unit, unit_patch_base(project.slug, unit))
        found.append(Side(unit, patches, label, results.statistics))
    return found
