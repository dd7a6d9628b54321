"""What experts state about units."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog.models import Term, TrainedModel


class Label(models.Model):
    """One expert's present statement on one unit, bound to (model hash, layer, unit)."""

    class Recognisable(models.TextChoices):
        YES = "yes", "Yes"
        NO = "no", "Nothing recognisable"
        UNSURE = "unsure", "Unsure"

    class Confidence(models.IntegerChoices):
        LOW = 1, "Low"
        MEDIUM = 2, "Medium"
        HIGH = 3, "High"

    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="labels")
    layer_name = models.CharField(max_length=160)
    unit_index = models.PositiveIntegerField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="labels")
    recognisable = models.CharField(max_length=8, choices=Recognisable.choices, blank=True)
    terms = models.ManyToManyField(Term, related_name="labels", blank=True)
    confidence = models.PositiveSmallIntegerField(
        choices=Confidence.choices,
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3)],
    )
    note = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["layer_name", "unit_index", "author"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "layer_name", "unit_index", "author"], name="one_label_per_author"
            )
        ]

    def __str__(self) -> str:
        return f"{self.author} on {self.layer_name}/{self.unit_index}"


class LabelRevision(models.Model):
    """What a label said after each save. Rows are only ever added; undo adds one too."""

    label = models.ForeignKey(Label, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    state = models.JSONField()
    undoes = models.PositiveIntegerField(
        null=True, help_text="The number of the revision that this one took back."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["label", "number"]
        constraints = [
            models.UniqueConstraint(fields=["label", "number"], name="one_revision_number")
        ]

    def __str__(self) -> str:
        return f"revision {self.number} of {self.label}"
