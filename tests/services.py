"""Pytest plugin: the services that tests meet are the real Postgres and the real Redis.

It is loaded by `-p tests.services` (see pyproject.toml), since Django reads its settings before
any conftest.py. `DATABASE_URL` and `REDIS_URL` are used where they are set.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
_services = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Start the services, in a folder of this run only, before anything reads the settings."""
    # Playwright keeps an event loop in the main thread; the tests' own queries are synchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    os.environ["UNITSCOPE_VAR"] = _services.enter_context(
        tempfile.TemporaryDirectory(prefix="unitscope-test-")
    )
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    from unitscope.embedded import provide_services

    _services.enter_context(provide_services(["manage.py", "test"]))
    yield


def pytest_unconfigure() -> None:
    _services.close()


def address_of_test_database() -> str:
    """DATABASE_URL for a process that is to work on the database of the running tests."""
    from django.db import connection

    server = urlsplit(os.environ["DATABASE_URL"])
    return server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
