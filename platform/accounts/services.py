"""Writes about people: what they may do in a project."""

from accounts.models import Membership, Role, User
from catalog.models import Project


def give_role(*, project: Project, user: User, role: Role) -> Membership:
    """Make `user` a member of `project` with `role`; does nothing where they hold it already."""
    membership, _ = Membership.objects.get_or_create(project=project, user=user, role=role)
    return membership


def take_role(*, project: Project, user: User, role: Role) -> None:
    """End one role of `user` in `project`; without any role left they no longer see it."""
    Membership.objects.filter(project=project, user=user, role=role).delete()
