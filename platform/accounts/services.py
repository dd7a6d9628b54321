"""Writes about people: what they may do in a project."""

from accounts.models import Membership, Role, User
from catalog.models import Project


def give_role(*, project: Project, user: User, role: Role) -> Membership:
    """Make `user` a member of `project` with `role`; does nothing where they hold it already."""
    membership, _ = Membership.objects.get_or_create(project=project, user=user, role=role)
    return membership
