from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from annotation.models import Label
from annotation.services import NOTE_CHARACTERS


class LabelChangeForm(forms.Form):
    """One or several fields of a label; fields that were not sent stay as they are."""

    recognisable = forms.ChoiceField(choices=Label.Recognisable.choices, required=False)
    add = forms.CharField(max_length=80, required=False)
    remove = forms.CharField(max_length=80, required=False)
    confidence = forms.TypedChoiceField(
        choices=Label.Confidence.choices, coerce=int, empty_value=None, required=False
    )
    note = forms.CharField(
        max_length=NOTE_CHARACTERS,
        required=False,
        error_messages={"max_length": f"A note has at most {NOTE_CHARACTERS} characters."},
    )

    answers = forms.JSONField(
        required=False, help_text="Answers to further questions: {key: answer, or null}."
    )

    def clean_answers(self) -> dict[str, Any]:
        answers = self.cleaned_data["answers"] or {}
        if not isinstance(answers, dict):
            raise ValidationError("Answers to further questions are sent by their keys.")
        return answers

    def changes(self) -> dict[str, Any]:
        """Keyword arguments for `services.save_label`."""
        values = self.cleaned_data
        changes = {
            name: values[name]
            for name in ("recognisable", "confidence", "note")
            if name in self.data
        }
        if values["answers"]:
            changes["answers"] = values["answers"]
        if values["add"]:
            changes["add_terms"] = [values["add"]]
        if values["remove"]:
            changes["remove_terms"] = [values["remove"]]
        return changes
