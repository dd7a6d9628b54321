"""What admins fill in to make a reading list, and what the page of a unit reports."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from annotation.models import ReadingList
from annotation.reading import selectors
from annotation.reading.services import MOST_REPEATED, Leaving, ReadingError, create_list
from dissections.models import Dissection, Unit

MOST_UNITS = 5000
BY_INFLUENCE, BY_NUMBER = "influence", "numbers"
BLIND, ASSISTED = "blind", "assisted"


class NumbersField(forms.CharField):
    """Unit numbers, separated by commas, spaces or lines; given as a list of ints."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> Any:
        words = re.split(r"[\s,;]+", super().to_python(value) or "")
        bad = [word for word in words if word and not (word.isdecimal() and len(word) < 10)]
        if bad:
            raise ValidationError(f"“{bad[0][:40]}” is not the number of a unit.")
        return [int(word) for word in words if word]


class ReadingListForm(forms.Form):
    name = forms.CharField(max_length=120)
    layers = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple)
    which = forms.ChoiceField(
        label="Which units",
        choices=[
            (BY_INFLUENCE, "Those with the most influence on the predictions"),
            (BY_NUMBER, "The units with the numbers below, in this order"),
        ],
        initial=BY_INFLUENCE,
        widget=forms.RadioSelect,
    )
    count = forms.IntegerField(
        label="How many of the most influential", min_value=1, max_value=MOST_UNITS, required=False
    )
    numbers = NumbersField(
        label="Unit numbers",
        required=False,
        help_text="Separated by commas, spaces or lines; of one layer.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    readers = forms.ModelMultipleChoiceField(
        User.objects.none(), widget=forms.CheckboxSelectMultiple
    )
    readers_per_unit = forms.IntegerField(
        label="Readers per unit",
        min_value=1,
        initial=2,
        help_text="With fewer than all readers, units are shared out as readers ask for them.",
    )
    repeat_percent = forms.IntegerField(
        label="Hidden repeats (%)",
        min_value=0,
        max_value=round(100 * MOST_REPEATED),
        initial=10,
        help_text="This share comes again to each reader, to see how far they agree with "
        "themselves.",
    )
    controls = forms.IntegerField(
        label="Control units",
        min_value=0,
        max_value=MOST_UNITS,
        initial=0,
        help_text="Units of an untrained copy of the model, mixed in without telling readers.",
    )
    mode = forms.ChoiceField(
        label="Automatic proposals",
        choices=[
            (BLIND, "Blind: readers see the images alone"),
            (ASSISTED, "Assisted: readers see the best overlaps with known concepts"),
        ],
        initial=BLIND,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, dissection: Dissection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dissection = dissection
        layers: Any = self.fields["layers"]
        found = list(dissection.layers.all())
        layers.choices = [(layer.name, f"{layer.name} ({layer.unit_count})") for layer in found]
        layers.initial = [layer.name for layer in found[:1]]
        self.fields["count"].initial = min(60, found[0].unit_count) if found else None
        readers: Any = self.fields["readers"]
        readers.queryset = selectors.possible_readers(dissection.project)
        readers.label_from_instance = lambda user: user.display_name
        readers.initial = list(readers.queryset.values_list("pk", flat=True))

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if values.get("which") == BY_INFLUENCE and not values.get("count"):
            self._refuse("count", "Say how many units are to be read.")
        if values.get("which") == BY_NUMBER and "numbers" in values and "layers" in values:
            self._check_numbers(values["numbers"], values["layers"])
        return values

    def save(self, user: User) -> ReadingList | None:
        """Make the list; None where it is refused, with the reasons among the form's errors."""
        values = self.cleaned_data
        try:
            return create_list(
                dissection=self.dissection,
                name=values["name"],
                units=self._units(),
                readers=values["readers"],
                readers_per_unit=values["readers_per_unit"],
                repeat_share=values["repeat_percent"] / 100,
                controls=values["controls"],
                assisted=values["mode"] == ASSISTED,
                user=user,
            )
        except ReadingError as error:
            self._refuse(error.field, str(error))
            return None

    def _units(self) -> list[Unit]:
        values = self.cleaned_data
        if values["which"] == BY_NUMBER:
            return selectors.numbered(self.dissection, values["layers"][0], values["numbers"])
        return selectors.most_influential(self.dissection, values["layers"], values["count"])

    def _check_numbers(self, numbers: list[int], layers: list[str]) -> None:
        if len(layers) != 1:
            self._refuse("layers", "Numbers belong to one layer: choose just that one.")
            return
        layer = self.dissection.layers.get(name=layers[0])
        beyond = [number for number in numbers if number >= layer.unit_count]
        if beyond:
            self._refuse(
                "numbers",
                f"{layer.name} has no unit {beyond[0]}; its units are 0 to {layer.unit_count - 1}.",
            )
            return
        if not numbers:
            self._refuse("numbers", "Write at least one unit number.")
        constant = layer.units.filter(index__in=numbers, threshold=None).order_by("index").first()
        if constant:
            self._refuse(
                "numbers",
                f"Unit {constant.index} of {layer.name} has the same value on every image, so "
                "there is nothing to read. Leave it out.",
            )

    def _refuse(self, field: str | None, message: str) -> None:
        self.add_error(field if field in self.fields else None, message)


class LeaveForm(forms.Form):
    """How a unit's page was left, and for how many seconds it was looked at."""

    how = forms.ChoiceField(choices=[(how.value, how.value) for how in Leaving])
    seconds = forms.FloatField(min_value=0)
