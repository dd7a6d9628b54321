"""Forms of the vocabulary pages. What their services refuse, the views say in the form."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q

from catalog.models import Project, Term, Vocabulary
from catalog.vocabularies import json_format
from catalog.vocabularies.entries import HELP_CHARACTERS, LENGTHS, Content, VocabularyError
from catalog.vocabularies.exchange import BY_EXTENSION, MAX_BYTES, read_bytes

UPDATE, NEW = "update", "new"


class TermForm(forms.Form):
    """A new term. The code is stable: it is given once."""

    name = forms.CharField(max_length=LENGTHS["name"])
    code = forms.CharField(
        max_length=LENGTHS["code"],
        required=False,
        help_text="Labels are bound to it, so it never changes. Left empty: made of the name.",
    )
    parent = forms.ModelChoiceField(
        Term.objects.none(), required=False, empty_label="None", help_text="What it is a kind of."
    )
    category = forms.CharField(
        max_length=LENGTHS["category"],
        required=False,
        help_text="The heading it stands under. Left empty: that of its parent.",
    )
    synonyms = forms.CharField(
        required=False,
        label="Also called",
        help_text="One a line. Experts find the term by them.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    phrase = forms.CharField(
        max_length=LENGTHS["phrase"],
        required=False,
        help_text="How it reads inside a sentence of an explanation, such as “spiculated margin”.",
    )
    code_system = forms.CharField(
        max_length=LENGTHS["code_system"],
        required=False,
        help_text="Where the code comes from, such as RadLex.",
    )
    help_text = forms.CharField(
        required=False,
        label="What it means",
        max_length=HELP_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, vocabulary: Vocabulary, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vocabulary = vocabulary
        self._offer("parent", vocabulary.terms.filter(retired=False))

    def clean_synonyms(self) -> list[str]:
        return [line for line in self.cleaned_data["synonyms"].splitlines() if line.strip()]

    def _offer(self, field: str, terms: Any) -> None:
        self.fields[field].queryset = terms  # type: ignore[attr-defined]


class ChangeTermForm(TermForm):
    """Everything about a term that may change."""

    behind = forms.ModelChoiceField(
        Term.objects.none(),
        required=False,
        label="Place in the list",
        empty_label="First",
        help_text="Behind this term.",
    )

    def __init__(self, *args: Any, term: Term, **kwargs: Any) -> None:
        others = term.vocabulary.terms.exclude(pk=term.pk)
        before = others.filter(position__lt=term.position).order_by("position").last()
        initial = {
            "name": term.name,
            "parent": term.parent_id,
            "category": term.category,
            "synonyms": "\n".join(term.synonyms),
            "phrase": term.phrase,
            "code_system": term.code_system,
            "help_text": term.help_text,
            "behind": before and before.pk,
        }
        super().__init__(*args, vocabulary=term.vocabulary, initial=initial, **kwargs)
        del self.fields["code"]
        kept = others.filter(Q(retired=False) | Q(children=term)).distinct()
        self._offer("parent", kept)
        self._offer("behind", others)


class NameForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name of the vocabulary")


class ReleaseForm(forms.Form):
    version = forms.CharField(max_length=40, help_text="Such as 2 or 2026-11.")
    note = forms.CharField(
        required=False,
        label="What is new",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class UploadForm(forms.Form):
    """A vocabulary file, read and checked as a whole."""

    file = forms.FileField(
        label="Vocabulary file",
        help_text=(
            "CSV, JSON, or SKOS as Turtle (.ttl) or RDF/XML (.rdf), in UTF-8, at most "
            f"{MAX_BYTES >> 20} MB. You see what it changes before anything is done."
        ),
        widget=forms.FileInput(attrs={"accept": ",".join(f".{name}" for name in BY_EXTENSION)}),
    )
    target = forms.ChoiceField(
        label="Use it as",
        choices=[
            (UPDATE, "an update of this project’s vocabulary"),
            (NEW, "a new vocabulary of this project"),
        ],
        widget=forms.RadioSelect,
        initial=UPDATE,
    )
    name = forms.CharField(
        max_length=120,
        required=False,
        label="Name of a new vocabulary",
        help_text="Left empty: as the file says.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if project.vocabulary.owner_id != project.pk:
            del self.fields["target"]

    def clean_file(self) -> Content:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MAX_BYTES:
            raise ValidationError(f"The file is larger than {MAX_BYTES >> 20} MB.")
        try:
            return read_bytes(file.read(), file.name or "")
        except VocabularyError as error:
            raise ValidationError(str(error).split("\n")) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if "target" not in self.fields:
            values["target"] = NEW
        content = values.get("file")
        if content and values.get("target") == NEW and not (values.get("name") or content.name):
            self.add_error("name", "This file names no vocabulary. Give the new one a name.")
        return values


class ConfirmForm(forms.Form):
    """What was shown as a preview, sent back to be carried out."""

    content = forms.CharField(widget=forms.HiddenInput)
    base = forms.CharField(required=False, widget=forms.HiddenInput)
    target = forms.ChoiceField(choices=[(UPDATE, ""), (NEW, "")], widget=forms.HiddenInput)
    name = forms.CharField(max_length=120, required=False, widget=forms.HiddenInput)

    def clean_content(self) -> Content:
        try:
            return json_format.read(self.cleaned_data["content"])
        except VocabularyError as error:
            raise ValidationError(str(error).split("\n")) from error
