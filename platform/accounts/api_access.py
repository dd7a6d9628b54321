"""What every API view shares: only visible projects, refusals in words, one schema for both."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.db.models import Q, QuerySet
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from accounts.access import visible_projects
from accounts.models import Membership, Role, User


class Refused(APIException):
    """The request fits the schema, but the service behind it says no."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "refused"


class DetailSerializer(serializers.Serializer):
    """The body of an answer that says why a request was refused."""

    detail = serializers.CharField()


@contextmanager
def refusals(*kinds: type[Exception]) -> Iterator[None]:
    """Turn a service's errors, which are written for people, into an answer with status 400."""
    try:
        yield
    except kinds as error:
        raise Refused(str(error)) from error


def user_of(request: Request) -> User:
    """The signed-in user; views ask for one by their permission classes."""
    return cast(User, request.user)


def named_by(field: str) -> "serializers.SlugRelatedField[Any]":
    """Shows a related object by one of its fields."""
    return serializers.SlugRelatedField(slug_field=field, read_only=True)


class ProjectObjectsView(GenericAPIView):
    """Restricts a view's objects to the projects of the user. Others do not exist for them.

    `project_lookup` leads from an object to its project, e.g. "dissection__project". Where
    `control_lookup` leads to `control_of` of its model, objects of untrained controls are for
    project admins alone: readers must not be able to tell which of their units are controls.
    """

    project_lookup = "project"
    control_lookup = ""

    def get_queryset(self) -> QuerySet[Any]:
        # A semi-join: joining the memberships would repeat objects of people with two roles.
        projects = visible_projects(self.request.user).values("pk")
        found = super().get_queryset().filter(**{f"{self.project_lookup}__in": projects})
        if self.control_lookup and not self.request.user.is_superuser:
            run = Membership.objects.filter(user=self.request.user.pk, role=Role.ADMIN)
            found = found.filter(
                Q(**{self.control_lookup: None})
                | Q(**{f"{self.project_lookup}__in": run.values("project")})
            )
        return found
