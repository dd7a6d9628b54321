"""What clinicians read: cases, predictions and the explanations of them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from catalog.models import Dataset, Image, Project, Split, TrainedModel
from dissections.models import Layer


class PredictionRun(models.Model):
    """A request to run a model over the images of a split; its job makes their cases."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="prediction_runs")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="prediction_runs")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="prediction_runs")
    split = models.CharField(max_length=12, choices=Split.choices)
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
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

    class Meta:
        ordering = ["-created"]
        indexes = [models.Index(fields=["case", "layer", "target", "labels_digest"])]

    def __str__(self) -> str:
        return f"explanation of {self.case}"


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
