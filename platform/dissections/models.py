"""What workers computed about the units of a model over a dataset."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F

from catalog.models import Concept, Dataset, Image, Project, TrainedModel


class Dissection(models.Model):
    """One run of a model's layers over a dataset. Its results appear all at once, or not at all."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="dissections")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="dissections")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="dissections")
    layer_names = ArrayField(models.CharField(max_length=160))
    splits = ArrayField(models.CharField(max_length=12))
    settings = models.JSONField(default=dict)
    image_count = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=list, help_text="[image name, reason] of unreadable files.")
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    completed = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return f"{self.model} over {self.dataset}"


class Shard(models.Model):
    """A range of a dissection's images, run by one task. Its files go once all is published."""

    dissection = models.ForeignKey(Dissection, models.CASCADE, related_name="shards")
    start = models.PositiveIntegerField(help_text="First image, in the dissection's order.")
    stop = models.PositiveIntegerField(help_text="One after the last image.")
    folder = models.CharField(max_length=255, blank=True, help_text="Empty until it is computed.")

    class Meta:
        ordering = ["dissection", "start"]
        constraints = [
            models.UniqueConstraint(fields=["dissection", "start"], name="one_shard_start")
        ]

    def __str__(self) -> str:
        return f"images {self.start + 1}–{self.stop}"


class Layer(models.Model):
    dissection = models.ForeignKey(Dissection, models.CASCADE, related_name="layers")
    name = models.CharField(max_length=160)
    position = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    unit_count = models.PositiveIntegerField()
    is_head_input = models.BooleanField(
        help_text="Followed by global average pooling and one linear layer: contributions add up."
    )
    influence_method = models.CharField(max_length=12)
    arrays = models.FileField(upload_to="", max_length=255, help_text="LayerResult as .npz")

    class Meta:
        ordering = ["dissection", "-position"]
        constraints = [
            models.UniqueConstraint(fields=["dissection", "name"], name="one_layer_name")
        ]

    def __str__(self) -> str:
        return self.name


class Unit(models.Model):
    """One channel of a layer, 0-based, with its statistics over the dissected images."""

    layer = models.ForeignKey(Layer, models.CASCADE, related_name="units")
    index = models.PositiveIntegerField()
    threshold = models.FloatField(
        null=True, help_text="Exceeded by the top 0.5 % of positions; none where it never varies."
    )
    mean = models.FloatField()
    maximum = models.FloatField()
    active_fraction = models.FloatField()
    selectivity = models.FloatField(null=True)
    class_means = ArrayField(models.FloatField(null=True))
    influence = ArrayField(models.FloatField(), help_text="Mean logit share per class.")
    influence_max = models.FloatField(help_text="Largest absolute influence on any class.")
    best_concept = models.ForeignKey(Concept, models.SET_NULL, null=True, related_name="+")
    best_iou = models.FloatField(null=True)

    class Meta:
        ordering = ["layer", "index"]
        constraints = [models.UniqueConstraint(fields=["layer", "index"], name="one_unit_index")]

    def __str__(self) -> str:
        return f"unit {self.label}"

    @property
    def label(self) -> str:
        """The index as people see it, zero-padded to the width of the layer's last one."""
        return str(self.index).zfill(len(str(self.layer.unit_count - 1)))


class ConceptScore(models.Model):
    """IoU of a unit's thresholded activation with a concept's masks, and with shuffled masks."""

    unit = models.ForeignKey(Unit, models.CASCADE, related_name="concept_scores")
    concept = models.ForeignKey(Concept, models.CASCADE, related_name="+")
    iou = models.FloatField()
    iou_chance = models.FloatField()

    class Meta:
        ordering = ["unit", F("iou").desc()]
        constraints = [
            models.UniqueConstraint(fields=["unit", "concept"], name="one_concept_score")
        ]

    def __str__(self) -> str:
        return f"{self.concept}: IoU {self.iou:.3f}"


class TopPatch(models.Model):
    """An image that excites a unit most (one per patient), and the cell of the peak."""

    unit = models.ForeignKey(Unit, models.CASCADE, related_name="top_patches")
    rank = models.PositiveSmallIntegerField()
    image = models.ForeignKey(Image, models.CASCADE, related_name="+")
    value = models.FloatField()
    row = models.PositiveIntegerField()
    column = models.PositiveIntegerField()

    class Meta:
        ordering = ["unit", "rank"]
        constraints = [models.UniqueConstraint(fields=["unit", "rank"], name="one_patch_rank")]

    def __str__(self) -> str:
        return f"rank {self.rank}: {self.image}"
