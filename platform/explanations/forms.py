"""What may stand in the address of the case pages. Values that make no sense count as not given."""

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.models import User
from catalog.forms import RunForm
from catalog.models import Dataset, Project, Split, TrainedModel
from catalog.selectors import ready_models
from dissections.models import Layer
from explanations.models import PredictionRun
from explanations.runs import start_run
from explanations.selectors import explained_layers
from explanations.services import start_prediction
from explanations.uploading import upload_case
from jobs.forms import JobForm
from jobs.models import Job

SORTS = {
    "name": "Name",
    "certain": "Most certain first",
    "uncertain": "Least certain first",
}


class CaseFilterForm(forms.Form):
    """Which cases are listed, and in which order. The classes are those of the chosen model."""

    q = forms.CharField(
        required=False,
        max_length=100,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name, patient or study"}),
    )
    predicted = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, label="Predicted class"
    )
    patient = forms.CharField(required=False, max_length=80, widget=forms.HiddenInput)
    sort = forms.ChoiceField(required=False, label="Sort by")
    model = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Model")
    truth = forms.BooleanField(required=False, label="Show reference class")
    term = forms.ChoiceField(required=False, label="Finding")
    check = forms.ChoiceField(
        required=False,
        label="Causal check",
        choices=[("", "Any"), ("supported", "Supported"), ("unsupported", "Not supported")],
    )

    def __init__(
        self,
        data: Any,
        *,
        model: TrainedModel | None,
        models: list[TrainedModel],
        terms: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(data)
        names = model.class_names if model else []
        fields: dict[str, Any] = self.fields
        fields["predicted"].choices = [("", "All classes"), *enumerate(names)]
        fields["sort"].choices = [
            *SORTS.items(),
            *((f"class-{index}", f"Probability of {name}") for index, name in enumerate(names)),
        ]
        fields["model"].choices = [(one.pk, one.name) for one in models]
        fields["term"].choices = [("", "Any finding"), *terms]
        if len(models) < 2:
            fields["model"].widget = forms.HiddenInput()

    @property
    def values(self) -> dict[str, Any]:
        """The sensible part of the address."""
        self.is_valid()
        return self.cleaned_data


class ExplanationForm(forms.Form):
    """Which class is explained, by which layer."""

    target = forms.IntegerField(required=False, min_value=0)
    layer = forms.CharField(required=False, max_length=160)
    truth = forms.BooleanField(required=False)

    @property
    def values(self) -> dict[str, Any]:
        self.is_valid()
        return self.cleaned_data


class UploadCaseForm(forms.Form):
    """One image for one of the project's models."""

    file = forms.FileField(
        label="Image",
        widget=forms.ClearableFileInput(attrs={"accept": ".png,.jpg,.jpeg,.dcm,.dicom"}),
    )
    model = forms.ModelChoiceField(TrainedModel.objects.none(), empty_label=None)
    patient = forms.CharField(
        max_length=80,
        required=False,
        help_text="A pseudonym, never a name. Images of one patient share it.",
    )
    laterality = forms.ChoiceField(
        choices=[("", "Not known"), ("L", "Left"), ("R", "Right")], required=False, label="Side"
    )
    view = forms.CharField(max_length=10, required=False, help_text="For example MLO or CC.")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        models = ready_models(project)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields["model"].initial = models.first()

    @property
    def has_models(self) -> bool:
        return ready_models(self.project).exists()

    def upload(self, user: User) -> PredictionRun:
        return upload_case(project=self.project, user=user, **self.cleaned_data)


class ExplainAllForm(JobForm):
    """Explains the predicted class of every case of a split."""

    layer = forms.ModelChoiceField(Layer.objects.none(), empty_label=None)
    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label=None)
    split = forms.ChoiceField(
        label="Cases of this split", choices=Split.choices, initial=Split.TEST
    )

    def __init__(self, *args: Any, model: TrainedModel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        layers = explained_layers(model)
        self.fields["layer"].queryset = Layer.objects.filter(  # type: ignore[attr-defined]
            pk__in=[layer.pk for layer in layers]
        ).select_related("dissection__model")
        self.fields["layer"].initial = next(iter(layers), None)
        predicted = (
            self.project.datasets.filter(images__cases__model=model)
            .order_by("holds_uploads", "-created")
            .distinct()
        )
        self.fields["dataset"].queryset = predicted  # type: ignore[attr-defined]

    def start(self, user: User) -> Job:
        return start_run(project=self.project, user=user, **self.cleaned_data)


class PredictForm(RunForm):
    split = forms.ChoiceField(
        label="Images of this split", choices=Split.choices, initial=Split.TEST
    )

    def start(self, user: User) -> Job:
        values = self.cleaned_data
        return start_prediction(
            project=self.project,
            model=self.model,
            dataset=values["dataset"],
            split=values["split"],
            user=user,
        )
