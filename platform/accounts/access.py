"""The one way to reach a project and to ask what a person may do in it.

Objects of projects a person is not a member of do not exist for them (404). A member without the
needed role gets 403.
"""

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404

from accounts.models import Role, User
from catalog.models import Project

LABELLERS = (Role.ADMIN, Role.EXPERT, Role.ADJUDICATOR)
ADMINS = (Role.ADMIN,)


def visible_projects(user: User | AnonymousUser) -> QuerySet[Project]:
    """The projects that `user` is a member of; all of them for a superuser."""
    if not user.is_authenticated:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user).distinct()


def get_project(user: User | AnonymousUser, slug: str, *roles: Role) -> Project:
    """The project with this slug, for a member with one of `roles` (any role where none given).

    Raises:
        Http404: no such project, or the user is not a member.
        PermissionDenied: the user is a member without one of `roles`.
    """
    project = visible_projects(user).filter(slug=slug).first()
    if project is None:
        raise Http404("No such project.")
    require(user, project, *roles)
    return project


def require(user: User | AnonymousUser, project: Project, *roles: Role) -> None:
    """Raise PermissionDenied unless `user` holds one of `roles` in `project`."""
    if roles and not has_role(user, project, *roles):
        names = " or ".join(Role(role).label.lower() for role in roles)
        raise PermissionDenied(f"This needs the role {names} in {project.name}.")


def has_role(user: User | AnonymousUser, project: Project, *roles: Role) -> bool:
    if not user.is_authenticated:
        return False
    return user.is_superuser or project.memberships.filter(user=user, role__in=roles).exists()
