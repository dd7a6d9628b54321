"""What an admin settles for a project's experts: blinding, and what they are asked."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from annotation import questions
from annotation.errors import QuestionError
from annotation.models import QuestionSet
from annotation.questions import CUSTOM_KINDS, DEFAULT, LONGEST, MOST_STEPS, Kind, Question
from catalog.models import Project


class BlindingForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ["blinded"]
        labels = {"blinded": "Experts answer blind"}


class QuestionForm(forms.Form):
    """One row of the editor. A row that is not asked is left out of the next set."""

    key = forms.CharField(required=False, widget=forms.HiddenInput)
    kind = forms.ChoiceField(
        label="Answered by",
        choices=list(CUSTOM_KINDS.items()),
        initial=Kind.CHOICE,
    )
    title = forms.CharField(label="Question", required=False, max_length=LONGEST["title"])
    help = forms.CharField(label="Explanation", required=False, max_length=LONGEST["help"])
    asked = forms.BooleanField(label="Ask it", required=False, initial=True)
    required = forms.BooleanField(label="Needed for a complete answer", required=False)
    place = forms.IntegerField(min_value=1, max_value=999)
    choices = forms.CharField(
        label="Answers to choose from",
        help_text="One a line.",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    steps = forms.IntegerField(
        label="Top of the scale", required=False, min_value=2, max_value=MOST_STEPS, initial=5
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.question = questions.BUILT_IN.get(self["key"].value() or "")
        if self.question:
            self.fields["kind"] = forms.CharField(widget=forms.HiddenInput)

    @property
    def always_asked(self) -> bool:
        return self.question is not None and self.question.always_asked

    @property
    def left_blank(self) -> bool:
        return not (self.cleaned_data.get("key") or self.cleaned_data.get("title"))

    def entry(self, taken: Sequence[str]) -> dict[str, Any]:
        """As `questions.parse` reads it; a new question gets a key that is not among `taken`."""
        values = self.cleaned_data
        return {
            "key": values["key"] or questions.new_key(values["title"], taken),
            "kind": values["kind"],
            "title": values["title"],
            "help": values["help"],
            "required": values["required"],
            "choices": values["choices"].splitlines(),
            "steps": values["steps"],
        }


class QuestionSetForm(forms.BaseFormSet):
    """The editor of a project's questions: those asked now, and the built-in ones that are not."""

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data, initial=_rows(project))
        self.project = project
        self.asked: list[Question] = []

    def clean(self) -> None:
        if any(self.errors):
            return
        rows = [
            form
            for form in self.forms
            if not form.left_blank and (form.always_asked or form.cleaned_data["asked"])
        ]
        keys = questions.keys_ever_used(self.project)
        entries: list[dict[str, Any]] = []
        for form in sorted(rows, key=lambda form: form.cleaned_data["place"]):
            entries.append(form.entry([*keys, *(entry["key"] for entry in entries)]))
        try:
            self.asked = questions.parse(entries)
        except QuestionError as error:
            raise ValidationError(str(error)) from error

    def save(self, user: User) -> QuestionSet:
        return questions.revise(self.project, self.asked, user)


def question_set_form(project: Project, data: Any = None) -> QuestionSetForm:
    made = forms.formset_factory(
        QuestionForm,
        formset=QuestionSetForm,
        extra=0,
        max_num=2 * questions.MOST_QUESTIONS,
        absolute_max=2 * questions.MOST_QUESTIONS,
    )
    return cast(type[QuestionSetForm], made)(data, project=project)


def _rows(project: Project) -> list[dict[str, Any]]:
    asked = questions.questions_of(questions.current(project))
    keys = {question.key for question in asked}
    offered = [*asked, *(question for question in DEFAULT if question.key not in keys)]
    return [
        {
            "key": question.key,
            "kind": question.kind.value,
            "title": question.title,
            "help": question.help,
            "asked": question.key in keys,
            "required": question.required,
            "place": place,
            "choices": "\n".join(question.choices),
            "steps": question.steps or None,
        }
        for place, question in enumerate(offered, start=1)
    ]
