from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in. What they may do in a project follows from their memberships."""

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


class Role(models.TextChoices):
    ADMIN = "admin", "Admin"
    EXPERT = "expert", "Expert"
    ADJUDICATOR = "adjudicator", "Adjudicator"
    CLINICIAN = "clinician", "Clinician"


class Membership(models.Model):
    project = models.ForeignKey("catalog.Project", models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "role"], name="one_role_row"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"
