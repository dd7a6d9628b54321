"""The OpenAPI schema: valid, committed as it is, and readable in the browser without a CDN."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import User

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "openapi.yaml"


def test_the_committed_schema_is_current_and_valid(tmp_path: Path) -> None:
    current = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(current))
    assert current.read_text() == COMMITTED.read_text(), (
        "Run `python manage.py spectacular --file docs/openapi.yaml` and commit the result."
    )


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/docs/", "/api/schema/"])
def test_the_documentation_is_for_people_who_are_signed_in(client: Client, path: str) -> None:
    assert client.get(path).status_code == 401
    client.force_login(User.objects.create_user("somebody"))
    assert client.get(path).status_code == 200


@pytest.mark.django_db
def test_the_documentation_page_loads_only_files_of_this_server(client: Client) -> None:
    client.force_login(User.objects.create_user("somebody"))
    response = client.get("/api/docs/")
    sources = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
    assert any("swagger-ui-bundle" in source for source in sources)
    assert all(source.startswith("/static/") for source in sources)
    for source in sources:
        assert client.get(source).status_code == 200, source
    # Swagger UI starts from an inline script, which the policy of all other pages forbids.
    assert "Content-Security-Policy" not in response
    assert "default-src 'self'" in client.get("/api/schema/")["Content-Security-Policy"]
