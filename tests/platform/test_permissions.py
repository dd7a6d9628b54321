"""Every route of the product for every kind of person, as the table in `routes.py` says."""

from collections.abc import Iterable, Iterator

import pytest
from django.core.cache import cache
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django.plugin import DjangoDbBlocker

from tests.platform.routes import METHODS, PEOPLE, ROUTES
from tests.platform.stage import Stage, build_stage

pytestmark = pytest.mark.django_db

# The operators' admin has routes of Django's making; test_operators_admin.py opens them.
FOREIGN = ("admin",)


def route_names(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[str]:
    """The name of every route; one without a name is called by its pattern."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or str(pattern.pattern)
        elif pattern.namespace not in FOREIGN:
            yield from route_names(pattern.url_patterns)


FOUND = list(route_names(get_resolver().url_patterns))


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """Built once for all tests here; each of them takes back what it does."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield build_stage()
        transaction.set_rollback(True)


def test_every_route_has_a_line_in_the_table_and_every_line_a_route() -> None:
    assert sorted(FOUND) == sorted(ROUTES)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("name", ROUTES)
def test_the_table_holds(stage: Stage, name: str, person: str) -> None:
    route = ROUTES[name]
    methods = METHODS if route.is_api else ("get", "post")
    address = stage.address(route)
    cache.clear()  # forgets earlier attempts to sign in
    found = {}
    for method in methods:
        client = stage.client(person, api=route.is_api)
        with transaction.atomic():
            found[method] = getattr(client, method)(address).status_code
            transaction.set_rollback(True)
    assert found == {method: route.expected(method, person) for method in methods}


def test_the_table_would_notice_a_view_that_lets_everybody_in(stage: Stage) -> None:
    """The control: what the table says of admins is not what a stranger or an expert gets."""
    route = ROUTES["term-edit"]
    address = stage.address(route)
    for person in ("expert", "clinician", "outsider", "anonymous"):
        status = stage.client(person, api=False).get(address).status_code
        assert status != route.expected("get", "admin"), person
