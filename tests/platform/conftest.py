"""People of the project of `factories`, as API clients with real tokens."""

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from knox.models import AuthToken
from rest_framework.test import APIClient

from accounts.models import User

ApiClientOf = Callable[[User | None], APIClient]


@pytest.fixture
def api_client_of() -> ApiClientOf:
    """Gives a client that sends a token of the user, or none at all."""

    def make(user: User | None) -> APIClient:
        client = APIClient()
        if user is not None:
            _, token = AuthToken.objects.create(user=user)
            client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        return client

    return make


@pytest.fixture
def fresh_throttle() -> Iterator[None]:
    """Forgets earlier attempts to sign in, which are counted in Redis."""
    cache.clear()
    yield
    cache.clear()
