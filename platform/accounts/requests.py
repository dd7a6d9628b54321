from django.http import HttpRequest

from accounts.models import User


class MemberRequest(HttpRequest):
    """A request as views see it behind LoginRequiredMiddleware: somebody is signed in."""

    user: User
