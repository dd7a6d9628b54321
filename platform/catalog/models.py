"""What admins bring: projects, vocabularies, models and datasets."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Vocabulary(models.Model):
    """A versioned set of terms that experts name units with."""

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    version = models.CharField(max_length=40)
    source = models.TextField(blank=True, help_text="Where the terms come from.")
    owner = models.ForeignKey(
        "Project",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="own_vocabularies",
        help_text="The project that may edit it; none for those that Unitscope ships.",
    )

    class Meta:
        verbose_name_plural = "vocabularies"
        constraints = [
            models.UniqueConstraint(fields=["slug", "version"], name="one_vocabulary_version")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"


class Term(models.Model):
    """One entry of a vocabulary. `code` is stable; a retired term stays readable."""

    vocabulary = models.ForeignKey(Vocabulary, models.CASCADE, related_name="terms")
    code = models.CharField(max_length=80)
    code_system = models.CharField(max_length=40)
    name = models.CharField(max_length=120)
    phrase = models.CharField(
        max_length=160, help_text="How the term reads inside a sentence, e.g. 'spiculated margin'."
    )
    category = models.CharField(max_length=60)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    synonyms = ArrayField(models.CharField(max_length=120), default=list, blank=True)
    help_text = models.TextField(blank=True)
    position = models.PositiveIntegerField(default=0)
    retired = models.BooleanField(default=False)

    class Meta:
        ordering = ["vocabulary", "position"]
        constraints = [models.UniqueConstraint(fields=["vocabulary", "code"], name="one_term_code")]

    def __str__(self) -> str:
        return self.name


class VocabularyRelease(models.Model):
    """All terms of a vocabulary as they read when a version of it was published. Never changed."""

    vocabulary = models.ForeignKey(Vocabulary, models.CASCADE, related_name="releases")
    version = models.CharField(max_length=40)
    content = models.JSONField(help_text="The terms, as the JSON export writes them.")
    note = models.TextField(blank=True, help_text="What is new in it.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["vocabulary", "-created"]
        constraints = [
            models.UniqueConstraint(fields=["vocabulary", "version"], name="one_release_version")
        ]

    def __str__(self) -> str:
        return f"{self.vocabulary.name} {self.version}"


class TermMapping(models.Model):
    """What a term of an older lexicon is called in this vocabulary (e.g. DDSM `ill_defined`)."""

    term = models.ForeignKey(Term, models.CASCADE, related_name="mappings")
    system = models.CharField(max_length=40)
    field = models.CharField(max_length=60)
    value = models.CharField(max_length=80)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["term", "system", "field", "value"], name="one_mapping_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.system} {self.field}={self.value} → {self.term}"


class Project(models.Model):
    """The unit of access: its models, datasets, labels and cases belong to its members."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    vocabulary = models.ForeignKey(Vocabulary, models.PROTECT, related_name="projects")
    blinded = models.BooleanField(
        default=True,
        help_text="Experts see no score, class or colleague's answer before they answer a unit.",
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ImportState(models.TextChoices):
    CHECKING = "checking", "Being checked"
    READY = "ready", "Ready"
    REFUSED = "refused", "Refused"


def model_path(instance: "TrainedModel", filename: str) -> str:
    return f"projects/{instance.project.slug}/models/{instance.sha256}.pt2"


class TrainedModel(models.Model):
    """An uploaded network, identified by the SHA-256 of its file; labels are bound to that hash."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="models")
    name = models.CharField(max_length=120)
    file = models.FileField(upload_to=model_path, max_length=255)
    sha256 = models.CharField(max_length=64)
    class_names = ArrayField(models.CharField(max_length=80))
    preprocessing = models.JSONField()
    layers = models.JSONField(default=list, help_text="What the dry run found, see LayerInfo.")
    state = models.CharField(
        max_length=20, choices=ImportState.choices, default=ImportState.CHECKING
    )
    message = models.TextField(blank=True)
    control_of = models.ForeignKey(
        "self",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="controls",
        help_text="The model whose shuffled weights it has: its units are controls for readers.",
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="one_model_per_hash")
        ]

    def __str__(self) -> str:
        return self.name


def upload_path(instance: "Dataset", filename: str) -> str:
    return f"projects/{instance.project.slug}/uploads/{filename}"


class Dataset(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    class_names = ArrayField(models.CharField(max_length=80), default=list)
    state = models.CharField(
        max_length=20, choices=ImportState.choices, default=ImportState.CHECKING
    )
    message = models.TextField(blank=True)
    upload = models.FileField(
        upload_to=upload_path,
        max_length=255,
        blank=True,
        help_text="The uploaded archive, kept until its import has ended.",
    )
    folder = models.CharField(
        max_length=500, blank=True, help_text="Or the folder on the worker's disk to import from."
    )
    holds_uploads = models.BooleanField(
        default=False, help_text="Its images are single cases that members have uploaded."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=models.Q(holds_uploads=True),
                name="one_dataset_of_uploads",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Concept(models.Model):
    """Something a dataset has pixel masks for."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="concepts")
    key = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60, blank=True)
    term = models.ForeignKey(Term, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["dataset", "key"]
        constraints = [models.UniqueConstraint(fields=["dataset", "key"], name="one_concept_key")]

    def __str__(self) -> str:
        return self.name


class Split(models.TextChoices):
    TRAIN = "train", "Training"
    VALIDATION = "validation", "Validation"
    TEST = "test", "Test"


def image_path(instance: "Image", filename: str) -> str:
    return f"projects/{instance.dataset.project.slug}/datasets/{instance.dataset_id}/{filename}"


class Image(models.Model):
    """One image file with who and what it shows."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="images")
    file = models.FileField(upload_to=image_path, max_length=255)
    name = models.CharField(max_length=160)
    patient = models.CharField(max_length=80, help_text="Images of one patient share this.")
    study = models.CharField(max_length=80, blank=True)
    laterality = models.CharField(max_length=1, blank=True)
    view = models.CharField(max_length=10, blank=True)
    class_index = models.PositiveIntegerField(null=True, blank=True)
    split = models.CharField(max_length=12, choices=Split.choices, default=Split.VALIDATION)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bits = models.PositiveSmallIntegerField()
    sha256 = models.CharField(max_length=64)
    report = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["dataset", "name"]
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="one_image_name")]
        indexes = [models.Index(fields=["dataset", "split"])]

    def __str__(self) -> str:
        return self.name

    @property
    def class_name(self) -> str | None:
        """The name of its class in its dataset; none where it is not known."""
        return None if self.class_index is None else self.dataset.class_names[self.class_index]


class ConceptMask(models.Model):
    """Where a concept lies in an image: an 8-bit PNG of the image's size, 0 or 255."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="masks")
    concept = models.ForeignKey(Concept, models.CASCADE, related_name="masks")
    file = models.FileField(upload_to="", max_length=255)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["image", "concept"], name="one_mask_per_concept")
        ]

    def __str__(self) -> str:
        return f"{self.concept} in {self.image}"
