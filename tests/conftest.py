from collections.abc import Iterator

import pytest
from celery import current_app
from django.core.management import call_command

from tests.services import address_of_test_database
from unitscope.demo.processes import Child, worker


@pytest.fixture(scope="session", autouse=True)
def _static_files() -> None:
    """Pages name static files by content hash, as in production, so the files must be collected."""
    call_command("collectstatic", verbosity=0, interactive=False)


@pytest.fixture(scope="session")
def celery_worker(django_db_setup: None) -> Iterator[Child]:
    """A real worker in a process of its own, on the test database and the test Redis.

    Tests that use it need `django_db(transaction=True)`: the worker sees committed rows only.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", address_of_test_database())
        # Small, so that dissections of tests have several parts.
        patch.setenv("UNITSCOPE_SHARD_IMAGES", "64")
        child = worker("test")
    while not current_app.control.ping(timeout=1):
        child.check()
    yield child
    child.stop()
