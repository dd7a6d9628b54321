"""What clinicians read: cases, predictions and the explanations of them."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from catalog.models import Dataset, Image, Project, Split, TrainedModel
from dissections.models import Layer


class PredictionRun(models.Model):
    """A request to run a model over the images of a split; its job makes their cases."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="prediction_runs")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="prediction_runs")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="prediction_runs")
    split = models.CharField(max_length=12, choices=Split.choices)
    image = models.ForeignKey(
        Image,
        models.CASCADE,
        null=True,
        related_name="+",
        help_text="An uploaded image, to be predicted alone; none: all images of the split.",
    )
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        if self.image:
            return f"{self.model} on {self.image}"
        return f"{self.model} on the {self.get_split_display().lower()} images of {self.dataset}"


class Case(models.Model):
    """An image as a model sees it."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="cases")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="cases")
    image = models.ForeignKey(Image, models.CASCADE, related_name="cases")
    logits = ArrayField(models.FloatField())
    probabilities = ArrayField(models.FloatField())
    predicted = models.PositiveIntegerField(help_text="Index of the most probable class.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["image__name"]
        constraints = [models.UniqueConstraint(fields=["model", "image"], name="one_case")]

    def __str__(self) -> str:
        return f"{self.image} by {self.model}"

    @property
    def predicted_class(self) -> str:
        return self.model.class_names[self.predicted]

    @property
    def probability(self) -> float:
        return self.probabilities[self.predicted]


class ExplanationRun(models.Model):
    """A request to explain the predicted class of all cases of a split, by one state of the names.

    Its shares are parts of its job; the explanations are those of any single case.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="explanation_runs")
    layer = models.ForeignKey(Layer, models.CASCADE, related_name="+")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    split = models.CharField(max_length=12, choices=Split.choices)
    labels = models.JSONField(help_text="The names, as explanations.content.Labels.")
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"the {self.get_split_display().lower()} cases of {self.dataset}"


class ExplanationShare(models.Model):
    """Some of a run's cases, which one task explains."""

    run = models.ForeignKey(ExplanationRun, models.CASCADE, related_name="shares")
    cases = ArrayField(models.BigIntegerField())
    failed = models.JSONField(
        default=dict, help_text="Why a case could not be explained, by its primary key."
    )

    def __str__(self) -> str:
        return f"{len(self.cases)} cases of {self.run}"


class Explanation(models.Model):
    """Why a model gave a class its score on a case, in the terms that stood when it was made.

    A record: newer labels make a newer explanation, this one is never changed once complete.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="explanations")
    layer = models.ForeignKey(Layer, models.CASCADE, related_name="explanations")
    target = models.PositiveIntegerField(help_text="Index of the class that is explained.")
    labels_digest = models.CharField(
        max_length=64, help_text="SHA-256 of the unit terms it was made from."
    )
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    completed = models.DateTimeField(null=True)
    content = models.JSONField(default=dict, help_text="See explanations.content.")
    maps = models.FileField(upload_to="", max_length=255, blank=True, help_text="Maps as .npz")
    term_codes = ArrayField(
        models.CharField(max_length=80),
        default=list,
        help_text="Of the findings for the class, so that cases can be found by them.",
    )
    supported = models.BooleanField(null=True, help_text="What the causal check says, if made.")

    class Meta:
        ordering = ["-created"]
        indexes = [
            models.Index(fields=["case", "layer", "target", "labels_digest"]),
            GinIndex(fields=["term_codes"], name="terms_of_explanations"),
        ]

    def __str__(self) -> str:
        return f"explanation of {self.case}"


class ReaderTest(models.Model):
    """Do explanations tell people anything? Readers guess the class of cases from what they see."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="reader_tests")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="reader_tests")
    name = models.CharField(max_length=120)
    readers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="reader_tests")
    seed = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)
    closed = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name


class ReaderTestAnswer(models.Model):
    """One reader's turn at one case, seen in one way. Planned when the test is made."""

    class Seen(models.TextChoices):
        EXPLANATION = "explanation", "Explanation alone"
        IMAGE = "image", "Image alone"
        BOTH = "both", "Image and explanation"

    test = models.ForeignKey(ReaderTest, models.CASCADE, related_name="answers")
    reader = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="reader_test_answers"
    )
    explanation = models.ForeignKey(Explanation, models.RESTRICT, related_name="+")
    position = models.PositiveIntegerField(help_text="In the order of this reader, from 0.")
    seen = models.CharField(max_length=12, choices=Seen.choices)
    guess = models.PositiveIntegerField(null=True, help_text="Index of the guessed class.")
    changes = models.PositiveIntegerField(default=0, help_text="How often it was taken back.")
    opened = models.DateTimeField(null=True)
    answered = models.DateTimeField(null=True)

    class Meta:
        ordering = ["test", "reader", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["test", "reader", "explanation"], name="one_turn_per_case"
            ),
            models.UniqueConstraint(fields=["test", "reader", "position"], name="one_turn_place"),
        ]

    def __str__(self) -> str:
        return f"{self.reader} on {self.explanation}"


class Evaluation(models.Model):
    """How well a model's explanations agree with what reports or masks say, as measured once.

    A record: it keeps the names it was made from, and is never changed once complete.
    """

    class Reference(models.TextChoices):
        REPORTS = "reports", "Structured reports"
        MASKS = "masks", "Masks of concepts that have a term"

    project = models.ForeignKey(Project, models.CASCADE, related_name="evaluations")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="evaluations")
    layer = models.ForeignKey(Layer, models.CASCADE, related_name="evaluations")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="evaluations")
    split = models.CharField(max_length=12, choices=Split.choices)
    reference = models.CharField(
        max_length=12, choices=Reference.choices, default=Reference.REPORTS
    )
    labels_digest = models.CharField(
        max_length=64, help_text="SHA-256 of the unit terms it was made from."
    )
    labels = models.JSONField(help_text="The unit terms, see explanations.content.Labels.")
    settings = models.JSONField(help_text="See analysis.evaluation.settings.")
    result = models.JSONField(default=dict, help_text="See explanations.evaluation.record.")
    code_version = models.CharField(max_length=20, blank=True)
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    completed = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return (
            f"{self.model}, {self.layer.name}, on the {self.get_split_display().lower()} images "
            f"of {self.dataset}"
        )


class Calibration(models.Model):
    """The temperature that makes a model's probabilities mean what they say, and by how much."""

    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="calibrations")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="calibrations")
    split = models.CharField(
        max_length=12, choices=Split.choices, help_text="The images it was fitted on."
    )
    tested_split = models.CharField(
        max_length=12, choices=Split.choices, help_text="The images that the report is about."
    )
    temperature = models.FloatField()
    report = models.JSONField(help_text="See analysis.evaluation.calibration.CalibrationReport.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self) -> str:
        return f"temperature {self.temperature:.2f} of {self.model}"
