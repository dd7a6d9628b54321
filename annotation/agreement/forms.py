from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotation.agreement.consensus import FEWEST_AGREEING, Answer
from annotation.agreement.disagreements import OPEN, SHOW_CHOICES
from annotation.agreement.exporting import Format, Kind
from annotation.models import Label
from annotation.services import NOTE_CHARACTERS

LARGEST_FILE = 8 << 20
KINDS = [(Kind.LABELS, "Labels"), (Kind.CONSENSUS, "Consensus")]
FORMATS = [(Format.CSV, "CSV, for spreadsheets"), (Format.JSON, "JSON, for programs")]


class ListForm(forms.Form):
    """Which units of the list are shown; what makes no sense falls back to the first choice."""

    show = forms.ChoiceField(choices=SHOW_CHOICES)
    term = forms.CharField(max_length=80, required=False)

    @property
    def chosen(self) -> dict[str, str]:
        self.is_valid()
        return {
            "show": self.cleaned_data.get("show", OPEN),
            "term": self.cleaned_data.get("term", ""),
        }


class DecisionForm(forms.Form):
    """What an adjudicator sends; `seen` is the version of the unit that the page showed."""

    recognisable = forms.ChoiceField(choices=Label.Recognisable.choices, required=False)
    terms = forms.TypedMultipleChoiceField(required=False)
    note = forms.CharField(
        max_length=NOTE_CHARACTERS,
        required=False,
        error_messages={"max_length": f"A note has at most {NOTE_CHARACTERS} characters."},
    )
    seen = forms.CharField(required=False)

    def __init__(self, *args: Any, codes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["terms"].choices = [(code, code) for code in codes]  # type: ignore[attr-defined]

    @property
    def answer(self) -> Answer:
        values = self.cleaned_data
        terms = values["terms"] if values["recognisable"] == Label.Recognisable.YES else []
        return Answer(values["recognisable"], frozenset(terms))


class AcceptForm(forms.Form):
    fewest = forms.IntegerField(min_value=FEWEST_AGREEING, max_value=99)


class ExportForm(forms.Form):
    what = forms.ChoiceField(choices=KINDS)
    file_format = forms.ChoiceField(choices=FORMATS, label="Format")


class ImportForm(forms.Form):
    what = forms.ChoiceField(choices=KINDS)
    file = forms.FileField(
        help_text="A CSV or JSON file as the export writes it.",
        widget=forms.FileInput(attrs={"accept": ".csv,.json"}),
    )
    replace = forms.BooleanField(
        required=False,
        label="Rows that differ from what is here replace it",
        help_text="Their history is kept. Without this they are refused.",
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if file.size and file.size > LARGEST_FILE:
            raise forms.ValidationError(
                "A page takes files of up to 8 MiB. Import larger ones with the command "
                "manage.py import_labels."
            )
        return file


class ConfirmForm(forms.Form):
    """The checked file again, as base64, so that no line break changes on the way."""

    what = forms.ChoiceField(choices=KINDS)
    content = forms.CharField(max_length=12 << 20)
    replace = forms.BooleanField(required=False)
