import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection

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
    before = os.environ["DATABASE_URL"]
    test_database = urlsplit(before)._replace(path=f"/{connection.settings_dict['NAME']}")
    os.environ["DATABASE_URL"] = test_database.geturl()
    try:
        child = worker("test")
    finally:
        os.environ["DATABASE_URL"] = before
    yield child
    child.stop()
