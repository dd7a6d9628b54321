"""What admins fill in: each form knows the service it calls and starts one job."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from catalog.models import Dataset, ImportState, TrainedModel
from catalog.services import add_dataset, add_model
from jobs.forms import JobForm
from jobs.models import Job


class NumberListField(forms.CharField):
    """Numbers separated by commas."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return [float(part) for part in text.split(",")] if text else []
        except ValueError as error:
            raise ValidationError("Write numbers separated by commas, such as 0.5, 0.5.") from error


class AddModelForm(JobForm):
    name = forms.CharField(max_length=120)
    file = forms.FileField(
        label="Model file",
        help_text="A .pt2 file written by torch.export.save.",
        widget=forms.FileInput(attrs={"accept": ".pt2"}),
    )
    class_names = forms.CharField(
        label="Classes",
        help_text="One a line, in the order of the model's outputs.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    height = forms.IntegerField(label="Input height", min_value=1, max_value=4096, initial=224)
    width = forms.IntegerField(label="Input width", min_value=1, max_value=4096, initial=224)
    channels = forms.TypedChoiceField(
        choices=[(1, "1 (grey)"), (3, "3 (colour)")], coerce=int, initial=3
    )
    channel_order = forms.ChoiceField(
        label="Order of the channels", choices=[("RGB", "RGB"), ("BGR", "BGR")], initial="RGB"
    )
    mean = NumberListField(
        help_text="Per channel, for images scaled to 0–1.", initial="0.485, 0.456, 0.406"
    )
    std = NumberListField(
        label="Standard deviation", help_text="Per channel.", initial="0.229, 0.224, 0.225"
    )

    def start(self, user: User) -> Job:
        values = self.cleaned_data
        _, job = add_model(
            project=self.project,
            name=values["name"],
            file=values["file"],
            class_names=values["class_names"].split("\n"),
            preprocessing={
                "input_size": [values["height"], values["width"]],
                "channels": values["channels"],
                "mean": values["mean"],
                "std": values["std"],
                "channel_order": values["channel_order"],
            },
            user=user,
        )
        return job


class AddDatasetForm(JobForm):
    name = forms.CharField(max_length=120)
    archive = forms.FileField(
        label="Zip archive",
        help_text=(
            "One folder of images per class (PNG, JPEG or DICOM), or a folder with manifest.csv "
            "for patients, splits, masks and reports."
        ),
        widget=forms.FileInput(attrs={"accept": ".zip"}),
    )

    def start(self, user: User) -> Job:
        values = self.cleaned_data
        _, job = add_dataset(
            project=self.project, name=values["name"], source=values["archive"], user=user
        )
        return job


class RunForm(JobForm):
    """A form that runs a model over a ready dataset of the project."""

    dataset = forms.ModelChoiceField(Dataset.objects.none(), empty_label=None)

    def __init__(self, *args: Any, model: TrainedModel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = model
        datasets = self.project.datasets.filter(state=ImportState.READY, holds_uploads=False)
        self.fields["dataset"].queryset = datasets  # type: ignore[attr-defined]
