"""Arrows between the folders point one way; the web process never pays for torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]

LOAD_EVERY_PAGE = """
import sys
sys.path[:0] = [".", "platform"]
import django
django.setup()
import unitscope.wsgi
from django.urls import get_resolver
assert get_resolver().url_patterns
assert "torch" not in sys.modules, "the web process imports torch"
assert "workers" not in sys.modules, "the web process imports workers"
for heavy in ("reportlab", "highdicom", "fhir"):
    assert heavy not in sys.modules, f"the web process imports {heavy} before it is asked for"
"""


def test_the_web_process_imports_neither_torch_nor_the_workers_nor_writers_of_exports() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOAD_EVERY_PAGE], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("file", sorted((ROOT / "analysis").rglob("*.py")), ids=str)
def test_the_engine_imports_nothing_of_the_platform(file: Path) -> None:
    forbidden = ("django", "accounts", "catalog", "jobs", "dissections", "explanations",
                 "annotation", "workers", "unitscope")  # fmt: skip
    for line in file.read_text().splitlines():
        words = line.split()
        if words[:1] in (["import"], ["from"]):
            assert words[1].split(".")[0] not in forbidden, line


@pytest.mark.django_db
def test_the_migrations_hold_every_change_of_the_models() -> None:
    call_command("makemigrations", check=True, dry_run=True)
