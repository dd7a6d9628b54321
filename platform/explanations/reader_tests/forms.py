from typing import Any

from django import forms

from accounts.models import User
from catalog.models import Project, TrainedModel
from explanations.models import ReaderTest
from explanations.reader_tests.services import create_test
from explanations.selectors import models_with_cases

# So that a single reader meets every class in each of the three ways.
LEAST_CASES_PER_CLASS = 3
MOST_CASES_PER_CLASS = 200


class ReaderTestForm(forms.Form):
    name = forms.CharField(max_length=120, initial="Reader test")
    model = forms.ModelChoiceField(TrainedModel.objects.none(), empty_label=None)
    cases_per_class = forms.IntegerField(
        min_value=LEAST_CASES_PER_CLASS,
        max_value=MOST_CASES_PER_CLASS,
        initial=10,
        label="Cases of each class",
        help_text="Drawn at random from the explained cases whose class is known.",
    )
    readers = forms.ModelMultipleChoiceField(
        User.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text="With three readers or more, every case is seen in every way.",
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        models = [model.pk for model in models_with_cases(project)]
        members = User.objects.filter(memberships__project=project).distinct()
        fields: dict[str, Any] = self.fields
        fields["model"].queryset = TrainedModel.objects.filter(pk__in=models)
        fields["readers"].queryset = members.order_by("last_name", "username")
        fields["readers"].label_from_instance = lambda user: user.display_name

    def save(self, user: User) -> ReaderTest:
        values = {**self.cleaned_data, "readers": list(self.cleaned_data["readers"])}
        return create_test(project=self.project, user=user, **values)


class GuessForm(forms.Form):
    turn = forms.IntegerField(min_value=1)
    guess = forms.IntegerField(min_value=0)
