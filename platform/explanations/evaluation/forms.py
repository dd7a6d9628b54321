from typing import Any

from django import forms

from accounts.models import User
from catalog.models import Dataset, ImportState, Project, Split
from dissections.models import Layer
from explanations.evaluation.selectors import layers_to_evaluate
from explanations.evaluation.services import start_evaluation
from explanations.models import Evaluation


class LayerField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        layer: Layer = obj
        done = layer.dissection.completed
        return f"{layer.dissection.model.name} · {layer.name} (dissected {done:%d %b %Y})"


class EvaluationForm(forms.Form):
    """What is evaluated, and against what."""

    layer = LayerField(Layer.objects.none(), empty_label=None, label="Model and layer")
    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label=None)
    split = forms.ChoiceField(
        label="Images of this split",
        choices=Split.choices,
        initial=Split.TEST,
        help_text="Choose images that the units were not dissected and named on.",
    )
    reference = forms.ChoiceField(label="Compare with", choices=Evaluation.Reference.choices)
    ancestor_credit = forms.BooleanField(
        required=False,
        label="Credit for broader terms",
        help_text="A spiculated margin then counts as a mass too, on both sides.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        fields: dict[str, Any] = self.fields
        fields["layer"].queryset = layers_to_evaluate(project)
        fields["dataset"].queryset = project.datasets.filter(
            state=ImportState.READY, holds_uploads=False
        )

    def start(self, user: User) -> Evaluation:
        values = self.cleaned_data
        return start_evaluation(
            project=self.project,
            layer=values["layer"],
            dataset=values["dataset"],
            split=values["split"],
            reference=values["reference"],
            ancestor_credit=values["ancestor_credit"],
            user=user,
        )
