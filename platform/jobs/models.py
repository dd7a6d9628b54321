from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

# A worker gives a sign of life every 15 seconds; after this long without one it is gone.
STALE_AFTER = timedelta(seconds=60)


class Job(models.Model):
    """Long work done by a worker. This row, not the broker, says what became of it."""

    class Kind(models.TextChoices):
        CHECK_MODEL = "check_model", "Check a model"
        IMPORT_DATASET = "import_dataset", "Import a dataset"
        DISSECT = "dissect", "Dissect a model"
        DISSECT_SHARD = "dissect_shard", "Run a model over a share of the images"
        PREDICT = "predict", "Predict cases"
        EXPLAIN = "explain", "Explain a case"
        EXPLAIN_RUN = "explain_run", "Explain all cases"
        EXPLAIN_SHARE = "explain_share", "Explain some of the cases"
        MAKE_CONTROL = "make_control", "Make an untrained control of a model"
        EVALUATE = "evaluate", "Evaluate explanations"

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting for its parts"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    ACTIVE: ClassVar = (State.QUEUED, State.RUNNING, State.WAITING)

    project = models.ForeignKey("catalog.Project", models.CASCADE, related_name="jobs")
    parent = models.ForeignKey(
        "self",
        models.CASCADE,
        null=True,
        related_name="parts",
        help_text="The job it is a part of.",
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    title = models.CharField(max_length=200)
    target_id = models.BigIntegerField(help_text="Primary key of the object the job works on.")
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    stage = models.CharField(max_length=120, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    log = models.TextField(blank=True)
    error = models.TextField(blank=True, help_text="What went wrong and what to do, for people.")
    attempt = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(
        default=0, help_text="How often its worker died under it since it was last queued."
    )
    worker = models.CharField(max_length=120, blank=True, help_text="Node name of its worker.")
    delivery = models.CharField(
        max_length=64, blank=True, help_text="Id of the broker's message that the worker runs."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="jobs"
    )
    created = models.DateTimeField(auto_now_add=True)
    queued = models.DateTimeField(default=timezone.now, help_text="Last time it was queued.")
    started = models.DateTimeField(null=True)
    heartbeat = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created", "-pk"]
        indexes = [models.Index(fields=["project", "state"])]

    def __str__(self) -> str:
        return self.title

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def is_silent(self) -> bool:
        """Running, but its worker has given no sign of life for too long."""
        return (
            self.state == self.State.RUNNING
            and self.heartbeat is not None
            and self.heartbeat < timezone.now() - STALE_AFTER
        )

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE
