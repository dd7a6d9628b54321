from typing import Any

from django import forms

from annotation.models import TermProposal
from annotation.proposals import TEXT_CHARACTERS
from catalog.models import Project, Term
from catalog.vocabularies.entries import LENGTHS


class ProposalForm(forms.Form):
    """A term that an expert misses."""

    name = forms.CharField(max_length=LENGTHS["name"])
    parent = forms.ModelChoiceField(
        Term.objects.none(), required=False, empty_label="None", label="It is a kind of"
    )
    category = forms.CharField(
        max_length=LENGTHS["category"], required=False, help_text="Optional heading."
    )
    definition = forms.CharField(
        required=False,
        label="What it means",
        max_length=TEXT_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "propose_%s"
        _offer(self, "parent", project)


class ApproveForm(forms.Form):
    """The term that is added; it begins as it was proposed."""

    name = forms.CharField(max_length=LENGTHS["name"])
    code = forms.CharField(
        max_length=LENGTHS["code"],
        required=False,
        help_text="Never changes later. Left empty: made of the name.",
    )
    parent = forms.ModelChoiceField(Term.objects.none(), required=False, empty_label="None")
    category = forms.CharField(max_length=LENGTHS["category"], required=False)
    help_text = forms.CharField(
        required=False,
        label="What it means",
        max_length=TEXT_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, proposal: TermProposal, **kwargs: Any) -> None:
        initial = {
            "name": proposal.name,
            "parent": proposal.parent_id,
            "category": proposal.category,
            "help_text": proposal.definition,
        }
        super().__init__(*args, **kwargs)
        self.auto_id = "approve_%s"
        self.initial = initial
        _offer(self, "parent", proposal.project)


class PointForm(forms.Form):
    term = forms.ModelChoiceField(Term.objects.none(), label="The term to use instead")

    def __init__(self, *args: Any, proposal: TermProposal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "point_%s"
        _offer(self, "term", proposal.project)


class DeclineForm(forms.Form):
    reason = forms.CharField(
        max_length=TEXT_CHARACTERS,
        help_text="The expert reads it.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, proposal: TermProposal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "decline_%s"


def _offer(form: forms.Form, field: str, project: Project) -> None:
    terms = project.vocabulary.terms.filter(retired=False)
    form.fields[field].queryset = terms  # type: ignore[attr-defined]
