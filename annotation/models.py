"""What experts state about units."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from catalog.models import Project, Term, TrainedModel
from dissections.models import Dissection


class QuestionSet(models.Model):
    """What experts are asked about a unit. Sets are never changed: a change is a new number."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="question_sets")
    number = models.PositiveIntegerField()
    questions = models.JSONField(help_text="See annotation.questions.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["project", "number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="one_question_set_number")
        ]

    def __str__(self) -> str:
        return f"question set {self.number}"


class FirstLabels(models.Manager["Label"]):
    """Labels without the hidden repeats, which count for intra-reader consistency alone."""

    def get_queryset(self) -> models.QuerySet["Label"]:
        return super().get_queryset().filter(occasion=0)


class Label(models.Model):
    """One expert's present statement on one unit, bound to (model hash, layer, unit).

    `objects` leaves out hidden repeats; `with_repeats` has them.
    """

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
    answers = models.JSONField(
        default=dict, blank=True, help_text="Answers to further questions, by their keys."
    )
    question_set = models.ForeignKey(
        QuestionSet, models.PROTECT, null=True, blank=True, related_name="labels"
    )
    occasion = models.PositiveSmallIntegerField(
        default=0, help_text="0, or which hidden repeat of a reading list this is."
    )
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects = FirstLabels()
    with_repeats = models.Manager["Label"]()

    class Meta:
        ordering = ["layer_name", "unit_index", "author", "occasion"]
        base_manager_name = "with_repeats"
        default_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                fields=["model", "layer_name", "unit_index", "author", "occasion"],
                name="one_label_per_author",
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


class ReadingList(models.Model):
    """Units to be read in a fixed order by chosen readers, each unit by several of them.

    Control units and repeats look like any other unit to readers.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="reading_lists")
    name = models.CharField(max_length=120)
    dissection = models.ForeignKey(Dissection, models.CASCADE, related_name="reading_lists")
    readers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="reading_lists")
    readers_per_unit = models.PositiveSmallIntegerField(default=2)
    repeat_share = models.FloatField(default=0.0, help_text="Share of units that come again.")
    assisted = models.BooleanField(
        default=False, help_text="Readers see the automatic proposal before they answer."
    )
    seed = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    created = models.DateTimeField(auto_now_add=True)
    closed = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name


class ReadingItem(models.Model):
    """A unit in a reading list; a control belongs to the untrained twin of the list's model."""

    reading_list = models.ForeignKey(ReadingList, models.CASCADE, related_name="items")
    position = models.PositiveIntegerField(help_text="By rank; readers have orders of their own.")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="+")
    layer_name = models.CharField(max_length=160)
    unit_index = models.PositiveIntegerField()
    control = models.BooleanField(default=False)

    class Meta:
        ordering = ["reading_list", "position"]
        constraints = [
            models.UniqueConstraint(fields=["reading_list", "position"], name="one_item_position"),
            models.UniqueConstraint(
                fields=["reading_list", "model", "layer_name", "unit_index"], name="one_item_unit"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.layer_name}/{self.unit_index}"


class Reading(models.Model):
    """One reader's turn at one item: held while open, free again once the hold has expired."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        SKIPPED = "skipped", "Skipped"
        DONE = "done", "Done"

    item = models.ForeignKey(ReadingItem, models.CASCADE, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="readings")
    occasion = models.PositiveSmallIntegerField(
        default=0, help_text="0, or which hidden repeat it is."
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    opened = models.DateTimeField(auto_now_add=True)
    held_until = models.DateTimeField(null=True, blank=True)
    finished = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0.0, help_text="Time spent on it, added up over visits.")

    class Meta:
        ordering = ["item", "reader", "occasion"]
        constraints = [
            models.UniqueConstraint(fields=["item", "reader", "occasion"], name="one_reading")
        ]

    def __str__(self) -> str:
        return f"{self.reader} reads {self.item}"


class Consensus(models.Model):
    """What stands on a unit, and where it comes from. Rows are only ever added: the last counts."""

    class Source(models.TextChoices):
        AGREEMENT = "agreement", "Agreement of the experts"
        ADJUDICATION = "adjudication", "Adjudication"
        IMPORT = "import", "Import"

    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="consensus")
    layer_name = models.CharField(max_length=160)
    unit_index = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    recognisable = models.CharField(max_length=8, choices=Label.Recognisable.choices)
    terms = models.ManyToManyField(Term, related_name="+", blank=True)
    note = models.TextField(blank=True, help_text="Why, in the adjudicator's words.")
    source = models.CharField(max_length=12, choices=Source.choices)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    question_set = models.ForeignKey(QuestionSet, models.PROTECT, null=True, related_name="+")
    model_sha256 = models.CharField(max_length=64)
    basis = models.JSONField(
        help_text="The labels it rests on: author, revision number and state of each."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "layer_name", "unit_index", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "layer_name", "unit_index", "number"], name="one_consensus_number"
            )
        ]

    def __str__(self) -> str:
        return f"consensus {self.number} on {self.layer_name}/{self.unit_index}"


class TermProposal(models.Model):
    """A term that an expert misses in the vocabulary, until an admin or adjudicator decides."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"

    project = models.ForeignKey(Project, models.CASCADE, related_name="term_proposals")
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60, blank=True)
    parent = models.ForeignKey(Term, models.SET_NULL, null=True, blank=True, related_name="+")
    definition = models.TextField(blank=True)
    label = models.ForeignKey(
        Label,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="term_proposals",
        help_text="The label that gets the term once it is approved.",
    )
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="term_proposals"
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    term = models.ForeignKey(Term, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)
    decided = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["project", "-created"]

    def __str__(self) -> str:
        return self.name
